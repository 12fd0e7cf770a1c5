package parse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// towers are the ways to nest: each makes a statement of n levels.
func towers() map[string]func(n int) string {
	repeated := func(before, open, middle, closing string) func(int) string {
		return func(n int) string {
			return before + strings.Repeat(open, n) + middle + strings.Repeat(closing, n)
		}
	}
	return map[string]func(int) string{
		"brackets":       repeated("select ", "(", "1", ")"),
		"calls":          repeated("select ", "abs(", "1", ")"),
		"arrays":         repeated("select ", "array[", "1", "]"),
		"rows":           repeated("select ", "row(", "1", ")"),
		"queries":        repeated("select ", "(select ", "1", ")"),
		"from":           repeated("select 1", " from (select 1", "", ") x"),
		"exists":         repeated("select 1", " where exists (select 1", "", ")"),
		"with":           repeated("", "with a as (", "select 1", ") select 1"),
		"case":           repeated("select ", "case when true then ", "1", " end"),
		"case and":       repeated("select ", "case when true and ", "true", " then true end"),
		"not":            repeated("select ", "not ", "true", ""),
		"signs":          repeated("select ", "+-", "1", ""),
		"sums":           repeated("select 1", "", "", "+1"),
		"sums in sums":   repeated("select ", "(", "1", "+1)"),
		"casts":          repeated("select 1", "", "", "::int"),
		"is null":        repeated("select 1", "", "", " is null"),
		"collations":     repeated("select 'a'", "", "", ` collate "C"`),
		"joins":          repeated("select 1 from t", "", "", " cross join t"),
		"joins on":       repeated("select 1 from t", "", "", " join t x on a = 1 and b = 2"),
		"unions":         repeated("select 1", "", "", " union all select 1"),
		"unions of rows": repeated("select 1, 2", "", "", " union all select 1, 2"),
		"between":        repeated("select ", "1 between 1 and not ", "true", ""),
		"subscripts":     repeated("select ", "a[", "1", "]"),
		"labels":         repeated("select ", "case x.end when 1 and ", "true", " then 1 end"),
		"and in brackets": func(n int) string {
			return "select " + strings.Repeat("(true and ", n) + "true" + strings.Repeat(")", n)
		},
	}
}

// TestTowers: however a statement nests, it is refused before the grammar's stack could overflow,
// at once; and what people write is far from that.
func TestTowers(t *testing.T) {
	for name, tower := range towers() {
		t.Run(name, func(t *testing.T) {
			start := testenv.Processor(t)
			_, err := Split(tower(70_000))
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, CodeTooComplex, e.Code)
			require.Equal(t, 1, e.Position)
			require.Less(t, testenv.Processor(t)-start, 5*time.Second)

			for _, n := range []int{10, 50} {
				pieces, err := Split(tower(n))
				require.NoError(t, err)
				_, err = pg.Parse(pieces[0].Text)
				require.NoError(t, err)
			}
		})
	}
}

// TestLongChains: what makes no deep tree isn't refused for its length.
func TestLongChains(t *testing.T) {
	repeat := strings.Repeat
	for name, sql := range map[string]string{
		"or":      "select a from t where a = 1" + repeat(" or a = b + 2", 5000),
		"and":     "select a from t where a between 1 and 2" + repeat(" and a between 1 and 2", 5000),
		"in":      "select a from t where a in (1" + repeat(", 2", 100_000) + ")",
		"values":  "insert into t values (1, 'x', -2.5)" + repeat(", (1 , 'x', -2.5)", 50_000),
		"targets": "select 1" + repeat(", 1 + 1", 10_000),
		"concat":  "select 'a'" + repeat(" || 'b'", 400),
		"unions":  "select 1" + repeat(" union all select 1", 300),
		"joins":   "select 1 from t t0" + repeatN(" join t t%d on true", 100),
		"queries": "select " + repeat("(select ", 13) + "1" + repeat(")", 13),
		"from":    "select 1" + repeat(" from (select 1", 50) + repeat(") x", 50),
	} {
		t.Run(name, func(t *testing.T) {
			q := mustQuery(t, sql)
			_, err := q.SQL(bindTo(q, nil))
			require.NoError(t, err)
		})
	}
}

func repeatN(format string, n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, format, i+1)
	}
	return out.String()
}

