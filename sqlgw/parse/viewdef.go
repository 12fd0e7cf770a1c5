package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// Definition prints a view's query as pg_get_viewdef lays it out: each result and each clause on a line of its own, results
// called what the view's columns are. Names are what its relations, counted as Relations counts them, are called now; a
// schema of "" isn't told. Expressions stand as they were written, without the casts that PostgreSQL adds to constants.
func (q *Select) Definition(columns []string, names func(relation int) (schema, name string)) (string, error) {
	bound := &binder{
		src: q.src, resolving: true, told: map[*pg.Node]string{}, branches: map[*pg.SelectStmt]bool{},
		noted: map[int]int{}, positions: positionCounter{source: q.src},
		binding: &Binding{Relation: func(r Relation) (Target, error) {
			schema, name := names(r.Index)
			return Target{Schema: schema, Name: name}, nil
		}},
	}
	tree := proto.CloneOf(q.tree)
	if _, err := bound.query(tree.GetSelectStmt(), nil); err != nil {
		return "", err
	}
	d := definition{src: q.src}
	text := d.query(tree.GetSelectStmt(), columns)
	return text + ";", d.err
}

// definition prints queries. The first error is kept.
type definition struct {
	src source
	err error
}

// indented puts spaces before all lines of a text but the first.
func indented(text string, spaces int) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", spaces))
}

// nestedIndent is how much further in a query within a query stands.
const nestedIndent = 8

// query prints a query, with a blank before its first word. Columns are what its results are called; nil is what they are.
func (d *definition) query(q *pg.SelectStmt, columns []string) string {
	var b strings.Builder
	b.WriteString(d.with(q.GetWithClause()))
	switch {
	case q.GetOp() > pg.SetOperation_SETOP_NONE:
		b.WriteString(d.setOperation(q, columns))
	case len(q.GetValuesLists()) > 0:
		b.WriteString(" " + d.sql(&pg.SelectStmt{ValuesLists: q.GetValuesLists()}))
	default:
		b.WriteString(d.plain(q, columns))
	}
	if keys := q.GetSortClause(); len(keys) > 0 {
		b.WriteString("\n  ORDER BY " + d.keys(keys, q))
	}
	if q.GetLimitOffset() != nil {
		b.WriteString("\n OFFSET " + d.expr(q.GetLimitOffset()))
	}
	if q.GetLimitCount() != nil {
		b.WriteString("\n LIMIT " + d.expr(q.GetLimitCount()))
	}
	return b.String()
}

func (d *definition) with(w *pg.WithClause) string {
	if w == nil {
		return ""
	}
	var list []string
	for _, node := range w.GetCtes() {
		c := node.GetCommonTableExpr()
		name := quoted(c.GetCtename())
		if aliases := strsOf(c.GetAliascolnames()); len(aliases) > 0 {
			name += "(" + quotedList(aliases) + ")"
		}
		materialized := map[pg.CTEMaterialize]string{
			pg.CTEMaterialize_CTEMaterializeAlways: "MATERIALIZED ", pg.CTEMaterialize_CTEMaterializeNever: "NOT MATERIALIZED ",
		}[c.GetCtematerialized()]
		list = append(list, name+" AS "+materialized+"(\n        "+indented(d.query(c.GetCtequery().GetSelectStmt(), nil), nestedIndent)+"\n        )")
	}
	recursive := ""
	if w.GetRecursive() {
		recursive = "RECURSIVE "
	}
	return " WITH " + recursive + strings.Join(list, ", ") + "\n"
}

func (d *definition) setOperation(q *pg.SelectStmt, columns []string) string {
	word := map[pg.SetOperation]string{
		pg.SetOperation_SETOP_UNION: "UNION", pg.SetOperation_SETOP_INTERSECT: "INTERSECT", pg.SetOperation_SETOP_EXCEPT: "EXCEPT",
	}[q.GetOp()]
	if q.GetAll() {
		word += " ALL"
	}
	side := func(of *pg.SelectStmt, columns []string, plain bool) string {
		text := d.query(of, columns)
		if plain {
			return text
		}
		return "(\n        " + indented(text, nestedIndent) + "\n)"
	}
	l, r := q.GetLarg(), q.GetRarg()
	same := l.GetOp() == q.GetOp() && l.GetAll() == q.GetAll() || l.GetOp() <= pg.SetOperation_SETOP_NONE
	left := side(l, columns, same && isBare(l))
	right := side(r, columns, r.GetOp() <= pg.SetOperation_SETOP_NONE && isBare(r))
	if strings.HasSuffix(left, ")") && strings.HasPrefix(left, "(") {
		return left + " " + word + "\n" + right
	}
	return left + "\n" + word + "\n" + right
}

