package columnar

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// An array is held as the text that PostgreSQL prints of it, {a,"b c",NULL}: so it is compared,
// cached and sent as any text is, and taken apart only where its elements are wanted.

// arrayOIDs are the types of arrays, by the kinds of their elements.
var arrayOIDs = [len(kinds)]uint32{
	Bool: 1000, Bytea: 1001, Int64: 1016, Int16: 1005, Int32: 1007, Text: 1009, JSON: 199, Float32: 1021, Float64: 1022,
	Char: 1014, Varchar: 1015, Date: 1182, Time: 1183, Timestamp: 1115, TimestampTZ: 1185, Interval: 1187, Decimal: 1231,
	UUID: 2951, JSONB: 3807,
}

// ArrayOf is the type of arrays with elements of a type.
func ArrayOf(t Type) Type {
	if !t.Kind.Valid() || t.Kind == Array {
		return t // PostgreSQL has one type for all numbers of dimensions
	}
	t.Element, t.Kind = t.Kind, Array
	return t
}

// ElementType is the type of an array's elements.
func (t Type) ElementType() Type {
	t.Kind, t.Element = t.Element, 0
	return t
}

func (t Type) validateArray() error {
	if !t.Element.Valid() || t.Element == Array {
		return fmt.Errorf("%v is not a kind of elements", t.Element)
	}
	return t.ElementType().Validate()
}

// elementName takes the mark of an array off a type's name.
func elementName(name string) (string, bool) {
	for _, suffix := range []string{"[]", " array"} {
		if element, ok := strings.CutSuffix(name, suffix); ok {
			return strings.TrimSpace(element), true
		}
	}
	return strings.CutPrefix(name, "_")
}

// SplitArray takes the text of an array of one dimension apart; a nil element is NULL. It tells
// whether the text is one.
func SplitArray(s string) ([]*string, bool) {
	var elements []*string
	ok := eachElement(s, func(element string, null bool) bool {
		if null {
			elements = append(elements, nil)
		} else {
			elements = append(elements, &element)
		}
		return true
	})
	if !ok {
		return nil, false
	}
	return elements, true
}

// eachElement tells of the elements of an array of one dimension, until the answer is false. It tells whether the text is one, as
// far as it was read. An element without escapes is a part of the text.
func eachElement(s string, tell func(element string, null bool) bool) bool {
	s = trimSpace(s)
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return false
	}
	a := arrayReader{rest: trimSpace(s[1 : len(s)-1])}
	if a.rest == "" {
		return true
	}
	for {
		element, null, ok := a.element()
		switch {
		case !ok:
			return false
		case !tell(element, null), a.rest == "":
			return true
		case a.rest[0] != ',':
			return false
		}
		a.rest = trimSpace(a.rest[1:])
	}
}

type arrayReader struct{ rest string }

// element reads one element, which may be NULL, and the blanks after it. It tells whether there is one.
func (a *arrayReader) element() (string, bool, bool) {
	quoted, closed := strings.HasPrefix(a.rest, `"`), false
	begin, end := 0, 0
	if quoted {
		begin = 1
	}
	escaped, value := false, []byte(nil) // the value if something is escaped
	i := begin
scan:
	for ; i < len(a.rest); i++ {
		c := a.rest[i]
		switch {
		case c == '\\' && i+1 < len(a.rest):
			if !escaped {
				escaped, value = true, append(value, a.rest[begin:i]...)
			}
			i++
			c = a.rest[i]
		case quoted && c == '"':
			closed = true
			break scan
		case !quoted && c == ',':
			break scan
		case !quoted && (c == '{' || c == '}' || c == '"'):
			return "", false, false
		}
		if escaped {
			value = append(value, c)
		}
	}
	if end = i; closed {
		i++
	}
	s := a.rest[begin:end]
	if escaped {
		s = string(value)
	}
	a.rest = trimSpace(a.rest[i:])
	if quoted {
		return s, false, closed
	}
	s = trimSpace(s)
	if strings.EqualFold(s, "null") && !escaped {
		return "", true, true
	}
	return s, false, s != ""
}

