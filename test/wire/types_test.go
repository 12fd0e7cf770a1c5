package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// kind is a type with texts of its values, right and wrong.
type kind struct {
	name   string
	values []string
}

func kinds() []kind {
	return []kind{
		{"bool", []string{"t", "f", "TRUE", "off", "2"}},
		{"int2", []string{"0", "-32768", "32767", "32768", " 7 ", "1.5", ""}},
		{"int4", []string{"0", "-2147483648", "2147483647", "2147483648", "x"}},
		{"int8", []string{"0", "-9223372036854775808", "9223372036854775807", "9223372036854775808"}},
		{"float4", []string{"0", "-0", "1.5", "1e-45", "3.4028235e+38", "1e39", "NaN", "Infinity", "-inf", "0.1", "1e-50"}},
		{"float8", []string{"0", "-0", "1e-324", "5e-324", "1.7976931348623157e+308", "1e309", "1e-1000", "nan", "infinity", "-Infinity", "0.1", "123456789012345678"}},
		{"numeric(38,10)", []string{"0", "-0", "1.5", "-1234567890.0123456789", "1e10", "1e-1000", "1e29", "NaN", "Infinity", "x", "0.00000000005"}},
		{"text", []string{"", "a", "é€𝄞", "a\tb\n\\", "NULL", strings.Repeat("x", 9000)}},
		{"varchar", []string{"", "a ", "é"}},
		{"varchar(3)", []string{"abc", "abcd", "abc  "}},
		{"char(4)", []string{"", "ab", "abcd", "abcde", "ab    "}},
		{"name", []string{"", "a", "pg_class"}},
		{"bytea", []string{"", `\x`, `\x00ff`, "abc", `\001\\`, `\x0`, `\xzz`}},
		{"date", []string{"2026-02-28", "0001-01-01", "0044-03-15 BC", "infinity", "-infinity", "2026-02-30", "5874897-12-31", "5874898-01-01", "4713-11-24 BC"}},
		{"time", []string{"00:00:00", "24:00:00", "12:34:56.789012", "23:59:59.9999999", "25:00:00"}},
		{"timestamp", []string{"2026-02-28 12:34:56", "2026-02-28 12:34:56.000001", "infinity", "-infinity", "0044-03-15 00:00:00 BC", "294276-12-31 23:59:59.999999", "294277-01-01 00:00:00", "2026-02-28"}},
		{"timestamptz", []string{"2026-02-28 12:34:56+02", "2026-02-28 12:34:56.5Z", "infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00"}},
		{"interval", []string{"0", "1 year 2 mons -3 days 04:05:06.789", "-00:00:00.000001", "P1Y2M3DT4H5M6S", "178000000 years", "1 day ago", "x"}},
		{"uuid", []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}", "x"}},
		{"json", []string{"null", "{}", `{"a":1,"a":2}`, `[1, 2.50, "x"]`, "", "{"}},
		{"jsonb", []string{"null", "{}", `{"b":1,"a":[true,null]}`, `{"a":1,"a":2}`, "1.50", `"\u00e9"`, "", "{"}},
		{"oid", []string{"0", "26", "4294967295", "4294967296", "-1"}},
		{"regclass", []string{"pg_class", "0", "nowhere_at_all"}},
		{"regtype", []string{"int4", "integer", "25", "nothing_at_all"}},
		{"regproc", []string{"now", "0"}},
		{"regnamespace", []string{"pg_catalog", "nowhere_at_all"}},
		{"regrole", []string{"postgres", "nobody_at_all"}},
	}
}

// arrays of a type: of values that it takes, and none.
func arrays(k kind) kind {
	out := kind{name: k.name + "[]", values: []string{"{}", "{NULL}", `{NULL,"NULL"}`, "{", ""}}
	if k.name == "int4" {
		out.values = append(out.values, "[2:3]={1,2}", "{{1,2},{3,4}}")
	}
	for _, v := range k.values[:min(3, len(k.values))] {
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
		out.values = append(out.values, "{"+quoted+"}", "{"+quoted+",NULL,"+quoted+"}")
	}
	if strings.HasPrefix(k.name, "text") {
		out.values = append(out.values, `{a,"b \" \\ ,{}"," "}`, `{a b, c }`)
	}
	return out
}

