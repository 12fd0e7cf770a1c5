package formats

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// protoColumn is a column, and the field that it shows.
type protoColumn struct {
	columnar.Column
	field   protoreflect.FieldDescriptor
	missing *columnar.Vector // what it is where the field isn't there; nil for NULL
}

// protoDecoder reads messages as rows.
type protoDecoder struct {
	jsonWriter
	message protoreflect.MessageDescriptor
	columns []protoColumn
	text    []byte // of the last value
}

// Decode a message. Its fields that are no columns are gone over, but not looked into.
func (d *protoDecoder) Decode(record []byte, out []*columnar.VectorBuilder) columnar.Verdict {
	d.record, d.depth = record, 0
	d.found = append(d.found[:0], occurrence{typ: protowire.BytesType, end: uint32(len(record))}) //nolint:gosec // a record is at most 16 MiB
	found, err := d.gather(d.message, span{0, 1})
	if err != nil {
		return d.verdict("", err)
	}
	for i := range d.columns {
		c := &d.columns[i]
		s := d.of(found, c.field.Index())
		if s.from == s.to && c.field.HasPresence() {
			if v := appendMissing(c.Column, c.missing, out[i]); v.Reason != "" {
				return v
			}
			continue
		}
		if err := d.column(c, s, out[i]); err != nil {
			return d.verdict(c.Name, err)
		}
	}
	if cap(d.found) > 1<<12 || cap(d.json) > 1<<16 { // what one large message took isn't kept for small ones
		d.found, d.json = nil, nil
	}
	return columnar.Verdict{}
}

// verdict of an error. A frame that has no message says nothing of its length either.
func (d *protoDecoder) verdict(column string, err error) columnar.Verdict {
	if _, ok := errors.AsType[*wireError](err); ok {
		return columnar.Verdict{Reason: err.Error(), Misframed: true}
	}
	if column == "" {
		return columnar.Verdict{Reason: err.Error()}
	}
	return columnar.RejectValue(column, err)
}

// column appends what a field has; if it has nothing, it is of those without presence: empty, or zero.
func (d *protoDecoder) column(c *protoColumn, s span, out *columnar.VectorBuilder) error {
	switch t := c.Type; {
	case t.Kind == columnar.JSON || t.Kind == columnar.JSONB:
		d.json = d.json[:0]
		var err error
		if s.from == s.to && !c.field.IsList() && !c.field.IsMap() {
			err = d.value(c.field, value{})
		} else {
			err = d.field(c.field, s)
		}
		if err != nil {
			return err
		}
		return columnar.ParseText(t, asString(d.json), out)
	case t.Kind == columnar.Array:
		return d.array(c, s, out)
	case s.from == s.to:
		return d.scalar(c.field, t, value{}, out)
	default:
		return d.scalar(c.field, t, d.last(c.field, s), out)
	}
}

func (d *protoDecoder) array(c *protoColumn, s span, out *columnar.VectorBuilder) error {
	t := c.Type.ElementType()
	elements := columnar.NewVectorBuilder(t)
	err := d.each(c.field, s, func(v value) error {
		if elements.Bytes() > 4*columnar.MaxLine { // a short element may be a long name
			return errTooLarge
		}
		return d.scalar(c.field, t, v, elements)
	})
	if err != nil || out == nil {
		return err
	}
	v := elements.Vector()
	d.text = columnar.AppendArray(d.text[:0], &v, 0, v.Len())
	if len(d.text) > columnar.MaxLine {
		return errTooLarge
	}
	out.AppendBytes(d.text)
	return nil
}

// scalar appends one value to a column, or to the elements of one.
func (d *protoDecoder) scalar(f protoreflect.FieldDescriptor, t columnar.Type, v value, out *columnar.VectorBuilder) error {
	if t.Kind == columnar.JSON || t.Kind == columnar.JSONB {
		d.json = d.json[:0]
		if err := d.value(f, v); err != nil {
			return err
		}
		return columnar.ParseText(t, asString(d.json), out)
	}
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return d.wellKnownScalar(f.Message(), t, v.pieces, out)
	case protoreflect.BytesKind:
		if out != nil {
			out.AppendBytes(v.bytes)
		}
		return nil
	case protoreflect.StringKind:
		if err := columnar.CheckText(v.bytes); err != nil {
			return err
		}
		return columnar.ParseText(t, asString(v.bytes), out)
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(enumNumber(v.number)); e != nil && isCharacters(t.Kind) {
			return columnar.ParseText(t, string(e.Name()), out)
		}
	default:
	}
	d.text = appendScalar(d.text[:0], f, v.number)
	return columnar.ParseText(t, asString(d.text), out)
}

// wellKnownScalar appends what a timestamp, a duration or a wrapper says.
func (d *protoDecoder) wellKnownScalar(m protoreflect.MessageDescriptor, t columnar.Type, pieces span, out *columnar.VectorBuilder) error {
	found, err := d.gather(m, pieces)
	defer d.drop(found)
	if err != nil {
		return err
	}
	switch wellKnownOf(m) {
	case wktTimestamp:
		at, err := d.timestamp(m, found)
		if err != nil {
			return err
		}
		d.text = at.AppendFormat(d.text[:0], "2006-01-02T15:04:05.999999999Z")
		return columnar.ParseText(t, asString(d.text), out)
	case wktDuration:
		seconds, nanos, err := d.duration(m, found)
		if err == nil && out != nil {
			out.AppendInterval(columnar.IntervalValue{Micros: seconds*microsPerSecond + int64(nanos)/nanosPerMicro})
		}
		return err
	default:
		f := m.Fields().ByNumber(1)
		v := value{}
		if s := d.of(found, f.Index()); s.to > s.from {
			v = d.last(f, s)
		}
		return d.scalar(f, t, v, out)
	}
}
