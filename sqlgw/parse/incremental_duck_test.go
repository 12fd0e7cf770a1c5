package parse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// keptColumn is a column of the table, its type as queries are told it, and values that it has, as text.
type keptColumn struct {
	name, told string
	typ        columnar.Type
	values     []string
}

func of(k columnar.Kind) columnar.Type { return columnar.Type{Kind: k} }

// keptColumns have few values each, so that groups have several rows, and sums of floats that don't depend on the order.
func keptColumns() []keptColumn {
	return []keptColumn{
		{"i2", "int2", of(columnar.Int16), []string{"1", "-1", "32767", "-32768"}},
		{"i4", "int4", of(columnar.Int32), []string{"0", "1", "7", "-3", "2147483647", "-2147483648"}},
		{"i8", "int8", of(columnar.Int64), []string{"0", "5", "9223372036854775807", "-9223372036854775808"}},
		{"f4", "float4", of(columnar.Float32), []string{"0.5", "-0", "0", "NaN", "16777216"}},
		{"f8", "float8", of(columnar.Float64), []string{"0.5", "1.5", "2.5", "-0", "0", "NaN", "Infinity", "-Infinity", "1e15"}},
		{"n", "", columnar.Type{Kind: columnar.Decimal, Precision: 12, Scale: 2}, []string{"0.01", "2.50", "-7.99", "9999999999.99"}},
		{"big", "", columnar.Type{Kind: columnar.Decimal, Precision: 38, Scale: 10}, []string{"0.0000000001", "12345678901234567.5", "-3"}},
		{"s", "text", of(columnar.Text), []string{"", "a", "A", "zwölf", "a longer text than fits"}},
		{"ok", "", of(columnar.Bool), []string{"t", "f"}},
		{"d", "date", of(columnar.Date), []string{"2024-02-29", "2024-03-01", "1969-12-31"}},
		{"h", "", of(columnar.Time), []string{"00:00:00", "23:59:59.999999"}},
		{"ts", "timestamp", of(columnar.Timestamp), []string{"2024-02-29 12:00:00", "2024-02-01 00:00:00.000001", "1969-12-31 23:59:59"}},
		{"tz", "timestamptz", of(columnar.TimestampTZ), []string{"2024-02-29 12:00:00+00", "2024-02-01 00:00:00+00"}},
		{"iv", "", of(columnar.Interval), []string{"1 mon", "30 days", "1 day", "24:00:00", "-00:00:01"}},
		{"id", "", of(columnar.UUID), []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"}},
		{"b", "bytea", of(columnar.Bytea), []string{`\x`, `\x00ff`}},
		{"j", "jsonb", of(columnar.JSONB), []string{`{"a": 1}`, `[1, 2]`, `null`}},
	}
}

// keptRows makes rows of the columns' values, by their numbers; one more is NULL.
func keptRows(t require.TestingT, rows [][]int) *columnar.Batch {
	out := &columnar.Batch{Len: len(rows)}
	for i, c := range keptColumns() {
		into := columnar.NewVectorBuilder(c.typ)
		for _, row := range rows {
			if row[i] >= len(c.values) {
				into.AppendNull()
			} else {
				require.NoError(t, columnar.ParseText(c.typ, c.values[row[i]], into))
			}
		}
		out.Cols = append(out.Cols, into.Vector())
	}
	return out
}

// engine is a DuckDB that reads one relation.
type engine struct {
	conn    *duck.Conn
	columns []columnar.Column
	rows    []*columnar.Batch
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	db, err := duck.Open(t.Context(), duck.Config{Threads: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	e := &engine{}
	require.NoError(t, db.RegisterScan("rows", func(string) (duck.Scan, error) {
		return duck.Scan{Columns: e.columns, Open: func(_ context.Context, project []int) (duck.Source, error) {
			return &rowSource{rows: e.rows, project: project}, nil
		}}, nil
	}))
	e.conn, err = db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.conn.Close()) })
	return e
}

const readRows = "rows('')"

