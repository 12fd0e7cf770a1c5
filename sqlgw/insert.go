package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareInsert makes a statement of INSERT. VALUES of constants and parameters go straight
// to their columns' input functions, as in PostgreSQL; any other source is a query of the
// engine, whose rows are cast to the columns' types.
func (s *session) prepareInsert(ctx context.Context, p *parse.Insert, paramOIDs []uint32) (*statement, error) {
	t, _, err := s.writable(ctx, p.Table)
	if err != nil {
		return nil, err
	}
	if rows, ok := p.Source.Literals(); ok {
		return s.prepareLiterals(p, t, rows, paramOIDs)
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
	return &statement{
		session: s, params: source.params,
		begin: func(ctx context.Context, args *columnar.Batch) (execution, error) {
			return simpleExecution(func(ctx context.Context, w pgwire.ResultWriter) error {
				e, err := source.begin(ctx, args)
				if err != nil {
					return err
				}
				defer e.close()
				return s.insertAll(ctx, w, p.Table, t, cols, func(add func(*columnar.Batch) error) error {
					return e.(*queryExecution).each(ctx, func(b *columnar.Batch) error {
						cast, err := castBatch(b, t, cols)
						if err != nil {
							return err
						}
						return add(cast)
					})
				})
			}), nil
		},
	}, nil
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

// insertAll runs an INSERT: rows hands its batches to add.
func (s *session) insertAll(ctx context.Context, w pgwire.ResultWriter, name parse.Name, want catalog.Table, cols []int, rows func(add func(*columnar.Batch) error) error) error {
	t, journals, err := s.writable(ctx, name)
	if err != nil {
		return err
	}
	if t.ID != want.ID || t.Version != want.Version {
		return sqlError("0A000", "table %q was changed after the statement was prepared", t.Name)
	}
	fill, cols := s.defaultsFor(t, cols)
	sink, err := newRowSink(t, journals, cols, s.openAppend)
	if err != nil {
		return err
	}
	sink.fill = fill.fill
	defer sink.abort()
	if err := rows(func(b *columnar.Batch) error { return sink.add(ctx, b) }); err != nil {
		return err
	}
	if err := sink.commit(); err != nil {
		return err
	}
	w.Complete(tag("INSERT 0", sink.rows))
	return nil
}

// prepareLiterals makes a statement of VALUES that need no engine. A parameter has the type
// of the first column that it is for, unless the client says another.
func (s *session) prepareLiterals(p *parse.Insert, t catalog.Table, rows [][]parse.Literal, paramOIDs []uint32) (*statement, error) {
	cols, err := insertColumns(t, p.Columns, len(rows[0]))
	if err != nil {
		return nil, err
	}
	params, err := literalParams(t, cols, rows, paramOIDs)
	if err != nil {
		return nil, err
	}
	return &statement{
		session: s, params: params,
		begin: func(ctx context.Context, args *columnar.Batch) (execution, error) {
			b, err := literalBatch(t, cols, rows, args)
			if err == nil {
				err = s.putDefaults(ctx, t, cols, b, p.Defaults)
			}
			if err != nil {
				return nil, err
			}
			return simpleExecution(func(ctx context.Context, w pgwire.ResultWriter) error {
				return s.insertAll(ctx, w, p.Table, t, cols, func(add func(*columnar.Batch) error) error { return add(b) })
			}), nil
		},
	}, nil
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
func literalBatch(t catalog.Table, cols []int, rows [][]parse.Literal, args *columnar.Batch) (*columnar.Batch, error) {
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
				err = assign(col, &args.Cols[l.Param-1], 0, v)
			default:
				err = literalValue(col, l, v)
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
func literalValue(col catalog.Column, l parse.Literal, v *columnar.VectorBuilder) error {
	if err := assignable(col, l); err != nil {
		return err
	}
	text := l.Text
	var err error
	if l.Kind == parse.Number {
		text, err = numberText(col.Type.Kind, text)
	}
	if err == nil {
		err = columnar.ParseText(col.Type, text, v)
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
