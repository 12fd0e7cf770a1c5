package specyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxText is the most bytes of a text.
	MaxText = 64 << 20
	// MaxDepth of mappings in each other: more than there are directories in a name.
	MaxDepth = 512
	// maxVisits is the most of a text's values that are looked at.
	maxVisits = 8 << 20
)

// Read a text of one document, and return what it is, with a Reader of it.
func Read(text []byte) (*yaml.Node, *Reader, error) {
	if len(text) > MaxText {
		return nil, nil, &Error{Reason: fmt.Sprintf("the text has %d bytes (expected at most %d)", len(text), MaxText)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil, &Error{Reason: "the text is empty"}
	} else if err != nil {
		return nil, nil, syntaxError(err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, nil, &Error{Line: more.Line, Reason: "begins another document (expected one)"}
	} else if !errors.Is(err, io.EOF) {
		return nil, nil, syntaxError(err)
	}
	if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
		return nil, nil, &Error{Reason: "the text is empty"}
	}
	return document.Content[0], &Reader{Left: maxVisits}, nil
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

// Reader of one document.
type Reader struct {
	// Left is how many values may still be looked at, counting those behind an alias each time.
	Left int
}

// Entry of a mapping.
type Entry struct {
	// Key, and the Line that it is on.
	Key  string
	Line int
	// Value is never null.
	Value *yaml.Node
}

// resolve follows aliases, and bounds the work that they make.
func (r *Reader) resolve(n *yaml.Node) (*yaml.Node, error) {
	if r.Left--; r.Left < 0 {
		return nil, FailAt(n, "the text has too many values")
	}
	if n.Kind == yaml.AliasNode {
		return n.Alias, nil
	}
	return n, nil
}

// FailAt is an Error of the line of a value.
func FailAt(n *yaml.Node, format string, args ...any) error {
	return &Error{Line: n.Line, Reason: fmt.Sprintf(format, args...)}
}

// Mapping returns the entries of a mapping, in their order, those that are merged in
// last. Entries without a value are left out. of names the mapping in errors.
func (r *Reader) Mapping(n *yaml.Node, of string, depth int) ([]Entry, error) {
	n, err := r.resolve(n)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, FailAt(n, "%s isn't a mapping", of)
	}
	if depth > MaxDepth {
		return nil, FailAt(n, "%s is nested too deeply", of)
	}
	var out, merged []Entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		value, err := r.resolve(n.Content[i+1])
		switch {
		case err != nil:
			return nil, err
		case key.Kind != yaml.ScalarNode:
			return nil, FailAt(key, "a key of %s isn't a word", of)
		case seen[key.Value]:
			return nil, FailAt(key, "%s has %q twice", of, key.Value)
		case key.Tag == "!!merge":
			if merged, err = r.merged(value, of, depth); err != nil {
				return nil, err
			}
		case value.Tag != "!!null":
			out = append(out, Entry{Key: key.Value, Line: key.Line, Value: value})
		}
		seen[key.Value] = true
	}
	for _, e := range merged {
		if !seen[e.Key] {
			out = append(out, e)
		}
	}
	return out, nil
}

// merged returns the entries of what "<<" names: a mapping, or a sequence of them of
// which the first that has a key counts.
func (r *Reader) merged(n *yaml.Node, of string, depth int) ([]Entry, error) {
	sources := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	var out []Entry
	seen := map[string]bool{}
	for _, s := range sources {
		entries, err := r.Mapping(s, of, depth+1)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !seen[e.Key] {
				seen[e.Key] = true
				out = append(out, e)
			}
		}
	}
	return out, nil
}

// Sequence returns the values of a sequence.
func (r *Reader) Sequence(n *yaml.Node, of string) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, FailAt(n, "%s isn't a sequence", of)
	}
	return n.Content, nil
}
