package formats

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Bounds of one message: how deep its messages nest, and how many values are gathered of it and those around it.
const (
	maxDepth       = 100
	maxOccurrences = 1 << 20
)

// wireError is why bytes aren't a message.
type wireError struct{ reason string }

func (e *wireError) Error() string { return e.reason }

// errTooLarge: the message is one, but not a row.
var errTooLarge = errors.New("what the message says is larger than 16 MiB")

// occurrence is a value of a field in the record: its content in record[begin:end].
type occurrence struct {
	field      int32 // its index in its message
	typ        protowire.Type
	begin, end uint32
}

// span is some of the decoder's occurrences.
type span struct{ from, to int }

// gatherer finds the values of fields in the wire form of messages. What it finds is a stack: who gathers, drops it again. A message
// may be in several pieces, which together are it: that is how protobuf merges messages that occur again. So nothing is
// copied, and what is held is bounded by the record and maxOccurrences.
type gatherer struct {
	record []byte
	found  []occurrence
}

// gather finds the values of a message that is in pieces, ordered by field and place. Of a oneof it keeps the member that came last.
// Fields that the message doesn't have, and values of another wire type, are left out.
func (g *gatherer) gather(m protoreflect.MessageDescriptor, pieces span) (span, error) {
	out := span{from: len(g.found)}
	for i := pieces.from; i < pieces.to; i++ {
		if err := g.piece(m, g.found[i]); err != nil {
			return out, err
		}
	}
	out.to = len(g.found)
	if m.Oneofs().Len() > 0 {
		out = g.lastOfOneofs(m, out)
	}
	slices.SortFunc(g.found[out.from:out.to], func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.begin, b.begin))
	})
	return out, nil
}

// drop forgets what was found from a place on.
func (g *gatherer) drop(s span) { g.found = g.found[:s.from] }

// piece finds the values of one piece.
func (g *gatherer) piece(m protoreflect.MessageDescriptor, p occurrence) error {
	fields := m.Fields()
	for at := int(p.begin); at < int(p.end); {
		num, typ, n := protowire.ConsumeTag(g.record[at:p.end])
		if n < 0 {
			return g.wrong(m, at, n)
		}
		tag := at
		at += n
		b := g.record[at:p.end]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return g.wrong(m, tag, size)
		}
		o := occurrence{typ: typ, begin: uint32(at), end: uint32(at + size)} //nolint:gosec // a record is at most 16 MiB
		at += size
		f := fields.ByNumber(num)
		if f == nil {
			continue
		}
		switch typ {
		case protowire.BytesType:
			_, head := protowire.ConsumeVarint(b)
			o.begin += uint32(head) //nolint:gosec // at most 10
		case protowire.StartGroupType:
			content, _ := protowire.ConsumeGroup(num, b)
			o.end = o.begin + uint32(len(content)) //nolint:gosec // a record is at most 16 MiB
		default:
		}
		if o.field = int32(f.Index()); !g.takes(f, o) { //nolint:gosec // field numbers have 29 bits
			continue
		}
		if len(g.found) == maxOccurrences {
			return errTooLarge
		}
		g.found = append(g.found, o)
	}
	return nil
}

func (g *gatherer) wrong(m protoreflect.MessageDescriptor, at, n int) error {
	what := strings.TrimPrefix(protowire.ParseError(n).Error(), "proto:") // after which any blank may stand
	return &wireError{fmt.Sprintf("not a message %s: byte %d: %s", m.FullName(), at, strings.TrimSpace(what))}
}

// takes tells whether a field has values of that wire type, and this one.
func (g *gatherer) takes(f protoreflect.FieldDescriptor, o occurrence) bool {
	want := wireType(f.Kind())
	if o.typ != want {
		return isPacked(f, o)
	}
	return f.IsList() || !isUnknown(f, g.number(o))
}

// isPacked tells of many values of a repeated field in one occurrence.
func isPacked(f protoreflect.FieldDescriptor, o occurrence) bool {
	return o.typ == protowire.BytesType && f.IsList() && wireType(f.Kind()) != protowire.BytesType && f.Kind() != protoreflect.GroupKind
}

