package wire_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestCopyOptions: every option, right and wrong, in both directions.
func TestCopyOptions(t *testing.T) {
	p := connect(t)
	p.both(t, "CREATE TABLE options (a INTEGER, b TEXT)", "INSERT INTO options VALUES (1, 'x'), (NULL, ''), (3, E'a,\"b\\t|\\\\')")
	for i, options := range []string{
		"", "FORMAT text", "FORMAT csv", "FORMAT binary", "FORMAT 'xx'", "FORMAT", "DELIMITER", "DELIMITER '|'", "DELIMITER 'ab'",
		`DELIMITER E'\n'`, "DELIMITER 'a'", "DELIMITER ''", "NULL 'x'", "NULL ''", `NULL E'\n'`, `NULL E'\t'`, "HEADER", "HEADER off", "HEADER match",
		"HEADER 1", "HEADER 2", "HEADER 'x'", "FORMAT csv, HEADER", "FORMAT csv, HEADER match", "FORMAT binary, HEADER", "FORMAT binary, HEADER off",
		"FORMAT binary, DELIMITER ','", "FORMAT binary, NULL ''", "FORMAT binary, QUOTE '\"'", "FORMAT binary, FORCE_NULL (a)", "QUOTE 'x'", "ESCAPE 'x'",
		"FORMAT csv, QUOTE '|'", "FORMAT csv, QUOTE 'xx'", "FORMAT csv, QUOTE ''", "FORMAT csv, QUOTE ','", "FORMAT csv, ESCAPE 'xx'", "FORMAT csv, ESCAPE '!'",
		`FORMAT csv, QUOTE '''', ESCAPE '\'`, "FORMAT csv, NULL ','", "FORMAT csv, NULL '\"'", "FORMAT csv, NULL 'x'", "FORMAT csv, DELIMITER ';'", `FORMAT csv, DELIMITER E'\t'`,
		"FORCE_QUOTE *", "FORMAT csv, FORCE_QUOTE *", "FORMAT csv, FORCE_QUOTE (a)", "FORMAT csv, FORCE_QUOTE (a, b)", "FORMAT csv, FORCE_QUOTE (c)", "FORMAT csv, FORCE_QUOTE a",
		"FORCE_NULL (a)", "FORMAT csv, FORCE_NULL (b)", "FORMAT csv, FORCE_NULL (c)", "FORMAT csv, FORCE_NULL (a, a)", "FORMAT csv, FORCE_NULL *",
		"FORCE_NOT_NULL (a)", "FORMAT csv, FORCE_NOT_NULL (b)", "FORMAT csv, FORCE_NOT_NULL (c)", "ENCODING 'utf-8'", "ENCODING 'nope'", "ENCODING",
		"FREEZE off", "FREEZE 'x'", "nope", "FORMAT csv, FORMAT csv", "FORMAT csv, HEADER, FORCE_QUOTE (b), NULL 'nil'",
	} {
		name := fmt.Sprint(i, " ", options)
		if options != "" {
			options = "(" + options + ")"
		}
		t.Run(name, func(t *testing.T) {
			p.same(t, func(conn *pgconn.PgConn) string {
				return copied(t, conn, "COPY options TO STDOUT "+options) + copied(t, conn, "COPY (SELECT b FROM options WHERE a = 1) TO STDOUT "+options)
			})
		})
		t.Run(name+" in", func(t *testing.T) {
			p.same(t, func(conn *pgconn.PgConn) string {
				tag, err := conn.CopyFrom(t.Context(), strings.NewReader(""), "COPY options FROM STDIN "+options)
				if err != nil {
					return failure(t, err)
				}
				return tag.String()
			})
		})
	}
}

