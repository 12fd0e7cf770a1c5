package journalspace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"broadsheet.dev/broadsheet/protocol"
)

const (
	// maxText is the most bytes of a text, and maxVisits the most of its values that are
	// looked at, counting those behind an alias each time.
	maxText, maxVisits = 64 << 20, 8 << 20
	// maxDepth of directories: more than a name can have.
	maxDepth = 512
)

// Parse reads the tree of a YAML document. Its shape is valid; whether specs are whole
// is for Changes to tell, as those of directories aren't.
func Parse(text []byte) (*Node, error) {
	if len(text) > maxText {
		return nil, &Error{Reason: fmt.Sprintf("the text has %d bytes (expected at most %d)", len(text), maxText)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, &Error{Reason: "the text is empty"}
	} else if err != nil {
		return nil, syntaxError(err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, &Error{Line: more.Line, Reason: "begins another document (expected one)"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
		return nil, &Error{Reason: "the text is empty"}
	}
	n, err := (&reader{left: maxVisits}).node(document.Content[0], 0)
	if err != nil {
		return nil, err
	}
	return n, n.Validate()
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

// syntaxError is of text that isn't YAML.
func syntaxError(err error) error {
	parts := yamlLine.FindStringSubmatch(err.Error())
	if parts == nil {
		return &Error{Reason: "it isn't YAML: " + err.Error()}
	}
	line, _ := strconv.Atoi(parts[1])
	return &Error{Line: line, Reason: "it isn't YAML: " + parts[2]}
}

// reader of one document.
type reader struct{ left int } // visits that are left

// entry of a mapping.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// resolve follows aliases, and bounds the work that they make.
func (r *reader) resolve(n *yaml.Node) (*yaml.Node, error) {
	if r.left--; r.left < 0 {
		return nil, failAt(n, "the text has too many values")
	}
	if n.Kind == yaml.AliasNode {
		return n.Alias, nil
	}
	return n, nil
}

func failAt(n *yaml.Node, format string, args ...any) error {
	return &Error{Line: n.Line, Reason: fmt.Sprintf(format, args...)}
}

// mapping returns the entries of a mapping, in their order, those that are merged in
// last. Entries without a value are left out. of names the mapping in errors.
func (r *reader) mapping(n *yaml.Node, of string, depth int) ([]entry, error) {
	n, err := r.resolve(n)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, failAt(n, "%s isn't a mapping", of)
	}
	if depth > maxDepth {
		return nil, failAt(n, "%s is nested too deeply", of)
	}
	var out, merged []entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		value, err := r.resolve(n.Content[i+1])
		switch {
		case err != nil:
			return nil, err
		case key.Kind != yaml.ScalarNode:
			return nil, failAt(key, "a key of %s isn't a word", of)
		case seen[key.Value]:
			return nil, failAt(key, "%s has %q twice", of, key.Value)
		case key.Tag == "!!merge":
			if merged, err = r.merged(value, of, depth); err != nil {
				return nil, err
			}
		case value.Tag != "!!null":
			out = append(out, entry{key: key.Value, line: key.Line, value: value})
		}
		seen[key.Value] = true
	}
	for _, e := range merged {
		if !seen[e.key] {
			out = append(out, e)
		}
	}
	return out, nil
}

// merged returns the entries of what "<<" names: a mapping, or a sequence of them of
// which the first that has a key counts.
func (r *reader) merged(n *yaml.Node, of string, depth int) ([]entry, error) {
	sources := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	var out []entry
	seen := map[string]bool{}
	for _, s := range sources {
		entries, err := r.mapping(s, of, depth+1)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !seen[e.key] {
				seen[e.key] = true
				out = append(out, e)
			}
		}
	}
	return out, nil
}

// sequence returns the values of a sequence.
func (r *reader) sequence(n *yaml.Node, of string) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, failAt(n, "%s isn't a sequence", of)
	}
	return n.Content, nil
}

// node reads a node of the tree and all below it.
func (r *reader) node(y *yaml.Node, depth int) (*Node, error) {
	entries, err := r.mapping(y, "a journal", depth)
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

func (r *reader) field(n *Node, e entry, depth int) error {
	var err error
	switch e.key {
	case "comment":
		n.Comment, err = text(e)
	case "delete":
		var b bool
		if err = e.value.Decode(&b); err != nil {
			return failAt(e.value, "delete is %q (expected true or false)", e.value.Value)
		}
		n.Delete = &b
	case "revision":
		n.Revision, err = integer(e, 64)
	case "children":
		items, serr := r.sequence(e.value, "children")
		if serr != nil {
			return serr
		}
		for _, item := range items {
			child, cerr := r.node(item, depth+1)
			if cerr != nil {
				return cerr
			}
			n.Children = append(n.Children, child)
		}
	default:
		err = r.setField(n.Spec.ProtoReflect(), e, "a journal")
	}
	return err
}
