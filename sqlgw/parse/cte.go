package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// cte is a WITH query in sight. It gets a name made here, so that no name of the
// user's is one that DuckDB could take for a file or a table.
type cte struct {
	name, generated string
	aliases         []string // names given to its first columns
	columns         columns
}

// renamed gives the first of some columns the names of the alias list.
func (c *cte) renamed(cols columns) columns { return renameColumns(cols, c.aliases) }

func renameColumns(cols columns, aliases []string) columns {
	names := slices.Clone(cols.names)
	for i, a := range aliases {
		if i < len(names) {
			names[i] = a
		} else if !cols.known {
			names = append(names, a)
		}
	}
	return columns{names: names, types: cols.types, known: cols.known}
}

// cteEnv is a list of the WITH queries in sight, the innermost and latest first.
type cteEnv struct {
	*cte
	outer *cteEnv
}

func (e *cteEnv) find(name string) *cte {
	for ; e != nil; e = e.outer {
		if e.name == name {
			return e.cte
		}
	}
	return nil
}

// with handles WITH: each query sees those before it, with RECURSIVE all of them and itself.
func (b *binder) with(w *pg.WithClause, sc *scope) error {
	if w == nil {
		return nil
	}
	for _, node := range w.GetCtes() {
		if err := checkLists(list{node.GetCommonTableExpr().GetAliascolnames(), isName}); err != nil {
			return err
		}
	}
	all := make([]*cte, len(w.GetCtes()))
	for i, node := range w.GetCtes() {
		c := node.GetCommonTableExpr()
		if slices.ContainsFunc(all[:i], func(before *cte) bool { return before.name == c.GetCtename() }) {
			return b.src.at(errorf(CodeDuplicateAlias, "WITH query name %q specified more than once", c.GetCtename()), c.GetLocation())
		}
		all[i] = b.newCTE(c)
		if w.GetRecursive() {
			sc.ctes = &cteEnv{cte: all[i], outer: sc.ctes}
		}
	}
	for i, node := range w.GetCtes() {
		if err := b.withQuery(node.GetCommonTableExpr(), all[i], sc); err != nil {
			return err
		}
		if !w.GetRecursive() {
			sc.ctes = &cteEnv{cte: all[i], outer: sc.ctes}
		}
	}
	return nil
}

func (b *binder) newCTE(c *pg.CommonTableExpr) *cte {
	made := &cte{name: c.GetCtename(), generated: "bs_with_" + itoa(int32(b.ctes)), aliases: strsOf(c.GetAliascolnames())}
	b.ctes++
	return made
}

func (b *binder) withQuery(c *pg.CommonTableExpr, made *cte, sc *scope) error {
	q := c.GetCtequery().GetSelectStmt()
	switch {
	case q == nil:
		return b.src.at(refuse("a statement that changes data in WITH"), c.GetLocation())
	case c.GetSearchClause() != nil:
		return b.src.at(refuse("SEARCH"), c.GetSearchClause().GetLocation())
	case c.GetCycleClause() != nil:
		return b.src.at(refuse("CYCLE"), c.GetCycleClause().GetLocation())
	}
	if b.recursive == nil {
		b.recursive = map[*pg.SelectStmt]*cte{}
	}
	b.recursive[q] = made
	// The columns of FROM around the WITH are in sight, those beside it aren't.
	cols, err := b.query(q, &scope{parent: sc.parent, ctes: sc.ctes, known: true})
	if err != nil {
		return err
	}
	made.columns = made.renamed(cols)
	if cols.known && len(made.aliases) > len(cols.names) {
		return b.src.at(errorf(CodeInvalidReference, "WITH query %q has %d columns available but %d columns specified",
			made.name, len(cols.names), len(made.aliases)), c.GetLocation())
	}
	if b.binds() {
		c.Ctename = made.generated
		c.Aliascolnames = nil
		if made.columns.known {
			c.Aliascolnames = strNodes(made.columns.names...)
		}
	}
	return nil
}

// Rereads tells whether the engine may read what stands once in the query more than once: what is in a WITH RECURSIVE query with each round,
// and in one that is NOT MATERIALIZED wherever that is named.
func (q *Select) Rereads() bool { return rereads(q.tree.ProtoReflect()) }

func rereads(m protoreflect.Message) bool {
	switch w := m.Interface().(type) {
	case *pg.WithClause:
		if w.GetRecursive() {
			return true
		}
	case *pg.CommonTableExpr:
		if w.GetCtematerialized() == pg.CTEMaterialize_CTEMaterializeNever {
			return true
		}
	}
	found := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				found = found || rereads(v.List().Get(i).Message())
			}
		default:
			found = rereads(v.Message())
		}
		return !found
	})
	return found
}
