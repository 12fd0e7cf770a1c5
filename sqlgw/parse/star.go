package parse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// expandStars writes * and t.* out where they would show hidden columns, and everywhere while names are resolved. Where else
// they are left to DuckDB, which means the same by them.
func (b *binder) expandStars(q *pg.SelectStmt, sc *scope) error {
	if len(q.GetTargetList()) == 0 {
		return refuse("SELECT without a list")
	}
	if !b.knows() {
		return nil
	}
	var targets []*pg.Node
	for _, node := range q.GetTargetList() {
		t := node.GetResTarget()
		if !isStar(t.GetVal()) {
			targets = append(targets, node)
			continue
		}
		ref := t.GetVal().GetColumnRef()
		shown, hides, err := b.starColumns(ref, sc)
		if err != nil {
			return err
		}
		if !hides && b.binds() {
			targets = append(targets, node)
			continue
		}
		for _, c := range shown {
			targets = append(targets, target(cloneNode(c.ref), c.name))
		}
	}
	q.TargetList = targets
	return nil
}

// starColumns are the columns of a star, and whether there are others that it must hide.
func (b *binder) starColumns(ref *pg.ColumnRef, sc *scope) ([]column, bool, error) {
	qualifier := strsOf(ref.GetFields()[:len(ref.GetFields())-1])
	if len(qualifier) == 0 {
		if len(sc.items) == 0 {
			return nil, false, b.src.at(errorf(CodeSyntax, "SELECT * with no tables specified is not valid"), ref.GetLocation())
		}
		for _, it := range sc.items {
			if len(it.hidden) == 0 && !b.resolving {
				continue
			}
			if !sc.known {
				return nil, false, b.src.at(refuse("* of columns that aren't known"), ref.GetLocation())
			}
			return sc.visible, true, nil
		}
		return sc.visible, false, nil
	}
	for at := sc; at != nil; at = at.parent {
		for _, it := range at.items {
			if !it.is(qualifier) {
				continue
			}
			if b.resolving && !it.known {
				return nil, false, b.src.at(refuse("* of columns that aren't known"), ref.GetLocation())
			}
			ref.Fields = starRef(it.alias).GetColumnRef().GetFields()
			shown := make([]column, len(it.names))
			for i, name := range it.names {
				shown[i] = column{name: name, ref: columnRef(it.alias, name), told: typeAt(it.types, i)}
			}
			return shown, len(it.hidden) > 0, nil
		}
	}
	table := qualifier[len(qualifier)-1]
	return nil, false, b.src.at(errorf(CodeUndefinedTable, "missing FROM-clause entry for table %q", table), ref.GetLocation())
}