// isUnknown tells of a number that a closed enum doesn't have: as if it weren't there.
func isUnknown(f protoreflect.FieldDescriptor, number uint64) bool {
	e := f.Enum()
	return e != nil && e.IsClosed() && e.Values().ByNumber(enumNumber(number)) == nil
}

func enumNumber(number uint64) protoreflect.EnumNumber {
	return protoreflect.EnumNumber(int32(number)) //nolint:gosec // as protobuf does
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	default:
		return protowire.VarintType
	}
}

// lastOfOneofs leaves out what another member of its oneof came after.
func (g *gatherer) lastOfOneofs(m protoreflect.MessageDescriptor, s span) span {
	const open, none = -1, -2
	last := make([]int32, m.Oneofs().Len())
	for i := range last {
		last[i] = open
	}
	kept := s.to
	for i := s.to - 1; i >= s.from; i-- {
		o := g.found[i]
		if of := m.Fields().Get(int(o.field)).ContainingOneof(); of != nil && !of.IsSynthetic() {
			switch l := &last[of.Index()]; {
			case *l == open:
				*l = o.field
			case *l != o.field:
				*l = none
				continue
			}
		}
		kept--
		g.found[kept] = o
	}
	n := copy(g.found[s.from:], g.found[kept:s.to])
	g.found = g.found[:s.from+n]
	return span{s.from, s.from + n}
}

// of is the occurrences of one field among those of a message.
func (g *gatherer) of(s span, field int) span {
	place := func(least int) int {
		i, _ := slices.BinarySearchFunc(g.found[s.from:s.to], least, func(o occurrence, least int) int { return cmp.Compare(int(o.field), least) })
		return s.from + i
	}
	return span{place(field), place(field + 1)}
}

// bytes of an occurrence.
func (g *gatherer) bytes(o occurrence) []byte { return g.record[o.begin:o.end] }

// number of an occurrence that isn't of bytes.
func (g *gatherer) number(o occurrence) uint64 {
	n, _ := consumeNumber(o.typ, g.bytes(o))
	return n
}

// consumeNumber reads a number of a wire type, and how many bytes it has; 0 if there is none.
func consumeNumber(typ protowire.Type, b []byte) (uint64, int) {
	var u uint64
	var n int
	switch typ {
	case protowire.VarintType:
		u, n = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		u, n = protowire.ConsumeFixed64(b)
	case protowire.Fixed32Type:
		var x uint32
		x, n = protowire.ConsumeFixed32(b)
		u = uint64(x)
	default:
	}
	return u, max(n, 0)
}

// value is one value of a field: pieces of a message, or bytes, or a number.
type value struct {
	pieces span
	bytes  []byte
	number uint64
}

// last is the value of a field that isn't repeated: of a message all its pieces.
func (g *gatherer) last(f protoreflect.FieldDescriptor, s span) value {
	if f.Message() != nil {
		return value{pieces: s}
	}
	return g.value(f, s.to-1)
}

func (g *gatherer) value(f protoreflect.FieldDescriptor, i int) value {
	o := g.found[i]
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return value{pieces: span{i, i + 1}}
	case protoreflect.StringKind, protoreflect.BytesKind:
		return value{bytes: g.bytes(o)}
	default:
		return value{number: g.number(o)}
	}
}

// each calls do with the values of a repeated field.
func (g *gatherer) each(f protoreflect.FieldDescriptor, s span, do func(value) error) error {
	for i := s.from; i < s.to; i++ {
		o := g.found[i]
		if !isPacked(f, o) {
			v := g.value(f, i)
			if isUnknown(f, v.number) {
				continue
			}
			if err := do(v); err != nil {
				return err
			}
			continue
		}
		for b := g.bytes(o); len(b) > 0; {
			u, n := consumeNumber(wireType(f.Kind()), b)
			if n == 0 {
				return &wireError{fmt.Sprintf("not a message %s: the packed field %s is cut", f.ContainingMessage().FullName(), f.Name())}
			}
			b = b[n:]
			if isUnknown(f, u) {
				continue
			}
			if err := do(value{number: u}); err != nil {
				return err
			}
		}
	}
	return nil
}
