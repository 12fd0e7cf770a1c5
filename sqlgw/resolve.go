package sqlgw

import (
	"context"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// table resolves a name in a snapshot, by the search path if it has no schema.
func (s *session) table(snap *catalog.Snapshot, n parse.Name) (catalog.Table, error) {
	if n.Database != "" && n.Database != s.gateway.cfg.Database {
		e := sqlError("0A000", "cross-database references are not implemented: %q", n.String())
		e.Position = n.Position
		return catalog.Table{}, e
	}
	if _, ok := s.tempNamed(n); ok {
		return catalog.Table{}, at(sqlError("0A000", "%q is a temporary table, of which this statement is not supported", n.Name), n.Position)
	}
	schemas := s.settings.schemas()
	if n.Schema != "" {
		schemas = []string{n.Schema}
	}
	for _, schema := range schemas {
		if t, ok := snap.Table(schema, n.Name); ok {
			return t, nil
		}
		if _, ok := snap.View(schema, n.Name); ok {
			return catalog.Table{}, notTable(n)
		}
	}
	return catalog.Table{}, undefinedTable(n)
}

// searched are the schemas where a name is looked up: the given one, or those of the search
// path, before which PostgreSQL's own comes unless the path has it.
func (s *session) searched(schema string) []string {
	if schema != "" {
		return []string{schema}
	}
	path := s.settings.schemas()
	if !slices.Contains(path, "pg_catalog") {
		path = append([]string{"pg_catalog"}, path...)
	}
	return path
}

func undefinedTable(n parse.Name) *pgwire.Error {
	e := sqlError("42P01", "relation %q does not exist", n.Schema+dot(n.Schema)+n.Name)
	e.Position = n.Position
	return e
}

func dot(s string) string {
	if s == "" {
		return ""
	}
	return "."
}

// writable resolves the table that a statement writes, and its journals.
func (s *session) writable(ctx context.Context, n parse.Name) (catalog.Table, []string, error) {
	if t, ok := s.tempNamed(n); ok {
		return t.Table, []string{t.Schema}, nil
	}
	switch n.Schema {
	case "pg_catalog", "information_schema", bsCatalog:
		return catalog.Table{}, nil, sqlError("42501", "permission denied for relation %q", n.Name)
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return catalog.Table{}, nil, err
	}
	if o, ok := s.view(snap, n); ok {
		if o.View.Materialized != nil {
			return catalog.Table{}, nil, sqlError("42809", "cannot change materialized view %q", o.Name)
		}
		return catalog.Table{}, nil, notWritable(o.Name)
	}
	t, err := s.table(snap, n)
	if err != nil {
		return catalog.Table{}, nil, err
	}
	if err := s.permit(snap, t, catalog.Insert, n); err != nil {
		return catalog.Table{}, nil, err
	}
	if err := formatWritten(t); err != nil {
		return catalog.Table{}, nil, err
	}
	s.sighted.revision = max(s.sighted.revision, snap.Revision())
	journals, err := snap.Journals(ctx, t)
	return t, journals, err
}

// columnIndexes finds the columns of a list in a table; nil means all.
func columnIndexes(t catalog.Table, names []string) ([]int, error) {
	if names == nil {
		all := make([]int, len(t.Columns))
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	out := make([]int, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(t.Columns, func(c catalog.Column) bool { return c.Name == name })
		if i < 0 {
			e := sqlError("42703", "column %q of relation %q does not exist", name, t.Name)
			e.Schema, e.Table, e.Column = t.Schema, t.Name, name
			return nil, e
		}
		if slices.Contains(out, i) {
			return nil, sqlError("42701", "column %q specified more than once", name)
		}
		out = append(out, i)
	}
	return out, nil
}
