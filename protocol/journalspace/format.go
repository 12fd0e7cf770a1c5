package journalspace

import (
	"bytes"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

// Format returns the YAML of a tree.
func (n *Node) Format() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(n.yaml()); err != nil {
		return nil, fmt.Errorf("format %s: %w", n.Spec.GetName(), err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("format %s: %w", n.Spec.GetName(), err)
	}
	return out.Bytes(), nil
}

// mappingOf collects keys and values.
type mappingOf struct{ yaml.Node }

func newMapping() *mappingOf { return &mappingOf{yaml.Node{Kind: yaml.MappingNode}} }

func (m *mappingOf) add(key string, value *yaml.Node) {
	m.Content = append(m.Content, stringNode(key), value)
}

func stringNode(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s)
	return &n
}

func intNode(i int64) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(i, 10)}
}

func sequenceNode(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

func (n *Node) yaml() *yaml.Node {
	m := newMapping()
	if n.Comment != "" {
		m.add("comment", stringNode(n.Comment))
	}
	if n.Delete != nil {
		m.add("delete", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(*n.Delete)})
	}
	addFields(m, n.Spec.ProtoReflect())
	if n.Revision != 0 {
		m.add("revision", intNode(n.Revision))
	}
	if len(n.Children) != 0 {
		children := sequenceNode()
		for _, c := range n.Children {
			children.Content = append(children.Content, c.yaml())
		}
		m.add("children", children)
	}
	return &m.Node
}

// addFields adds the fields that a message has, in the order of its definition.
func addFields(to *mappingOf, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		name := string(fd.Name())
		switch v := m.Get(fd); {
		case isLabels(fd):
			if set := labelsOf(m, fd); len(set.GetLabels()) != 0 {
				to.add(name, labelsNode(set))
			}
		case isNested(fd):
			nested := newMapping()
			addFields(nested, v.Message())
			if len(nested.Content) != 0 {
				to.add(name, &nested.Node)
			}
		case fd.IsList():
			list := sequenceNode()
			for j := range v.List().Len() {
				list.Content = append(list.Content, scalarNode(fd, v.List().Get(j)))
			}
			to.add(name, list)
		default:
			to.add(name, scalarNode(fd, v))
		}
	}
}

func labelsNode(set *protocol.LabelSet) *yaml.Node {
	list := sequenceNode()
	for _, l := range set.GetLabels() {
		label := newMapping()
		label.add("name", stringNode(l.GetName()))
		if l.GetValue() != "" {
			label.add("value", stringNode(l.GetValue()))
		}
		list.Content = append(list.Content, &label.Node)
	}
	return list
}

func scalarNode(fd protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	switch {
	case isDuration(fd):
		d, _ := v.Message().Interface().(*durationpb.Duration)
		return stringNode(d.AsDuration().String())
	case fd.Kind() == protoreflect.EnumKind:
		return enumNode(fd.Enum(), v.Enum())
	case isFlags(fd):
		return enumNode(protocol.JournalSpec_NOT_SPECIFIED.Descriptor(), protoreflect.EnumNumber(v.Uint())) //nolint:gosec // an overflow isn't a known flag either
	case fd.Kind() == protoreflect.StringKind:
		return stringNode(v.String())
	default:
		return intNode(v.Int())
	}
}

// enumNode is the name of a value, or its number if it has none.
func enumNode(enum protoreflect.EnumDescriptor, n protoreflect.EnumNumber) *yaml.Node {
	if v := enum.Values().ByNumber(n); v != nil {
		return stringNode(string(v.Name()))
	}
	return intNode(int64(n))
}