// isBare tells whether a query in a set operation has no clause that binds less than it.
func isBare(q *pg.SelectStmt) bool {
	return len(q.GetSortClause()) == 0 && q.GetLimitCount() == nil && q.GetLimitOffset() == nil && q.GetWithClause() == nil
}

func (d *definition) plain(q *pg.SelectStmt, columns []string) string {
	var b strings.Builder
	b.WriteString(" SELECT ")
	if distinct := q.GetDistinctClause(); len(distinct) > 0 {
		b.WriteString("DISTINCT ")
		if distinct[0].GetNode() != nil {
			b.WriteString("ON (" + d.exprs(d.meant(distinct, q)) + ") ")
		}
	}
	results := make([]string, len(q.GetTargetList()))
	for i, node := range q.GetTargetList() {
		results[i] = d.result(node.GetResTarget(), i, columns)
	}
	b.WriteString(strings.Join(results, ",\n    "))
	if len(q.GetFromClause()) > 0 {
		from := make([]string, len(q.GetFromClause()))
		for i, node := range q.GetFromClause() {
			from[i] = d.from(node)
		}
		b.WriteString("\n   FROM " + strings.Join(from, ",\n    "))
	}
	if q.GetWhereClause() != nil {
		b.WriteString("\n  WHERE " + d.expr(q.GetWhereClause()))
	}
	if len(q.GetGroupClause()) > 0 {
		b.WriteString("\n  GROUP BY " + d.exprs(d.meant(q.GetGroupClause(), q)))
	}
	if q.GetHavingClause() != nil {
		b.WriteString("\n HAVING " + d.expr(q.GetHavingClause()))
	}
	if len(q.GetWindowClause()) > 0 {
		text := d.sql(&pg.SelectStmt{TargetList: []*pg.Node{target(intConst(1), "")}, WindowClause: q.GetWindowClause()})
		b.WriteString("\n  " + strings.TrimPrefix(text, "SELECT 1 "))
	}
	return b.String()
}

// result is an item of a SELECT list: a column is told without its name if that is its own.
func (d *definition) result(t *pg.ResTarget, i int, columns []string) string {
	text := d.expr(t.GetVal())
	name := t.GetName()
	if name == "" {
		if name, _ = outputName(t.GetVal()); name == "" {
			name = noName
		}
	}
	if i < len(columns) {
		name = columns[i]
	}
	if fields := t.GetVal().GetColumnRef().GetFields(); len(fields) > 0 && fields[len(fields)-1].GetString_().GetSval() == name {
		return text
	}
	return text + " AS " + quoted(name)
}

// meant are the expressions of keys, where they name or count results of the query.
func (d *definition) meant(keys []*pg.Node, q *pg.SelectStmt) []*pg.Node {
	out := slices.Clone(keys)
	for i, k := range keys {
		if at, ok := intValue(k); ok && k.GetAConst() != nil && at >= 1 && int(at) <= len(q.GetTargetList()) {
			out[i] = q.GetTargetList()[at-1].GetResTarget().GetVal()
			continue
		}
		name, ok := bareName(k)
		if !ok {
			continue
		}
		for _, node := range q.GetTargetList() {
			t := node.GetResTarget()
			derived, _ := outputName(t.GetVal())
			if t.GetName() == name || t.GetName() == "" && derived == name {
				out[i] = t.GetVal()
			}
		}
	}
	return out
}

func (d *definition) keys(keys []*pg.Node, q *pg.SelectStmt) string {
	list := make([]string, len(keys))
	for i, node := range keys {
		s := node.GetSortBy()
		key := s.GetNode()
		if q.GetOp() <= pg.SetOperation_SETOP_NONE && len(q.GetValuesLists()) == 0 {
			key = d.meant([]*pg.Node{key}, q)[0]
		}
		list[i] = d.expr(key)
		if key.GetAExpr() != nil || key.GetBoolExpr() != nil {
			list[i] = "(" + list[i] + ")"
		}
		if s.GetSortbyDir() == pg.SortByDir_SORTBY_DESC {
			list[i] += " DESC"
		}
		switch s.GetSortbyNulls() {
		case pg.SortByNulls_SORTBY_NULLS_FIRST:
			list[i] += " NULLS FIRST"
		case pg.SortByNulls_SORTBY_NULLS_LAST:
			list[i] += " NULLS LAST"
		default:
		}
	}
	return strings.Join(list, ", ")
}