// TestCopyStatements: the old syntax, lists of columns, queries.
func TestCopyStatements(t *testing.T) {
	p := connect(t)
	p.both(t, "CREATE TABLE statements (a INTEGER, b TEXT)", "INSERT INTO statements VALUES (1, 'x'), (2, 'y,\"')")
	for _, sql := range []string{
		"COPY statements TO STDIN", "COPY statements(b) TO STDOUT CSV HEADER", "COPY statements(b, a) TO STDOUT WITH CSV FORCE QUOTE b", "COPY BINARY statements TO STDOUT",
		"COPY statements TO STDOUT BINARY", "COPY statements TO STDOUT USING DELIMITERS '|'", "COPY statements TO STDOUT WITH DELIMITER AS '|' NULL AS 'x'",
		"COPY statements TO STDOUT CSV QUOTE '|' ESCAPE '!' FORCE QUOTE *", "COPY statements(c) TO STDOUT", "COPY statements(a, a) TO STDOUT", "COPY nowhere TO STDOUT",
		"COPY statements(a) TO STDOUT CSV FORCE QUOTE b", "COPY statements(a) TO STDOUT CSV FORCE QUOTE c", "COPY (SELECT a AS x FROM statements) TO STDOUT CSV FORCE QUOTE a",
		"COPY (SELECT 1 AS a, NULL::text AS b, true AS c WHERE false) TO STDOUT (FORMAT binary)", "COPY (VALUES (1, 'x'), (2, NULL)) TO STDOUT (FORMAT binary)",
		"COPY (SELECT 1 / a FROM (VALUES (1), (0)) v (a)) TO STDOUT", "COPY (SELECT $1) TO STDOUT", `COPY (SELECT '\.') TO STDOUT CSV`, `COPY (SELECT '\.') TO STDOUT`,
		`COPY (SELECT '\.', 'x') TO STDOUT CSV`, "COPY (SELECT 'a' AS \"x\ty\", 'b' AS \"q\"\"\") TO STDOUT (HEADER)", "COPY (SELECT 'a' AS \"x,y\", 'b' AS \"q\"\"\") TO STDOUT (FORMAT csv, HEADER)",
		`COPY (SELECT E'\b\f\n\r\t\x0b\\\x01\x7f é') TO STDOUT`, `COPY (SELECT E'a\rb') TO STDOUT CSV`, `COPY (SELECT '', NULL, 'NULL') TO STDOUT (FORMAT csv, NULL 'NULL')`,
	} {
		t.Run(sql, func(t *testing.T) {
			p.same(t, func(conn *pgconn.PgConn) string { return copied(t, conn, sql) })
		})
	}
}

// in is data for a COPY of a table of an integer, a text and a varchar(3).
type in struct{ options, data string }