// rowSource yields batches.
type rowSource struct {
	rows    []*columnar.Batch
	project []int
}

// Next returns rows, or io.EOF.
func (s *rowSource) Next(context.Context) (*columnar.Batch, error) {
	if len(s.rows) == 0 {
		return nil, io.EOF
	}
	b := s.rows[0]
	s.rows = s.rows[1:]
	return b.Project(s.project), nil
}

// Close has nothing to close.
func (*rowSource) Close() error { return nil }

// answer is what a query gives.
type answer struct {
	columns []columnar.Column
	told    []string
	rows    []*columnar.Batch
}

// run a query over rows of a relation.
func (e *engine) run(q *parse.Select, target parse.Target, columns []columnar.Column, rows []*columnar.Batch) (answer, error) {
	printed, err := q.Print(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) { return target, nil }})
	if err != nil {
		return answer{}, fmt.Errorf("print: %w", err)
	}
	a, err := e.ask(printed.SQL, columns, rows)
	a.told = printed.Types
	if err != nil {
		err = fmt.Errorf("%s: %w", printed.SQL, err)
	}
	return a, err
}

func (e *engine) ask(sql string, columns []columnar.Column, rows []*columnar.Batch) (answer, error) {
	ctx := context.Background()
	e.columns, e.rows = columns, rows
	s, err := e.conn.Prepare(ctx, sql)
	if err != nil {
		return answer{}, err
	}
	defer s.Close()
	r, err := s.Query(ctx, nil)
	if err != nil {
		return answer{}, err
	}
	defer r.Close()
	a := answer{columns: r.Columns()}
	for {
		b, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return a, err
		}
		a.rows = append(a.rows, b)
	}
}

// typesOf are DuckDB's names of the types of what a query gives.
func (e *engine) typesOf(sql string, names []string, columns []columnar.Column) ([]string, error) {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = "typeof(any_value(" + n + "))"
	}
	a, err := e.ask("SELECT "+strings.Join(list, ", ")+" FROM ("+sql+")", columns, nil)
	if err != nil {
		return nil, err
	}
	for i := range a.rows[0].Cols {
		list[i] = string(a.rows[0].Cols[i].Str.Value(0))
	}
	return list, nil
}

// table is the relation of the queries.
func table() (parse.Target, []columnar.Column) {
	t := parse.Target{SQL: readRows, Schema: "public"}
	var columns []columnar.Column
	for _, c := range keptColumns() {
		t.Columns, t.Types = append(t.Columns, c.name), append(t.Types, c.told)
		columns = append(columns, columnar.Column{Name: c.name, Type: c.typ})
	}
	return t, columns
}

// viewOf is the query of a view, as it is kept.
func viewOf(text string) (*parse.Select, error) {
	query := func(text string) (*parse.Select, error) {
		pieces, err := parse.Split(text)
		if err != nil {
			return nil, err
		}
		st, err := parse.Parse(pieces[0])
		if err != nil {
			return nil, err
		}
		return st.(*parse.Select), nil
	}
	q, err := query(text)
	if err != nil {
		return nil, err
	}
	target, _ := table()
	resolved, err := q.Resolve(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) { return target, nil }})
	if err != nil {
		return nil, err
	}
	return query(resolved.Text)
}

