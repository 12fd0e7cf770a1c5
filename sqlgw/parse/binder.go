package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// binder goes through a query once, keeping track of what its names mean. It does so
// at least twice in a query's life: without a binding it checks the structure and collects
// relations and parameters, and changes nothing; with one it turns the tree, which it
// owns then, into DuckDB's.
//
// Invariant: a node or field that isn't handled here is refused, so that nothing unknown is
// ever printed. A test plants a table and a function in every field of every message
// that the grammar has.
type binder struct {
	src     source
	binding *Binding // nil while a query is made

	relations []Relation
	params    []Parameter
	noted     map[int]int // where params has the parameter of a number
	positions positionCounter
	sources   []string // DuckDB's text of each relation
	nonce     string   // in the names that stand for sources, so that no name of the user's can be one
	ctes      int      // WITH queries named so far
	depth     int      // of expressions and queries around the one at hand
	entered   int      // of them so far
	// paramTypes are DuckDB's for the names in the binding's ParamTypes.
	paramTypes map[string]duckDBType

	// recursive are the WITH queries whose columns the first part of a set operation tells.
	recursive map[*pg.SelectStmt]*cte
	// branches are the queries of set operations, whose columns take the other's types.
	branches map[*pg.SelectStmt]bool
	// toldParams are the types of parameters that what they are compared with tells, by number.
	toldParams map[int]string
	// told are the types of expressions, where they can be told.
	told map[*pg.Node]string
	// results are the types of the query's.
	results []string
	// origins are the columns that they show, as far as is known.
	origins []Origin
	// resolving: with a binding the tree isn't turned into DuckDB's, but each name into one that says what it means.
	resolving bool
	// kept: what it gives is kept, so that it may be of no moment. floats are the results of it that are floats.
	kept   bool
	floats []bool
	// grown is how much the expressions around the one at hand multiply their input.
	grown int64
	work
}

// maxDepth of expressions: what is added to a tree must still fit a stack, and DuckDB allows 1000.
const maxDepth = 500

// binding reports whether the tree is being turned into DuckDB's.
func (b *binder) binds() bool { return b.binding != nil && !b.resolving }

// knows reports whether it is known what names mean.
func (b *binder) knows() bool { return b.binding != nil }

// checkEvery is how many expressions are gone through between two calls of a binding's Check.
const checkEvery = 1 << 10

func (b *binder) enter() error {
	b.depth++
	if b.depth > maxDepth {
		return errTooDeep()
	}
	b.entered++
	if b.entered%checkEvery == 0 && b.knows() && b.binding.Check != nil {
		return b.binding.Check()
	}
	return nil
}

func (b *binder) leave() { b.depth-- }

// columns of a query's result, or of a relation.
type columns struct {
	names []string
	types []string // "" or missing where they can't be told
	// origins are those of a plain SELECT's results, as many as there are names, while it is bound.
	origins []Origin
	known   bool
}

// query handles a query in the sight of an outer one; nil is none.
func (b *binder) query(q *pg.SelectStmt, outer *scope) (columns, error) {
	defer b.leave()
	if err := b.enter(); err != nil {
		return columns{}, err
	}
	if err := b.checkQuery(q); err != nil {
		return columns{}, err
	}
	sc := &scope{parent: outer, known: true, ctes: outer.env()}
	if err := b.with(q.GetWithClause(), sc); err != nil {
		return columns{}, err
	}
	switch {
	case q.GetOp() > pg.SetOperation_SETOP_NONE:
		return b.setOperation(q, sc)
	case len(q.GetValuesLists()) > 0:
		return b.values(q, sc)
	default:
		return b.plainSelect(q, sc)
	}
}

