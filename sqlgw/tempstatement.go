package sqlgw

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// makeTemp makes a temporary table, unless there is one of its name and that is no harm: then it says so and returns false.
func (s *session) makeTemp(w pgwire.ResultWriter, t tempTable, ifNotExists bool) (bool, error) {
	if _, ok := s.temps.tables[t.Name]; ok {
		message := fmt.Sprintf("relation %q already exists", t.Name)
		if !ifNotExists {
			return false, sqlError("42P07", "%s", message)
		}
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "42P07", Message: message + ", skipping"})
		return false, nil
	}
	if len(s.temps.tables) == maxTempTables {
		return false, sqlError("53400", "a session may have %d temporary tables", maxTempTables)
	}
	for _, c := range t.Columns {
		if c.Type.Kind == columnar.Decimal && c.Type.Precision == 0 {
			return false, hinted(sqlError("0A000", "column %q: numeric without precision is not supported", c.Name), "Declare it as numeric(p, s).")
		}
	}
	t.fixed = t.definition()
	if err := s.chargeTemp(t.fixed); err != nil {
		return false, err
	}
	s.putTemp(t)
	return true, nil
}

// newTemp is a temporary table without rows.
func (s *session) newTemp(snap *catalog.Snapshot, n parse.Name, columns []catalog.Column, end parse.OnCommit) (tempTable, error) {
	if n.Schema != "" && n.Schema != parse.TempSchema && n.Schema != s.tempSchema() {
		e := sqlError("42P16", "cannot create temporary relation in non-temporary schema")
		e.Position = n.Position
		return tempTable{}, e
	}
	id := s.gateway.temps.id()
	return tempTable{onCommit: end, Table: catalog.Table{
		ID: id, Version: id, Schema: s.tempSchema(), Name: n.Name, Columns: columns, Access: catalog.Access{Owner: s.actor(snap).Role.ID},
	}}, nil
}

// createTemp makes a temporary table.
func (s *session) createTemp(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateTable) error {
	if p.Journals != "" {
		return sqlError("0A000", "ON JOURNALS of a temporary table is not supported")
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	spec := catalog.TableSpec{Schema: s.tempSchema(), Name: p.Table.Name}
	if err := s.declareTable(ctx, snap, p, &spec); err != nil {
		return err
	}
	for i := range spec.Columns {
		c := &spec.Columns[i]
		c.NotNull = c.NotNull || slices.ContainsFunc(spec.Constraints, func(x catalog.Constraint) bool {
			return x.Kind == catalog.PrimaryKey && slices.Contains(x.Columns, c.ID)
		})
	}
	t, err := s.newTemp(snap, p.Table, spec.Columns, p.OnCommit)
	if err != nil {
		return err
	}
	made, err := s.makeTemp(w, t, p.IfNotExists)
	if err != nil {
		return err
	}
	if made {
		s.tellConstraints(w, p.Constraints)
	}
	w.Complete("CREATE TABLE")
	return nil
}

// createTempAs makes a temporary table of the rows of a query.
func (s *session) createTempAs(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateTempAs) error {
	if params := p.Query.Parameters(); len(params) > 0 {
		e := sqlError("42P02", "there is no parameter $%d", params[0].Number)
		e.Position = params[0].Position
		return e
	}
	q, err := s.newQuery(ctx, p.Query, nil)
	if err != nil {
		return err
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	columns, err := tempColumns(q.columns, p.Columns)
	if err != nil {
		return err
	}
	t, err := s.newTemp(snap, p.Table, columns, p.OnCommit)
	if err != nil {
		return err
	}
	made, err := s.makeTemp(w, t, p.IfNotExists)
	switch {
	case err != nil:
		return err
	case !made || p.NoData:
		w.Complete("CREATE TABLE AS")
		return nil
	}
	rows, total := s.newTempRows(t.Table), int64(0)
	cols, _ := columnIndexes(t.Table, nil) // all are there
	err = s.eachRow(ctx, q, nil, func(b *columnar.Batch) error {
		total += int64(b.Len)
		return rows.put(b, cols)
	})
	if err == nil {
		err = rows.commit(false)
	}
	if err == nil {
		w.Complete(tag("SELECT", total))
	}
	return err
}

// tempColumns are the columns of a table that has the results of a query, the first ones by other names.
func tempColumns(results []columnar.Column, names []string) ([]catalog.Column, error) {
	if len(names) > len(results) {
		return nil, sqlError("42601", "too many column names were specified")
	}
	out := make([]catalog.Column, len(results))
	for i, r := range results {
		out[i] = catalog.Column{ID: int64(i + 1), Name: r.Name, Type: r.Type}
		if i < len(names) {
			out[i].Name = names[i]
		}
		name := out[i].Name
		switch {
		case slices.ContainsFunc(out[:i], func(c catalog.Column) bool { return c.Name == name }):
			return nil, sqlError("42701", "column %q specified more than once", name)
		case slices.ContainsFunc(out[:i], func(c catalog.Column) bool { return strings.EqualFold(c.Name, name) }):
			return nil, sqlError("0A000", "columns whose names differ in case only, as %q, are not supported", name)
		case slices.ContainsFunc(metaColumns(), func(c columnar.Column) bool { return c.Name == name }):
			return nil, hinted(sqlError("42701", "column name %q conflicts with a metadata column", name), "Give it another name with AS.")
		}
	}
	return out, nil
}

// eachRow runs a query, and hands over its rows in batches.
func (s *session) eachRow(ctx context.Context, q *query, args *columnar.Batch, each func(*columnar.Batch) error) error {
	if args == nil {
		args = &columnar.Batch{Len: 1}
	}
	e, err := q.begin(ctx, args)
	if err != nil {
		return err
	}
	defer e.close()
	return e.(*queryExecution).each(ctx, each)
}

// prepareTemp prepares the statements that only temporary tables take; nil is none of them.
func (s *session) prepareTemp(ctx context.Context, p parse.Statement, paramOIDs []uint32) (*statement, error) {
	switch p := p.(type) {
	case *parse.CreateTempAs:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createTempAs(ctx, w, p) }), nil
	case *parse.Change:
		return s.prepareChange(ctx, p, paramOIDs)
	case *parse.Truncate:
		return s.utility(nil, func(_ context.Context, w pgwire.ResultWriter) error { return s.truncate(w, p) }), nil
	default:
		return nil, nil
	}
}