func lines() []in {
	return []in{
		{"", "1\ta\tb\n"},
		{"", "1\ta\tb"},
		{"", ""},
		{"", "\n"},
		{"", "1\ta\n"},
		{"", "1\ta\tb\tc\n"},
		{"", "x\ta\tb\n"},
		{"", "x\ta\n"},
		{"", "1\ta\tabcd\n"},
		{"", "1\ta\tabc  \n"},
		{"", "\\N\t\\N\t\\N\n"},
		{"", "1\t\\\\N\tN\n"},
		{"", "1\t\\N \t\n"},
		{"", "1\t\\b\\f\\n\\r\\t\\v\\q\\\\\t\\101\n"},
		{"", "1\t\\x41\\x4\\xg\\8\t\\1234\n"},
		{"", "1\ta\\\nb\tc\n"},
		{"", "1\ta\\\tb\tc\n"},
		{"", "1\ta\tb\\"},
		{"", "1\ta\tb\\\n"},
		{"", "1\ta\tb\r\n2\tc\td\r\n"},
		{"", "1\ta\tb\r2\tc\td\r"},
		{"", "1\ta\tb\n2\tc\td\r\n"},
		{"", "1\ta\tb\r\n2\tc\td\n"},
		{"", "1\ta\tb\r2\tc\td\n"},
		{"", "1\ta\tb\r\n2\tc\td\re\r\n"},
		{"", "1\ta\\r\tb\n"},
		{"", "1\ta\\\rb\tc\n"},
		{"", "1\ta\tb\n\\.\n2\tc\td\n"},
		{"", "1\ta\tb\n\\."},
		{"", "1\ta\tb\n2\tc\td\\.\n3\n"},
		{"", "\\.\n"},
		{"", "\\.x\n"},
		{"", "1\ta\tb\r\n\\.\n"},
		{"", "1\ta\tb\r\n\\.\r\nx"},
		{"", "1\ta\tb\r\\.\r"},
		{"", "1\ta\tb\n\\.\r\n"},
		{"", "1\ta\tb\r\n\\.\rx"},
		{"", "1\t\xff\tb\n"},
		{"", "1\t\\377\tb\n"},
		{"", "1\t\\303\\251\tb\n"},
		{"", "1\ta\x00\tb\n"},
		{"", "1\t\\0\tb\n"},
		{"", "\\x31\ta\tb\n"},
		{"", "1\té€𝄞\tééé\n"},
		{"", "1\ta\tééééé\n"},
		{"DELIMITER '|'", "1|a\\|b|c\n"},
		{"DELIMITER '|', NULL 'nil'", "nil|nil|\\nil\n"},
		{"NULL ''", "1\t\t\n"},
		{"HEADER", "x\n1\ta\tb\n"},
		{"HEADER", ""},
		{"HEADER", "x\r\n1\ta\tb\r\n"},
		{"HEADER match", "a\tb\tc\n1\ta\tb\n"},
		{"HEADER match", "a\tc\tb\n1\ta\tb\n"},
		{"HEADER match", "a\tb\n"},
		{"HEADER match", "a\t\\N\tc\n"},
		{"HEADER match", "a\tb\tc\td\n"},
		{"", "99999999999\ta\tb\n"},
		{"", " 1 \ta\tb\n"},
		{"", "1\ta\tb\n2\tc\td\nx\te\tf\n"},
		{"", "\ta\tb\n"},
		{"FORMAT csv", "1,a,b\n"},
		{"FORMAT csv", "1,,\"\"\n"},
		{"FORMAT csv", ",,\n"},
		{"FORMAT csv", "\n"},
		{"FORMAT csv", "1,\"a\nb\",c\n2,d,e\nx,y,z\n"},
		{"FORMAT csv", "1,\"a\r\nb\",c\r\n2,d,e\r\nx,y,z\r\n"},
		{"FORMAT csv", "1,\"a\"\"b\",\"c\"\n"},
		{"FORMAT csv", "1,a\"b,c\"d,e\n"},
		{"FORMAT csv", "1,\"a,b\n"},
		{"FORMAT csv", "1,\"a\"b\"c\",d\n"},
		{"FORMAT csv", "1, \"a\" ,b\n"},
		{"FORMAT csv", "1,a\rb,c\n"},
		{"FORMAT csv", "1,a,b\n2,c\r,d\n"},
		{"FORMAT csv", "1,a,b\r\n2,c\n,d\r\n"},
		{"FORMAT csv", "1,a,b\r2,c,d\r"},
		{"FORMAT csv", "1,a,b\n\\.\nx\n"},
		{"FORMAT csv", "1,\\.,b\n"},
		{"FORMAT csv", "\\.x,a,b\n"},
		{"FORMAT csv", "1,a,b\n\\."},
		{"FORMAT csv", "1,\"a\n\\.\nb\",c\n"},
		{"FORMAT csv", "\"1\",\\N,\\\\\n"},
		{"FORMAT csv, NULL '\\N'", "\\N,\"\\N\",\n"},
		{"FORMAT csv, HEADER", "a,\"b\nc\",d\n1,a,b\nx,,\n"},
		{"FORMAT csv, ESCAPE '\\'", "1,\"a\\\"b\\\\c\\d\",\"e\"\"f\"\n"},
		{"FORMAT csv, QUOTE '''', ESCAPE '!'", "1,'a!'b!!c',d\n"},
		{"FORMAT csv, QUOTE '|'", "1,|a,\"b|,c\n"},
		{"FORMAT csv, DELIMITER ';'", "1;a,b;c\n"},
		{"FORMAT csv, FORCE_NULL (b, c)", "1,\"\",\n"},
		{"FORMAT csv, FORCE_NOT_NULL (b)", "1,,\n"},
		{"FORMAT csv, FORCE_NULL (b), FORCE_NOT_NULL (b)", "1,,\n2,\"\",\n"},
		{"FORMAT csv, FORCE_NOT_NULL (a)", ",a,b\n"},
		{"FORMAT csv, FORCE_NULL (b), NULL 'nil'", "1,\"nil\",nil\n"},
		{"FORMAT csv, HEADER match", "a,b,\"c\"\n1,a,b\n"},
		{"FORMAT csv, HEADER match", "a,,c\n"},
		{"FORMAT csv", "1,a\n"},
		{"FORMAT csv", "1,a,b,c\n"},
		{"FORMAT csv", "1,\"a\xff\",b\n"},
		{"FORMAT csv", "1,a,b\n2,\"" + strings.Repeat("long ", 50) + "\",bcde\n"},
		{"FORMAT csv", "1," + strings.Repeat("é", 80) + "\n"},
	}
}

