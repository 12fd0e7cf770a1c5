package formats

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unsafe"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// csvFormat: a line is a row, its values by position.
type csvFormat struct{ spec Spec }

func (csvFormat) Frames() bool { return false }

func (f csvFormat) AppendIdentity(dst []byte) []byte {
	s := f.spec
	for _, v := range []string{CSV, s.Delimiter, s.Quote, s.Escape, s.Null, strconv.FormatBool(s.Header)} {
		dst = append(binary.AppendUvarint(dst, uint64(len(v))), v...)
	}
	return dst
}

// csvDialect is the spec in bytes.
type csvDialect struct {
	delimiter, quote, escape byte
	null                     []byte
	header                   bool
}

func (f csvFormat) dialect() csvDialect {
	s := f.spec
	return csvDialect{delimiter: s.Delimiter[0], quote: s.Quote[0], escape: s.Escape[0], null: []byte(s.Null), header: s.Header}
}

func (f csvFormat) NewDecoder(columns []columnar.Column) (columnar.RecordDecoder, error) {
	missing, err := missingValues(columns)
	return &csvDecoder{csvDialect: f.dialect(), columns: columns, missing: missing, fields: make([]csvField, 0, len(columns))}, err
}

func (f csvFormat) NewEncoder(columns []columnar.Column) (columnar.RecordEncoder, error) {
	return &csvEncoder{csvDialect: f.dialect(), columns: columns}, nil
}

// csvField is a value of a line: text[begin:end] of the decoder. Quoted tells that some of it stood in quotes, so that it isn't NULL.
type csvField struct {
	begin, end int
	quoted     bool
}

type csvDecoder struct {
	csvDialect
	columns []columnar.Column
	missing []*columnar.Vector // values that a line may lack at its end
	fields  []csvField         // of the line
	text    []byte             // of its values, without quotes and escapes
}

// Decode a line. One that names the columns is blank if there may be headers. So is an empty one, but in a table of one column,
// of which it is the value.
func (d *csvDecoder) Decode(line []byte, out []*columnar.VectorBuilder) columnar.Verdict {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if len(line) == 0 && len(d.columns) != 1 {
		return columnar.Verdict{Blank: true}
	}
	if err := columnar.CheckText(line); err != nil {
		return columnar.Verdict{Reason: err.Error()}
	}
	if reason := d.split(line); reason != "" {
		return columnar.Verdict{Reason: reason}
	}
	if d.header && d.isHeader() {
		return columnar.Verdict{Blank: true}
	}
	for i, c := range d.columns {
		if i >= len(d.fields) || d.isNull(d.fields[i]) {
			var missing *columnar.Vector
			if i >= len(d.fields) {
				missing = d.missing[i]
			}
			if v := appendMissing(c, missing, out[i]); v.Reason != "" {
				return v
			}
			continue
		}
		f := d.fields[i]
		if err := columnar.ParseText(c.Type, asString(d.text[f.begin:f.end]), out[i]); err != nil {
			return columnar.RejectValue(c.Name, err)
		}
	}
	return columnar.Verdict{}
}

func (d *csvDecoder) isNull(f csvField) bool {
	return !f.quoted && bytes.Equal(d.text[f.begin:f.end], d.null)
}

func (d *csvDecoder) isHeader() bool {
	if len(d.fields) != len(d.columns) {
		return false
	}
	for i, f := range d.fields {
		if !isNameOf(&d.columns[i], d.text[f.begin:f.end]) {
			return false
		}
	}
	return true
}

// isNameOf tells whether a column is called so, or was when lines were written.
func isNameOf(c *columnar.Column, text []byte) bool {
	return string(text) == c.Name || string(text) == c.LineKey()
}

// split a line as COPY does: quotes may stand anywhere in a value. It returns why that isn't possible.
func (d *csvDecoder) split(line []byte) string {
	d.fields, d.text = d.fields[:0], d.text[:0]
	for at := 0; ; {
		if len(d.fields) == len(d.columns) {
			return "extra data after last expected column"
		}
		f := csvField{begin: len(d.text)}
		for at < len(line) && line[at] != d.delimiter {
			if line[at] != d.quote {
				d.text = append(d.text, line[at])
				at++
				continue
			}
			f.quoted = true
			if at = d.unquote(line, at+1); at < 0 {
				return "unterminated CSV quoted field"
			}
		}
		f.end = len(d.text)
		d.fields = append(d.fields, f)
		if at == len(line) {
			return ""
		}
		at++
	}
}

// unquote reads to the closing quote, and returns the place behind it; -1 if there is none.
func (d *csvDecoder) unquote(line []byte, at int) int {
	for ; at < len(line); at++ {
		c := line[at]
		if c == d.escape && at+1 < len(line) && (line[at+1] == d.escape || line[at+1] == d.quote) {
			at++
			d.text = append(d.text, line[at])
			continue
		}
		if c == d.quote {
			return at + 1
		}
		d.text = append(d.text, c)
	}
	return -1
}

// asString is a text that isn't kept.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

type csvEncoder struct {
	csvDialect
	columns []columnar.Column
}

func (e *csvEncoder) AppendRecord(dst []byte, values [][]byte) ([]byte, error) {
	out, isHeader := dst, e.header
	for i, v := range values {
		if i > 0 {
			out = append(out, e.delimiter)
		}
		reads := v
		if v == nil {
			reads = e.null
		}
		isHeader = isHeader && isNameOf(&e.columns[i], reads)
		switch {
		case v == nil:
			out = append(out, e.null...)
		case bytes.IndexByte(v, '\n') >= 0:
			return dst, errLineBreak(e.columns[i].Name)
		default:
			out = e.appendValue(out, v)
		}
	}
	if isHeader {
		return dst, &columnar.InputError{Code: codeInvalidParameter, Message: "the row can't be written: it says what the table's header says"}
	}
	return append(out, '\n'), nil
}

func (e *csvEncoder) appendValue(dst, v []byte) []byte {
	if !e.needsQuotes(v) {
		return append(dst, v...)
	}
	dst = append(dst, e.quote)
	for _, c := range v {
		if c == e.quote || c == e.escape {
			dst = append(dst, e.escape)
		}
		dst = append(dst, c)
	}
	return append(dst, e.quote)
}

func (e *csvEncoder) needsQuotes(v []byte) bool {
	return bytes.Equal(v, e.null) || len(v) == 0 || bytes.IndexByte(v, '\r') >= 0 ||
		bytes.IndexByte(v, e.delimiter) >= 0 || bytes.IndexByte(v, e.quote) >= 0
}
