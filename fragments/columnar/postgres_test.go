package columnar

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The files in testdata/postgres hold what PostgreSQL 15 says of inputs that COPY gives
// it, one per line with tabs between:
//
//	type  "input"  "text output"  binary output in hexadecimal  [what we do instead]
//	type  "input"  !SQLSTATE      message and detail            [what we do instead]
//
// What we do instead is "text output" or !SQLSTATE. To add cases, add lines with the
// first two fields, and have the rest written by a real server:
//
//	go test ./fragments/columnar -run TestPostgres -postgres 'host=/socket/dir user=postgres'
var postgres = flag.String("postgres", "", "connection `string` of a PostgreSQL 15 that writes testdata/postgres anew")

// oracle asks a PostgreSQL server what it makes of inputs.
type oracle struct {
	conn *pgconn.PgConn
	typ  string // the type of column t.c
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), *postgres)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	o := &oracle{conn: conn}
	o.exec(t, `SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET datestyle = 'ISO, MDY'; SET extra_float_digits = 1`)
	return o
}

func (o *oracle) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := o.conn.Exec(t.Context(), sql).ReadAll()
	require.NoError(t, err, sql)
}

// answer of PostgreSQL to an input: its outputs, or its error.
type answer struct {
	text, hex string
	code      string
	message   string
}

// refusal leaves out what PostgreSQL says in detail of a syntax error in JSON: we say
// where it is.
func refusal(code, message, detail string) answer {
	if code == codeInvalidText {
		detail = ""
	}
	return answer{code: code, message: strings.TrimSpace(message + " " + detail)}
}

var copyEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// ask has COPY read the input.
func (o *oracle) ask(t *testing.T, typ, input string) answer {
	t.Helper()
	if typ != o.typ {
		o.exec(t, "DROP TABLE IF EXISTS t; CREATE TEMP TABLE t (c "+typ+")")
		o.typ = typ
	}
	o.exec(t, "TRUNCATE t")
	_, err := o.conn.CopyFrom(t.Context(), strings.NewReader(copyEscapes.Replace(input)+"\n"), "COPY t FROM STDIN")
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal(pgErr.Code, pgErr.Message, pgErr.Detail)
	}
	require.NoError(t, err)
	var a answer
	a.text = string(o.value(t, 0))
	a.hex = hex.EncodeToString(o.value(t, 1))
	return a
}

func (o *oracle) value(t *testing.T, format int16) []byte {
	t.Helper()
	r := o.conn.ExecParams(t.Context(), "SELECT c FROM t", nil, nil, nil, []int16{format}).Read()
	require.NoError(t, r.Err)
	require.Len(t, r.Rows, 1)
	return r.Rows[0][0]
}

func (a answer) fields() []string {
	if a.code != "" {
		return []string{"!" + a.code, a.message}
	}
	return []string{strconv.Quote(a.text), a.hex}
}

// ours is what this package makes of the input.
func ours(t *testing.T, typ Type, input string) (answer, *VectorBuilder) {
	t.Helper()
	b := NewVectorBuilder(typ)
	err := ParseText(typ, input, b)
	if inputErr, ok := errors.AsType[*InputError](err); ok {
		require.Zero(t, b.Len(), "an error must leave nothing behind")
		return refusal(inputErr.Code, inputErr.Message, inputErr.Detail), nil
	}
	require.NoError(t, err)
	v := b.Vector()
	return answer{text: string(AppendText(nil, &v, 0)), hex: hex.EncodeToString(AppendBinary(nil, &v, 0))}, b
}

func TestPostgres(t *testing.T) {
	files, err := filepath.Glob("testdata/postgres/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	if *postgres != "" {
		o := newOracle(t)
		for _, file := range files {
			rewritePostgres(t, o, file)
		}
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			for i, l := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
				if l != "" && !strings.HasPrefix(l, "#") {
					t.Run(strconv.Itoa(i+1), func(t *testing.T) {
						checkPostgresLine(t, fmt.Sprintf("%s:%d", file, i+1), strings.Split(l, "\t"))
					})
				}
			}
		})
	}
}

func rewritePostgres(t *testing.T, o *oracle, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(string(content), "\n")
	for i, l := range lines {
		f := strings.Split(l, "\t")
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		input, err := strconv.Unquote(f[1])
		require.NoError(t, err, l)
		instead := []string{}
		if len(f) > 4 {
			instead = f[4:]
		}
		lines[i] = strings.Join(append(append(f[:2:2], o.ask(t, f[0], input).fields()...), instead...), "\t")
	}
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
}

func checkPostgresLine(t *testing.T, where string, f []string) {
	t.Helper()
	require.GreaterOrEqual(t, len(f), 4, where)
	typ, err := TypeFromSQL(f[0], nil)
	require.NoError(t, err, where)
	input, err := strconv.Unquote(f[1])
	require.NoError(t, err, where)
	got, b := ours(t, typ, input)
	if len(f) > 4 {
		require.Equal(t, f[4], got.fields()[0], "%s: what we do instead", where)
		require.NotEqual(t, f[2], got.fields()[0], "%s: this is what PostgreSQL does", where)
	} else {
		require.Equal(t, f[2:4], got.fields(), where)
	}
	if b == nil {
		return
	}
	// The value survives its text, its binary and its row.
	v := b.Vector()
	again := NewVectorBuilder(typ)
	require.NoError(t, ParseText(typ, got.text, again), where)
	require.NoError(t, ParseBinary(typ, AppendBinary(nil, &v, 0), again), where)
	two := again.Vector()
	for i := range 2 {
		require.Equal(t, got.text, string(AppendText(nil, &two, i)), where)
		require.Equal(t, got.hex, hex.EncodeToString(AppendBinary(nil, &two, i)), where)
	}
}

// TestPostgresRandom gives random values to the server that -postgres names, and checks
// that it prints them as we do. Without the flag there is nobody to ask.
func TestPostgresRandom(t *testing.T) {
	if *postgres == "" {
		return
	}
	o := newOracle(t)
	for _, typ := range allTypes() {
		o.exec(t, "DROP TABLE IF EXISTS r; CREATE TEMP TABLE r (i int, c "+typ.SQL()+")")
		values := NewVectorBuilder(typ)
		var in strings.Builder
		for seed := range 3000 {
			rapid.Custom(func(t *rapid.T) int {
				values.truncate(seed)
				genValue(t, typ, values)
				return 0
			}).Example(seed)
			v := values.Vector()
			fmt.Fprintf(&in, "%d\t%s\n", seed, copyEscapes.Replace(string(AppendText(nil, &v, seed))))
		}
		_, err := o.conn.CopyFrom(t.Context(), strings.NewReader(in.String()), "COPY r FROM STDIN")
		require.NoError(t, err, typ)
		v := values.Vector()
		for format := range int16(2) {
			r := o.conn.ExecParams(t.Context(), "SELECT c FROM r ORDER BY i", nil, nil, nil, []int16{format}).Read()
			require.NoError(t, r.Err)
			for i, row := range r.Rows {
				want := AppendText(nil, &v, i)
				if format == 1 {
					want = AppendBinary(nil, &v, i)
				}
				require.Equal(t, string(want), string(row[0]), "%v", typ)
			}
		}
	}
}