// Elements are those of the text of an array, which may be NULL.
func Elements(t Type, s string) (Vector, error) {
	n := 0
	ok := eachElement(s, func(string, bool) bool { n++; return true })
	if !ok && isOtherArray(s) {
		return Vector{}, &InputError{Code: codeNotSupported, Message: "arrays of more than one dimension, or with other bounds, are not supported"}
	}
	if !ok {
		return Vector{}, &InputError{Code: codeInvalidText, Message: `malformed array literal: "` + excerpt(s) + `"`}
	}
	into := NewVectorBuilder(t.ElementType())
	into.reserve(n)
	var err error
	eachElement(s, func(element string, null bool) bool {
		if null {
			into.AppendNull()
		} else {
			err = ParseText(into.Type(), element, into)
		}
		return err == nil
	})
	if err != nil {
		return Vector{}, err
	}
	return into.Vector(), nil
}

// isOtherArray tells whether a text begins as an array of more dimensions, or with bounds.
func isOtherArray(s string) bool {
	s = trimSpace(s)
	inner, isArray := strings.CutPrefix(s, "{")
	return strings.HasPrefix(s, "[") || isArray && strings.HasPrefix(trimSpace(inner), "{")
}

func parseArray(t Type, s string, into *VectorBuilder) error {
	elements, err := Elements(t, s)
	if err != nil || into == nil {
		return err
	}
	into.v.Str.Bytes = AppendArray(into.v.Str.Bytes, &elements, 0, elements.Len())
	into.endString()
	return nil
}

// AppendArray appends the text of the array of the values [from, to).
func AppendArray(dst []byte, v *Vector, from, to int) []byte {
	return AppendArrayAs(dst, v, from, to, AppendText)
}

// AppendArrayAs does so with elements that are written by write.
func AppendArrayAs(dst []byte, v *Vector, from, to int, write func(dst []byte, v *Vector, row int) []byte) []byte {
	dst = append(dst, '{')
	var buf []byte
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, ',')
		}
		if v.IsNull(i) {
			dst = append(dst, "NULL"...)
			continue
		}
		buf = write(buf[:0], v, i)
		dst = appendElement(dst, buf)
	}
	return append(dst, '}')
}

