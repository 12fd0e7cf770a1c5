package parse

import (
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func seeds() []string {
	return []string{
		"select 1; select 'a;b'", "select E'a\\'b' 'c'\n 'd'", "select $a$ ; $a$, $1, a$b", "select /* /* ; */ */ -- x\n 1",
		"select 1+-2*-3 , a->>'b' = 'c' and x[1:2] <> -- y\n4", "select U&'\\0041', U&\"x\", b'1', x'f', 1.5e-3, .5, 1..2, 0x1F, 1_0",
		"subscribe to public.t", "SUBSCRIBE (select a from t where b = ')')", "copy (subscribe t) to stdout csv header",
		"create table x (a int not null, b text) on journals 'a/b/' format json with (journals = 4)", "show tables", "select * from t as of cut 'x'",
		"with recursive r(n) as (select 1 union all select n+1 from r) select *, _offset from r natural join t order by 1 desc",
		"insert into t (a) values (1), ($1), (default), ('x')", "select case when a then b end, f(a) over (partition by b), a::numeric(3,1) from t",
		"select substring(b from 2 for 3), extract(year from c), a like 'x\\_', '{1,2}'::int[], interval '1' day from t, lateral (select 1) s",
		"copy t from stdin with delimiter as e'\\t' null as ''", "set time zone interval '1' hour to minute", "begin isolation level serializable, read only",
		"select * from generate_series(1, 3) with ordinality as g(x, n), '/etc/passwd'", "select - - -+ - 1, not not a, a is null is null", "((((", "]])) case end end",
		"select repeat(repeat('x', 9), 9), lpad(b, 3), grouping(a) from t group by rollup (a), cube (b)", "select a.b.c.d.e, $0, (row(1)).*, array[[1]] from x.y.z", "\x00", "é\xff", "B'''' , x'a''b'",
	}
}

// FuzzSplit compares this package's lexer with PostgreSQL's scanner, token by token, and holds
// Split to its promises.
func FuzzSplit(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pieces, err := Split(text)
		if err != nil {
			require.Empty(t, pieces)
			return
		}
		end := 0
		for _, p := range pieces {
			require.LessOrEqual(t, end, p.Begin)
			require.Less(t, p.Begin, p.End)
			require.Equal(t, text[p.Begin:p.End], p.Text)
			end = p.End
		}
		scan, err := pg.Scan(text)
		if err != nil {
			return // not SQL: the lexers may go on differently
		}
		var theirs, ours [][2]int
		for _, tok := range withoutComments(scan.GetTokens()) {
			theirs = append(theirs, [2]int{int(tok.GetStart()), int(tok.GetEnd())})
		}
		lex := lexer{text: text}
		for tok := lex.next(); tok.kind != tokenEnd; tok = lex.next() {
			ours = append(ours, [2]int{tok.begin, tok.end})
		}
		require.Equal(t, theirs, ours, "%q", text)
	})
}

// FuzzParse: no text makes Parse or printing panic, and all errors are of this package.
func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pieces, err := Split(text)
		if err != nil {
			return
		}
		for _, p := range pieces {
			q, err := queryOfPiece(p)
			if err != nil {
				requireOurs(t, err, text)
				continue
			}
			printed, err := q.SQL(bindTo(q, nil))
			if err != nil {
				requireOurs(t, err, text)
				continue
			}
			require.NotContains(t, printed, "bs_source_")
			again, err := q.SQL(bindTo(q, nil))
			require.NoError(t, err)
			require.Equal(t, printed, again, "printing changed the query")
		}
	})
}

