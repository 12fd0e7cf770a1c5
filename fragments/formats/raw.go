package formats

import (
	"bytes"
	"encoding/hex"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// rawFormat: a line is a row of one column, of text or bytea. An empty line is a row too, and so is a carriage return a byte.
type rawFormat struct{}

func (rawFormat) Frames() bool { return false }

func (rawFormat) AppendIdentity(dst []byte) []byte { return append(dst, Raw...) }

// column is the one that there may be.
func (rawFormat) column(columns []columnar.Column) (columnar.Column, error) {
	if len(columns) == 0 {
		return columnar.Column{}, &ColumnError{Reason: "a table of raw lines has one column"}
	}
	if len(columns) > 1 {
		return columnar.Column{}, &ColumnError{Column: columns[1].Name, Reason: "a table of raw lines has one column", Hint: "Declare one column of type text or bytea."}
	}
	c := columns[0]
	if k := c.Type.Kind; k != columnar.Text && k != columnar.Bytea {
		return c, &ColumnError{Column: c.Name, Reason: "a raw line is text or bytea, not " + c.Type.SQL(), Hint: "Cast it in a view."}
	}
	return c, nil
}

func (f rawFormat) NewDecoder(columns []columnar.Column) (columnar.RecordDecoder, error) {
	c, err := f.column(columns)
	return rawDecoder{c}, err
}

func (f rawFormat) NewEncoder(columns []columnar.Column) (columnar.RecordEncoder, error) {
	c, err := f.column(columns)
	return rawEncoder{c}, err
}

type rawDecoder struct{ column columnar.Column }

func (d rawDecoder) Decode(record []byte, out []*columnar.VectorBuilder) columnar.Verdict {
	if d.column.Type.Kind == columnar.Text {
		if err := columnar.CheckText(record); err != nil {
			return columnar.RejectValue(d.column.Name, err)
		}
	}
	if out[0] != nil {
		out[0].AppendBytes(record)
	}
	return columnar.Verdict{}
}

type rawEncoder struct{ column columnar.Column }

func (e rawEncoder) AppendRecord(dst []byte, values [][]byte) ([]byte, error) {
	value := values[0]
	if value == nil {
		return dst, &columnar.InputError{Code: codeNotNull, Message: `null value in column "` + e.column.Name + `": a raw line can't be NULL`}
	}
	start := len(dst)
	out := dst
	if e.column.Type.Kind == columnar.Bytea {
		var err error
		if out, err = hex.AppendDecode(out, bytes.TrimPrefix(value, []byte(`\x`))); err != nil {
			return dst, err
		}
	} else {
		out = append(out, value...)
	}
	if bytes.IndexByte(out[start:], '\n') >= 0 {
		return dst, errLineBreak(e.column.Name)
	}
	return append(out, '\n'), nil
}

// The SQLSTATE codes that this package's errors carry.
const (
	codeNotNull          = "23502"
	codeInvalidParameter = "22023"
)

func errLineBreak(column string) error {
	return &columnar.InputError{
		Code: codeInvalidParameter, Message: `column "` + column + `": a value with a line break can't be written: a row is one line`,
		Detail: "Tables of JSON hold any text.",
	}
}
