package sqlgw

import (
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
)

// describe columns as clients are told of them.
func describe(cols []columnar.Column) []pgwire.Column {
	out := make([]pgwire.Column, len(cols))
	for i, c := range cols {
		out[i] = pgwire.Column{Name: c.Name, TypeOID: c.Type.OID(), TypeSize: c.Type.TypeSize(), TypeMod: c.Type.TypMod()}
	}
	return out
}

// writeRows writes rows [from, to) of a presented batch in the formats that the client asked for.
func writeRows(w pgwire.RowSink, b *columnar.Batch, from, to int, p presenter) error {
	for row := from; row < to; row++ {
		out := w.Row(len(b.Cols))
		for i := range b.Cols {
			v := &b.Cols[i]
			switch {
			case v.IsNull(row):
				out.Null()
			case w.Binary(i):
				out.Put(p.appendBinary(out.Begin(), i, v, row))
			default:
				out.Put(p.style.Append(out.Begin(), v, row))
			}
		}
		if err := out.End(); err != nil {
			return err
		}
	}
	return nil
}
