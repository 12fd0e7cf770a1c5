package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareDDL prepares the statements that change or list what there is.
func (s *session) prepareDDL(p parse.Statement) (*statement, error) {
	if st := s.prepareDeclaration(p); st != nil {
		return st, nil
	}
	if st := s.prepareView(p); st != nil {
		return st, nil
	}
	if st := s.prepareAlter(p); st != nil {
		return st, nil
	}
	switch p := p.(type) {
	case *parse.CreateTable:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createTable(ctx, w, p) }), nil
	case *parse.DropTable:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.dropTables(ctx, w, p) }), nil
	case *parse.CreateSchema:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createSchema(ctx, w, p) }), nil
	case *parse.DropSchema:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.dropSchemas(ctx, w, p) }), nil
	case *parse.ShowTables:
		return s.lists(textColumns("schema", "name", "journals"), "SHOW", s.showTables), nil
	default:
		if st := s.prepareRoles(p); st != nil {
			return st, nil
		}
		e := sqlError("0A000", "this statement is not supported")
		e.Position = p.Position()
		return nil, e
	}
}

// targetSchema is where a new table goes: the schema that was named, or the first of the
// search path that exists.
func (s *session) targetSchema(snap *catalog.Snapshot, n parse.Name) (string, error) {
	if n.Schema != "" {
		return n.Schema, nil
	}
	for _, name := range s.settings.schemas() {
		for _, have := range snap.Schemas() {
			if have.Name == name {
				return name, nil
			}
		}
	}
	return "", sqlError("3F000", "no schema has been selected to create in")
}

func (s *session) createTable(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateTable) error {
	if p.Temp {
		return s.createTemp(ctx, w, p)
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	schema, err := s.targetSchema(snap, p.Table)
	if err != nil {
		return err
	}
	switch schema {
	case "pg_catalog", "information_schema", bsCatalog:
		return sqlError("42501", "permission denied to create %q: system schemas are closed", schema+"."+p.Table.Name)
	}
	spec := catalog.TableSpec{Schema: schema, Name: p.Table.Name, OnJournals: p.Journals}
	if err := s.declareTable(ctx, snap, p, &spec); err != nil {
		return err
	}
	if err := s.createTableIn(snap, &spec); err != nil {
		return err
	}
	var options []parse.Option
	if spec.Rows, options, err = tableFormat(p.Options, spec.Columns); err != nil {
		return err
	}
	if spec.Options, err = s.gateway.tableOptions(options); err != nil {
		return err
	}
	if len(p.Columns) == 0 {
		err = s.inferTable(ctx, w, snap, p, &spec)
	}
	var t catalog.Table
	if err == nil {
		t, err = s.gateway.cfg.Catalog.CreateTable(ctx, spec)
	}
	if err == nil {
		s.awaitJournals(ctx, w, t)
	}
	if errors.Is(err, catalog.ErrExists) && p.IfNotExists {
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "42P07", Message: fmt.Sprintf("relation %q already exists, skipping", p.Table.Name)})
		err = nil
	}
	if err != nil {
		return catalogError(err)
	}
	s.tellConstraints(w, p.Constraints)
	w.Complete("CREATE TABLE")
	return nil
}

// declareTable gives a new table its columns, with their defaults, and what is declared of it.
func (s *session) declareTable(ctx context.Context, snap *catalog.Snapshot, p *parse.CreateTable, spec *catalog.TableSpec) error {
	for i, c := range p.Columns {
		column := catalog.Column{ID: int64(i + 1), Name: c.Name, Type: c.Type, NotNull: c.NotNull, Default: c.Default}
		if c.Default != "" {
			if err := s.checkDefault(ctx, spec.Name, column); err != nil {
				return err
			}
		}
		spec.Columns = append(spec.Columns, column)
	}
	var err error
	spec.Constraints, err = s.constraints(ctx, snap, catalog.Table{Schema: spec.Schema, Name: spec.Name, Columns: spec.Columns}, p.Constraints)
	return err
}

// awaitJournals waits, as long as the statement may, until a new table's journals have brokers,
// so that the next statement finds them served. The table is there in any case; if they have none yet, a warning says so.
func (s *session) awaitJournals(ctx context.Context, w pgwire.ResultWriter, t catalog.Table) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return
	}
	journals, err := snap.Journals(ctx, t)
	if err != nil {
		return
	}
	_, err = s.gateway.fixCut(ctx, journals) // a barrier waits for the journal's primary
	if refusal, ok := errors.AsType[*protocol.StatusError](err); ok && brokerHint(refusal) != "" {
		s.notice(w, &pgwire.Error{
			Severity: "WARNING", Code: "01000", Message: fmt.Sprintf("no broker serves table %q yet", t.Name), Detail: refusal.Error(), Hint: brokerHint(refusal),
		})
	}
}

