package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// fromClause handles FROM. Later things see earlier ones if they are LATERAL.
func (b *binder) fromClause(q *pg.SelectStmt, sc *scope) error {
	for _, node := range q.GetFromClause() {
		visible, err := b.fromItem(node, sc)
		if err != nil {
			return err
		}
		sc.visible = append(sc.visible, visible...)
	}
	return nil
}

// fromItem handles one thing of FROM, adds what it names to the scope, and returns the columns
// that it shows.
func (b *binder) fromItem(node *pg.Node, sc *scope) ([]column, error) {
	defer b.leave()
	if err := b.enter(); err != nil {
		return nil, err
	}
	if err := fromLists(node); err != nil {
		return nil, err
	}
	switch n := node.GetNode().(type) {
	case *pg.Node_RangeVar:
		return b.rangeVar(node, n.RangeVar, sc)
	case *pg.Node_RangeSubselect:
		return b.rangeSubselect(n.RangeSubselect, sc)
	case *pg.Node_RangeFunction:
		return b.rangeFunction(node, n.RangeFunction, sc)
	case *pg.Node_JoinExpr:
		return b.join(n.JoinExpr, sc)
	case *pg.Node_RangeTableSample:
		return nil, b.src.at(refuse("TABLESAMPLE"), n.RangeTableSample.GetLocation())
	case *pg.Node_RangeTableFunc:
		return nil, b.src.at(refuse("XMLTABLE"), n.RangeTableFunc.GetLocation())
	case *pg.Node_JsonTable:
		return nil, b.src.at(refuse("JSON_TABLE"), n.JsonTable.GetLocation())
	default:
		return nil, refuse("this item of FROM")
	}
}

// add puts an item into the scope. Each name may be there once.
func (b *binder) add(it *item, sc *scope, location int32) ([]column, error) {
	if it.alias != "" && sc.item(it.alias) != nil {
		return nil, b.src.at(errorf(CodeDuplicateAlias, "table name %q specified more than once", it.alias), location).
			hinted("Give the second one another name with AS.")
	}
	sc.items = append(sc.items, it)
	sc.known = sc.known && it.known
	visible := make([]column, len(it.names))
	for i, name := range it.names {
		visible[i] = column{name: name, ref: columnRef(it.alias, name), told: typeAt(it.types, i)}
	}
	return visible, nil
}

// rangeVar handles a name in FROM: that of a WITH query in sight, or of a relation.
func (b *binder) rangeVar(node *pg.Node, r *pg.RangeVar, sc *scope) ([]column, error) {
	name, aliases := r.GetRelname(), strsOf(r.GetAlias().GetColnames())
	it := &item{alias: name, relation: -1, renamed: len(aliases) > 0}
	if r.GetAlias() != nil {
		it.alias = r.GetAlias().GetAliasname()
	}
	var cols columns
	if c := sc.ctes.find(name); c != nil && r.GetSchemaname() == "" {
		cols = c.columns
		if b.binds() {
			r.Relname = c.generated
		}
	} else {
		var err error
		cols, err = b.relation(node, r, it)
		if err != nil {
			return nil, err
		}
	}
	if cols.known && len(aliases) > len(cols.names) {
		return nil, b.src.at(errorf(CodeInvalidReference, "table %q has %d columns available but %d columns specified",
			it.alias, len(cols.names), len(aliases)), r.GetLocation())
	}
	cols = renameColumns(cols, aliases)
	it.names, it.types, it.known = cols.names, cols.types, cols.known
	if view := node.GetRangeSubselect(); view != nil {
		view.Alias.Colnames = strNodes(cols.names...)
	} else if b.binds() {
		r.Inh = true // ONLY: nothing inherits
		r.Alias = &pg.Alias{Aliasname: it.alias, Colnames: strNodes(aliases...)}
	}
	return b.add(it, sc, r.GetLocation())
}

