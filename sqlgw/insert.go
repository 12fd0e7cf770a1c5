package sqlgw

import (
	"context"
	"strings"

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
					return e.(batchExecution).stream(ctx, func(b *columnar.Batch) error {
						cast, err := castBatch(b, t, cols)
						if err != nil {
							return err
						}
						return add(cast)
					}, func() error { return nil })
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
	sink, err := newRowSink(t, journals, cols, s.gateway.openAppend)
	if err != nil {
		return err
	}
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
		begin: func(_ context.Context, args *columnar.Batch) (execution, error) {
			b, err := literalBatch(t, cols, rows, args)
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
	var text []byte
	for i, c := range cols {
		col := t.Columns[c]
		v := columnar.NewVectorBuilder(col.Type)
		for _, row := range rows {
			l := row[i]
			if l.Kind == parse.Param {
				a := &args.Cols[l.Param-1]
				if a.IsNull(0) {
					l.Kind = parse.Null
				} else {
					text = columnar.AppendText(text[:0], a, 0)
					l.Text = string(text)
				}
			}
			if l.Kind == parse.Null {
				v.AppendNull()
				continue
			}
			if err := literalValue(col, l, v); err != nil {
				return nil, err
			}
		}
		b.Cols[i] = v.Vector()
	}
	return b, nil
}

// literalValue is one value as PostgreSQL assigns it: a number to an integer is rounded,
// other constants go through the input function of the column's type.
func literalValue(col catalog.Column, l parse.Literal, v *columnar.VectorBuilder) error {
	if err := assignable(col, l); err != nil {
		return err
	}
	text := l.Text
	if l.Kind == parse.Number && isInteger(col.Type.Kind) && strings.ContainsAny(text, ".eE") {
		var err error
		if text, err = roundToInteger(text); err != nil {
			return inputError(err, "")
		}
	}
	err := columnar.ParseText(col.Type, text, v)
	if err == nil {
		return nil
	}
	if e, ok := inputError(err, "").(*pgwire.Error); ok { //nolint:errorlint // just made, and not wrapped
		e.Position, e.Column = l.Position, col.Name
		return e
	}
	return err
}

// assignable refuses constants that PostgreSQL doesn't assign to a column of this type.
func assignable(col catalog.Column, l parse.Literal) error {
	from := ""
	switch k := col.Type.Kind; {
	case l.Kind == parse.Number && !isNumber(k) && !isText(k):
		from = "integer"
		if strings.ContainsAny(l.Text, ".eE") {
			from = "numeric"
		}
	case l.Kind == parse.Bool && k != columnar.Bool && !isText(k):
		from = "boolean"
	default:
		return nil
	}
	e := sqlError("42804", "column %q is of type %s but expression is of type %s", col.Name, col.Type.SQL(), from)
	e.Position, e.Hint = l.Position, "You will need to rewrite or cast the expression."
	return e
}

func isInteger(k columnar.Kind) bool {
	return k == columnar.Int16 || k == columnar.Int32 || k == columnar.Int64
}

func isNumber(k columnar.Kind) bool {
	return isInteger(k) || k == columnar.Float32 || k == columnar.Float64 || k == columnar.Decimal
}

func isText(k columnar.Kind) bool {
	return k == columnar.Text || k == columnar.Varchar || k == columnar.Char
}

// roundToInteger rounds a decimal number half away from zero, as numeric to integer does.
func roundToInteger(text string) (string, error) {
	v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Decimal, Precision: 38})
	if err := columnar.ParseText(v.Type(), text, v); err != nil {
		return "", err
	}
	vector := v.Vector()
	return string(columnar.AppendText(nil, &vector, 0)), nil
}

// castBatch gives a batch the types of the columns that it is for, as an assignment does.
func castBatch(b *columnar.Batch, t catalog.Table, cols []int) (*columnar.Batch, error) {
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(cols))}
	var text []byte
	for i, c := range cols {
		from, col := &b.Cols[i], t.Columns[c]
		if from.Type == col.Type {
			out.Cols[i] = *from
			continue
		}
		if err := castable(from.Type, col); err != nil {
			return nil, err
		}
		v := columnar.NewVectorBuilder(col.Type)
		for row := range b.Len {
			if from.IsNull(row) {
				v.AppendNull()
				continue
			}
			text = columnar.AppendText(text[:0], from, row)
			l := parse.Literal{Kind: parse.String, Text: string(text)}
			if isNumber(from.Type.Kind) {
				l.Kind = parse.Number
			}
			if err := literalValue(col, l, v); err != nil {
				return nil, err
			}
		}
		out.Cols[i] = v.Vector()
	}
	return out, nil
}

// castable tells whether PostgreSQL assigns a value of one type to a column of another.
func castable(from columnar.Type, col catalog.Column) error {
	to := col.Type.Kind
	same := from.Kind == to || isText(from.Kind) || isText(to) || (isNumber(from.Kind) && isNumber(to))
	times := map[columnar.Kind]int{columnar.Date: 1, columnar.Timestamp: 1, columnar.TimestampTZ: 1}
	docs := map[columnar.Kind]int{columnar.JSON: 1, columnar.JSONB: 1}
	if same || times[from.Kind]*times[to] == 1 || docs[from.Kind]*docs[to] == 1 {
		return nil
	}
	e := sqlError("42804", "column %q is of type %s but expression is of type %s", col.Name, col.Type.SQL(), from.SQL())
	e.Hint, e.Column = "You will need to rewrite or cast the expression.", col.Name
	return e
}