// from prints a thing of FROM.
func (d *definition) from(node *pg.Node) string {
	switch n := node.GetNode().(type) {
	case *pg.Node_JoinExpr:
		return d.join(n.JoinExpr)
	case *pg.Node_RangeSubselect:
		lateral := ""
		if n.RangeSubselect.GetLateral() {
			lateral = "LATERAL "
		}
		text := "(" + indented(d.query(n.RangeSubselect.GetSubquery().GetSelectStmt(), nil), nestedIndent) + ")"
		alias := n.RangeSubselect.GetAlias()
		if alias != nil {
			text += " " + quoted(alias.GetAliasname())
		}
		if names := strsOf(alias.GetColnames()); len(names) > 0 {
			text += "(" + quotedList(names) + ")"
		}
		return lateral + text
	}
	text := d.sql(&pg.SelectStmt{TargetList: []*pg.Node{target(intConst(1), "")}, FromClause: []*pg.Node{node}})
	return strings.TrimPrefix(text, "SELECT 1 FROM ")
}

func (d *definition) join(j *pg.JoinExpr) string {
	word := map[pg.JoinType]string{
		pg.JoinType_JOIN_LEFT: "LEFT JOIN", pg.JoinType_JOIN_RIGHT: "RIGHT JOIN", pg.JoinType_JOIN_FULL: "FULL JOIN",
	}[j.GetJointype()]
	using := strsOf(j.GetUsingClause())
	switch {
	case word == "" && j.GetQuals() == nil && len(using) == 0:
		word = "CROSS JOIN"
	case word == "":
		word = "JOIN"
	}
	right := d.from(j.GetRarg())
	if j.GetRarg().GetJoinExpr() != nil {
		right = "(" + right + ")"
	}
	text := d.from(j.GetLarg()) + "\n     " + word + " " + right
	switch {
	case len(using) > 0:
		text += " USING (" + quotedList(using) + ")"
	case j.GetQuals() != nil:
		text += " ON " + d.expr(j.GetQuals())
	}
	return text
}

func (d *definition) exprs(nodes []*pg.Node) string {
	list := make([]string, len(nodes))
	for i, n := range nodes {
		list[i] = d.expr(n)
	}
	return strings.Join(list, ", ")
}

func (d *definition) expr(n *pg.Node) string {
	return strings.TrimPrefix(d.sql(queryOf(target(n, ""))), "SELECT ")
}

func (d *definition) sql(q *pg.SelectStmt) string {
	text, err := pg.Deparse(&pg.ParseResult{Version: grammarVersion, Stmts: []*pg.RawStmt{{Stmt: selectNode(q)}}})
	if err != nil && d.err == nil {
		d.err = d.src.atStart(notPrinted("query", err))
	}
	return text
}

// quoted is a name as the grammar's printer writes it: in quotes only if it needs them.
func quoted(name string) string {
	text, err := pg.Deparse(&pg.ParseResult{Version: grammarVersion, Stmts: []*pg.RawStmt{{Stmt: selectNode(queryOf(target(intConst(1), name)))}}})
	if err != nil {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return strings.TrimPrefix(text, "SELECT 1 AS ")
}

// QuoteIdentifier is a name as it stands in a statement, whatever is around it: in quotes only if it needs them.
func QuoteIdentifier(name string) string {
	scan, err := pg.Scan(name)
	if tokens := scan.GetTokens(); err == nil && len(tokens) == 1 && name == strings.ToLower(name) && isWordStart(name[0]) && int(tokens[0].GetEnd()) == len(name) {
		plain := tokens[0].GetToken() == pg.Token_IDENT && tokens[0].GetKeywordKind() == pg.KeywordKind_NO_KEYWORD
		if plain || tokens[0].GetKeywordKind() == pg.KeywordKind_UNRESERVED_KEYWORD {
			return name
		}
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func quotedList(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = quoted(name)
	}
	return strings.Join(list, ", ")
}
