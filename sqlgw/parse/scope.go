package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// item is one thing of a FROM clause that has a name.
type item struct {
	alias            string
	schema, database string // of a table without an alias, which its columns may be qualified with
	names            []string
	known            bool     // whether names is complete
	hidden           []string // columns of the source that * doesn't show
	types            []string // of names, where they can be told
	hiddenTypes      []string // of hidden
	relation         int      // index in binder.relations, -1 for other things
	renamed          bool     // its columns have other names here
}

func (it *item) has(name string) bool {
	return slices.Contains(it.names, name) || slices.Contains(it.hidden, name)
}

// column that can be named without a qualifier. Ref is how it is named with one: for what USING
// merged that of one side, or of both.
type column struct {
	name string
	ref  *pg.Node
	told string // the type, where it can be told
}

// scope is what the names of a SELECT may mean: first the things of its FROM, then those of the
// queries around it.
type scope struct {
	parent  *scope
	ctes    *cteEnv
	items   []*item
	visible []column // columns of all items, as * shows them
	known   bool     // whether visible is complete
	outputs []string // names of the results
	// resultsOnly: ORDER BY of a set operation, which sees the results' names only.
	resultsOnly bool
	// clause is where no column may be named, as in LIMIT; "" elsewhere.
	clause string
	// list: the item of a SELECT list itself, where functions may return sets.
	list bool
}

// env are the WITH queries in sight.
func (sc *scope) env() *cteEnv {
	if sc == nil {
		return nil
	}
	return sc.ctes
}

// results is the scope of ORDER BY where only the results of a query have names.
func (sc *scope) results(cols columns) *scope {
	return &scope{parent: sc, ctes: sc.ctes, outputs: cols.names, resultsOnly: true, known: cols.known}
}

// inTargets is the scope of an item of the SELECT list.
func (sc *scope) inTargets() *scope {
	inner := *sc
	inner.list = true
	return &inner
}

// inside is the scope of the operands of an expression.
func (sc *scope) inside() *scope {
	if !sc.list {
		return sc
	}
	inner := *sc
	inner.list = false
	return &inner
}

// has tells whether a column of FROM has a name.
func (sc *scope) has(name string) bool {
	return slices.ContainsFunc(sc.visible, func(c column) bool { return c.name == name }) ||
		slices.ContainsFunc(sc.items, func(it *item) bool { return slices.Contains(it.hidden, name) })
}

// bareName is the name of a column reference that has one part.
func bareName(n *pg.Node) (string, bool) {
	fields := n.GetColumnRef().GetFields()
	if len(fields) != 1 || fields[0].GetString_() == nil {
		return "", false
	}
	return fields[0].GetString_().GetSval(), true
}

// isStar tells whether a node is * or t.*.
func isStar(n *pg.Node) bool {
	fields := n.GetColumnRef().GetFields()
	return len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil
}

// column resolves a reference to a column, or to a whole row.
func (b *binder) column(n *pg.Node, sc *scope) error {
	ref := n.GetColumnRef()
	if isStar(n) {
		return b.src.at(refuse("* outside of the list of a SELECT"), ref.GetLocation())
	}
	names := strsOf(ref.GetFields())
	if sc.clause != "" {
		return b.src.at(errorf(CodeInvalidReference, "argument of %s must not contain variables", sc.clause), ref.GetLocation())
	}
	b.noteMeta(names, sc)
	if !b.knows() {
		return nil
	}
	var err error
	if len(names) == 1 {
		err = b.unqualified(n, names[0], sc)
	} else {
		err = b.qualified(n, names, sc)
	}
	return err
}

// noteMeta records which relations a metadata column may be taken from: with a qualifier
// from those of that name, without from all in sight.
func (b *binder) noteMeta(names []string, sc *scope) {
	name := names[len(names)-1]
	if b.binds() || !isMeta(name) {
		return
	}
	for ; sc != nil; sc = sc.parent {
		for _, it := range sc.items {
			if it.relation < 0 || len(names) > 1 && it.alias != names[len(names)-2] {
				continue
			}
			r := &b.relations[it.relation]
			if !slices.Contains(r.Meta, name) {
				r.Meta = append(r.Meta, name)
				slices.SortFunc(r.Meta, func(x, y string) int {
					return slices.Index(metaColumns(), x) - slices.Index(metaColumns(), y)
				})
			}
		}
	}
}