// asked is a statement's answer: its parameters' types, its columns, and its values.
func asked(t *testing.T, conn *pgconn.PgConn, sql string, value []byte, in, out int16) (string, []byte) {
	t.Helper()
	prepared, err := conn.Prepare(t.Context(), "", sql, nil)
	if err != nil {
		return failure(t, err), nil
	}
	var told strings.Builder
	fmt.Fprintf(&told, "parameters %v\n", prepared.ParamOIDs)
	for _, f := range prepared.Fields {
		fmt.Fprintf(&told, "%s %d size %d\n", f.Name, f.DataTypeOID, f.DataTypeSize)
	}
	r := conn.ExecPrepared(t.Context(), "", [][]byte{value}, []int16{in}, []int16{out}).Read()
	if r.Err != nil {
		e := failure(t, r.Err)
		return told.String() + e[:5] + "\n", nil
	}
	if len(r.Rows) != 1 {
		return told.String() + fmt.Sprint(len(r.Rows), " rows\n"), nil
	}
	return told.String() + fmt.Sprintf("%q\n", r.Rows[0][0]), r.Rows[0][0]
}

// TestTypes: each value goes in as text and as binary, as a parameter, and comes out as both.
func TestTypes(t *testing.T) {
	p := connect(t)
	all := kinds()
	for _, k := range kinds() {
		all = append(all, arrays(k))
	}
	for _, k := range all {
		t.Run(k.name+" NULL", func(t *testing.T) {
			p.same(t, func(conn *pgconn.PgConn) string {
				told, _ := asked(t, conn, "SELECT $1::"+k.name+" AS v", nil, 0, 1)
				return told
			})
		})
		for _, v := range k.values {
			t.Run(fmt.Sprintf("%s %.40s", k.name, v), func(t *testing.T) {
				p.same(t, func(conn *pgconn.PgConn) string {
					sql := "SELECT $1::" + k.name + " AS v"
					text, _ := asked(t, conn, sql, []byte(v), 0, 0)
					sent, value := asked(t, conn, sql, []byte(v), 0, 1)
					if value == nil {
						return text + sent
					}
					back, _ := asked(t, conn, sql, value, 1, 0)
					through, _ := asked(t, conn, sql, value, 1, 1)
					return text + sent + back + through
				})
			})
		}
	}
}

// stored are the types that a table's columns may have.
func stored() []kind {
	var out []kind
	for _, k := range kinds() {
		if k.name == "name" || k.name == "oid" || strings.HasPrefix(k.name, "reg") {
			continue
		}
		out = append(out, k, arrays(k))
	}
	return out
}

// TestColumns: values are written to a column by a parameter and by COPY, and read in both formats.
func TestColumns(t *testing.T) {
	p := connect(t)
	for i, k := range stored() {
		table := fmt.Sprintf("columns_%d", i)
		t.Run(k.name, func(t *testing.T) {
			p.both(t, fmt.Sprintf("CREATE TABLE %s (n INTEGER, v %s)", table, k.name))
			for n, v := range k.values {
				t.Run(fmt.Sprintf("%.40s", v), func(t *testing.T) {
					p.same(t, func(conn *pgconn.PgConn) string {
						told, _ := asked(t, conn, fmt.Sprintf("INSERT INTO %s VALUES (%d, $1)", table, n), []byte(v), 0, 0)
						told += fromText(t, conn, table, n, v)
						return told + copied(t, conn, fmt.Sprintf("COPY (SELECT n, v FROM %s WHERE n %% 1000 = %d ORDER BY n) TO STDOUT", table, n)) +
							there(t, conn, table, n) + rows(t, conn, fmt.Sprintf("SELECT v FROM %s WHERE n %% 1000 = %d ORDER BY n", table, n))
					})
				})
			}
		})
	}
}

func fromText(t *testing.T, conn *pgconn.PgConn, table string, n int, v string) string {
	t.Helper()
	line := fmt.Sprintf("%d\t%s\n", n+1000, strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`).Replace(v))
	tag, err := conn.CopyFrom(t.Context(), strings.NewReader(line), "COPY "+table+" FROM STDIN")
	if err != nil {
		return failure(t, err)[:5] + "\n"
	}
	return tag.String() + "\n"
}

// there and back in binary.
func there(t *testing.T, conn *pgconn.PgConn, table string, n int) string {
	t.Helper()
	var data strings.Builder
	_, err := conn.CopyTo(t.Context(), &data, fmt.Sprintf("COPY (SELECT n + 2000 AS n, v FROM %s WHERE n %% 1000 = %d ORDER BY n) TO STDOUT (FORMAT binary)", table, n))
	if err != nil {
		return failure(t, err)
	}
	tag, err := conn.CopyFrom(t.Context(), strings.NewReader(data.String()), "COPY "+table+" FROM STDIN (FORMAT binary)")
	if err != nil {
		return fmt.Sprintf("%q\n", data.String()) + failure(t, err)
	}
	return fmt.Sprintf("%q %s\n", data.String(), tag)
}
