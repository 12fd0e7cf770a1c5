package views

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/views"
)

// typedColumns are columns of all types, by their names, with values at the bounds of what these hold.
var typedColumns = []struct {
	name, typ string
	values    []string
}{
	{"i2", "int2", []string{"32767", "-32768", "0"}},
	{"i4", "int4", []string{"2147483647", "-2147483648", "5"}},
	{"i8", "int8", []string{"9223372036854775807", "-9223372036854775808", "7"}},
	{"n", "numeric(10,2)", []string{"99999999.99", "-0.01", "1.10", "1.1"}},
	{"big", "numeric(38,10)", []string{"1234567890123456789012345678", "-1234567890123456789012345678.0000000001"}},
	{"f4", "real", []string{"'NaN'", "0", "'Infinity'", "1.5", "'-Infinity'"}},
	{"f8", "float8", []string{"'NaN'", "0", "'Infinity'", "1e300", "5e-324"}},
	{"d", "date", []string{"'2020-02-29'", "'infinity'", "'-infinity'", "'0001-01-01 BC'"}},
	{"h", "time", []string{"'00:00'", "'23:59:59.999999'"}},
	{"ts", "timestamp", []string{"'2020-02-29 12:00:00.000001'", "'infinity'", "'0044-03-15 BC'"}},
	{"tz", "timestamptz", []string{"'2020-02-29 12:00:00+05:30'", "'2020-02-29 06:30:00Z'", "'-infinity'"}},
	{"iv", "interval", []string{"'1 day'", "'25 hours'", "'-1 mon 3 days'"}},
	{"id", "uuid", []string{"'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"}},
	{"jb", "jsonb", []string{`'{"a":1}'`, `'{"a": 1.0}'`, `'[1,2]'`, `'null'`, `'"x"'`}},
	{"js", "json", []string{`'{"a":1}'`, `'{"a": 1}'`, `'null'`}},
	{"b", "bytea", []string{`'\x'`, `'\x00ff'`, `'\x00'`}},
	{"ch", "char(4)", []string{"'a'", "'a '", "'abcd'", "''"}},
	{"vc", "varchar(5)", []string{"'é'", "'e'", "'E'", "'Z'", "''"}},
	{"s", "text", []string{"'ß'", "'ss'", "''", "' a'", "'😀'"}},
	{"ok", "bool", []string{"true", "false"}},
	{"ai", "int4[]", []string{"'{1,2}'", "'{}'", "'{1,NULL}'", "'{NULL}'"}},
	{"at", "text[]", []string{`'{a,"NULL",NULL}'`, `'{"a b","c\"d"}'`}},
}

// TestTypes holds that views of columns of all types, as keys, as least and greatest values and as they are, are to the letter what their
// queries are, over several transactions.
func TestTypes(t *testing.T) {
	w := &hosted{world: newStores(t)}
	w.add()
	w.serve(sqlgw.ViewsBy(views.NewClient(w)))
	c := w.connect()
	var defs, names, bounds []string
	for _, x := range typedColumns {
		defs, names = append(defs, x.name+" "+x.typ), append(names, x.name)
		bounds = append(bounds, fmt.Sprintf("min(%[1]s) as lo_%[1]s, max(%[1]s) as hi_%[1]s, count(%[1]s) as n_%[1]s", x.name))
	}
	w.run(c, "create table t (k int8, "+strings.Join(defs, ", ")+") with (journals = 2)")
	queries := []string{
		"select k % 3 as g, " + strings.Join(bounds, ", ") + " from t group by 1",
		"select k, " + strings.Join(names, ", ") + " from t where k > 0",
		"select sum(i2) as a, sum(i4) as b, sum(i8) as c, sum(n) as d, sum(big) as e, avg(n) as f, avg(i2) as g from t where i8 < 100 and big is null",
	}
	for _, name := range names {
		queries = append(queries, fmt.Sprintf("select %[1]s, count(*) as how_many, sum(k) as total from t group by %[1]s", name))
	}
	for i, q := range queries {
		w.run(c, fmt.Sprintf("create materialized view q%d with (standbys = 0) as %s", i, q))
	}
	for range 4 {
		var rows []string
		for range 12 {
			row := []string{strconv.Itoa(rand.IntN(8))}
			for _, x := range typedColumns {
				row = append(row, append([]string{"null"}, x.values...)[rand.IntN(len(x.values)+1)])
			}
			rows = append(rows, "("+strings.Join(row, ", ")+")")
		}
		w.run(c, "insert into t values "+strings.Join(rows, ", "))
	}
	for i, q := range queries {
		require.Equal(t, w.rows(c, q), w.rows(c, fmt.Sprintf("select * from q%d", i)), q)
		require.Empty(t, w.rows(c, fmt.Sprintf("verify materialized view q%d", i)), q)
	}
}
