package sql

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

func fields(columns ...any) []pgproto3.FieldDescription {
	var out []pgproto3.FieldDescription
	for i := 0; i < len(columns); i += 2 {
		out = append(out, pgproto3.FieldDescription{Name: []byte(columns[i].(string)), DataTypeOID: uint32(columns[i+1].(int))}) //nolint:gosec // OIDs
	}
	return out
}

func TestFormats(t *testing.T) {
	columns := fields("id", pgtype.Int8OID, "name", pgtype.TextOID, "name", pgtype.JSONOID, "ok", pgtype.BoolOID, "f", pgtype.Float8OID)
	rows := [][][]byte{
		{[]byte("1"), []byte("a\tb\n\x1b[31mc"), []byte("{\n\"x\": 1}"), []byte("t"), []byte("NaN")},
		{[]byte("1000"), []byte(""), nil, []byte("f"), []byte("-1.5e-300")},
		{nil, []byte("\u202e\"q\", ü"), []byte("[1]"), nil, []byte("Infinity")},
	}
	for format, want := range map[string]string{
		"table": `  id  |         name         |     name     | ok |     f
------+----------------------+--------------+----+-----------
    1 | a\tb\n\x1B[31mc      | {\n"x": 1}   | t  |       NaN
 1000 |                      |              | f  | -1.5e-300
      | \x202E"q", ü         | [1]          |    |  Infinity
(3 rows)

`,
		"csv": "id,name,name,ok,f\n1,\"a\tb\n\x1b[31mc\",\"{\n\"\"x\"\": 1}\",t,NaN\n1000,\"\",,f,-1.5e-300\n,\"\u202e\"\"q\"\", ü\",[1],,Infinity\n",
		"json": `{"id":1,"name":"a\tb\n\u001b[31mc","name_2":{"x":1},"ok":true,"f":"NaN"}
{"id":1000,"name":"","name_2":null,"ok":false,"f":-1.5e-300}
{"id":null,"name":"` + "\u202e" + `\"q\", ü","name_2":[1],"ok":null,"f":"Infinity"}
`,
	} {
		var out bytes.Buffer
		p := newPrinter(format, &out, false)
		require.NoError(t, p.begin(columns))
		for _, row := range rows {
			require.NoError(t, p.row(row))
		}
		require.NoError(t, p.end("SELECT 3"))
		if format == "table" {
			require.Equal(t, squeezed(want), squeezed(out.String()))
			for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
				require.NotContains(t, line, "\x1b")
			}
			continue
		}
		require.Equal(t, want, out.String(), format)
	}
}

// squeezed is a text with one space for several and none at the end of a line, and one dash.
func squeezed(s string) string {
	for _, c := range []string{" ", "-"} {
		for strings.Contains(s, c+c) {
			s = strings.ReplaceAll(s, c+c, c)
		}
	}
	return strings.ReplaceAll(s, " \n", "\n")
}

// TestTable is as psql aligns.
func TestTable(t *testing.T) {
	var out bytes.Buffer
	p := newPrinter("table", &out, false)
	require.NoError(t, p.begin(fields("count", pgtype.Int8OID, "channel", pgtype.TextOID, "max", pgtype.Int8OID)))
	require.NoError(t, p.row([][]byte{[]byte("14030"), []byte("a"), []byte("99961426")}))
	require.NoError(t, p.flush())
	require.NoError(t, p.row([][]byte{[]byte("1"), []byte("wider than that"), nil}))
	require.NoError(t, p.end("SELECT 2"))
	require.NoError(t, p.begin(fields("x", pgtype.TextOID)))
	require.NoError(t, p.row([][]byte{[]byte("a")}))
	require.NoError(t, p.end("SELECT 1"))
	require.NoError(t, p.begin(nil))
	require.NoError(t, p.end("SELECT 0"))
	require.NoError(t, p.command("BEGIN"))
	require.Equal(t, ` count | channel |   max    
-------+---------+----------
 14030 | a       | 99961426
     1 | wider than that |         
(2 rows)

 x 
---
 a
(1 row)



(0 rows)

BEGIN
`, out.String())
}

// TestTableHoldsFewRows: what a table holds back for its widths is bounded.
func TestTableHoldsFewRows(t *testing.T) {
	var out bytes.Buffer
	p := &tablePrinter{w: &out}
	require.NoError(t, p.begin(fields("x", pgtype.TextOID)))
	for range 10 * widthRows {
		require.NoError(t, p.row([][]byte{[]byte("a")}))
		require.Less(t, len(p.held), widthRows)
	}
	require.Positive(t, out.Len())
}
