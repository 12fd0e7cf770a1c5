package sqlgw

import (
	"bytes"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// appendCopyText appends a row in COPY's text format: columns apart by tabs, NULL as \N,
// and a backslash before what would be mistaken.
func appendCopyText(dst []byte, b *columnar.Batch, row int) []byte {
	for i := range b.Cols {
		if i > 0 {
			dst = append(dst, '\t')
		}
		v := &b.Cols[i]
		if v.IsNull(row) {
			dst = append(dst, '\\', 'N')
			continue
		}
		at := len(dst)
		dst = columnar.AppendText(dst, v, row)
		dst = escapeCopyText(dst, at)
	}
	return append(dst, '\n')
}

// copyEscapes are the characters that COPY's text format writes with a backslash.
const copyEscapes = "\b\f\n\r\t\v\\"

// escapeCopyText escapes dst[at:] in place.
func escapeCopyText(dst []byte, at int) []byte {
	if !bytes.ContainsAny(dst[at:], copyEscapes) {
		return dst
	}
	plain := bytes.Clone(dst[at:])
	dst = dst[:at]
	for _, c := range plain {
		switch c {
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\v':
			dst = append(dst, '\\', 'v')
		case '\\':
			dst = append(dst, '\\', '\\')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