func (s *session) dropTables(ctx context.Context, w pgwire.ResultWriter, p *parse.DropTable) error {
	if all, some := s.tempsAmong(p.Tables); all {
		s.dropTemps(w, p.Tables)
		return nil
	} else if some {
		return sqlError("0A000", "DROP TABLE of temporary tables and others together is not supported")
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	var tables []catalog.Table
	for _, n := range p.Tables { // all are there, or none is dropped
		if o, ok := s.view(snap, n); ok {
			return hinted(notTable(n), dropHint(o))
		}
		t, err := s.table(snap, n)
		if err == nil {
			if !slices.ContainsFunc(tables, func(x catalog.Table) bool { return x.ID == t.ID }) { // DROP TABLE t, t
				tables = append(tables, t)
			}
			continue
		}
		e := missingTable(snap, n)
		if !p.IfExists {
			return e
		}
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
	}
	for _, t := range tables {
		if err := s.mayDrop(snap, t); err != nil {
			return err
		}
	}
	drop := catalog.Drop{Cascade: p.Cascade}
	for _, t := range tables {
		drop.Tables = append(drop.Tables, catalog.Read{ID: t.ID, Schema: t.Schema, Name: t.Name})
	}
	if err := s.dropRelations(ctx, w, snap, drop); err != nil {
		return err
	}
	w.Complete("DROP TABLE")
	return nil
}

// missingTable is the error of a table that can't be dropped because it, or its schema, isn't there.
func missingTable(snap *catalog.Snapshot, n parse.Name) *pgwire.Error {
	e := sqlError("42P01", "table %q does not exist", n.Name)
	if n.Schema != "" && !slices.ContainsFunc(snap.Schemas(), func(x catalog.Schema) bool { return x.Name == n.Schema }) {
		e = noSchema(n.Schema)
	}
	e.Position = n.Position
	return e
}

func (s *session) createSchema(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateSchema) error {
	if strings.HasPrefix(p.Name, "pg_") || p.Name == bsCatalog || p.Name == "information_schema" {
		return sqlError("42939", "unacceptable schema name %q: the name is reserved for the system", p.Name)
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	owner, err := s.createSchemaAs(snap)
	if err != nil {
		return err
	}
	_, err = s.gateway.cfg.Catalog.CreateSchemaFor(ctx, p.Name, owner)
	if errors.Is(err, catalog.ErrExists) && p.IfNotExists {
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "42P06", Message: fmt.Sprintf("schema %q already exists, skipping", p.Name)})
		err = nil
	}
	if err != nil {
		return catalogError(err)
	}
	w.Complete("CREATE SCHEMA")
	return nil
}

func (s *session) dropSchemas(ctx context.Context, w pgwire.ResultWriter, p *parse.DropSchema) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, name := range p.Names { // all are there, or none is dropped
		switch {
		case slices.ContainsFunc(snap.Schemas(), func(x catalog.Schema) bool { return x.Name == name }):
			if !slices.Contains(names, name) { // DROP SCHEMA s, s
				names = append(names, name)
			}
		case p.IfExists:
			s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: fmt.Sprintf("schema %q does not exist, skipping", name)})
		default:
			return noSchema(name)
		}
	}
	schemas := make([]catalog.Schema, len(names))
	for i, name := range names {
		if schemas[i], err = s.ownSchema(snap, name); err != nil {
			return err
		}
	}
	for len(schemas) > 0 {
		err := s.gateway.cfg.Catalog.DropSchema(ctx, schemas...)
		if e, ok := errors.AsType[*catalog.Error](err); ok && e.Code == catalog.ErrNotFound && p.IfExists { // somebody else did, meanwhile
			schemas = slices.DeleteFunc(schemas, func(x catalog.Schema) bool { return x.Name == e.Name })
			continue
		}
		if err != nil {
			return catalogError(err)
		}
		break
	}
	w.Complete("DROP SCHEMA")
	return nil
}

func (s *session) showTables(ctx context.Context) ([][]string, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, t := range snap.Tables() {
		journals, err := snap.Journals(ctx, t)
		if err != nil {
			return nil, err
		}
		out = append(out, []string{t.Schema, t.Name, strconv.Itoa(len(journals))})
	}
	return out, nil
}
