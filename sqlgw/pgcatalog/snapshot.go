package pgcatalog

import (
	"slices"

	"broadsheet.dev/broadsheet/catalog"
)

// snapshot is what a statement sees, with what is derived of it when it is asked for.
type snapshot struct {
	catalog *Catalog
	state   State

	classes []class
	byName  map[className]*class
	path    []string
}

type className struct{ schema, name string }

// class is a relation of any kind: a row of pg_class.
type class struct {
	className
	oid, schemaOID int64
	table          *catalog.Table // nil for the system's
	relation       *Relation      // nil for tables
}

// kind is relkind.
func (c *class) kind() string {
	if c.relation != nil && c.relation.view {
		return "v"
	}
	return "r"
}

// schemas are all, in the order of their names.
func (s *snapshot) schemas() []schema {
	all := slices.Clone(s.catalog.schemas)
	for _, x := range s.state.Tables.Schemas() {
		all = append(all, schema{x.ID, x.Name})
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
	schemas := map[string]int64{}
	for _, x := range s.schemas() {
		schemas[x.name] = x.oid
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
	}
	return s.path
}

// visible tells whether a relation's name alone names it.
func (s *snapshot) visible(c *class) bool { return s.class("", c.name) == c }

// columns of a relation.
func (s *snapshot) columns(c *class) []column {
	if c.relation != nil {
		return c.relation.columns
	}
	out := make([]column, len(c.table.Columns))
	for i, x := range c.table.Columns {
		out[i] = column{name: x.Name, typ: s.catalog.types.byOID[int64(x.Type.OID())], typmod: x.Type.TypMod(), notNull: x.NotNull}
	}
	return out
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
