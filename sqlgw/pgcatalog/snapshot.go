package pgcatalog

import (
	"slices"

	"broadsheet.dev/broadsheet/catalog"
)

// snapshot is what a statement sees, with what is derived of it when it is asked for.
type snapshot struct {
	catalog *Catalog
	state   State

	classes  []class
	byName   map[className]*class
	path     []string
	rowTypes []*typ
	// referring are the tables of foreign keys, on both ends.
	referring map[int64]bool
}

type className struct{ schema, name string }

// class is a relation of any kind: a row of pg_class.
type class struct {
	className
	oid, schemaOID int64
	schemaOwner    int64
	table          *catalog.Table  // nil for what isn't one, and for the system's
	relation       *Relation       // nil for what isn't the system's
	index          *catalog.Index  // nil for what isn't one
	of             *catalog.Table  // of an index
	sequence       *catalog.Object // nil for what isn't one
	view           *catalog.Object // nil for what isn't one that was made
}

// kind is relkind.
func (c *class) kind() string {
	switch {
	case c.materialized():
		return "m"
	case c.relation != nil && c.relation.view, c.view != nil:
		return "v"
	case c.index != nil:
		return "i"
	case c.sequence != nil:
		return "S"
	}
	return "r"
}

// materialized tells of a view whose rows are kept.
func (c *class) materialized() bool { return c.view != nil && c.view.View.Materialized != nil }

// schemas are all, in the order of their names.
func (s *snapshot) schemas() []schema {
	all := slices.Clone(s.catalog.schemas)
	for _, x := range s.state.Tables.Schemas() {
		all = append(all, schema{oid: x.ID, name: x.Name, ownerOID: x.Access.Owner, access: &x.Access})
	}
	return all
}

// schemaOID is 0 for a schema that there isn't.
func (s *snapshot) schemaOID(name string) int64 {
	for _, x := range s.schemas() {
		if x.name == name {
			return x.oid
		}
	}
	return 0
}

// all are the relations: the system's, then the tables.
func (s *snapshot) all() []class {
	if s.classes != nil {
		return s.classes
	}
	schemas, owners := map[string]int64{}, map[string]int64{}
	for _, x := range s.schemas() {
		schemas[x.name], owners[x.name] = x.oid, x.owner()
	}
	tables := s.state.Tables.Tables()
	s.classes = make([]class, 0, len(s.catalog.relations)+len(tables))
	for _, r := range s.catalog.relations {
		s.classes = append(s.classes, class{
			className: className{r.Schema, r.Name}, oid: r.OID, schemaOID: schemas[r.Schema], relation: r,
		})
	}
	for i := range tables {
		t := &tables[i]
		s.classes = append(s.classes, class{
			className: className{t.Schema, t.Name}, oid: t.ID, schemaOID: schemas[t.Schema], table: t,
		})
		for j := range t.Indexes {
			x := &t.Indexes[j]
			s.classes = append(s.classes, class{
				className: className{t.Schema, x.Name}, oid: x.ID, schemaOID: schemas[t.Schema], index: x, of: t,
			})
		}
	}
	objects := s.state.Tables.Objects()
	for i := range objects {
		o := &objects[i]
		c := class{className: className{o.Schema, o.Name}, oid: o.ID, schemaOID: schemas[o.Schema], schemaOwner: owners[o.Schema]}
		switch {
		case o.Sequence != nil:
			c.sequence = o
		case o.View != nil:
			c.view = o
		default:
			continue
		}
		s.classes = append(s.classes, c)
	}
	return s.classes
}

// class finds a relation, by the search path if it has no schema; nil is none.
func (s *snapshot) class(schema, name string) *class {
	if s.byName == nil {
		all := s.all()
		s.byName = make(map[className]*class, len(all))
		for i := range all {
			s.byName[all[i].className] = &all[i]
		}
	}
	if schema != "" {
		return s.byName[className{schema, name}]
	}
	for _, schema := range s.searched() {
		if c := s.byName[className{schema, name}]; c != nil {
			return c
		}
	}
	return nil
}

// searched are the schemas where a name without one is looked up: PostgreSQL's own come first
// unless the path says where.
func (s *snapshot) searched() []string {
	if s.path == nil {
		s.path = slices.Clone(s.state.Path)
		if !slices.Contains(s.path, catalogSchema) {
			s.path = append([]string{catalogSchema}, s.path...)
		}
		if s.state.Temp != "" {
			s.path = append([]string{s.state.Temp}, s.path...)
		}
	}
	return s.path
}

// visible tells whether a relation's name alone names it.
func (s *snapshot) visible(c *class) bool { return s.class("", c.name) == c }

// columns of a relation.
func (s *snapshot) columns(c *class) []column {
	switch {
	case c.relation != nil:
		return c.relation.columns
	case c.index != nil:
		var out []column
		for _, id := range c.index.Columns {
			if x := columnByID(c.of, id); x != nil {
				out = append(out, s.column(x))
				out[len(out)-1].notNull = false
			}
		}
		return out
	case c.view != nil:
		return s.viewColumns(c.view.View)
	case c.sequence != nil:
		types := s.catalog.types.byName
		return []column{
			{name: "last_value", typ: types["int8"], typmod: -1, notNull: true},
			{name: "log_cnt", typ: types["int8"], typmod: -1, notNull: true},
			{name: "is_called", typ: types["bool"], typmod: -1, notNull: true},
		}
	}
	out := make([]column, len(c.table.Columns))
	for i := range c.table.Columns {
		out[i] = s.column(&c.table.Columns[i])
	}
	return out
}

func (s *snapshot) column(x *catalog.Column) column {
	return column{name: x.Name, typ: s.catalog.types.byOID[int64(x.Type.OID())], typmod: x.Type.TypMod(), notNull: x.NotNull}
}

// columnByID is nil if there is none.
func columnByID(t *catalog.Table, id int64) *catalog.Column {
	for i := range t.Columns {
		if t.Columns[i].ID == id {
			return &t.Columns[i]
		}
	}
	return nil
}

// classByOID is nil if there is none.
func (s *snapshot) classByOID(oid int64) *class {
	all := s.all()
	for i := range all {
		if all[i].oid == oid {
			return &all[i]
		}
	}
	return nil
}

// functions are those that were declared.
func (s *snapshot) functions() []catalog.Object {
	return slices.DeleteFunc(slices.Clone(s.state.Tables.Objects()), func(o catalog.Object) bool { return o.Function == nil })
}

// printed is a relation's name as a regclass prints it.
func (s *snapshot) printed(c *class) string {
	if s.visible(c) {
		return s.catalog.quoteIdent(c.name)
	}
	return s.qualified(c)
}

func (s *snapshot) qualified(c *class) string {
	return s.catalog.quoteIdent(c.schema) + "." + s.catalog.quoteIdent(c.name)
}