// TestNestingEstimate: the estimate is never below the depth of the tree that the grammar makes, for
// random nestings of everything that nests.
func TestNestingEstimate(t *testing.T) {
	parts := [][2]string{
		{"(", ")"},
		{"(1+", ")"},
		{"abs(", ")+1"},
		{"not ", ""},
		{"- ", ""},
		{"case when ", " then 1 end"},
		{"case 1 when 2 then ", " else 3 end"},
		{"", "::int"},
		{"", " is null"},
		{"", "+1*2"},
		{"array[", ", 1]"},
		{"row(1, ", ")"},
		{"(select ", ")"},
		{"1 in (2, ", ")"},
		{"exists (select 1 from t join u on ", ")"},
		{"", " and true"},
		{"true or ", ""},
		{"(select 1 union select ", ")"},
		{"(1, ", ")"},
		{"a[", "]"},
		{"1 between 2 and ", ""},
		{"", " collate \"C\""},
		{"coalesce(1, ", ", 2)"},
		{"x.end = ", ""},
		{"(with q as (select ", ") select 1 from q)"},
		{"sum(1) filter (where ", ")"},
		{"sum(1) over (order by ", ")"},
	}
	rapid.Check(t, func(rt *rapid.T) {
		expr := "1"
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(parts)-1), 0, 60).Draw(rt, "parts") {
			expr = parts[i][0] + expr + parts[i][1]
		}
		sql := "select " + expr
		result, err := pg.Parse(sql)
		if err != nil {
			return // not every nesting is SQL
		}
		var n nesting
		lex := lexer{text: sql}
		for tok := lex.next(); tok.kind != tokenEnd; tok = lex.next() {
			n.add(tok.kind, sql[tok.begin:tok.end])
		}
		if depth := treeDepth(result.GetStmts()[0].GetStmt().ProtoReflect()); n.depth() < depth {
			rt.Fatalf("estimate %d, tree %d: %s", n.depth(), depth, sql)
		}
	})
}

// treeDepth counts operators, calls, brackets and queries on the longest way down a tree.
func treeDepth(m protoreflect.Message) int {
	deepest := 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				deepest = max(deepest, treeDepth(v.List().Get(i).Message()))
			}
		default:
			deepest = max(deepest, treeDepth(v.Message()))
		}
		return true
	})
	switch n := m.Interface().(type) {
	case *pg.A_Expr, *pg.FuncCall, *pg.TypeCast, *pg.NullTest, *pg.CaseExpr, *pg.A_ArrayExpr, *pg.RowExpr, *pg.SelectStmt, *pg.CollateClause, *pg.CoalesceExpr:
		return deepest + 1
	case *pg.BoolExpr:
		if n.GetBoolop() == pg.BoolExprType_NOT_EXPR {
			return deepest + 1
		}
	}
	return deepest
}

// TestPlannersWork: what the planner would take too long for is refused before it begins, and what people write isn't.
func TestPlannersWork(t *testing.T) {
	nested := func(open, middle, closing string) func(int) string {
		return func(n int) string { return "select " + strings.Repeat(open, n) + middle + strings.Repeat(closing, n) }
	}
	for name, c := range map[string]struct {
		sql      func(int) string
		ok, much int
		code     string
	}{
		"queries":      {nested("(select ", "1", ")"), 13, 14, CodeTooComplex},
		"exists":       {nested("exists (select 1 where ", "true", ")"), 13, 14, CodeTooComplex},
		"in":           {nested("1 in (select ", "1", ")"), 13, 14, CodeTooComplex},
		"through from": {nested("(select x from (select ", "1", " as x) q)"), 13, 14, CodeTooComplex},
		"side by side": {func(n int) string { return "select (select 1)" + strings.Repeat(", (select 1)", n-1) }, 8000, 9000, CodeTooComplex},
		"arrays":       {nested("array[", "1", "]"), 6, 7, CodeLimit},
	} {
		t.Run(name, func(t *testing.T) {
			q := mustQuery(t, c.sql(c.ok))
			_, err := q.SQL(bindTo(q, nil))
			require.NoError(t, err)
			pieces, err := Split(c.sql(c.much))
			require.NoError(t, err)
			if q, err = queryOfPiece(pieces[0]); err == nil {
				_, err = q.SQL(bindTo(q, nil))
			}
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code)
			require.Positive(t, e.Position)
		})
	}
}

// TestTooMuch: each limit is refused by its code, with the position of the statement.
func TestTooMuch(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		code string
		at   int
	}{
		"text":       {"select '" + strings.Repeat("x", MaxText) + "'", CodeLimit, 0},
		"tokens":     {"select 'é'; insert into t values (1" + strings.Repeat(",1", MaxTokens/2) + ")", CodeLimit, 13},
		"statements": {strings.Repeat("select 1;", MaxStatements+1), CodeLimit, 9*MaxStatements + 1},
		"zero byte":  {"select 1; select '\x00'", CodeBadEncoding, 0},
		"not UTF-8":  {"select 'é', '\xc3('", CodeBadEncoding, 0},
		"brackets":   {"select " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000), CodeTooComplex, 1},
		"signs":      {"select " + strings.Repeat("+-", MaxText/4) + "1", CodeLimit, 1},
		"nesting":    {"select 1; select " + strings.Repeat("(", 2000), CodeTooComplex, 11},
	} {
		t.Run(name, func(t *testing.T) {
			pieces, err := Split(c.sql)
			require.Empty(t, pieces)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code, e.Message)
			require.Equal(t, c.at, e.Position)
		})
	}
	pieces, err := Split("select '" + strings.Repeat("x", MaxText-9) + "'")
	require.NoError(t, err)
	require.Len(t, pieces, 1)
	_, err = Split(strings.Repeat("select 1;", MaxStatements))
	require.NoError(t, err)
}