// kept computes a query by what is kept of it: each batch is merged with what there is, as a view does.
func (e *engine) kept(q *parse.Select, batches [][]*columnar.Batch) (answer, error) {
	inc, err := q.Incremental()
	if err != nil {
		return answer{}, err
	}
	target, columns := table()
	printed, err := inc.Partial.Print(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) { return target, nil }})
	if err != nil {
		return answer{}, fmt.Errorf("print: %w", err)
	}
	types, err := e.typesOf(printed.SQL, inc.Columns(), columns)
	if err != nil {
		return answer{}, err
	}
	state := answer{}
	for _, rows := range batches {
		a, err := e.ask(printed.SQL, columns, rows)
		if err != nil {
			return a, err
		}
		state.columns, state.rows = a.columns, append(state.rows, a.rows...)
		if inc.Kind == parse.KeptRows {
			continue
		}
		merge, err := inc.Merge(types)
		if err != nil {
			return a, err
		}
		merged, err := e.run(merge, inc.Groups(readRows, printed, types), state.columns, state.rows)
		if err != nil {
			return a, fmt.Errorf("merge: %w", err)
		}
		if !slices.Equal(typesIn(merged.columns), typesIn(a.columns)) {
			return a, fmt.Errorf("merged %v of %v", merged.columns, a.columns)
		}
		state.rows = merged.rows
	}
	if state.columns == nil {
		a, err := e.ask(printed.SQL, columns, nil)
		if err != nil {
			return a, err
		}
		state.columns = a.columns
	}
	return e.run(inc.Final, inc.Shown(readRows, printed, types), state.columns, state.rows)
}

func typesIn(columns []columnar.Column) []columnar.Type {
	out := make([]columnar.Type, len(columns))
	for i, c := range columns {
		out[i] = c.Type
	}
	return out
}

// texts are rows as they are compared: floats have 12 digits, and values that are equal one text.
func (a answer) texts() []string {
	var out []string
	for _, b := range a.rows {
		for row := range b.Len {
			var line strings.Builder
			for i := range b.Cols {
				line.WriteString("|" + textOf(&b.Cols[i], row))
			}
			out = append(out, line.String())
		}
	}
	slices.Sort(out)
	return out
}

func textOf(v *columnar.Vector, row int) string {
	if v.IsNull(row) {
		return "NULL"
	}
	switch v.Type.Kind {
	case columnar.Float32:
		return strconv.FormatFloat(oneZero(float64(v.F32[row])), 'g', 6, 64)
	case columnar.Float64:
		return strconv.FormatFloat(oneZero(v.F64[row]), 'g', 12, 64)
	case columnar.Interval:
		x := v.Intervals[row]
		const day, month = 24 * 3600 * 1_000_000, 30
		days := int64(x.Days) + x.Micros/day
		return fmt.Sprint(int64(x.Months)+days/month, days%month, x.Micros%day)
	default:
		return string(columnar.AppendText(nil, v, row))
	}
}

func oneZero(x float64) float64 {
	if x == 0 {
		return 0
	}
	return x
}

// same requires that a query has one answer, however it is computed.
func (e *engine) same(t require.TestingT, text string, batches [][]*columnar.Batch) {
	q, err := viewOf(text)
	require.NoError(t, err, text)
	target, columns := table()
	var all []*columnar.Batch
	for _, rows := range batches {
		all = append(all, rows...)
	}
	want, wrong := e.run(q, target, columns, all)
	got, err := e.kept(q, batches)
	if wrong != nil { // what a value is makes an error of it, at one time or another
		require.Error(t, err, "%s: %v", text, wrong)
		return
	}
	require.NoError(t, err, text)
	require.Equal(t, want.columns, got.columns, text)
	for len(got.told) < len(want.told) {
		got.told = append(got.told, "")
	}
	for i, told := range want.told {
		require.True(t, told == got.told[i] || told == "" && strings.HasPrefix(got.told[i], "float"), "%s: %q and %q", text, want.told, got.told)
	}
	require.Equal(t, want.texts(), got.texts(), text)
}

// TestKeptQueries: queries of each form have the answer by parts that they have at once.
func TestKeptQueries(t *testing.T) {
	e := newEngine(t)
	var rows [][]int
	for n := range 60 {
		row := make([]int, len(keptColumns()))
		for i := range row {
			row[i] = (n*7 + i*n*n/3 + n/5) % (len(keptColumns()[i].values) + 1)
		}
		rows = append(rows, row)
	}
	one := func(from, to int) []*columnar.Batch { return []*columnar.Batch{keptRows(t, rows[from:to])} }
	for _, batches := range [][][]*columnar.Batch{
		nil,
		{nil},
		{one(0, 60)},
		{one(0, 1), one(1, 20), nil, one(20, 60)},
	} {
		for _, text := range keptQueries() {
			e.same(t, text, batches)
		}
	}
}