// relation notes a relation while a query is made; with a binding it puts the target in
// its place.
func (b *binder) relation(node *pg.Node, r *pg.RangeVar, it *item) (columns, error) {
	rel := Relation{Name: b.src.name(r), Index: len(b.relations), Alias: it.alias, location: r.GetLocation()}
	it.relation = rel.Index
	if r.GetAlias() == nil {
		it.schema, it.database = r.GetSchemaname(), r.GetCatalogname()
	}
	b.relations = append(b.relations, rel)
	if !b.knows() {
		return columns{}, nil
	}
	t, err := b.binding.target(rel, b.src, r.GetLocation())
	if err != nil {
		return columns{}, err
	}
	if r.GetAlias() == nil && it.schema == "" {
		it.schema = t.Schema
	}
	it.hidden = t.Hidden
	shown := min(len(t.Columns), len(t.Types))
	it.hiddenTypes = t.Types[shown:]
	if b.resolving {
		if t.Name != "" && t.Name != r.GetRelname() { // it has another name now, and what names it here hasn't
			if r.GetAlias() == nil {
				r.Alias = &pg.Alias{Aliasname: it.alias}
			}
			r.Relname = t.Name
		}
		r.Catalogname, r.Schemaname = "", t.Schema
		return columns{names: t.Columns, types: t.Types[:shown], known: t.Columns != nil}, nil
	}
	if t.View != nil {
		return b.view(node, r, t.View, t.Columns, it)
	}
	b.sources = append(b.sources, t.SQL)
	r.Catalogname, r.Schemaname, r.Relname = "", "", b.placeholder(len(b.sources)-1)
	return columns{names: t.Columns, types: t.Types[:shown], known: true}, nil
}

// target asks the binding for what stands for a relation.
func (bi *Binding) target(rel Relation, src source, location int32) (Target, error) {
	if bi.Relation == nil {
		return Target{}, src.at(errorf(CodeUndefinedTable, "relation %q does not exist", rel.String()), location)
	}
	t, err := bi.Relation(rel)
	if e, ok := err.(*Error); ok { //nolint:errorlint // A wrapped error is the caller's own, and stays as it is.
		return t, src.at(e, location)
	}
	return t, err
}

func (b *binder) rangeSubselect(r *pg.RangeSubselect, sc *scope) ([]column, error) {
	q := r.GetSubquery().GetSelectStmt()
	if q == nil {
		return nil, refuse("a statement that changes data in FROM")
	}
	outer := &scope{parent: sc.parent, ctes: sc.ctes, known: true}
	if r.GetLateral() {
		outer = sc.sibling()
	}
	cols, err := b.query(q, outer)
	if err != nil {
		return nil, err
	}
	aliases := strsOf(r.GetAlias().GetColnames())
	if cols.known && len(aliases) > len(cols.names) {
		return nil, errorf(CodeInvalidReference, "table %q has %d columns available but %d columns specified",
			r.GetAlias().GetAliasname(), len(cols.names), len(aliases))
	}
	cols = renameColumns(cols, aliases)
	it := &item{alias: r.GetAlias().GetAliasname(), names: cols.names, types: cols.types, known: cols.known, relation: -1}
	if it.alias == "" { // PostgreSQL 16 allows none
		it.alias = "bs_unnamed_" + itoa(int32(b.ctes))
		b.ctes++
	}
	if b.binds() {
		r.Alias = &pg.Alias{Aliasname: it.alias, Colnames: strNodes(aliases...)}
	}
	return b.add(it, sc, -1)
}

// sibling is a scope that sees what FROM has so far.
func (sc *scope) sibling() *scope {
	inner := *sc
	inner.outputs = nil
	return &inner
}

