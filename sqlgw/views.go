package sqlgw

import (
	"context"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// storedView is a view of the catalog in a query, with what the relations of its own query stand for.
type storedView struct {
	object  catalog.Object
	query   *parse.Select
	sources []source
	// without are rows of the table's journals that the view isn't of, by their offsets, which ascend.
	without map[string][]int64
}

// Bounds of what the views of a statement become: a chain of views each of which names the one below twice would otherwise
// grow without end.
const (
	maxViewDepth     = 50
	maxViewRelations = 500
	maxViewText      = 1 << 20 // of the views' queries
)

// expansion follows the views of one statement down to tables.
type expansion struct {
	session *session
	snap    *catalog.Snapshot
	// free: nobody's rights are asked for, as when a view is made: they are when it is read.
	free             bool
	relations, bytes int
}

// expand parses the query of a view, and finds what it reads, if its owner may, or who asks where the view says so.
func (x *expansion) expand(v *storedView, depth int) error {
	view := v.object.View
	x.relations += len(view.Reads)
	x.bytes += len(view.Query)
	switch {
	case depth > maxViewDepth:
		return hinted(sqlError("54001", "stack depth limit exceeded"), "View "+v.object.Name+" is one of more than 50 that read one another.")
	case x.relations > maxViewRelations || x.bytes > maxViewText:
		return hinted(sqlError("54000", "the views of the statement become too large a query"),
			"They may name at most 500 relations in all, and have 1 MiB of text.")
	}
	var err error
	if v.query, err = parseView(v.object); err != nil {
		return err
	}
	reader := x.session.actor(x.snap)
	if !view.SecurityInvoker {
		reader = actorOf(x.snap, view.Owner)
	}
	for _, r := range view.Reads {
		below, err := x.read(r, reader)
		if err != nil {
			return err
		}
		if below.stored != nil {
			if err := x.expand(below.stored, depth+1); err != nil {
				return err
			}
		}
		v.sources = append(v.sources, below)
	}
	return nil
}

// parseView parses the query of a view.
func parseView(o catalog.Object) (*parse.Select, error) {
	pieces, err := parse.Split(o.View.Query)
	if err == nil && len(pieces) == 1 {
		var st parse.Statement
		if st, err = parse.Parse(pieces[0]); err == nil {
			if q, ok := st.(*parse.Select); ok && len(q.Relations()) == len(o.View.Reads) {
				return q, nil
			}
		}
	}
	if err != nil {
		return nil, sqlError("XX001", "the query of view %q can't be read: %v", o.Name, err)
	}
	return nil, sqlError("XX001", "the query of view %q isn't one of the relations that it reads", o.Name)
}

// read finds a relation that a view reads.
func (x *expansion) read(r catalog.Read, reader catalog.Actor) (source, error) {
	if r.ID == 0 {
		if v := x.session.gateway.views[viewName{r.Schema, r.Name}]; v != nil {
			return source{view: v}, nil
		}
		return source{}, undefinedTable(parse.Name{Schema: r.Schema, Name: r.Name})
	}
	if t, ok := x.snap.TableRead(r); ok {
		if !x.free && !reader.May(t.Access, catalog.Select) {
			return source{}, denied("table", t.Name)
		}
		return source{table: t}, nil
	}
	o, ok := x.snap.ViewRead(r)
	if !ok {
		return source{}, undefinedTable(parse.Name{Schema: r.Schema, Name: r.Name})
	}
	if !x.free && !reader.May(o.View.Access(), catalog.Select) {
		return source{}, denied(o.KindName(), o.Name)
	}
	return source{stored: &storedView{object: o}}, nil
}

// actorOf is a role by its id; one that has gone may do nothing.
func actorOf(snap *catalog.Snapshot, id int64) catalog.Actor {
	roles := snap.Roles()
	if i := slices.IndexFunc(roles, func(r catalog.Role) bool { return r.ID == id }); i >= 0 {
		a, _ := snap.Actor(roles[i].Name)
		return a
	}
	return catalog.Actor{}
}

// usable tells whether the session may look for something in a schema.
func (s *session) usable(snap *catalog.Snapshot, schemaName string, n parse.Name) error {
	schema, ok := snap.Schema(schemaName)
	if ok && s.actor(snap).May(schema.Access, catalog.Usage) {
		return nil
	}
	if n.Schema == "" { // PostgreSQL doesn't look for it there
		return undefinedTable(n)
	}
	return sqlError("42501", "permission denied for schema %s", schemaName)
}

// permitView tells whether the session may read a view that a statement names.
func (s *session) permitView(snap *catalog.Snapshot, o catalog.Object, n parse.Name) error {
	if err := s.usable(snap, o.Schema, n); err != nil {
		return err
	}
	if !s.actor(snap).May(o.View.Access(), catalog.Select) {
		return denied(o.KindName(), o.Name)
	}
	return nil
}

// ownView tells whether the session may change a view: it is its owner.
func (s *session) ownView(snap *catalog.Snapshot, o catalog.Object) error {
	if !s.actor(snap).Owns(o.View.Access()) {
		return sqlError("42501", "must be owner of %s %s", o.KindName(), o.Name)
	}
	return nil
}

// mayDropView tells whether the session may drop a view: it is its owner, or that of its schema.
func (s *session) mayDropView(snap *catalog.Snapshot, o catalog.Object) error {
	if schema, ok := snap.Schema(o.Schema); ok && s.actor(snap).Owns(schema.Access) {
		return nil
	}
	return s.ownView(snap, o)
}

// columns of a view, in their order.
func (v *storedView) columns() []string {
	out := make([]string, len(v.object.View.Columns))
	for i, c := range v.object.View.Columns {
		out[i] = c.Name
	}
	return out
}

// target is what the engine reads for the view, given what it reads for each relation below.
func (v *storedView) target(of func(x source, meta []string) (parse.Target, error)) (parse.Target, error) {
	relations := v.query.Relations()
	targets := make([]parse.Target, len(relations))
	for i, r := range relations {
		var err error
		if targets[i], err = of(v.sources[i], r.Meta); err != nil {
			return parse.Target{}, err
		}
	}
	return parse.Target{Schema: v.object.Schema, Columns: v.columns(), View: &parse.View{
		Query: v.query, Relation: func(r parse.Relation) (parse.Target, error) { return targets[r.Index], nil },
	}}, nil
}

// same tells whether a view still is what it was, down to the tables.
func (v *storedView) same(was *storedView) bool {
	return was != nil && v.object.ID == was.object.ID && v.object.View.Query == was.object.View.Query &&
		slices.Equal(v.columns(), was.columns()) && slices.EqualFunc(v.sources, was.sources, source.same)
}

// same tells whether a relation still is what it was.
func (x source) same(was source) bool {
	if x.stored != nil {
		return x.stored.same(was.stored)
	}
	return was.stored == nil && x.view == was.view && sameTable(x.table, was.table)
}

// tablesOf are the tables that relations read, by themselves or through views, each once.
func tablesOf(sources []source) []catalog.Table {
	seen := map[int64]bool{}
	var out []catalog.Table
	var follow func(sources []source)
	follow = func(sources []source) {
		for _, x := range sources {
			switch {
			case x.stored != nil:
				follow(x.stored.sources)
			case x.view == nil && !x.temp && !seen[x.table.ID]:
				seen[x.table.ID] = true
				out = append(out, x.table)
			}
		}
	}
	follow(sources)
	return out
}

// notTable is the error of a view where only a table will do.
func notTable(n parse.Name) *pgwire.Error {
	e := sqlError("42809", "%q is not a table", n.Name)
	e.Position = n.Position
	return e
}

// view finds the view that a name leads to, unless another relation is found first.
func (s *session) view(snap *catalog.Snapshot, n parse.Name) (catalog.Object, bool) {
	if n.Database != "" && n.Database != s.gateway.cfg.Database {
		return catalog.Object{}, false
	}
	for _, schema := range s.searched(n.Schema) {
		if _, ok := snap.Table(schema, n.Name); ok || s.gateway.views[viewName{schema, n.Name}] != nil {
			return catalog.Object{}, false
		}
		if o, ok := snap.View(schema, n.Name); ok {
			return o, true
		}
	}
	return catalog.Object{}, false
}

// notWritable is the error of a view that is to be written.
func notWritable(name string) *pgwire.Error {
	e := hinted(sqlError("55000", "cannot insert into view %q", name), "Insert into the tables that it reads.")
	e.Detail = "Views are not automatically updatable."
	return e
}

// targetOf is what the engine reads for a relation of any kind, its tables where places says.
func (e *queryExecution) targetOf(ctx context.Context, x source, meta []string, places map[int64]place) (parse.Target, error) {
	switch {
	case x.stored != nil && x.stored.object.View.Materialized != nil:
		return e.materializedTarget(x.stored)
	case x.stored != nil:
		return x.stored.target(func(below source, meta []string) (parse.Target, error) { return e.targetOf(ctx, below, meta, places) })
	case x.view != nil:
		return e.viewTarget(x.view, nil), nil
	case x.temp:
		return e.tempTarget(x.table)
	}
	return e.tableTarget(ctx, x.table, places[x.table.ID], meta)
}