const signature = "PGCOPY\n\xff\r\n\x00"

// fields is a row in binary: nil is NULL.
func fields(values ...any) string {
	out := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		if v == nil {
			out = binary.BigEndian.AppendUint32(out, 0xffff_ffff)
			continue
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(v.(string)))), v.(string)...)
	}
	return string(out)
}

func binaries() []in {
	head, one, end := signature+strings.Repeat("\x00", 8), "\x00\x00\x00\x01", "\xff\xff"
	row := fields(one, "x", nil)
	var out []in
	for _, data := range []string{
		head + row + end, head + row, head + end, head, "", signature, signature[:5], "pgcopy" + head[6:], signature + "\x00\x00", signature + "\x00\x01\x00\x00\x00\x00\x00\x00",
		signature + "\x00\x02\x00\x00\x00\x00\x00\x00", signature + "\x00\x00\x00\x07\x00\x00\x00\x00" + end, signature + "\x00\x00\x00\x00", signature + "\x00\x00\x00\x00\xff\xff\xff\xff",
		signature + "\x00\x00\x00\x00\x00\x00\x00\x03abc" + row + end, signature + "\x00\x00\x00\x00\x00\x00\x00\x03ab", head + row + end + "x", head + row + "\xff", head + row + "\xff\xfe",
		head + fields(one, "x") + end, head + fields(one, "x", nil, nil) + end, head + fields() + end, head + row + row[:5], head + row + row[:2], head + row + row[:8],
		head + fields("\x00\x01", "x", nil) + end, head + fields("\x00\x00\x00\x00\x00\x01", "x", nil) + end, head + "\x00\x03\xff\xff\xff\xfe", head + fields("", "x", nil) + end,
		head + fields(one, "\xff", nil) + end, head + fields(one, "a\x00", nil) + end, head + fields(one, "", "abcd") + end, head + fields(nil, nil, nil) + end, head + fields(one, "é", "éé ") + end,
	} {
		out = append(out, in{"FORMAT binary", data})
	}
	return out
}

// TestCopyData: rows as they come, and every way to get them wrong.
func TestCopyData(t *testing.T) {
	p := connect(t)
	for i, c := range append(lines(), binaries()...) {
		t.Run(fmt.Sprintf("%d %s %.40q", i, c.options, c.data), func(t *testing.T) {
			table := fmt.Sprintf("data_%d", i)
			p.both(t, "CREATE TABLE "+table+" (a INTEGER, b TEXT, c VARCHAR(3))")
			sql := "COPY " + table + " FROM STDIN"
			if c.options != "" {
				sql += " (" + c.options + ")"
			}
			p.same(t, func(conn *pgconn.PgConn) string {
				tag, err := conn.CopyFrom(t.Context(), strings.NewReader(c.data), sql)
				told := tag.String() + "\n"
				if err != nil {
					told = failure(t, err)
				}
				return told + rows(t, conn, "SELECT * FROM "+table+" ORDER BY a, b")
			})
		})
	}
}
