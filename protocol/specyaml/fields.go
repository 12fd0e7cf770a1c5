package specyaml

import (
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

// Fields of specs are read by their descriptors: a key is the name of a field.

// SetField sets the field of a message that an Entry names.
func (r *Reader) SetField(m protoreflect.Message, e Entry, of string) error {
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(e.Key))
	if fd == nil {
		return &Error{Line: e.Line, Reason: of + " has no field " + strconv.Quote(e.Key)}
	}
	if e.Value.Tag == "!!null" {
		return nil
	}
	switch {
	case isLabels(fd):
		set, err := r.labels(e.Value)
		if err != nil {
			return err
		}
		setLabels(m, fd, set)
		return nil
	case isNested(fd):
		return r.setMessage(m.Mutable(fd).Message(), e.Value, e.Key)
	case fd.IsList() && fd.Message() != nil:
		return r.setMessages(m, fd, e)
	case fd.IsList():
		return r.setList(m, fd, e)
	}
	v, err := scalar(fd, e)
	if err == nil {
		m.Set(fd, v)
	}
	return err
}

// setMessage sets the fields of a message that a mapping has.
func (r *Reader) setMessage(m protoreflect.Message, n *yaml.Node, of string) error {
	entries, err := r.Mapping(n, of, 0)
	if err != nil {
		return err
	}
	for _, inner := range entries {
		if err := r.SetField(m, inner, of); err != nil {
			return err
		}
	}
	return nil
}

// setMessages sets a list of messages.
func (r *Reader) setMessages(m protoreflect.Message, fd protoreflect.FieldDescriptor, e Entry) error {
	items, err := r.Sequence(e.Value, e.Key)
	if err != nil {
		return err
	}
	list := m.Mutable(fd).List()
	for _, item := range items {
		if err := r.setMessage(list.AppendMutable().Message(), item, "one of "+e.Key); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) setList(m protoreflect.Message, fd protoreflect.FieldDescriptor, e Entry) error {
	items, err := r.Sequence(e.Value, e.Key)
	if err != nil {
		return err
	}
	list := m.Mutable(fd).List()
	for _, item := range items {
		if item, err = r.resolve(item); err != nil {
			return err
		}
		v, err := scalar(fd, Entry{Key: e.Key, Line: item.Line, Value: item})
		if err != nil {
			return err
		}
		list.Append(v)
	}
	return nil
}

// labels reads a sequence of names and values, in any order.
func (r *Reader) labels(n *yaml.Node) (*protocol.LabelSet, error) {
	items, err := r.Sequence(n, "labels")
	if err != nil {
		return nil, err
	}
	set := new(protocol.LabelSet)
	for _, item := range items {
		entries, err := r.Mapping(item, "a label", 0)
		if err != nil {
			return nil, err
		}
		var name, value string
		for _, e := range entries {
			switch e.Key {
			case "name":
				name, err = Text(e)
			case "value":
				value, err = Text(e)
			default:
				err = &Error{Line: e.Line, Reason: "a label has no field " + strconv.Quote(e.Key)}
			}
			if err != nil {
				return nil, err
			}
		}
		if name == "" {
			return nil, FailAt(item, "a label has no name")
		}
		set.AddValue(name, value)
	}
	return set, nil
}

// scalar reads the value of a field that is neither a message of fields nor a list.
func scalar(fd protoreflect.FieldDescriptor, e Entry) (protoreflect.Value, error) {
	var none protoreflect.Value
	switch {
	case isDuration(fd):
		d, err := duration(e)
		if err != nil {
			return none, err
		}
		return protoreflect.ValueOfMessage(durationpb.New(d).ProtoReflect()), nil
	case fd.Kind() == protoreflect.EnumKind:
		n, err := enumeration(e, fd.Enum())
		return protoreflect.ValueOfEnum(n), err
	case isFlags(fd):
		n, err := enumeration(e, protocol.JournalSpec_NOT_SPECIFIED.Descriptor())
		return protoreflect.ValueOfUint32(uint32(n)), err //nolint:gosec // a value that isn't known is refused
	case fd.Kind() == protoreflect.BoolKind:
		b, err := Boolean(e)
		return protoreflect.ValueOfBool(b), err
	case fd.Kind() == protoreflect.Uint32Kind:
		n, err := Integer(e, 64)
		if err == nil && (n < 0 || n > math.MaxUint32) {
			err = FailAt(e.Value, "%s is %d (expected 0 to %d)", e.Key, n, uint32(math.MaxUint32))
		}
		return protoreflect.ValueOfUint32(uint32(n)), err //nolint:gosec // as is checked
	case fd.Kind() == protoreflect.Int32Kind:
		n, err := Integer(e, 32)
		return protoreflect.ValueOfInt32(int32(n)), err //nolint:gosec // bounded by integer
	case fd.Kind() == protoreflect.Int64Kind:
		n, err := Integer(e, 64)
		return protoreflect.ValueOfInt64(n), err
	default:
		s, err := Text(e)
		return protoreflect.ValueOfString(s), err
	}
}

// flags is the one field that is an enumeration, and a number on the wire.
const flags = "protocol.JournalSpec.flags"

func isFlags(fd protoreflect.FieldDescriptor) bool { return fd.FullName() == flags }

// Text of an entry.
func Text(e Entry) (string, error) {
	if e.Value.Kind != yaml.ScalarNode {
		return "", FailAt(e.Value, "%s isn't text", e.Key)
	}
	return e.Value.Value, nil
}

// Integer of an entry, of so many bits.
func Integer(e Entry, bits int) (int64, error) {
	var n int64
	if e.Value.Kind != yaml.ScalarNode || e.Value.Tag != "!!int" || e.Value.Decode(&n) != nil {
		return 0, FailAt(e.Value, "%s is %q (expected a whole number)", e.Key, e.Value.Value)
	}
	if bits == 32 && (n < math.MinInt32 || n > math.MaxInt32) {
		return 0, FailAt(e.Value, "%s is %d, which is too large", e.Key, n)
	}
	return n, nil
}

// Boolean of an entry.
func Boolean(e Entry) (bool, error) {
	var b bool
	if err := e.Value.Decode(&b); err != nil {
		return false, FailAt(e.Value, "%s is %q (expected true or false)", e.Key, e.Value.Value)
	}
	return b, nil
}

func duration(e Entry) (time.Duration, error) {
	d, err := time.ParseDuration(e.Value.Value)
	if e.Value.Kind != yaml.ScalarNode || err != nil {
		return 0, FailAt(e.Value, "%s is %q (expected a duration such as 1m30s)", e.Key, e.Value.Value)
	}
	return d, nil
}

// enumeration reads a name or a number.
func enumeration(e Entry, enum protoreflect.EnumDescriptor) (protoreflect.EnumNumber, error) {
	if v := enum.Values().ByName(protoreflect.Name(e.Value.Value)); v != nil {
		return v.Number(), nil
	}
	if n, err := strconv.ParseInt(e.Value.Value, 10, 32); err == nil {
		if v := enum.Values().ByNumber(protoreflect.EnumNumber(n)); v != nil {
			return v.Number(), nil
		}
	}
	var names []string
	for i := range enum.Values().Len() {
		names = append(names, string(enum.Values().Get(i).Name()))
	}
	return 0, FailAt(e.Value, "%s is %q (expected one of %s)", e.Key, e.Value.Value, strings.Join(names, ", "))
}