// unqualified resolves a name alone. It gets its qualifier, so that DuckDB can't take it for a
// result of the same name, and the query of a template not for a column of its own.
func (b *binder) unqualified(n *pg.Node, name string, sc *scope) error {
	location := n.GetColumnRef().GetLocation()
	complete := true
	for at := sc; at != nil; at = at.parent {
		found, count := at.find(name)
		switch {
		case count > 1:
			return b.src.at(errorf("42702", "column reference %q is ambiguous", name), location)
		case count == 1:
			if !b.resolving || found.ref.GetColumnRef() != nil { // what FULL JOIN merges has no name but its own
				n.Node = cloneNode(found.ref).GetNode()
			}
			b.told[n] = found.told
			return nil
		}
		if it := at.item(name); it != nil {
			return b.wholeRow(n, it)
		}
		complete = complete && at.known
	}
	if !complete {
		return nil
	}
	return b.src.at(errorf(CodeUndefinedColumn, "column %q does not exist", name), location)
}

// find returns the column of a name, and how many there are.
func (sc *scope) find(name string) (column, int) {
	var found column
	count := 0
	for _, c := range sc.visible {
		if c.name == name {
			found = c
			count++
		}
	}
	if count > 0 {
		return found, count
	}
	for _, it := range sc.items {
		if slices.Contains(it.hidden, name) {
			found = column{name: name, ref: columnRef(it.alias, name), told: it.typeOf(name)}
			count++
		}
	}
	return found, count
}

// item returns the thing of FROM that has a name, nil if none has.
func (sc *scope) item(alias string) *item {
	for _, it := range sc.items {
		if it.alias == alias {
			return it
		}
	}
	return nil
}

// wholeRow replaces a reference to a row that has hidden columns by one without them.
func (b *binder) wholeRow(n *pg.Node, it *item) error {
	if len(it.hidden) == 0 || b.resolving {
		return nil
	}
	call := funcCall("struct_pack")
	for _, name := range it.names {
		call.Args = append(call.Args, &pg.Node{Node: &pg.Node_NamedArgExpr{NamedArgExpr: &pg.NamedArgExpr{
			Name: name, Arg: columnRef(it.alias, name), Argnumber: -1,
		}}})
	}
	n.Node = &pg.Node_FuncCall{FuncCall: call}
	return nil
}

// qualified resolves t.a, s.t.a and d.s.t.a, and leaves t.a.
func (b *binder) qualified(n *pg.Node, names []string, sc *scope) error {
	ref := n.GetColumnRef()
	if len(names) > 4 {
		return b.src.at(errorf(CodeSyntax, "improper qualified name (too many dotted names)"), ref.GetLocation())
	}
	table, name := names[len(names)-2], names[len(names)-1]
	complete := true
	for at := sc; at != nil; at = at.parent {
		for _, it := range at.items {
			if !it.is(names[:len(names)-1]) {
				continue
			}
			if it.known && !it.has(name) {
				return b.src.at(errorf(CodeUndefinedColumn, "column %s.%s does not exist", table, name), ref.GetLocation())
			}
			ref.Fields = strNodes(it.alias, name)
			b.told[n] = it.typeOf(name)
			return nil
		}
		complete = complete && at.known
	}
	return b.src.at(errorf(CodeUndefinedTable, "missing FROM-clause entry for table %q", table), ref.GetLocation())
}

// is tells whether a thing of FROM is what a qualifier of one to three parts names.
func (it *item) is(qualifier []string) bool {
	last := len(qualifier) - 1
	if it.alias != qualifier[last] || it.relation < 0 && last > 0 {
		return false
	}
	return (last < 1 || it.schema == qualifier[last-1]) && (last < 2 || it.database == qualifier[last-2])
}
