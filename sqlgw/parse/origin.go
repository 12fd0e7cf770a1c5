package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Origin is a column of a relation of a query; a Relation below 0 is none.
type Origin struct{ Relation, Column int }

// origin is that of an expression whose names are resolved. Only what FROM itself has is traced, not what comes out of a
// query in it.
func (sc *scope) origin(n *pg.Node) Origin {
	fields := n.GetColumnRef().GetFields()
	if len(fields) != 2 || isStar(n) {
		return Origin{Relation: -1}
	}
	names := strsOf(fields)
	it := sc.item(names[0])
	if it == nil || it.relation < 0 {
		return Origin{Relation: -1}
	}
	at := slices.Index(it.names, names[1])
	if at < 0 {
		return Origin{Relation: -1}
	}
	return Origin{it.relation, at}
}

// starOrigins are those of the columns that a star stands for.
func (b *binder) starOrigins(star *pg.Node, sc *scope) ([]Origin, error) {
	if !b.binds() {
		return nil, nil
	}
	shown, _, err := b.starColumns(star.GetColumnRef(), sc)
	origins := make([]Origin, len(shown))
	for i, c := range shown {
		origins[i] = sc.origin(c.ref)
	}
	return origins, err
}
