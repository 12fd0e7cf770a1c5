package specyaml

import (
	"bytes"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

// Write returns the text of a document.
func Write(document *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return out.Bytes(), nil
}

// Mapping collects keys and values.
type Mapping struct{ yaml.Node }

// NewMapping is an empty one.
func NewMapping() *Mapping { return &Mapping{yaml.Node{Kind: yaml.MappingNode}} }

// Add a key at the end.
func (m *Mapping) Add(key string, value *yaml.Node) {
	m.Content = append(m.Content, String(key), value)
}

// String is a text.
func String(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s)
	return &n
}

// Int is a whole number.
func Int(i int64) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(i, 10)}
}

// Bool is true or false.
func Bool(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

// Sequence of nodes.
func Sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

// AddFields adds the fields that a message has, in the order of its definition.
func (m *Mapping) AddFields(from protoreflect.Message) {
	fields := from.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !from.Has(fd) {
			continue
		}
		name := string(fd.Name())
		switch v := from.Get(fd); {
		case isLabels(fd):
			if set := labelsOf(from, fd); len(set.GetLabels()) != 0 {
				m.Add(name, labelsNode(set))
			}
		case isNested(fd):
			nested := NewMapping()
			nested.AddFields(v.Message())
			if len(nested.Content) != 0 {
				m.Add(name, &nested.Node)
			}
		case fd.IsList() && fd.Message() != nil:
			list := Sequence()
			for j := range v.List().Len() {
				item := NewMapping()
				item.AddFields(v.List().Get(j).Message())
				list.Content = append(list.Content, &item.Node)
			}
			m.Add(name, list)
		case fd.IsList():
			list := Sequence()
			for j := range v.List().Len() {
				list.Content = append(list.Content, scalarNode(fd, v.List().Get(j)))
			}
			m.Add(name, list)
		default:
			m.Add(name, scalarNode(fd, v))
		}
	}
}

func labelsNode(set *protocol.LabelSet) *yaml.Node {
	list := Sequence()
	for _, l := range set.GetLabels() {
		label := NewMapping()
		label.Add("name", String(l.GetName()))
		if l.GetValue() != "" {
			label.Add("value", String(l.GetValue()))
		}
		list.Content = append(list.Content, &label.Node)
	}
	return list
}

func scalarNode(fd protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	switch {
	case isDuration(fd):
		d, _ := v.Message().Interface().(*durationpb.Duration)
		return String(d.AsDuration().String())
	case fd.Kind() == protoreflect.EnumKind:
		return enumNode(fd.Enum(), v.Enum())
	case isFlags(fd):
		return enumNode(protocol.JournalSpec_NOT_SPECIFIED.Descriptor(), protoreflect.EnumNumber(v.Uint())) //nolint:gosec // an overflow isn't a known flag either
	case fd.Kind() == protoreflect.BoolKind:
		return Bool(v.Bool())
	case fd.Kind() == protoreflect.StringKind:
		return String(v.String())
	case fd.Kind() == protoreflect.Uint32Kind:
		return Int(int64(v.Uint())) //nolint:gosec // of 32 bits
	default:
		return Int(v.Int())
	}
}

// enumNode is the name of a value, or its number if it has none.
func enumNode(enum protoreflect.EnumDescriptor, n protoreflect.EnumNumber) *yaml.Node {
	if v := enum.Values().ByNumber(n); v != nil {
		return String(string(v.Name()))
	}
	return Int(int64(n))
}
