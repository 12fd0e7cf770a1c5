package formats

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// protoFormat: the message of a frame is a row, its fields by name.
type protoFormat struct {
	message  protoreflect.MessageDescriptor
	identity []byte
}

func openProtobuf(s Spec) (columnar.Format, error) {
	m, err := messageOf(s)
	if err != nil {
		return nil, err
	}
	h := fnv.New128a()
	_, _ = h.Write(s.Descriptor)
	id := append([]byte(Protobuf), binary.AppendUvarint(nil, uint64(len(s.Message)))...)
	return protoFormat{message: m, identity: h.Sum(append(id, s.Message...))}, nil
}

func (protoFormat) Frames() bool { return true }

func (f protoFormat) AppendIdentity(dst []byte) []byte { return append(dst, f.identity...) }

// NewEncoder refuses: what a message can't say apart (NULL and zero, missing and default) would come back as another value.
func (protoFormat) NewEncoder([]columnar.Column) (columnar.RecordEncoder, error) {
	return nil, ErrNotWritten
}

// ErrNotWritten is the error of writing rows of protobuf.
var ErrNotWritten = &columnar.InputError{Code: "0A000", Message: "rows of protobuf can't be written by statements"}

func (f protoFormat) NewDecoder(columns []columnar.Column) (columnar.RecordDecoder, error) {
	missing, err := missingValues(columns)
	if err != nil {
		return nil, err
	}
	d := &protoDecoder{message: f.message}
	for i, c := range columns {
		fd := f.message.Fields().ByName(protoreflect.Name(c.LineKey()))
		if fd == nil {
			return nil, &ColumnError{Column: c.Name, Missing: true, Reason: fmt.Sprintf("the message %s has no field of this name", f.message.FullName())}
		}
		if reason := unfit(fd, c.Type); reason != "" {
			return nil, &ColumnError{Column: c.Name, Reason: reason, Hint: hintFor(fd)}
		}
		d.columns = append(d.columns, protoColumn{Column: c, field: fd, missing: missing[i]})
	}
	return d, nil
}

// unfit is why values of a field can't be those of a column, "" if they can.
func unfit(fd protoreflect.FieldDescriptor, t columnar.Type) string {
	switch {
	case t.Kind == columnar.JSON || t.Kind == columnar.JSONB:
		return ""
	case fd.IsMap():
		return "a map is json or jsonb, not " + t.SQL()
	case fd.IsList() && t.Kind != columnar.Array:
		return "a repeated field is an array, json or jsonb, not " + t.SQL()
	case !fd.IsList() && t.Kind == columnar.Array:
		return "the field isn't repeated, and so not " + t.SQL()
	case t.Kind == columnar.Array:
		t = t.ElementType()
		if t.Kind == columnar.JSON || t.Kind == columnar.JSONB {
			return ""
		}
	}
	if !fitsScalar(fd, t.Kind) {
		return fmt.Sprintf("a field of the type %s can't be %s", kindName(fd), t.SQL())
	}
	return ""
}

func kindName(fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.Message() != nil:
		return string(fd.Message().FullName())
	case fd.Enum() != nil:
		return "enum " + string(fd.Enum().FullName())
	}
	return fd.Kind().String()
}

// hintFor says what type a field's column may have.
func hintFor(fd protoreflect.FieldDescriptor) string {
	best := map[protoreflect.Kind]string{
		protoreflect.BoolKind: "boolean", protoreflect.EnumKind: "text", protoreflect.StringKind: "text", protoreflect.BytesKind: "bytea",
		protoreflect.FloatKind: "real", protoreflect.DoubleKind: "double precision",
		protoreflect.Int32Kind: "integer", protoreflect.Sint32Kind: "integer", protoreflect.Sfixed32Kind: "integer",
		protoreflect.Uint64Kind: "numeric(20,0)", protoreflect.Fixed64Kind: "numeric(20,0)",
	}
	name, ok := best[fd.Kind()]
	switch {
	case fd.IsMap() || fd.Message() != nil:
		name = "jsonb"
		if k := wellKnownOf(fd.Message()); k == wktTimestamp {
			name = "timestamptz"
		} else if k == wktDuration {
			name = "interval"
		}
	case !ok:
		name = "bigint"
	}
	if fd.IsList() && name != "jsonb" {
		name += "[]"
	}
	return "Declare it " + name + "."
}

func isCharacters(k columnar.Kind) bool {
	return k == columnar.Text || k == columnar.Varchar || k == columnar.Char
}

// fitsScalar tells whether one value of a field fits columns of a kind, perhaps not all values.
func fitsScalar(fd protoreflect.FieldDescriptor, k columnar.Kind) bool {
	isInteger := k == columnar.Int16 || k == columnar.Int32 || k == columnar.Int64
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch wellKnownOf(fd.Message()) {
		case wktTimestamp:
			return k == columnar.TimestampTZ || k == columnar.Timestamp
		case wktDuration:
			return k == columnar.Interval
		case wktWrapper:
			return fitsScalar(fd.Message().Fields().ByNumber(1), k)
		default:
			return false
		}
	case protoreflect.StringKind:
		return k != columnar.Bytea // as COPY reads it
	case protoreflect.BytesKind:
		return k == columnar.Bytea
	case protoreflect.BoolKind:
		return k == columnar.Bool || isCharacters(k)
	case protoreflect.EnumKind:
		return isInteger || isCharacters(k)
	case protoreflect.FloatKind:
		return k == columnar.Float32 || k == columnar.Float64 || isCharacters(k)
	case protoreflect.DoubleKind:
		return k == columnar.Float64 || isCharacters(k)
	default:
		return isInteger || k == columnar.Decimal || isCharacters(k)
	}
}
