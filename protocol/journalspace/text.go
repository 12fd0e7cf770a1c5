package journalspace

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/specyaml"
)

// Parse reads the tree of a YAML document. Its shape is valid; whether specs are whole
// is for Changes to tell, as those of directories aren't.
func Parse(text []byte) (*Node, error) {
	document, r, err := specyaml.Read(text)
	if err != nil {
		return nil, err
	}
	n, err := (&reader{r}).node(document, 0)
	if err != nil {
		return nil, err
	}
	return n, n.Validate()
}

// reader of one tree.
type reader struct{ *specyaml.Reader }

// node reads a node of the tree and all below it.
func (r *reader) node(y *yaml.Node, depth int) (*Node, error) {
	entries, err := r.Mapping(y, "a journal", depth)
	if err != nil {
		return nil, err
	}
	n := &Node{Spec: new(protocol.JournalSpec), Line: y.Line}
	for _, e := range entries {
		if err := r.field(n, e, depth); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (r *reader) field(n *Node, e specyaml.Entry, depth int) error {
	var err error
	switch e.Key {
	case "comment":
		n.Comment, err = specyaml.Text(e)
	case "delete":
		var b bool
		b, err = specyaml.Boolean(e)
		n.Delete = &b
	case "revision":
		n.Revision, err = specyaml.Integer(e, 64)
	case "children":
		var items []*yaml.Node
		if items, err = r.Sequence(e.Value, "children"); err != nil {
			return err
		}
		for _, item := range items {
			child, err := r.node(item, depth+1)
			if err != nil {
				return err
			}
			n.Children = append(n.Children, child)
		}
	default:
		err = r.SetField(n.Spec.ProtoReflect(), e, "a journal")
	}
	return err
}

// Format returns the YAML of a tree.
func (n *Node) Format() ([]byte, error) {
	text, err := specyaml.Write(n.yaml())
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", n.Spec.GetName(), err)
	}
	return text, nil
}

func (n *Node) yaml() *yaml.Node {
	m := specyaml.NewMapping()
	if n.Comment != "" {
		m.Add("comment", specyaml.String(n.Comment))
	}
	if n.Delete != nil {
		m.Add("delete", specyaml.Bool(*n.Delete))
	}
	m.AddFields(n.Spec.ProtoReflect())
	if n.Revision != 0 {
		m.Add("revision", specyaml.Int(n.Revision))
	}
	if len(n.Children) != 0 {
		children := specyaml.Sequence()
		for _, c := range n.Children {
			children.Content = append(children.Content, c.yaml())
		}
		m.Add("children", children)
	}
	return &m.Node
}
