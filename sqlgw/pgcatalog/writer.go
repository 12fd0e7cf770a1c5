package pgcatalog

import (
	"fmt"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// batchRows is the number of rows that are gathered before they are handed on.
const batchRows = 1024

// cell is a value of a row: a number, also of a truth (0 or 1), or a text.
type cell struct {
	null   bool
	number int64
	text   string
}

// writer gathers the rows of a relation. Values are put by the names of their columns, then
// end completes the row.
type writer struct {
	relation *Relation
	add      func(*columnar.Batch) error
	builders []*columnar.VectorBuilder
	row      []cell
	err      error // of the row that is being made
}

func newWriter(r *Relation, add func(*columnar.Batch) error) *writer {
	w := &writer{relation: r, add: add, row: make([]cell, len(r.columns))}
	w.clear()
	w.reset()
	return w
}

// clear begins a row.
func (w *writer) clear() {
	for i := range w.row {
		w.row[i] = w.relation.columns[i].initial
	}
}

// reset begins a batch.
func (w *writer) reset() {
	w.builders = make([]*columnar.VectorBuilder, len(w.relation.columns))
	for i, c := range w.relation.columns {
		w.builders[i] = columnar.NewVectorBuilder(c.typ.scan)
	}
}

func (w *writer) put(column string, c cell) {
	i, ok := w.relation.index[column]
	if !ok {
		w.err = fmt.Errorf("there is no column %q", column)
		return
	}
	w.row[i] = c
}

func (w *writer) number(column string, v int64) { w.put(column, cell{number: v}) }

func (w *writer) text(column, v string) { w.put(column, cell{text: v}) }

func (w *writer) truth(column string, v bool) { w.put(column, truthCell(v)) }

func truthCell(v bool) cell {
	if v {
		return cell{number: 1}
	}
	return cell{}
}

// yesNo puts a truth as information_schema spells it.
func (w *writer) yesNo(column string, v bool) {
	if v {
		w.text(column, "YES")
	} else {
		w.text(column, "NO")
	}
}

// end completes a row.
func (w *writer) end() error {
	if w.err != nil {
		return w.err
	}
	for i, c := range w.row {
		if c.null && w.relation.columns[i].notNull {
			return fmt.Errorf("column %q has no value", w.relation.columns[i].name)
		}
		appendCell(w.builders[i], c)
	}
	w.clear()
	if w.builders[0].Len() >= batchRows {
		return w.flush()
	}
	return nil
}

func appendCell(b *columnar.VectorBuilder, c cell) {
	switch kind := b.Type().Kind; {
	case c.null:
		b.AppendNull()
	case kind == columnar.Bool:
		b.AppendBool(c.number != 0)
	case kind == columnar.Int16:
		b.AppendInt16(int16(c.number))
	case kind == columnar.Int32:
		b.AppendInt32(int32(c.number))
	case kind == columnar.Int64, kind == columnar.TimestampTZ:
		b.AppendInt64(c.number)
	case kind == columnar.Float32:
		b.AppendFloat32(float32(c.number))
	case kind == columnar.Interval:
		b.AppendInterval(columnar.IntervalValue{Micros: c.number})
	default:
		b.AppendString(c.text)
	}
}

// flush hands on what was gathered.
func (w *writer) flush() error {
	n := w.builders[0].Len()
	if n == 0 {
		return nil
	}
	batch := &columnar.Batch{Len: n, Cols: make([]columnar.Vector, len(w.builders))}
	for i, b := range w.builders {
		batch.Cols[i] = b.Vector()
	}
	w.reset()
	return w.add(batch)
}
