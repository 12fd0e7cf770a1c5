package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Kept is what is kept of a query over a table so that it needn't be asked again as the table grows.
type Kept uint8

// The kinds of what is kept.
const (
	KeptRows   Kept = iota + 1 // what the query makes of each row
	KeptGroups                 // a row for each group
	KeptSingle                 // the one row of aggregates without GROUP BY
)

// String names the kind.
func (k Kept) String() string {
	switch k {
	case KeptRows:
		return "rows"
	case KeptGroups:
		return "groups"
	case KeptSingle:
		return "single"
	}
	return "nothing"
}

// Incremental is a query over one table, taken apart. For any rows R of the table, cut into batches in any way, the query over R gives
// the same as
//
//	Final over Shown of (Merge over Groups of (Partial over each batch, all together))
//
// but for the order of rows and the last digits of floats. Of rows there is nothing to merge. Merge may be run over its own results, and over some
// groups only. An empty table needs no batch.
//
// All three queries are of PostgreSQL's grammar, and are printed as every other: an expression means the same here as it does where the
// query runs over the whole table, in a session with the same settings. What DuckDB alone can tell, the types of what is kept, is
// handed to the methods. Which columns are kept depends on nothing but the query's text, so that a state of it can be taken up again.
type Incremental struct {
	Kind Kept
	// Partial, over rows of the table, gives what is kept of them, under names of its own: first the keys of groups, then
	// what aggregates are made of.
	Partial *Select
	// Final, over Shown, gives the results of the query under their names.
	Final *Select
	// Keys is how many of Partial's first columns say which group a row is of.
	Keys int

	keys   []string // names of the keys, or of all columns of rows
	parts  []keptPart
	values []shownValue
}

// keptPart is a column of Partial that aggregates rows.
type keptPart struct {
	call *pg.Node
	// merge is the aggregate that makes one of several.
	merge string
	// counts: over nothing it is 0, where the others are NULL.
	counts bool
}

// shownValue is the value of an aggregate of the query: a part as it is, or the first by the second.
type shownValue struct {
	part, by int // by is -1 of what is a part
}

// relationKept is what Merge and Final call what they read.
const relationKept = "kept"

func keyName(i int) string   { return "k" + itoa(int32(i)) }
func partName(i int) string  { return "a" + itoa(int32(i)) }
func valueName(i int) string { return "v" + itoa(int32(i)) }

// Incremental takes the query apart. It should be one that Resolve has written: else a name of GROUP BY may be taken for that of a
// result, and of one with * only the kind is told.
//
// What can't be taken apart is refused by its name (0A000): all but projection, WHERE, GROUP BY, HAVING, count, sum, avg, min, max, bool_and, bool_or and
// every (with FILTER or without), and functions whose results depend on nothing but their arguments.
func (q *Select) Incremental() (*Incremental, error) {
	if err := q.checkIncremental(); err != nil {
		return nil, err
	}
	stmt := q.tree.GetSelectStmt()
	p := &dissection{src: q.src, stmt: stmt, inc: &Incremental{Kind: KeptRows}, known: map[string]*pg.Node{}, sizes: map[*pg.Node]int{}, parts: map[string]int{}}
	switch {
	case len(stmt.GetGroupClause()) > 0:
		p.inc.Kind = KeptGroups
	case stmt.GetHavingClause() != nil, slices.ContainsFunc(stmt.GetTargetList(), hasAggregate):
		p.inc.Kind = KeptSingle
	}
	if slices.ContainsFunc(stmt.GetTargetList(), func(n *pg.Node) bool { return isStar(n.GetResTarget().GetVal()) }) {
		return p.inc, nil
	}
	var err error
	if p.inc.Kind == KeptRows {
		err = p.rows()
	} else {
		err = p.groups()
	}
	if err != nil {
		return nil, err
	}
	return p.inc, nil
}

