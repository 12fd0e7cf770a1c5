package sqlgw

import (
	"context"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// insertPlan is an INSERT whose table, columns and source are known.
type insertPlan struct {
	name   parse.Name
	table  catalog.Table
	cols   []int // of the table, in the order of the source's
	params []columnar.Type
	// rows binds the source's parameters.
	rows func(ctx context.Context, args *columnar.Batch) (rowFeed, error)
}

// rowFeed hands the rows of an INSERT to add, in batches of the plan's columns.
type rowFeed func(ctx context.Context, add func(*columnar.Batch) error) error

// prepareInsert makes a statement of INSERT.
func (s *session) prepareInsert(ctx context.Context, p *parse.Insert, paramOIDs []uint32) (*statement, error) {
	plan, err := s.planInsert(ctx, p, paramOIDs)
	if err != nil {
		return nil, err
	}
	if p.Returning != nil {
		return s.prepareReturning(ctx, p.Returning, plan, paramOIDs)
	}
	return &statement{
		session: s, params: plan.params,
		begin: func(ctx context.Context, args *columnar.Batch) (execution, error) {
			rows, err := plan.rows(ctx, args)
			if err != nil {
				return nil, err
			}
			return simpleExecution(func(ctx context.Context, w pgwire.ResultWriter) error {
				err := s.insertAll(ctx, w, plan, rows)
				if !isStale(err) {
					return err
				}
				fresh, err := s.planAnew(ctx, p, plan)
				if err != nil {
					return err
				}
				plan = fresh
				if rows, err = fresh.rows(ctx, args); err != nil {
					return err
				}
				return s.insertAll(ctx, w, fresh, rows)
			}), nil
		},
	}, nil
}

// planInsert finds out what an INSERT is about. VALUES of constants and parameters go straight
// to their columns' input functions, as in PostgreSQL; any other source is a query of the
// engine, whose rows are cast to the columns' types.
func (s *session) planInsert(ctx context.Context, p *parse.Insert, paramOIDs []uint32) (*insertPlan, error) {
	t, _, err := s.writable(ctx, p.Table)
	if err != nil {
		return nil, err
	}
	if rows, ok := p.Source.Literals(); ok {
		return s.planLiterals(p, t, rows, paramOIDs)
	}
	for place := range p.Defaults {
		cols, err := columnIndexes(t, p.Columns)
		if err == nil && place[1] < len(cols) && t.Columns[cols[place[1]]].Default != "" {
			return nil, hinted(sqlError("0A000", "DEFAULT beside expressions is not supported"), "Leave the column out of the list of columns.")
		}
	}
	source, err := s.prepareSelect(ctx, p.Source, paramOIDs)
	if err != nil {
		return nil, err
	}
	cols, err := insertColumns(t, p.Columns, len(source.columns))
	if err != nil {
		return nil, err
	}
	plan := &insertPlan{name: p.Table, table: t, cols: cols, params: source.params}
	plan.rows = func(_ context.Context, args *columnar.Batch) (rowFeed, error) {
		return func(ctx context.Context, add func(*columnar.Batch) error) error {
			e, err := source.begin(ctx, args)
			if err != nil {
				return err
			}
			defer e.close()
			return e.(*queryExecution).each(ctx, func(b *columnar.Batch) error {
				cast, err := castBatch(b, t, cols, s.settings.style())
				if err != nil {
					return err
				}
				return add(cast)
			})
		}, nil
	}
	return plan, nil
}

// insertColumns are the columns that a source of n columns is for.
func insertColumns(t catalog.Table, names []string, n int) ([]int, error) {
	cols, err := columnIndexes(t, names)
	if err != nil {
		return nil, err
	}
	switch {
	case n > len(cols):
		return nil, sqlError("42601", "INSERT has more expressions than target columns")
	case n < len(cols) && names != nil:
		return nil, sqlError("42601", "INSERT has more target columns than expressions")
	}
	return cols[:n], nil
}

// insertAll runs an INSERT.
func (s *session) insertAll(ctx context.Context, w pgwire.ResultWriter, plan *insertPlan, rows rowFeed) error {
	sink, err := s.insertSink(ctx, plan)
	if err != nil {
		return err
	}
	defer sink.abort()
	if err := rows(ctx, func(b *columnar.Batch) error { return sink.add(ctx, b) }); err != nil {
		return err
	}
	if err := sink.commit(); err != nil {
		return err
	}
	w.Complete(tag("INSERT 0", sink.rows))
	return nil
}

// insertSink is where the rows of an INSERT go.
func (s *session) insertSink(ctx context.Context, plan *insertPlan) (*rowSink, error) {
	t, journals, err := s.writable(ctx, plan.name)
	if err != nil {
		return nil, err
	}
	if !sameTable(t, plan.table) {
		return nil, changedResult()
	}
	return s.sinkFor(t, journals, plan.cols)
}

// sinkFor is where rows of a table go that have values for given columns: what they leave out gets its default.
func (s *session) sinkFor(t catalog.Table, journals []string, given []int) (*rowSink, error) {
	open, err := s.appendTo(t)
	if err != nil {
		return nil, err
	}
	fill, cols := s.defaultsFor(t, given)
	sink, err := newRowSink(t, journals, cols, open)
	if err != nil {
		return nil, err
	}
	sink.fill = fill.fill
	sink.fits = func() error { return stillFits(s.gateway.cfg.Catalog.Latest(), t) }
	s.keepTemp(sink, t, cols)
	return sink, nil
}

// planLiterals plans an INSERT of VALUES that need no engine. A parameter has the type
// of the first column that it is for, unless the client says another.
func (s *session) planLiterals(p *parse.Insert, t catalog.Table, rows [][]parse.Literal, paramOIDs []uint32) (*insertPlan, error) {
	cols, err := insertColumns(t, p.Columns, len(rows[0]))
	if err != nil {
		return nil, err
	}
	params, err := literalParams(t, cols, rows, paramOIDs)
	if err != nil {
		return nil, err
	}
	plan := &insertPlan{name: p.Table, table: t, cols: cols, params: params}
	plan.rows = func(ctx context.Context, args *columnar.Batch) (rowFeed, error) {
		b, err := literalBatch(t, cols, rows, args, s.settings.style())
		if err == nil {
			err = s.putDefaults(ctx, t, cols, b, p.Defaults)
		}
		if err != nil {
			return nil, err
		}
		return func(_ context.Context, add func(*columnar.Batch) error) error { return add(b) }, nil
	}
	return plan, nil
}

func literalParams(t catalog.Table, cols []int, rows [][]parse.Literal, oids []uint32) ([]columnar.Type, error) {
	var params []columnar.Type
	for _, row := range rows {
		if len(row) != len(cols) {
			return nil, sqlError("42601", "VALUES lists must all be the same length")
		}
		for i, l := range row {
			if l.Kind != parse.Param {
				continue
			}
			for len(params) < l.Param {
				params = append(params, columnar.Type{})
			}
			if params[l.Param-1].Kind == 0 {
				params[l.Param-1] = t.Columns[cols[i]].Type
			}
		}
	}
	return declaredParams(params, oids)
}

// declaredParams are the types of parameters: those that the client declared, else those
// that were found. One that has neither is text.
func declaredParams(found []columnar.Type, oids []uint32) ([]columnar.Type, error) {
	for i, oid := range oids {
		if i >= len(found) {
			found = append(found, columnar.Type{})
		}
		const unknown = 705
		if oid == 0 || oid == unknown {
			continue
		}
		if found[i].Kind != 0 && found[i].OID() == oid {
			continue // the column's own type has its modifiers too
		}
		ty, err := columnar.TypeFromOID(oid, -1)
		if err != nil {
			return nil, hinted(sqlError("0A000", "parameter $%d: %v", i+1, err), "Declare no type for it, or text.")
		}
		found[i] = ty
	}
	for i := range found {
		if found[i].Kind == 0 {
			found[i] = columnar.Type{Kind: columnar.Text}
		}
	}
	return found, nil
}

// literalBatch gives each value to its column's input function.
func literalBatch(t catalog.Table, cols []int, rows [][]parse.Literal, args *columnar.Batch, as *style.Style) (*columnar.Batch, error) {
	b := &columnar.Batch{Len: len(rows), Cols: make([]columnar.Vector, len(cols))}
	for i, c := range cols {
		col := t.Columns[c]
		v := columnar.NewVectorBuilder(col.Type)
		for _, row := range rows {
			var err error
			switch l := row[i]; l.Kind {
			case parse.Null:
				v.AppendNull()
			case parse.Param:
				err = assign(col, &args.Cols[l.Param-1], 0, v, as)
			default:
				err = literalValue(col, l, v, as)
			}
			if err != nil {
				return nil, err
			}
		}
		b.Cols[i] = v.Vector()
	}
	return b, nil
}

// putDefaults puts the values of defaults where DEFAULT was said.
func (s *session) putDefaults(ctx context.Context, t catalog.Table, cols []int, b *columnar.Batch, places map[[2]int]bool) error {
	if len(places) == 0 {
		return nil
	}
	for i, c := range cols {
		if t.Columns[c].Default == "" {
			continue
		}
		d := defaults{session: s, table: t, cols: []int{c}}
		values, err := d.values(ctx, b.Len)
		if err != nil {
			return err
		}
		v := columnar.NewVectorBuilder(t.Columns[c].Type)
		for row := range b.Len {
			if places[[2]int{row, i}] {
				v.AppendFrom(&values[0], row)
			} else {
				v.AppendFrom(&b.Cols[i], row)
			}
		}
		b.Cols[i] = v.Vector()
	}
	return nil
}

// literalValue is one value as PostgreSQL assigns it: a number to an integer is rounded,
// other constants go through the input function of the column's type.
func literalValue(col catalog.Column, l parse.Literal, v *columnar.VectorBuilder, as *style.Style) error {
	if err := assignable(col, l); err != nil {
		return err
	}
	text := l.Text
	var err error
	if l.Kind == parse.Number {
		text, err = numberText(col.Type.Kind, text)
	}
	if err == nil {
		err = as.Read(col.Type, text, v, time.Now())
	}
	if err == nil {
		return nil
	}
	if e, ok := inputError(err, "").(*pgwire.Error); ok { //nolint:errorlint // just made, and not wrapped
		e.Position, e.Column = l.Position, col.Name
		return e
	}
	return err
}
