package journalspace

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/specyaml"
)

// Hoist returns the tree of journals, whose names are unique: a directory for each set
// of at least two that have one in common, each saying what all below it have in
// common. Without journals it is nil. The tree shares nothing with them.
func Hoist(journals []Journal) *Node {
	leaves := make([]*Node, 0, len(journals))
	for _, j := range journals {
		n := &Node{Spec: proto.CloneOf(j.Spec), Revision: j.Revision}
		specyaml.DropZeroes(n.Spec.ProtoReflect())
		if j.Delete {
			n.Delete = new(j.Delete)
		}
		leaves = append(leaves, n)
	}
	slices.SortFunc(leaves, func(a, b *Node) int { return cmp.Compare(a.Spec.GetName(), b.Spec.GetName()) })
	var root *Node
	switch top := grow(leaves, ""); len(top) {
	case 0:
		return nil
	case 1:
		root = top[0]
	default:
		root = &Node{Spec: new(protocol.JournalSpec), Children: top}
	}
	root.hoist()
	return root
}

// grow returns what is directly below a directory, of the journals below it, which are
// in the order of their names. A directory of a single node is that node.
func grow(leaves []*Node, directory string) []*Node {
	var out []*Node
	for len(leaves) != 0 {
		name := leaves[0].Spec.GetName()
		slash := strings.IndexByte(name[len(directory):], '/')
		if slash < 0 {
			out = append(out, leaves[0])
			leaves = leaves[1:]
			continue
		}
		below := name[:len(directory)+slash+1]
		n := 1
		for n < len(leaves) && strings.HasPrefix(leaves[n].Spec.GetName(), below) {
			n++
		}
		children := grow(leaves[:n], below)
		leaves = leaves[n:]
		if len(children) == 1 {
			out = append(out, children[0])
			continue
		}
		out = append(out, &Node{Spec: &protocol.JournalSpec{Name: below}, Children: children})
	}
	return out
}

// hoist moves what all children have in common into their directory, from below.
func (n *Node) hoist() {
	if !n.isDirectory() {
		return
	}
	for _, c := range n.Children {
		c.hoist()
	}
	shared := proto.CloneOf(n.Children[0].Spec)
	shared.Name, shared.Suspend = "", nil
	for _, c := range n.Children[1:] {
		specyaml.Intersect(shared.ProtoReflect(), c.Spec.ProtoReflect())
	}
	for _, c := range n.Children {
		specyaml.Subtract(c.Spec.ProtoReflect(), shared.ProtoReflect())
	}
	shared.Name = n.Spec.GetName()
	n.Spec = shared
}

// inherit sets the fields of a spec that it doesn't have and its parent does.
func inherit(spec, parent *protocol.JournalSpec) {
	name, suspend := spec.GetName(), spec.GetSuspend()
	specyaml.DropZeroes(spec.ProtoReflect())
	specyaml.Merge(spec.ProtoReflect(), parent.ProtoReflect())
	spec.Name, spec.Suspend = name, suspend
}