// checkQuery refuses the clauses of a query that aren't acted on.
func (b *binder) checkQuery(q *pg.SelectStmt) error {
	if err := queryLists(q); err != nil {
		return err
	}
	switch {
	case q.GetIntoClause() != nil:
		return b.src.at(refuse("SELECT INTO"), q.GetIntoClause().GetRel().GetLocation())
	case len(q.GetLockingClause()) > 0:
		return refuse("FOR UPDATE or FOR SHARE")
	case q.GetLimitOption() == pg.LimitOption_LIMIT_OPTION_WITH_TIES:
		return refuse("WITH TIES")
	case q.GetGroupDistinct():
		return refuse("GROUP BY DISTINCT")
	}
	return nil
}

// setOperation handles UNION, INTERSECT and EXCEPT. Their ORDER BY sees the names of the
// result only.
func (b *binder) setOperation(q *pg.SelectStmt, sc *scope) (columns, error) {
	for _, side := range []*pg.SelectStmt{q.GetLarg(), q.GetRarg()} {
		b.branches[side] = true
	}
	left, err := b.query(q.GetLarg(), sc)
	if err != nil {
		return columns{}, err
	}
	if c := b.recursive[q]; c != nil && !c.columns.known {
		c.columns = c.renamed(left)
	}
	right, err := b.query(q.GetRarg(), sc)
	if err != nil {
		return columns{}, err
	}
	left.types, left.origins = commonTypes(left.types, right.types), nil
	return left, b.tail(q, sc.results(left))
}

// values handles VALUES. PostgreSQL calls its columns column1 and so on; DuckDB doesn't, so
// that it becomes SELECT * FROM (VALUES ...) with those names.
func (b *binder) values(q *pg.SelectStmt, sc *scope) (columns, error) {
	width := len(q.GetValuesLists()[0].GetList().GetItems())
	for _, list := range q.GetValuesLists() {
		items := list.GetList().GetItems()
		if len(items) != width {
			return columns{}, errorf(CodeSyntax, "VALUES lists must all be the same length")
		}
		if err := b.exprs(items, sc); err != nil {
			return columns{}, err
		}
	}
	cols := columns{known: true}
	for i := range width {
		cols.names = append(cols.names, "column"+itoa(int32(i+1)))
		cols.types = append(cols.types, b.valuesType(columnOf(q.GetValuesLists(), i)))
	}
	if err := b.tail(q, sc.results(cols)); err != nil {
		return columns{}, err
	}
	if b.binds() {
		lists := &pg.SelectStmt{ValuesLists: q.GetValuesLists(), LimitOption: q.GetLimitOption(), Op: q.GetOp()}
		q.ValuesLists = nil
		q.TargetList = []*pg.Node{target(starRef(), "")}
		q.FromClause = []*pg.Node{subselect(selectNode(lists), "values", cols.names)}
	}
	return cols, nil
}

func (b *binder) plainSelect(q *pg.SelectStmt, sc *scope) (columns, error) {
	if err := b.fromClause(q, sc); err != nil {
		return columns{}, err
	}
	cols, err := b.targets(q, sc)
	if err != nil {
		return columns{}, err
	}
	b.noteBounds(q.GetWhereClause(), sc)
	for _, part := range []*pg.Node{q.GetWhereClause(), q.GetHavingClause()} {
		if err := b.expr(part, sc); err != nil {
			return columns{}, err
		}
	}
	if err := b.groupClause(q.GetGroupClause(), sc); err != nil {
		return columns{}, err
	}
	for _, w := range q.GetWindowClause() {
		if err := b.window(w.GetWindowDef(), sc); err != nil {
			return columns{}, err
		}
	}
	return cols, b.tail(q, sc)
}