// TestGrowth: rewrites that use an operand twice don't double the tree with each call.
func TestGrowth(t *testing.T) {
	for _, sql := range []string{
		"select " + strings.Repeat("substring('x', ", 60) + "1" + strings.Repeat(" + length(b))", 60) + " from t",
		"select " + strings.Repeat("string_to_array(array_to_string(", 60) + "array['x']" + strings.Repeat(", ','), ',')", 60),
		"select substring('x', (select substring('x', (select a from t)) from t)::int) from t",
	} {
		q := mustQuery(t, sql)
		_, err := q.SQL(bindTo(q, nil))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeNotSupported, e.Code)
	}
}

// TestSelectIsShared: a query may be printed by many at once, and never changes.
func TestSelectIsShared(t *testing.T) {
	q := mustQuery(t, "with q as (select *, _offset from t) select a, count(*), b like 'x\\_' from q natural join u group by a, b order by 1 desc")
	want, err := q.SQL(bindTo(q, nil))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := q.SQL(bindTo(q, nil))
				if err != nil || got != want {
					t.Errorf("printed %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	relations := q.Relations()
	relations[0].Name.Name = "changed"
	require.Equal(t, "t", q.Relations()[0].Name.Name)
}

// TestPositions: the position of a literal is right also after characters of many bytes, and
// Literals is fast for many rows.
func TestPositions(t *testing.T) {
	rows := 20_000
	sql := "insert into t values ('é', 1)" + strings.Repeat(", ('é', $1)", rows)
	q := mustQuery(t, sql)
	start := testenv.Processor(t)
	literals, ok := q.Literals()
	require.True(t, ok)
	require.Less(t, testenv.Processor(t)-start, time.Second)
	require.Len(t, literals, rows+1)
	runes := []rune(sql)
	for range 100 {
		row := literals[1+rand.IntN(rows)]
		require.Equal(t, Literal{Kind: String, Text: "é", Position: row[0].Position}, row[0])
		require.Equal(t, "'é'", string(runes[row[0].Position-1:row[0].Position+2]))
		require.Equal(t, "$1", string(runes[row[1].Position-1:row[1].Position+1]))
	}
}

// TestLiterals: what is a literal, and what has to be evaluated.
func TestLiterals(t *testing.T) {
	literals, ok := mustQuery(t, "insert into t values (1, -2.50, 'a''b', true, null, default, $2, 99999999999999999999, E'\\n')").Literals()
	require.True(t, ok)
	var got []string
	for _, l := range literals[0] {
		got = append(got, fmt.Sprintf("%d:%s:%d", l.Kind, l.Text, l.Param))
	}
	require.Equal(t, []string{"2:1:0", "2:-2.50:0", "1:a'b:0", "3:true:0", "0::0", "0::0", "4::2", "2:99999999999999999999:0", "1:\n:0"}, got)
	for _, sql := range []string{
		"insert into t values (1 + 1)", "insert into t values ('1'::int)", "insert into t select 1", "insert into t values (now())",
		"insert into t values (1) order by 1", "insert into t values (1) limit 1", "insert into t with q as (select 1) values (1)",
	} {
		_, ok := mustQuery(t, sql).Literals()
		require.False(t, ok, sql)
	}
}

// TestManyParameters: a statement may have as many parameters as a message can bind. The time
// taken is linear in them: drivers send rows in bulk so.
func TestManyParameters(t *testing.T) {
	const n = 65_535
	for before, each := range map[string]string{"insert into t values ": "($%d)", "select 1 in ": "$%d::int"} {
		var text strings.Builder
		text.WriteString(before + "(")
		for i := range n {
			if i > 0 {
				text.WriteString(",")
			}
			fmt.Fprintf(&text, each, i+1)
		}
		text.WriteString(")")
		sql := text.String()
		if strings.HasPrefix(before, "insert") { // each value is a row
			sql = strings.TrimSuffix(strings.Replace(sql, "values (", "values ", 1), ")")
		}
		pieces, err := Split(sql)
		require.NoError(t, err)
		start := testenv.Processor(t)
		st, err := Parse(pieces[0])
		require.NoError(t, err)
		require.Less(t, testenv.Processor(t)-start, 10*time.Second)
		q, ok := st.(*Select)
		if !ok {
			q = st.(*Insert).Source
		}
		got := q.Parameters()
		require.Len(t, got, n)
		last := fmt.Sprintf("$%d", n)
		require.Equal(t, Parameter{Number: n, Position: strings.Index(sql, last) + 1, Type: got[n-1].Type}, got[n-1])
	}
}