func keptQueries() []string {
	queries := []string{
		"select * from t", "select i2 + 1, s || 'x' as y, f8 from t where i4 > 0 or s like 'a%'", "select null, 'x', 1.5, i8, iv, j from t",
		"select 1 as one from t having max(i4) > 3", "select 1 from t having true", "select 1 from t having false", "select 'x', 5, count(*) from t group by 1, 2",
		"select s, count(*), count(i4), sum(i4), sum(i8), avg(i4), avg(i8), avg(n), avg(f8), avg(i2), avg(f4), avg(big) from t group by s",
		"select s, sum(i2), sum(f4), sum(f8), sum(n), sum(big) from t group by s having count(*) > 2",
		"select sum(i8) / count(*) as q, sum(i8) % 7, sum(i8) / 3, sum(i8)::text, -sum(i8), avg(i8) > 0 from t",
		"select count(*), avg(i4), sum(n), min(s), max(ts), bool_and(ok), bool_or(i4 > 3), every(ok) from t", "select coalesce(sum(n), 0), count(*) filter (where i4 > 0) + 1 from t",
		"select round(f8 + 1), f8 + 1, count(*) from t group by f8 + 1", "select round(f8), count(*) from t group by f8", "select round(sum(f8)), round(avg(f8)), round(min(f8)) from t group by ok",
		"select upper(s) as u, lower(upper(s)), count(*) from t group by u", "select i4 % 3 as i4, count(*) from t group by i4", "select date_trunc('month', ts) m, extract(year from d), max(h) from t group by 1, 2",
		"select round(sum(i4) / count(*), 2), upper(max(s)) || min(s) from t group by d having sum(i4) is not null and max(s) > ''",
		"select case when count(*) > 2 then min(s) else max(s) end, greatest(max(i4), count(*)), avg(i4) filter (where ok) from t group by tz",
		"select n * 2, sum(n * 2), avg(n * 2), min(n + big) from t group by n", "select j, count(*) from t group by j having j is not null", "select j -> 'a', count(*) from t group by j",
		"select max(i4) from t where false", "select s, max(i4) from t where false group by s", "select max(ts) > '2024-01-01', min(d) + 1, max(tz)::date from t group by ok",
	}
	queries = append(queries,
		"select null, count(*) from t group by 1", "select sum(1), count(1), max('x'), count(null), sum(1.5), avg(2), bool_and(true), sum(9223372036854775808) from t", "select min(null), sum(null) from t",
		"select array[i4, 1], count(*) from t group by 1", "select min(array[s]), max(string_to_array(s, 'n')) from t group by ok", "select string_to_array(s, 'n') as parts, cardinality(string_to_array(s, 'n')) from t",
		"select encode(b, 'hex'), id::text, count(*) from t group by 1, 2", "select sum(ok::int), avg(length(s)), max(s collate \"C\") from t", "select 9223372036854775808 as huge, n::numeric(5, 0), i4::numeric from t where i4 < 10 and n < 10",
		"select i4::numeric, sum(i4::numeric), avg(i4::numeric / 3) from t group by i4::numeric", "select extract(epoch from ts), sum(extract(epoch from ts)), max(extract(second from h)) from t group by 1",
		"select s like 'a%' as a, s ~ '^a', count(*) from t group by s like 'a%', s ~ '^a' having not s ~ '^a' or s like 'a%'", "select case s when 'a' then 1 else i2 end, count(*) from t group by case s when 'a' then 1 else i2 end",
		"select x.p, count(x.q), sum(x.r) from t as x (p, q, r) group by p", "select p, count(q), sum(x.r) from public.t as x (p, q, r) group by x.p", "select public.t.s, count(*) from t group by t.s",
	)
	for _, c := range keptColumns() {
		queries = append(queries, "select "+c.name+", count(*), count("+c.name+") from t group by "+c.name)
		if c.name != "j" {
			queries = append(queries, "select i4 % 2, min("+c.name+"), max("+c.name+") from t group by 1", "select min("+c.name+"), max("+c.name+") from t")
		}
	}
	return queries
}