// appendElement appends the text of an element, in quotes where it would be read as something
// else without them.
func appendElement(dst, s []byte) []byte {
	plain := len(s) > 0 && !strings.EqualFold(text(s), "null")
	for i := 0; plain && i < len(s); i++ {
		plain = !isSpace(s[i]) && strings.IndexByte(`{}",\`, s[i]) < 0
	}
	if plain {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for _, c := range s {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// appendBinaryArray appends the number of dimensions, whether there are NULLs, the type of the elements,
// their number and the first's index, and each element with its length. The text is one that
// this package made.
func appendBinaryArray(dst []byte, t Type, s string) []byte {
	be := binary.BigEndian
	v, err := Elements(t, s)
	n := v.Len()
	dimensions, nulls := uint32(1), uint32(0)
	if err != nil || n == 0 {
		dimensions, n = 0, 0
	}
	for i := range n {
		if v.IsNull(i) {
			nulls = 1
		}
	}
	dst = be.AppendUint32(be.AppendUint32(dst, dimensions), nulls)
	dst = be.AppendUint32(dst, t.ElementType().OID())
	if n == 0 {
		return dst
	}
	dst = be.AppendUint32(be.AppendUint32(dst, uint32(n)), 1)
	for i := range n {
		if v.IsNull(i) {
			dst = be.AppendUint32(dst, 0xFFFFFFFF)
			continue
		}
		at := len(dst)
		dst = AppendBinary(be.AppendUint32(dst, 0), &v, i)
		be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

// binaryArray is the head of an array on the wire.
const binaryArrayHead = 12

func parseBinaryArray(t Type, b []byte, into *VectorBuilder) error {
	if len(b) < binaryArrayHead {
		return errShort()
	}
	be := binary.BigEndian
	dimensions, element := be.Uint32(b), be.Uint32(b[8:])
	switch {
	case dimensions > 1:
		return &InputError{Code: codeNotSupported, Message: "arrays of more than one dimension are not supported"}
	case element != t.ElementType().OID():
		return &InputError{Code: codeDatatypeMismatch, Message: fmt.Sprintf("binary data has array element type %d instead of expected %d", element, t.ElementType().OID())}
	}
	b = b[binaryArrayHead:]
	n := 0
	if dimensions == 1 {
		if len(b) < 8 {
			return errShort()
		}
		count := be.Uint32(b)
		b = b[8:]
		if int64(count)*4 > int64(len(b)) {
			return errBinary(t, "it has fewer elements than it says")
		}
		n = int(count)
	}
	elements := NewVectorBuilder(t.ElementType())
	for range n {
		rest, err := parseBinaryElement(t, b, elements)
		if err != nil {
			return err
		}
		b = rest
	}
	if len(b) > 0 {
		return errBinary(t, "there is something after its last element")
	}
	if into != nil {
		v := elements.Vector()
		into.v.Str.Bytes = AppendArray(into.v.Str.Bytes, &v, 0, n)
		into.endString()
	}
	return nil
}

// parseBinaryElement reads one element with its length, and returns what comes after it.
func parseBinaryElement(t Type, b []byte, into *VectorBuilder) ([]byte, error) {
	if len(b) < 4 {
		return nil, errShort()
	}
	size := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	switch {
	case size == -1:
		into.AppendNull()
		return b, nil
	case size < 0 || int(size) > len(b):
		return nil, errBinary(t, "an element is cut")
	}
	return b[size:], ParseBinary(into.Type(), b[:size], into)
}

// array reads a JSON array, from behind its bracket, into a column of arrays.
func (d *lineDecoder) array(f *field, p int) int {
	d.dirty = true // read_json isn't asked for arrays
	element := field{typ: f.typ.ElementType(), name: f.name, out: NewVectorBuilder(f.typ.ElementType())}
	if p = skipBlanks(d.s, p); p < len(d.s) && d.s[p] == ']' {
		return d.endArray(f, &element, p+1)
	}
	for {
		if p = d.element(&element, p); p < 0 {
			return -1
		}
		p = skipBlanks(d.s, p)
		switch {
		case p < len(d.s) && d.s[p] == ',':
			p = skipBlanks(d.s, p+1)
		case p < len(d.s) && d.s[p] == ']':
			return d.endArray(f, &element, p+1)
		default:
			d.failAt(p, "a comma or ]")
			d.invalid()
			return -1
		}
	}
}

// element reads a value of an array, which may be null.
func (d *lineDecoder) element(f *field, p int) int {
	if p >= len(d.s) || d.s[p] != 'n' {
		return d.read(f, p)
	}
	if p = d.literal(p, "null"); p < 0 {
		d.invalid()
		return -1
	}
	f.out.AppendNull()
	return p
}

func (d *lineDecoder) endArray(f, element *field, p int) int {
	if f.out == nil {
		return p
	}
	v := element.out.Vector()
	before := len(f.out.v.Str.Bytes)
	f.out.v.Str.Bytes = AppendArray(f.out.v.Str.Bytes, &v, 0, v.Len())
	f.out.endString()
	d.grown += len(f.out.v.Str.Bytes) - before
	return p
}

// appendArrayJSON appends an array as one of JSON.
func appendArrayJSON(dst []byte, c *writerColumn, v *Vector, row int) ([]byte, error) {
	elements, err := Elements(v.Type, text(v.Str.Value(row)))
	if err != nil {
		return dst, err
	}
	element := writerColumn{Column: Column{Name: c.Name, Type: c.Type.ElementType()}}
	out := dst
	out = append(out, '[')
	for i := range elements.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		if elements.IsNull(i) {
			out = append(out, "null"...)
			continue
		}
		if out, err = appendValue(out, &element, &elements, i); err != nil {
			return dst, err
		}
	}
	return append(out, ']'), nil
}