func (b *binder) join(j *pg.JoinExpr, sc *scope) ([]column, error) {
	if j.GetAlias() != nil {
		return nil, refuse("an alias of a join")
	}
	if j.GetJoinUsingAlias() != nil {
		return nil, refuse("an alias of USING")
	}
	before := len(sc.items)
	left, err := b.fromItem(j.GetLarg(), sc)
	if err != nil {
		return nil, err
	}
	middle := len(sc.items)
	right, err := b.joinRight(j, sc, left)
	if err != nil {
		return nil, err
	}
	sides := [2][]*item{sc.items[before:middle], sc.items[middle:]}
	if j.GetIsNatural() {
		b.natural(j, left, right, sides)
	}
	using := strsOf(j.GetUsingClause())
	if len(using) == 0 {
		on := &scope{
			parent: sc.parent, ctes: sc.ctes, items: sc.items[before:], known: sc.known,
			visible: append(append([]column(nil), left...), right...),
		}
		return on.visible, b.expr(j.GetQuals(), on)
	}
	for _, name := range using {
		b.noteMeta([]string{name}, &scope{items: sc.items[before:]})
		if err := b.checkUsing(name, left, right, sides); err != nil {
			return nil, err
		}
	}
	return mergeUsing(j.GetJointype(), using, left, right), nil
}

// joinRight handles the right side of a join, which sees the left one if it is LATERAL.
func (b *binder) joinRight(j *pg.JoinExpr, sc *scope, left []column) ([]column, error) {
	sees := *sc
	sees.visible = append(append([]column(nil), sc.visible...), left...)
	right, err := b.fromItem(j.GetRarg(), &sees)
	sc.items, sc.known = sees.items, sees.known
	return right, err
}

// checkUsing wants a column of USING on both sides, once on each.
func (b *binder) checkUsing(name string, left, right []column, sides [2][]*item) error {
	for i, side := range [2][]column{left, right} {
		from := &scope{visible: side, items: sides[i]}
		_, count := from.find(name)
		known := true
		for _, it := range sides[i] {
			known = known && it.known
		}
		where := [2]string{"left", "right"}[i]
		switch {
		case count == 0 && known:
			return errorf(CodeUndefinedColumn, "column %q specified in USING clause does not exist in %s table", name, where)
		case count > 1:
			return errorf("42702", "common column name %q appears more than once in %s table", name, where)
		}
	}
	return nil
}

// natural turns a NATURAL join into USING of the columns that both sides show: hidden ones
// don't count. Without any, it joins all with all.
func (b *binder) natural(j *pg.JoinExpr, left, right []column, sides [2][]*item) {
	for _, side := range sides {
		for _, it := range side {
			if !it.known {
				return
			}
		}
	}
	if !b.knows() {
		return
	}
	j.IsNatural = false
	for _, l := range left {
		for _, r := range right {
			if l.name == r.name {
				j.UsingClause = append(j.UsingClause, strNode(l.name))
			}
		}
	}
	if len(j.GetUsingClause()) == 0 {
		j.Quals = boolConst(true)
	}
}

// mergeUsing is what a join with USING shows: its columns, then the rest of both sides.
func mergeUsing(kind pg.JoinType, using []string, left, right []column) []column {
	ref := func(side []column, name string) *pg.Node {
		for _, c := range side {
			if c.name == name {
				return cloneNode(c.ref)
			}
		}
		return columnRef(name)
	}
	var merged []column
	for _, name := range using {
		c := column{name: name, told: toldOf(left, name)}
		switch kind {
		case pg.JoinType_JOIN_RIGHT:
			c.ref = ref(right, name)
		case pg.JoinType_JOIN_FULL:
			c.ref = &pg.Node{Node: &pg.Node_CoalesceExpr{CoalesceExpr: &pg.CoalesceExpr{
				Args: []*pg.Node{ref(left, name), ref(right, name)},
			}}}
		default:
			c.ref = ref(left, name)
		}
		merged = append(merged, c)
	}
	for _, side := range [2][]column{left, right} {
		for _, c := range side {
			if !slices.Contains(using, c.name) {
				merged = append(merged, c)
			}
		}
	}
	return merged
}