// drawQuery draws one of the supported kind.
func drawQuery(t *rapid.T) string {
	var names []string
	for _, c := range keptColumns() {
		names = append(names, c.name)
	}
	pick := func(what string, of []string) string { return rapid.SampledFrom(of).Draw(t, what) }
	number := func() string {
		return pick("number", []string{"i2", "i4", "i8", "f4", "f8", "n", "big", "i4 % 5", "length(s)", "n * 2", "case when ok then i4 end", "coalesce(i4, 0)", "i2::int8 + 1", "abs(n)", "f8 / 2"})
	}
	condition := func() string {
		return pick("condition", []string{"ok", "i4 > 0", "s like 'a%'", "s is null", "f8 < 2", "d > '2024-01-01'", "ts >= timestamp '2024-02-01'", "i4 in (1, 7)", "n between 0 and 5", "not ok or s = ''", "iv > '1 day'"})
	}
	aggregate := func() string {
		call := ""
		switch pick("aggregate", []string{"count", "sum", "avg", "min", "max", "bool"}) {
		case "count":
			call = pick("count", []string{"count(*)", "count(s)", "count(i4)", "count(j)"})
		case "sum":
			call = "sum(" + number() + ")"
		case "avg":
			call = "avg(" + number() + ")"
		case "min":
			call = "min(" + pick("column", names[:len(names)-1]) + ")"
		case "max":
			call = "max(" + pick("column", names[:len(names)-1]) + ")"
		case "bool":
			call = pick("bool", []string{"bool_and", "bool_or", "every"}) + "(" + condition() + ")"
		}
		if rapid.IntRange(0, 3).Draw(t, "filter") == 0 {
			call += " filter (where " + condition() + ")"
		}
		return call
	}
	var keys, list []string
	for range rapid.IntRange(0, 3).Draw(t, "keys") {
		keys = append(keys, pick("key", append(names, "i4 % 3", "upper(s)", "date_trunc('month', ts)", "ts::date", "f8 + 1", "coalesce(s, '-')", "i8 is null",
			"case when i4 > 0 then 'x' end", "n * 2", "extract(month from d)", "length(s)", "s || 'x'", "'const'", "ok and i4 > 0", "i4::text", "j -> 'a'")))
	}
	aggregates := len(keys) > 0 || rapid.Bool().Draw(t, "single")
	for range rapid.IntRange(1, 4).Draw(t, "results") {
		kind := "row"
		switch {
		case aggregates && len(keys) > 0 && rapid.Bool().Draw(t, "is key"):
			kind = "key"
		case aggregates:
			kind = pick("kind", []string{"aggregate", "aggregate", "over"})
		}
		switch kind {
		case "row":
			list = append(list, pick("row", append(names, "i4 + i2", "s || i4", "round(f8)", "n / 3", condition(), number())))
		case "key":
			key := pick("which key", keys)
			list = append(list, pick("of key", []string{"%s", "%s", "(%s) is null", "coalesce(%s, null)", "(%s)::text is null"}))
			list[len(list)-1] = fmt.Sprintf(list[len(list)-1], key)
		case "aggregate":
			list = append(list, aggregate())
		case "over":
			list = append(list, pick("over", []string{
				"count(*) + sum(i4)", "sum(n) / nullif(count(*), 0)", "round(avg(i4), 2)", "sum(i8) % 7", "upper(min(s))", "max(i4) - min(i4)", "count(*)::text || 'x'", "coalesce(sum(n), -1)",
				"avg(i4) > 1", "case when count(*) > 2 then min(s) else max(s) end", "greatest(max(i2), count(*))", "sum(i8) / 3", "max(ts) - min(ts)", "max(d) + 1", "round(sum(f8))", "min(n) * max(big)",
				"sum(i4)::float8 / count(*)", "count(*) filter (where ok) * 100 / count(*)", "extract(day from max(d))", "1 + 1", "max(tz) > '2024-02-10'",
			}))
		}
	}
	text := "select " + strings.Join(list, ", ") + " from t"
	if rapid.Bool().Draw(t, "where") {
		text += " where " + condition()
	}
	if len(keys) > 0 {
		text += " group by " + strings.Join(keys, ", ")
	}
	if aggregates && rapid.IntRange(0, 2).Draw(t, "having") == 0 {
		text += " having " + pick("having", []string{"count(*) > 1", "sum(i4) > 0", "min(s) is not null", "avg(n) > 0", "count(*) filter (where ok) > 0 and max(s) > 'a'"})
	}
	// A constant is no key but by its number, which may be another's here.
	return strings.ReplaceAll(text, "group by 'const'", "group by i4")
}

