package journalspace

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

// setField sets the field of a message that an entry names.
func (r *reader) setField(m protoreflect.Message, e entry, of string) error {
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(e.key))
	if fd == nil {
		return &Error{Line: e.line, Reason: of + " has no field " + strconv.Quote(e.key)}
	}
	if e.value.Tag == "!!null" {
		return nil
	}
	switch {
	case isLabels(fd):
		set, err := r.labels(e.value)
		if err != nil {
			return err
		}
		setLabels(m, fd, set)
		return nil
	case isNested(fd):
		entries, err := r.mapping(e.value, e.key, 0)
		if err != nil {
			return err
		}
		nested := m.Mutable(fd).Message()
		for _, inner := range entries {
			if err := r.setField(nested, inner, e.key); err != nil {
				return err
			}
		}
		return nil
	case fd.IsList():
		return r.setList(m, fd, e)
	}
	v, err := scalar(fd, e)
	if err == nil {
		m.Set(fd, v)
	}
	return err
}

func (r *reader) setList(m protoreflect.Message, fd protoreflect.FieldDescriptor, e entry) error {
	items, err := r.sequence(e.value, e.key)
	if err != nil {
		return err
	}
	list := m.Mutable(fd).List()
	for _, item := range items {
		if item, err = r.resolve(item); err != nil {
			return err
		}
		v, err := scalar(fd, entry{key: e.key, line: item.Line, value: item})
		if err != nil {
			return err
		}
		list.Append(v)
	}
	return nil
}

// labels reads a sequence of names and values, in any order.
func (r *reader) labels(n *yaml.Node) (*protocol.LabelSet, error) {
	items, err := r.sequence(n, "labels")
	if err != nil {
		return nil, err
	}
	set := new(protocol.LabelSet)
	for _, item := range items {
		entries, err := r.mapping(item, "a label", 0)
		if err != nil {
			return nil, err
		}
		var name, value string
		for _, e := range entries {
			switch e.key {
			case "name":
				name, err = text(e)
			case "value":
				value, err = text(e)
			default:
				err = &Error{Line: e.line, Reason: "a label has no field " + strconv.Quote(e.key)}
			}
			if err != nil {
				return nil, err
			}
		}
		if name == "" {
			return nil, failAt(item, "a label has no name")
		}
		set.AddValue(name, value)
	}
	return set, nil
}

// scalar reads the value of a field that is neither a message of fields nor a list.
func scalar(fd protoreflect.FieldDescriptor, e entry) (protoreflect.Value, error) {
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
	case fd.Kind() == protoreflect.Int32Kind:
		n, err := integer(e, 32)
		return protoreflect.ValueOfInt32(int32(n)), err //nolint:gosec // bounded by integer
	case fd.Kind() == protoreflect.Int64Kind:
		n, err := integer(e, 64)
		return protoreflect.ValueOfInt64(n), err
	default:
		s, err := text(e)
		return protoreflect.ValueOfString(s), err
	}
}

// isFlags tells the one field that is an enumeration, and a number on the wire.
func isFlags(fd protoreflect.FieldDescriptor) bool { return fd.Kind() == protoreflect.Uint32Kind }

func text(e entry) (string, error) {
	if e.value.Kind != yaml.ScalarNode {
		return "", failAt(e.value, "%s isn't text", e.key)
	}
	return e.value.Value, nil
}

func integer(e entry, bits int) (int64, error) {
	var n int64
	if e.value.Kind != yaml.ScalarNode || e.value.Tag != "!!int" || e.value.Decode(&n) != nil {
		return 0, failAt(e.value, "%s is %q (expected a whole number)", e.key, e.value.Value)
	}
	if bits == 32 && (n < math.MinInt32 || n > math.MaxInt32) {
		return 0, failAt(e.value, "%s is %d, which is too large", e.key, n)
	}
	return n, nil
}

func duration(e entry) (time.Duration, error) {
	d, err := time.ParseDuration(e.value.Value)
	if e.value.Kind != yaml.ScalarNode || err != nil {
		return 0, failAt(e.value, "%s is %q (expected a duration such as 1m30s)", e.key, e.value.Value)
	}
	return d, nil
}

// enumeration reads a name or a number.
func enumeration(e entry, enum protoreflect.EnumDescriptor) (protoreflect.EnumNumber, error) {
	if v := enum.Values().ByName(protoreflect.Name(e.value.Value)); v != nil {
		return v.Number(), nil
	}
	if n, err := strconv.ParseInt(e.value.Value, 10, 32); err == nil {
		if v := enum.Values().ByNumber(protoreflect.EnumNumber(n)); v != nil {
			return v.Number(), nil
		}
	}
	var names []string
	for i := range enum.Values().Len() {
		names = append(names, string(enum.Values().Get(i).Name()))
	}
	return 0, failAt(e.value, "%s is %q (expected one of %s)", e.key, e.value.Value, strings.Join(names, ", "))
}
