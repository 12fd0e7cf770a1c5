package sqlgw

import (
	"bytes"
	"encoding/binary"
	"math"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// newCopyEncoder returns the encoder of a format. Quoted tells of each column whether CSV always
// quotes it.
func newCopyEncoder(o parse.CopyOptions, quoted []bool, p presenter) copyEncoder {
	if o.Format == parse.CopyBinary {
		return binaryEncoder{presenter: p}
	}
	return &lineEncoder{options: o, quoted: quoted, style: p.style}
}

// lineEncoder writes text and CSV.
type lineEncoder struct {
	options parse.CopyOptions
	quoted  []bool
	style   *style.Style
}

func (e *lineEncoder) begin(dst []byte) []byte { return dst }

func (e *lineEncoder) end(dst []byte) []byte { return dst }

func (e *lineEncoder) header(dst []byte, columns []pgwire.Column) []byte {
	if e.options.Header == parse.HeaderNone {
		return dst
	}
	for i, col := range columns {
		dst = e.separate(dst, i)
		at := len(dst)
		dst = e.escape(append(dst, col.Name...), at, false)
	}
	return append(dst, '\n')
}

func (e *lineEncoder) row(dst []byte, b *columnar.Batch, row int) []byte {
	for i := range b.Cols {
		dst = e.separate(dst, i)
		if v := &b.Cols[i]; v.IsNull(row) {
			dst = append(dst, e.options.Null...)
		} else {
			at := len(dst)
			dst = e.escape(e.style.Append(dst, v, row), at, e.quoted[i])
		}
	}
	return append(dst, '\n')
}

func (e *lineEncoder) separate(dst []byte, i int) []byte {
	if i > 0 {
		dst = append(dst, e.options.Delimiter)
	}
	return dst
}

// escape makes a field of the value dst[at:].
func (e *lineEncoder) escape(dst []byte, at int, quoted bool) []byte {
	if e.options.Format == parse.CopyText {
		return escapeCopyText(dst, at, e.options.Delimiter)
	}
	if quoted || e.needsQuotes(dst[at:]) {
		return e.quote(dst, at)
	}
	return dst
}

// copyEscapes are the characters that the text format writes as a backslash and a letter.
const (
	copyEscapes = "\b\f\n\r\t\v\\"
	copyLetters = `bfnrtv\`
)

// escapeCopyText puts a backslash before what would be mistaken in dst[at:].
func escapeCopyText(dst []byte, at int, delimiter byte) []byte {
	if value := dst[at:]; !bytes.ContainsAny(value, copyEscapes) && bytes.IndexByte(value, delimiter) < 0 {
		return dst
	}
	plain := bytes.Clone(dst[at:])
	dst = dst[:at]
	for _, c := range plain {
		switch i := bytes.IndexByte([]byte(copyEscapes), c); {
		case i >= 0:
			dst = append(dst, '\\', copyLetters[i])
		case c == delimiter:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// needsQuotes tells whether a value is the null string, would be taken for the end of the data, or has a
// character that means something.
func (e *lineEncoder) needsQuotes(value []byte) bool {
	o := &e.options
	if string(value) == o.Null || (len(e.quoted) == 1 && string(value) == `\.`) {
		return true
	}
	for _, x := range value {
		if x == o.Delimiter || x == o.Quote || x == '\n' || x == '\r' {
			return true
		}
	}
	return false
}

func (e *lineEncoder) quote(dst []byte, at int) []byte {
	o, value := &e.options, bytes.Clone(dst[at:])
	dst = append(dst[:at], o.Quote)
	for _, x := range value {
		if x == o.Quote || x == o.Escape {
			dst = append(dst, o.Escape)
		}
		dst = append(dst, x)
	}
	return append(dst, o.Quote)
}

// binaryEncoder writes binary.
type binaryEncoder struct{ presenter presenter }

// begin has no flags and no extension.
func (binaryEncoder) begin(dst []byte) []byte {
	return append(append(dst, copySignature...), 0, 0, 0, 0, 0, 0, 0, 0)
}

func (binaryEncoder) header(dst []byte, _ []pgwire.Column) []byte { return dst }

func (e binaryEncoder) row(dst []byte, b *columnar.Batch, row int) []byte {
	be := binary.BigEndian
	dst = be.AppendUint16(dst, uint16(len(b.Cols)))
	for i := range b.Cols {
		v := &b.Cols[i]
		if v.IsNull(row) {
			dst = be.AppendUint32(dst, math.MaxUint32)
			continue
		}
		at := len(dst)
		dst = e.presenter.appendBinary(be.AppendUint32(dst, 0), i, v, row)
		be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

func (binaryEncoder) end(dst []byte) []byte { return append(dst, 0xff, 0xff) }