// notTemp is the error of what only temporary tables take.
func notTemp(command string, position int) *pgwire.Error {
	hint := "A table is a log: rows are added. Append a newer row of the same key, and ask for the newest. Temporary tables can be changed."
	if command == "TRUNCATE" {
		hint = "A table is a log: rows are added. DROP TABLE and CREATE TABLE make an empty one. Temporary tables can be changed."
	}
	e := hinted(sqlError("0A000", "%s is not supported", command), hint)
	e.Position = position
	return e
}

// prepareChange makes a statement of an UPDATE or DELETE of a temporary table.
func (s *session) prepareChange(ctx context.Context, p *parse.Change, paramOIDs []uint32) (*statement, error) {
	t, ok := s.tempNamed(p.Table)
	if !ok {
		return nil, notTemp(p.Command(), p.Position())
	}
	var cols []int
	if !p.Delete {
		var err error
		if cols, err = columnIndexes(t.Table, p.Columns); err != nil {
			return nil, err
		}
	}
	declared, err := declaredTypes(paramOIDs)
	if err != nil {
		return nil, err
	}
	for i, number := range p.Params {
		declared = append(declared, make([]columnar.Type, max(0, number-len(declared)))...)
		if number > 0 && declared[number-1].Kind == 0 {
			declared[number-1] = t.Columns[cols[i]].Type
		}
	}
	q, err := s.newQuery(ctx, p.Query, declared)
	if err != nil {
		return nil, err
	}
	return &statement{
		session: s, params: q.params, told: q.toldParams, names: s.visible,
		begin: func(_ context.Context, args *columnar.Batch) (execution, error) {
			return simpleExecution(func(ctx context.Context, w pgwire.ResultWriter) error {
				return s.change(ctx, w, &change{table: t.Table, cols: cols, remove: p.Delete, query: q, args: args, style: s.settings.style()}, p.Command())
			}), nil
		},
	}, nil
}

// change is an UPDATE or DELETE that runs: it makes the table's rows anew.
type change struct {
	table  catalog.Table
	cols   []int // that get new values
	remove bool
	query  *query
	args   *columnar.Batch
	style  *style.Style // of assignments
}

func (s *session) change(ctx context.Context, w pgwire.ResultWriter, c *change, command string) error {
	rows, changed := s.newTempRows(c.table), int64(0)
	err := s.eachRow(ctx, c.query, c.args, func(b *columnar.Batch) error {
		for row := range b.Len {
			hit := b.Cols[0].Bools[row] != 0 // IS TRUE has no NULL
			if hit {
				changed++
			}
			if hit && c.remove {
				continue
			}
			if err := c.put(rows, b, row, hit); err != nil {
				return err
			}
		}
		return rows.took(b)
	})
	if err == nil {
		err = rows.commit(true)
	}
	if err == nil {
		w.Complete(tag(command, changed))
	}
	return err
}

// put adds a row of the query: as it was, or with its new values.
func (c *change) put(rows *tempRows, b *columnar.Batch, row int, hit bool) error {
	n := len(c.table.Columns)
	return rows.add(func(column int, v *columnar.VectorBuilder) error {
		of, at := c.table.Columns[column], 1+column
		if i := slices.Index(c.cols, column); hit && i >= 0 {
			at = 1 + n + i
			if of.NotNull && b.Cols[at].IsNull(row) {
				e := sqlError("23502", "null value in column %q of relation %q violates not-null constraint", of.Name, c.table.Name)
				e.Schema, e.Table, e.Column = c.table.Schema, c.table.Name, of.Name
				return e
			}
		}
		return assign(of, &b.Cols[at], row, v, c.style)
	})
}

// truncate removes all rows of temporary tables.
func (s *session) truncate(w pgwire.ResultWriter, p *parse.Truncate) error {
	var tables []tempTable
	for _, n := range p.Tables {
		t, ok := s.tempNamed(n)
		if !ok {
			return notTemp("TRUNCATE", p.Position())
		}
		tables = append(tables, t)
	}
	for _, t := range tables {
		t.rows, t.bytes = nil, 0
		s.putTemp(t)
	}
	w.Complete("TRUNCATE TABLE")
	return nil
}

// tempsAmong tells whether all names are temporary tables, or some of them.
func (s *session) tempsAmong(names []parse.Name) (bool, bool) {
	all, some := true, false
	for _, n := range names {
		_, ok := s.tempNamed(n)
		all, some = all && ok, some || ok
	}
	return all, some
}

// dropTemps drops temporary tables.
func (s *session) dropTemps(w pgwire.ResultWriter, names []parse.Name) {
	for _, n := range names {
		s.dropTemp(n.Name)
	}
	w.Complete("DROP TABLE")
}

// traitsOf are those of a statement as the session means it: what becomes of its temporary tables can be undone.
func (s *session) traitsOf(p parse.Statement) traits {
	if d, ok := p.(*parse.DropTable); ok {
		if all, _ := s.tempsAmong(d.Tables); all {
			return traits{command: "DROP TABLE", queries: true, writes: true}
		}
	}
	return traitsOf(p)
}
