package sqlgw

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// told is a type of PostgreSQL's that the engine has no type for: a result column of it is
// described by it, and its values are printed as its are. The zero value is the engine's own type.
type told struct {
	name string // pg_type's
	pgcatalog.Type
	// element is the OID of the elements of an array or vector, 0 for all else.
	element uint32
}

// tell finds what the columns of a query are told as. A type is told only where the engine's
// values are of the kind that it is made of.
func (g *Gateway) tell(columns []columnar.Column, types []string) []told {
	out := make([]told, len(columns))
	for i, c := range columns {
		if i >= len(types) || !isMadeOf(types[i], c.Type) {
			continue
		}
		if t, ok := g.pg.Type(types[i]); ok {
			out[i] = told{name: types[i], Type: t}
			if element, ok := g.pg.Type(elementName(types[i])); ok {
				out[i].element = element.OID
			}
		}
	}
	return out
}

// elementName is the name of the type of the elements of arrays and vectors of a type; "" if they aren't.
func elementName(typ string) string {
	switch typ {
	case "oidvector":
		return "oid"
	case "int2vector":
		return "int2"
	}
	element, isArray := strings.CutPrefix(typ, "_")
	if !isArray {
		return ""
	}
	return element
}

// typeName is what pg_type calls the type of a column, where that is to be told: where
// the engine has one type for several, reads its texts in another way, or can't tell the type of
// a parameter beside it.
func typeName(k columnar.Kind) string {
	switch k {
	case columnar.Int16:
		return "int2"
	case columnar.Int32:
		return "int4"
	case columnar.Int64:
		return "int8"
	case columnar.Float32:
		return "float4"
	case columnar.Float64:
		return "float8"
	case columnar.Text:
		return "text"
	case columnar.Varchar:
		return "varchar"
	case columnar.Char:
		return "bpchar"
	case columnar.Bytea:
		return "bytea"
	case columnar.Date:
		return "date"
	case columnar.Timestamp:
		return "timestamp"
	case columnar.TimestampTZ:
		return "timestamptz"
	case columnar.JSON:
		return "json"
	case columnar.JSONB:
		return "jsonb"
	default:
		return ""
	}
}

// isMadeOf tells whether values of a type are of a kind in the engine.
func isMadeOf(typ string, t columnar.Type) bool {
	kind := t.Kind
	if kind == columnar.Array {
		return isMadeOfElements(typ, t.Element)
	}
	switch typ {
	case "name", "char", "varchar", "pg_node_tree", "inet", "void", "anyarray":
		return kind == columnar.Text
	case "oid", "xid", "cid":
		return kind == columnar.Int64
	case "regclass", "regtype", "regproc", "regnamespace", "regrole": // see pgcatalog
		return kind == columnar.Int64 || kind == columnar.Text
	case "jsonb":
		return kind == columnar.JSON
	}
	return false
}

// isMadeOfElements tells whether arrays of a type are lists with elements of a kind in the engine.
func isMadeOfElements(typ string, element columnar.Kind) bool {
	switch typ {
	case "_name", "_char", "_varchar", "_bpchar", "_aclitem":
		return element == columnar.Text
	case "_oid", "_xid", "_cid", "oidvector":
		return element == columnar.Int64
	case "_regclass", "_regtype", "_regproc", "_regnamespace", "_regrole":
		return element == columnar.Int64 || element == columnar.Text
	case "int2vector":
		return element == columnar.Int16
	case "_jsonb":
		return element == columnar.JSON
	}
	return false
}

// describeTold describes columns with the types that they are told as.
func describeTold(columns []columnar.Column, types []told) []pgwire.Column {
	out := describe(columns)
	for i, t := range types {
		if t.OID != 0 {
			out[i].TypeOID, out[i].TypeSize, out[i].TypeMod = t.OID, t.Size, -1
		}
	}
	return out
}

// presenter turns the engine's rows into what they are told as.
type presenter struct {
	types []told
	names *pgcatalog.Names
	style *style.Style // of texts; nil is the default one
}

// in is the presenter in a style.
func (p presenter) in(s *style.Style) presenter {
	p.style = s
	return p
}

