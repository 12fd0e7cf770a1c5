package sqlgw

import (
	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// may tells whether permit lets the session do something.
func (s *session) may(snap *catalog.Snapshot, t catalog.Table, p catalog.Privilege, n parse.Name) bool {
	return s.permit(snap, t, p, n) == nil
}

// permit tells whether the session may do something with a table that a statement names.
func (s *session) permit(snap *catalog.Snapshot, t catalog.Table, p catalog.Privilege, n parse.Name) error {
	a := s.actor(snap)
	// A schema that can't be read is as the superuser's.
	if schema, ok := snap.Schema(t.Schema); !a.May(schema.Access, catalog.Usage) {
		if n.Schema == "" || !ok { // which PostgreSQL doesn't look for there
			return undefinedTable(n)
		}
		return sqlError("42501", "permission denied for schema %s", t.Schema)
	}
	if !a.May(t.Access, p) {
		return denied("table", t.Name)
	}
	return nil
}

func denied(kind, name string) *pgwire.Error {
	return sqlError("42501", "permission denied for %s %s", kind, name)
}

// own tells whether the session may change a table, and say who else may use it: it is its owner.
func (s *session) own(snap *catalog.Snapshot, t catalog.Table) error {
	if !s.actor(snap).Owns(t.Access) {
		return sqlError("42501", "must be owner of table %s", t.Name)
	}
	return nil
}

// mayDrop tells whether the session may drop a table, or an index of one: as in PostgreSQL the schema's owner may, too.
func (s *session) mayDrop(snap *catalog.Snapshot, t catalog.Table) error {
	if schema, ok := snap.Schema(t.Schema); ok && s.actor(snap).Owns(schema.Access) {
		return nil
	}
	return s.own(snap, t)
}

// ownSchema finds a schema, if the session may drop or change it.
func (s *session) ownSchema(snap *catalog.Snapshot, name string) (catalog.Schema, error) {
	schema, ok := snap.Schema(name)
	switch {
	case !ok:
		return schema, noSchema(name)
	case !s.actor(snap).Owns(schema.Access):
		return schema, sqlError("42501", "must be owner of schema %s", name)
	}
	return schema, nil
}

func noSchema(name string) *pgwire.Error { return sqlError("3F000", "schema %q does not exist", name) }

// mayActOn tells whether the session may end another, and see what it asks: it is a superuser, or a member of the other's
// role. Superusers' sessions are theirs.
func (v viewState) mayActOn(of *activity) bool {
	a := v.session.actor(v.snap)
	theirs, ok := v.snap.Role(of.user)
	return a.Role.Superuser || of.user == a.Role.Name || ok && !theirs.Superuser && a.Is(theirs.ID)
}

// createIn finds the schema in which something is to be made, if the session may do that.
func (s *session) createIn(snap *catalog.Snapshot, name string) (catalog.Schema, error) {
	schema, ok := snap.Schema(name)
	switch {
	case !ok:
		return schema, noSchema(name)
	case !s.actor(snap).May(schema.Access, catalog.Create):
		return schema, sqlError("42501", "permission denied for schema %s", name)
	}
	return schema, nil
}

// createTableIn puts into the spec of a table where it is to be made and whose it will be, if the session may make it.
// Journals that exist may have anybody's rows, so that only a superuser lays a table over them.
func (s *session) createTableIn(snap *catalog.Snapshot, spec *catalog.TableSpec) error {
	schema, err := s.createIn(snap, spec.Schema)
	if err != nil {
		return err
	}
	a := s.actor(snap)
	if spec.OnJournals != "" && !a.Role.Superuser {
		return hinted(sqlError("42501", "permission denied to lay a table over journals %q", spec.OnJournals), "Only superusers may: the journals may have rows of others.")
	}
	spec.SchemaID, spec.Owner = schema.ID, a.Role.ID
	return nil
}

// createObjectIn finds the schema in which what isn't a table is to be made, if the session may do that. Such things belong to the schema's
// owner, who alone may replace them.
func (s *session) createObjectIn(snap *catalog.Snapshot, name string, replace bool) (catalog.Schema, error) {
	if replace {
		return s.ownSchema(snap, name)
	}
	return s.createIn(snap, name)
}

// createSchemaAs is whose a new schema will be. Databases are the superuser's, as in PostgreSQL.
func (s *session) createSchemaAs(snap *catalog.Snapshot) (int64, error) {
	a := s.actor(snap)
	if !a.Role.Superuser {
		return 0, denied("database", s.gateway.cfg.Database)
	}
	return a.Role.ID, nil
}
