package sql_test

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// The files in testdata/answers have PostgreSQL 15's own answers. To check or write them anew,
// in a database that has no tables:
//
//	go test ./test/sql -run TestAnswers -postgres 'host=/socket/dir user=postgres' [-rewrite]
var postgresAt = flag.String("postgres", "", "connection `string` of a PostgreSQL 15 to hold testdata/answers against")

// TestAnswers runs the statements of files. The commands:
//
//	exec     statements that have to succeed, one a line
//	ask      for each line the names, types and rows of a query, in text; or the error with
//	         its SQLSTATE, after which the connection has to answer
//	binary   the same with values in the binary format
//	codes    for each line the SQLSTATE of a statement that has to fail, and after each
//	         the connection has to answer
//	bind     for each line, a statement with parameters in text behind " <- ", as by ask
func TestAnswers(t *testing.T) {
	datadriven.Walk(t, "testdata/answers", func(t *testing.T, path string) { runAnswers(t, path, *postgresAt) })
}

// TestOwnAnswers are those that PostgreSQL gives in other words, or that are ours only.
func TestOwnAnswers(t *testing.T) {
	datadriven.Walk(t, "testdata/own", func(t *testing.T, path string) { runAnswers(t, path, "") })
}

func runAnswers(t *testing.T, path, postgres string) {
	t.Helper()
	if postgres == "" {
		postgres = server.URL()
	}
	conn, err := pgconn.Connect(t.Context(), postgres)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	a := asker{conn: conn}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		var out strings.Builder
		for line := range strings.SplitSeq(d.Input, "\n") {
			switch d.Cmd {
			case "exec":
				_, err := conn.Exec(t.Context(), line).ReadAll()
				require.NoError(t, err, line)
			case "ask":
				out.WriteString(a.ask(t, line, nil, 0))
			case "binary":
				out.WriteString(a.ask(t, line, nil, 1))
			case "bind":
				statement, values, _ := strings.Cut(line, " <- ")
				var params [][]byte
				for value := range strings.SplitSeq(values, "; ") {
					params = append(params, []byte(value))
				}
				out.WriteString(a.ask(t, statement, params, 0))
			case "codes":
				code, _, _ := strings.Cut(a.ask(t, line, nil, 0), ":")
				fmt.Fprintf(&out, "%s  %s\n", code, line)
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
		}
		return out.String()
	})
}

// asker prints what a server answers.
type asker struct{ conn *pgconn.PgConn }

func (a asker) ask(t *testing.T, statement string, params [][]byte, format int16) string {
	t.Helper()
	r := a.conn.ExecParams(t.Context(), statement, params, nil, nil, []int16{format}).Read()
	if r.Err != nil {
		var e *pgconn.PgError
		require.ErrorAs(t, r.Err, &e, statement)
		alive := a.conn.ExecParams(t.Context(), "SELECT 1", nil, nil, nil, nil).Read()
		require.NoError(t, alive.Err, "after %s", statement)
		return fmt.Sprintf("%s: %s\n", e.Code, e.Message)
	}
	var out strings.Builder
	for i, f := range r.FieldDescriptions {
		if i > 0 {
			out.WriteByte(' ')
		}
		fmt.Fprintf(&out, "%s:%d/%d", f.Name, f.DataTypeOID, f.DataTypeSize)
	}
	out.WriteByte('\n')
	for _, row := range r.Rows {
		for i, value := range row {
			if i > 0 {
				out.WriteByte('|')
			}
			switch {
			case value == nil:
				out.WriteString("NULL")
			case format == 1:
				out.WriteString(hex.EncodeToString(value))
			default:
				out.Write(value)
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}