// FuzzIncremental: whatever is taken apart is printed in all its parts, as it was written and as a view keeps it, and stays what it was.
func FuzzIncremental(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	for _, s := range []string{
		"select a + 1, count(*), avg(c) filter (where b > 'x') from t group by 1 having sum(c) > 0", "select upper(b) u, b || 'x', every(a > 1) from t group by u, b",
		"select max(a) - min(a), sum(a) / count(*) from t where c between 1 and 2", "select 1 from t having true", "table t", "select t.*, a as b from public.t as t(x, y) group by a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pieces, err := Split(text)
		if err != nil || len(pieces) != 1 {
			return
		}
		q, err := queryOfPiece(pieces[0])
		if err != nil {
			return
		}
		before := proto.CloneOf(q.tree)
		if inc, err := q.Incremental(); err != nil {
			requireOurs(t, err, text)
		} else {
			printParts(t, inc, bindTo(q, nil), text)
		}
		require.True(t, proto.Equal(before, q.tree), "the query was changed")
		resolved, err := q.Resolve(bindTo(q, nil))
		if err != nil {
			return
		}
		st, err := parseOne(resolved.Text)
		if err != nil { // of what is refused where it is printed for DuckDB
			requireOurs(t, err, resolved.Text)
			return
		}
		inc, err := st.(*Select).Incremental()
		if err != nil {
			requireOurs(t, err, resolved.Text)
			return
		}
		require.NotNil(t, inc.Final, resolved.Text)
		printParts(t, inc, bindTo(st.(*Select), nil), resolved.Text)
	})
}

// printParts prints the queries that one was taken apart into.
func printParts(t *testing.T, inc *Incremental, b Binding, text string) {
	t.Helper()
	if inc.Partial == nil {
		return
	}
	printed, err := inc.Partial.Print(b)
	if err != nil { // what is only known of a table's columns, or of functions
		requireOurs(t, err, text)
		return
	}
	types := make([]string, len(inc.Columns()))
	over := func(q *Select, target Target) {
		_, err := q.SQL(Binding{Relation: func(Relation) (Target, error) { return target, nil }})
		if err != nil {
			requireOurs(t, err, text)
			require.NotContains(t, []string{CodeUndefinedColumn, CodeUndefinedTable}, err.(*Error).Code, "%q: %v", text, err) //nolint:errorlint // it is ours
		}
	}
	over(inc.Final, inc.Shown("rows", printed, types))
	if inc.Kind == KeptRows {
		return
	}
	merge, err := inc.Merge(types)
	require.NoError(t, err)
	over(merge, inc.Groups("rows", printed, types))
}

func requireOurs(t *testing.T, err error, text string) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Code, 5)
	require.LessOrEqual(t, e.Position, len(text)+1)
}

// FuzzOurs: our own statements, printed from what was understood of them, are understood the
// same again.
func FuzzOurs(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pieces, err := Split(text)
		if err != nil || len(pieces) != 1 {
			return
		}
		st, err := Parse(pieces[0])
		if err != nil {
			return
		}
		printed, ok := printOurs(t, st)
		if !ok {
			return
		}
		pieces, err = Split(printed)
		require.NoError(t, err, printed)
		require.Len(t, pieces, 1, printed)
		st, err = Parse(pieces[0])
		require.NoError(t, err, "%q from %q", printed, text)
		again, ok := printOurs(t, st)
		require.True(t, ok, printed)
		require.Equal(t, printed, again)
	})
}

// printOurs prints a statement of our own; false if it isn't.
func printOurs(t *testing.T, st Statement) (string, bool) {
	t.Helper()
	switch s := st.(type) {
	case *Subscribe:
		return "SUBSCRIBE TO (" + postgresText(t, s.Query) + ")", true
	case *CopyTo:
		if s.Subscribe == nil {
			return "", false
		}
		return "COPY (SUBSCRIBE TO (" + postgresText(t, s.Subscribe.Query) + ")) TO STDOUT", true
	case *ShowTables:
		return "SHOW TABLES", true
	case *CreateTable:
		if s.Journals == "" {
			return "", false
		}
		columns := make([]string, len(s.Columns))
		for i, c := range s.Columns {
			columns[i] = `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `" ` + c.Type.SQL()
		}
		return "CREATE TABLE x (" + strings.Join(columns, ", ") + ") ON JOURNALS '" + strings.ReplaceAll(s.Journals, "'", "''") + "' FORMAT JSON", true
	}
	return "", false
}

func postgresText(t *testing.T, q *Select) string {
	t.Helper()
	text, err := pg.Deparse(&pg.ParseResult{Version: grammarVersion, Stmts: []*pg.RawStmt{{Stmt: proto.CloneOf(q.tree)}}})
	require.NoError(t, err)
	return text
}