// TestKeptProperty: any query of the supported kind, over any rows cut in any way, has the answer by parts that it has at once.
func TestKeptProperty(t *testing.T) {
	e := newEngine(t)
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		text := drawQuery(rt)
		q, err := viewOf(text)
		require.NoError(rt, err, text)
		if _, err := q.Incremental(); err != nil {
			var refused *parse.Error
			require.ErrorAs(rt, err, &refused, text)
			require.Contains(rt, []string{"42803", "42601"}, refused.Code, "%s: %v", text, err)
			return
		}
		taken++
		row := rapid.Custom(func(t *rapid.T) []int {
			row := make([]int, len(keptColumns()))
			for i, c := range keptColumns() {
				row[i] = rapid.IntRange(0, len(c.values)).Draw(t, c.name)
			}
			return row
		})
		batches := make([][]*columnar.Batch, rapid.IntRange(0, 4).Draw(rt, "batches"))
		for i := range batches {
			batches[i] = []*columnar.Batch{keptRows(rt, rapid.SliceOfN(row, 0, 8).Draw(rt, "rows"))}
		}
		e.same(rt, text, batches)
	})
	t.Logf("%d queries taken apart", taken)
}

// TestKeptAveragesOfDecimals holds that averages of decimals are to the last digit those that DuckDB makes of all rows.
func TestKeptAveragesOfDecimals(t *testing.T) {
	e := newEngine(t)
	r := rand.New(rand.NewPCG(1, 2))
	var batches [][]*columnar.Batch
	var all []*columnar.Batch
	for range 20 {
		rows := make([][]int, 1+r.IntN(30))
		for i := range rows {
			for _, c := range keptColumns() {
				rows[i] = append(rows[i], r.IntN(len(c.values)+1))
			}
		}
		b := keptRows(t, rows)
		batches, all = append(batches, []*columnar.Batch{b}), append(all, b)
	}
	for _, text := range []string{
		"select s, i4, avg(n) as a, avg(n * 3) as b, avg(big) filter (where big < 10) as c, avg(n) / 3 as d from t group by s, i4",
		"select 'x' as s, 1 as i4, avg(n) as a, avg(n * 3) as b, avg(big) filter (where big < 10) as c, avg(i4::numeric(14, 4)) as d from t",
	} {
		q, err := viewOf(text)
		require.NoError(t, err)
		target, columns := table()
		want, err := e.run(q, target, columns, all)
		require.NoError(t, err)
		got, err := e.kept(q, batches)
		require.NoError(t, err)
		require.Equal(t, digits(want), digits(got))
	}
}

// digits are rows with all digits of floats.
func digits(a answer) []string {
	var out []string
	for _, b := range a.rows {
		for row := range b.Len {
			var line strings.Builder
			for i := range b.Cols {
				if v := &b.Cols[i]; v.IsNull(row) {
					line.WriteString("|NULL")
				} else {
					line.WriteString("|" + string(columnar.AppendText(nil, v, row)))
				}
			}
			out = append(out, line.String())
		}
	}
	slices.Sort(out)
	return out
}
