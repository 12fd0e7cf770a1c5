package journalspace

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/specyaml"
)

// Node of a tree: a journal, or a directory of them.
type Node struct {
	// Comment for people.
	Comment string
	// Delete the journal, or all below; nil says what the parent says.
	Delete *bool
	// Spec of the journal, or what those below have in common. The name of a directory
	// ends in '/', but for the root's, which may be empty.
	Spec *protocol.JournalSpec
	// Revision that the journal is expected to have: 0 is none, so that it is made; -1 is
	// any, and may be said of a directory.
	Revision int64
	// Children of a directory, in the order of their names.
	Children []*Node
	// Line of the text on which the node begins; 0 if it is from no text.
	Line int
}

// Journal is a node without its tree.
type Journal struct {
	// Spec of the journal, whole.
	Spec *protocol.JournalSpec
	// Revision that it has, or is expected to have.
	Revision int64
	// Delete it.
	Delete bool
	// Line of the text, or 0.
	Line int
}

// Error is what is wrong with a tree, and where.
type Error = specyaml.Error

// isDirectory tells whether the node is one by its name.
func (n *Node) isDirectory() bool {
	return n.Spec.GetName() == "" || strings.HasSuffix(n.Spec.GetName(), "/")
}

// fail returns an Error of the node.
func (n *Node) fail(format string, args ...any) error {
	return &Error{Line: n.Line, Name: n.Spec.GetName(), Reason: fmt.Sprintf(format, args...)}
}

// Validate the shape of the tree: names, their order, and what a directory may say.
// Specs aren't looked at.
func (n *Node) Validate() error {
	if n.Spec.GetName() == "" && len(n.Children) == 0 {
		return n.fail("has neither a name nor children")
	}
	return n.validate()
}

func (n *Node) validate() error {
	switch {
	case n.Revision < -1:
		return n.fail("revision is %d (expected -1, 0 or that of the journal)", n.Revision)
	case !n.isDirectory() && len(n.Children) != 0:
		return n.fail("has children, and its name doesn't end in '/'")
	case !n.isDirectory():
		return nil
	case len(n.Children) == 0:
		return n.fail("is a directory without children")
	case n.Revision > 0:
		return n.fail("is a directory, and has no revision but -1")
	case n.Spec.GetSuspend() != nil:
		return n.fail("is a directory, and suspend is of a journal")
	}
	last := n.Spec.GetName()
	for i, c := range n.Children {
		name := c.Spec.GetName()
		switch {
		case !strings.HasPrefix(name, n.Spec.GetName()) || name == "":
			return c.fail("name doesn't begin with that of its directory, %q", n.Spec.GetName())
		case i == 0 && name == last:
			return c.fail("has the name of its directory")
		case i != 0 && name == last:
			return c.fail("is there twice")
		case name < last:
			return c.fail("isn't in the order of names: it is after %q", last)
		}
		if err := c.validate(); err != nil {
			return err
		}
		last = name
	}
	return nil
}

// Flatten returns the journals of a tree in the order of their names, each with what
// it inherits. They share nothing with the tree.
func (n *Node) Flatten() ([]Journal, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	return n.flatten(nil, Journal{Spec: new(protocol.JournalSpec)}), nil
}

// flatten adds to out the journals below a node whose ancestors say what above does.
func (n *Node) flatten(out []Journal, above Journal) []Journal {
	here := Journal{Spec: proto.CloneOf(n.Spec), Revision: n.Revision, Delete: above.Delete, Line: n.Line}
	if n.Delete != nil {
		here.Delete = *n.Delete
	}
	if here.Revision == 0 {
		here.Revision = above.Revision
	}
	inherit(here.Spec, above.Spec)
	if !n.isDirectory() {
		return append(out, here)
	}
	for _, c := range n.Children {
		out = c.flatten(out, here)
	}
	return out
}

// Changes returns what applying the tree asks of a broker, each change valid.
func (n *Node) Changes() ([]*protocol.ApplyRequest_Change, error) {
	journals, err := n.Flatten()
	if err != nil {
		return nil, err
	}
	out := make([]*protocol.ApplyRequest_Change, 0, len(journals))
	for _, j := range journals {
		fail := func(reason string) error { return &Error{Line: j.Line, Name: j.Spec.GetName(), Reason: reason} }
		change := &protocol.ApplyRequest_Change{ExpectModRevision: j.Revision}
		if j.Delete {
			if j.Revision == 0 {
				return nil, fail("is to be deleted, and needs the revision that it has, or -1 for any")
			}
			change.Delete = j.Spec.GetName()
		} else {
			// The spec itself is checked, so that the path of an error is within it.
			if err := j.Spec.Validate(); err != nil {
				return nil, fail(err.Error())
			}
			change.Upsert = j.Spec
		}
		if err := change.Validate(); err != nil {
			return nil, fail(err.Error())
		}
		out = append(out, change)
	}
	return out, nil
}