// dissection takes a query apart.
type dissection struct {
	src  source
	stmt *pg.SelectStmt // of the query, which stays
	inc  *Incremental
	// known are the columns of Shown, by the expression that they stand for.
	known map[string]*pg.Node
	// sizes are how many nodes expressions have; sought are those of known.
	sizes  map[*pg.Node]int
	sought []int
	parts  map[string]int // of the query's parts, by their text
}

// newQuery makes one of the three queries.
func (p *dissection) newQuery(stmt *pg.SelectStmt) (*Select, error) {
	src := p.src
	src.travels = nil
	q, err := newSelect(src, selectNode(stmt))
	if err != nil {
		return nil, err
	}
	q.kept = true
	return q, nil
}

// partial is Partial with these results.
func (p *dissection) partial(targets []*pg.Node) error {
	stmt := cloneNode(selectNode(p.stmt)).GetSelectStmt()
	stmt.TargetList, stmt.HavingClause = targets, nil
	if len(stmt.GetGroupClause()) > 0 {
		stmt.GroupClause = positions(p.inc.Keys)
	}
	var err error
	p.inc.Partial, err = p.newQuery(stmt)
	return err
}

// final is Final with these results.
func (p *dissection) final(targets []*pg.Node, where *pg.Node) error {
	stmt := overKept(targets)
	stmt.WhereClause = where
	var err error
	p.inc.Final, err = p.newQuery(stmt)
	return err
}

// overKept is a query over what is kept.
func overKept(targets []*pg.Node) *pg.SelectStmt {
	stmt := queryOf(targets...)
	stmt.FromClause = []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: &pg.RangeVar{Relname: relationKept, Inh: true, Relpersistence: "p"}}}}
	return stmt
}

// positions are the numbers of the first results.
func positions(n int) []*pg.Node {
	out := make([]*pg.Node, n)
	for i := range out {
		out[i] = intConst(int32(i + 1))
	}
	return out
}

// resultName is what a result of the query is called.
func resultName(t *pg.ResTarget) string {
	if t.GetName() != "" {
		return t.GetName()
	}
	if name, _ := outputName(t.GetVal()); name != "" {
		return name
	}
	return noName
}

// rows takes a query apart that makes a row of each row: all is done to begin with.
func (p *dissection) rows() error {
	kept := make([]*pg.Node, len(p.stmt.GetTargetList()))
	shown := make([]*pg.Node, len(kept))
	for i, node := range p.stmt.GetTargetList() {
		t := node.GetResTarget()
		p.inc.keys = append(p.inc.keys, "c"+itoa(int32(i)))
		kept[i] = target(cloneNode(t.GetVal()), p.inc.keys[i])
		shown[i] = target(columnRef(relationKept, p.inc.keys[i]), resultName(t))
	}
	if err := p.partial(kept); err != nil {
		return err
	}
	return p.final(shown, nil)
}

// groups takes a query apart that aggregates.
func (p *dissection) groups() error {
	targets, err := p.groupKeys()
	if err != nil {
		return err
	}
	shown := make([]*pg.Node, len(p.stmt.GetTargetList()))
	for i, node := range p.stmt.GetTargetList() {
		value := cloneNode(node.GetResTarget().GetVal())
		if err := p.shown(value); err != nil {
			return err
		}
		shown[i] = target(value, resultName(node.GetResTarget()))
	}
	having := cloneNode(p.stmt.GetHavingClause())
	if err := p.shown(having); err != nil {
		return err
	}
	if p.inc.Keys == 0 && len(p.inc.parts) == 0 { // a row has to be of something
		p.part(&pg.Node{Node: &pg.Node_FuncCall{FuncCall: rowCount()}}, "count")
	}
	for i, part := range p.inc.parts {
		targets = append(targets, target(part.call, partName(i)))
	}
	if err := p.partial(targets); err != nil {
		return err
	}
	return p.final(shown, having)
}

// rowCount is count(*).
func rowCount() *pg.FuncCall {
	c := funcCall("count")
	c.AggStar = true
	return c
}