// batch gives values that have another text than the engine's that text: jsonb its
// normal form, and OIDs with names their names.
func (p presenter) batch(b *columnar.Batch) (*columnar.Batch, error) {
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(b.Cols))}
	for i := range b.Cols {
		v := &b.Cols[i]
		out.Cols[i] = *v
		var err error
		switch t := p.types[i]; {
		case t.name == "jsonb":
			out.Cols[i], err = normalized(v, b.Len)
		case v.Type.Kind == columnar.Array && t.OID != 0:
			out.Cols[i], err = p.array(t, v, b.Len)
		case t.Named && v.Type.Kind == columnar.Int64:
			out.Cols[i] = p.named(t.name, v, b.Len)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// array is a column of arrays as it is told: vectors are written with blanks, OIDs with names as
// their names.
func (p presenter) array(t told, v *columnar.Vector, n int) (columnar.Vector, error) {
	into := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
	for row := range n {
		if v.IsNull(row) {
			into.AppendNull()
			continue
		}
		elements, err := columnar.Elements(v.Type, string(v.Str.Value(row)))
		if err != nil {
			return columnar.Vector{}, err
		}
		element, isArray := strings.CutPrefix(t.name, "_")
		switch {
		case !isArray: // of a vector
			text := columnar.AppendArray(nil, &elements, 0, elements.Len())
			into.AppendString(strings.ReplaceAll(strings.Trim(string(text), "{}"), ",", " "))
			continue
		case elements.Type.Kind == columnar.Int64 && strings.HasPrefix(element, "reg"):
			elements = p.named(element, &elements, elements.Len())
		case element == "jsonb":
			if elements, err = normalized(&elements, elements.Len()); err != nil {
				return columnar.Vector{}, err
			}
		}
		into.AppendBytes(columnar.AppendArray(nil, &elements, 0, elements.Len()))
	}
	return into.Vector(), nil
}

// normalized is a column of JSON as jsonb.
func normalized(v *columnar.Vector, n int) (columnar.Vector, error) {
	into := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.JSONB})
	for row := range n {
		if v.IsNull(row) {
			into.AppendNull()
		} else if err := columnar.ParseText(into.Type(), string(v.Str.Value(row)), into); err != nil {
			return columnar.Vector{}, inputError(err, "")
		}
	}
	return into.Vector(), nil
}

// named is a column of OIDs as names.
func (p presenter) named(typ string, v *columnar.Vector, n int) columnar.Vector {
	into := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
	for row := range n {
		if v.IsNull(row) {
			into.AppendNull()
		} else {
			into.AppendString(p.names.Name(typ, v.I64[row]))
		}
	}
	return into.Vector()
}

// appendBinary appends a value of a batch in the binary format of what it is told as.
func (p presenter) appendBinary(dst []byte, i int, v *columnar.Vector, row int) []byte {
	if i >= len(p.types) {
		return columnar.AppendBinary(dst, v, row)
	}
	switch t := p.types[i]; {
	case t.name == "inet":
		return appendInet(dst, string(v.Str.Value(row)))
	case t.element != 0:
		return p.appendBinaryArray(dst, t, v, row)
	case t.Named:
		return binary.BigEndian.AppendUint32(dst, p.names.OID(t.name, string(v.Str.Value(row))))
	case t.OID != 0 && v.Type.Kind == columnar.Int64:
		return binary.BigEndian.AppendUint32(dst, uint32(v.I64[row]))
	}
	return columnar.AppendBinary(dst, v, row)
}

// appendBinaryArray appends an array in the binary format of what it is told as: its elements are
// texts, or OIDs of four bytes.
func (p presenter) appendBinaryArray(dst []byte, t told, v *columnar.Vector, row int) []byte {
	typ := columnar.ArrayOf(columnar.Type{Kind: columnar.Text})
	text := string(v.Str.Value(row))
	if !strings.HasPrefix(t.name, "_") { // a vector, whose elements begin at 0
		text = "{" + strings.ReplaceAll(text, " ", ",") + "}"
	}
	elements, err := columnar.Elements(typ, text)
	n := elements.Len()
	if err != nil {
		n = 0
	}
	be := binary.BigEndian
	dimensions, first := uint32(min(n, 1)), uint32(1)
	if t.name[0] != '_' {
		dimensions, first = 1, 0
	}
	nulls := len(dst) + 4
	dst = be.AppendUint32(be.AppendUint32(be.AppendUint32(dst, dimensions), 0), t.element)
	if dimensions == 0 {
		return dst
	}
	dst = be.AppendUint32(be.AppendUint32(dst, uint32(n)), first)
	for i := range n {
		if elements.IsNull(i) {
			be.PutUint32(dst[nulls:], 1)
			dst = be.AppendUint32(dst, math.MaxUint32)
			continue
		}
		at := len(dst)
		dst = p.appendBinaryElement(be.AppendUint32(dst, 0), t, elements.Str.Value(i))
		be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

func (p presenter) appendBinaryElement(dst []byte, t told, text []byte) []byte {
	name := elementName(t.name)
	number, _ := strconv.ParseInt(string(text), 10, 64)
	switch {
	case name == "int2":
		return binary.BigEndian.AppendUint16(dst, uint16(number))
	case name == "oid" || name == "xid" || name == "cid":
		return binary.BigEndian.AppendUint32(dst, uint32(number))
	case strings.HasPrefix(name, "reg"):
		return binary.BigEndian.AppendUint32(dst, p.names.OID(name, string(text)))
	case name == "jsonb":
		return append(append(dst, 1), text...)
	}
	return append(dst, text...)
}

// appendInet appends an address in the binary format of inet: its family, bits, whether it is a network, and its bytes.
func appendInet(dst []byte, text string) []byte {
	const v4, v6 = 2, 3
	a, err := netip.ParseAddr(text)
	if err != nil {
		return dst
	}
	family := byte(v6)
	if a = a.Unmap(); a.Is4() {
		family = v4
	}
	bytes := a.AsSlice()
	return append(append(dst, family, byte(a.BitLen()), 0, byte(len(bytes))), bytes...) //nolint:gosec // There are 128 bits at most.
}