// targets handles DISTINCT and the list of results, and gives each the name that PostgreSQL
// gives it.
func (b *binder) targets(q *pg.SelectStmt, sc *scope) (columns, error) {
	if err := b.expandStars(q, sc); err != nil {
		return columns{}, err
	}
	cols, names := b.outputColumns(q.GetTargetList(), sc)
	sc.outputs = cols.names
	at := 0 // in cols
	for i, node := range q.GetTargetList() {
		t := node.GetResTarget()
		if t == nil || len(t.GetIndirection()) > 0 {
			return columns{}, refuse("this item of a SELECT list")
		}
		if isStar(t.GetVal()) {
			origins, err := b.starOrigins(t.GetVal(), sc)
			if err != nil {
				return columns{}, err
			}
			cols.origins = append(cols.origins, origins...)
			shown, _ := sc.starColumns(t.GetVal().GetColumnRef())
			at += len(shown.names)
			continue
		}
		if err := b.expr(t.GetVal(), sc.inTargets()); err != nil {
			return columns{}, err
		}
		cols.types[at] = b.told[t.GetVal()]
		cols.origins = append(cols.origins, sc.origin(t.GetVal()))
		at++
		if b.binds() && t.GetVal().GetAConst().GetIsnull() && !b.branches[q] {
			t.Val = castTo(nullConst(), "text") // DuckDB's would be an integer
		}
		if b.binds() && t.GetName() == "" && t.GetVal().GetColumnRef() == nil {
			t.Name = names[i]
		}
	}
	for _, d := range q.GetDistinctClause() {
		if d.GetNode() == nil { // plain DISTINCT
			continue
		}
		if err := b.sortKey(d, sc); err != nil {
			return columns{}, err
		}
	}
	return cols, nil
}

// groupClause prefers columns of FROM to results of the same name.
func (b *binder) groupClause(group []*pg.Node, sc *scope) error {
	for _, g := range group {
		if set := g.GetGroupingSet(); set != nil {
			if err := b.groupClause(set.GetContent(), sc); err != nil {
				return err
			}
			continue
		}
		if name, ok := bareName(g); ok && slices.Contains(sc.outputs, name) && !sc.has(name) {
			continue
		}
		if err := b.expr(g, sc); err != nil {
			return err
		}
	}
	return nil
}

// tail handles ORDER BY and LIMIT.
func (b *binder) tail(q *pg.SelectStmt, sc *scope) error {
	for _, node := range q.GetSortClause() {
		if err := b.sortKey(node.GetSortBy().GetNode(), sc); err != nil {
			return err
		}
		if err := b.sortOrder(node.GetSortBy()); err != nil {
			return err
		}
	}
	limits := &scope{parent: sc.parent, ctes: sc.ctes, known: sc.known, clause: "LIMIT"}
	for _, node := range []*pg.Node{q.GetLimitOffset(), q.GetLimitCount()} {
		if err := b.expr(node, limits); err != nil {
			return err
		}
	}
	return nil
}

// sortKey prefers results to columns of FROM, but only where a name stands alone.
func (b *binder) sortKey(n *pg.Node, sc *scope) error {
	if name, ok := bareName(n); ok && slices.Contains(sc.outputs, name) {
		return nil
	}
	if _, ok := n.GetAConst().GetVal().(*pg.A_Const_Ival); ok { // the number of a result
		return nil
	}
	if sc.resultsOnly {
		return errorf(CodeNotSupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause").
			hinted("Add the expression to every SELECT, or order a query around them: its results have names only here.")
	}
	return b.expr(n, sc)
}

// sortOrder says where NULLs go: for PostgreSQL they are the largest values, for DuckDB
// always the last.
func (b *binder) sortOrder(s *pg.SortBy) error {
	if len(s.GetUseOp()) > 0 {
		return b.src.at(refuse("ORDER BY ... USING"), s.GetLocation())
	}
	if b.binds() && s.GetSortbyNulls() <= pg.SortByNulls_SORTBY_NULLS_DEFAULT {
		s.SortbyNulls = pg.SortByNulls_SORTBY_NULLS_LAST
		if s.GetSortbyDir() == pg.SortByDir_SORTBY_DESC {
			s.SortbyNulls = pg.SortByNulls_SORTBY_NULLS_FIRST
		}
	}
	return nil
}
