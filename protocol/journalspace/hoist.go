package journalspace

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

// Hoist returns the tree of journals, whose names are unique: a directory for each set
// of at least two that have one in common, each saying what all below it have in
// common. Without journals it is nil. The tree shares nothing with them.
func Hoist(journals []Journal) *Node {
	leaves := make([]*Node, 0, len(journals))
	for _, j := range journals {
		n := &Node{Spec: proto.CloneOf(j.Spec), Revision: j.Revision}
		dropZeroes(n.Spec.ProtoReflect())
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
		intersect(shared.ProtoReflect(), c.Spec.ProtoReflect())
	}
	for _, c := range n.Children {
		subtract(c.Spec.ProtoReflect(), shared.ProtoReflect())
	}
	shared.Name = n.Spec.GetName()
	n.Spec = shared
}

// inherit sets the fields of a spec that it doesn't have and its parent does.
func inherit(spec, parent *protocol.JournalSpec) {
	name, suspend := spec.GetName(), spec.GetSuspend()
	dropZeroes(spec.ProtoReflect())
	merge(spec.ProtoReflect(), parent.ProtoReflect())
	spec.Name, spec.Suspend = name, suspend
}

// The functions below treat messages as fields of fields, but for those that are
// values in their own right.

func isNested(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && !fd.IsList() && !isDuration(fd) && !isLabels(fd)
}

func isDuration(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Message().FullName() == new(durationpb.Duration).ProtoReflect().Descriptor().FullName()
}

func isLabels(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Message().FullName() == new(protocol.LabelSet).ProtoReflect().Descriptor().FullName()
}

func labelsOf(m protoreflect.Message, fd protoreflect.FieldDescriptor) *protocol.LabelSet {
	set, _ := m.Get(fd).Message().Interface().(*protocol.LabelSet)
	return set
}

// setLabels of a field; an empty set is none.
func setLabels(m protoreflect.Message, fd protoreflect.FieldDescriptor, set *protocol.LabelSet) {
	if len(set.GetLabels()) == 0 {
		m.Clear(fd)
		return
	}
	m.Set(fd, protoreflect.ValueOfMessage(set.ProtoReflect()))
}

// dropZeroes makes what is there and says nothing absent.
func dropZeroes(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil || fd.IsList() {
			return true
		}
		if isNested(fd) {
			dropZeroes(v.Message())
		}
		empty := true
		v.Message().Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool {
			empty = false
			return false
		})
		if empty {
			m.Clear(fd)
		}
		return true
	})
}

// merge sets the fields that m doesn't have and from does.
func merge(m, from protoreflect.Message) {
	from.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case isLabels(fd):
			setLabels(m, fd, protocol.UnionLabelSets(labelsOf(m, fd), labelsOf(from, fd)))
		case isNested(fd):
			merge(m.Mutable(fd).Message(), v.Message())
		case !m.Has(fd):
			m.Set(fd, v)
		}
		return true
	})
}

// intersect clears the fields of m that with hasn't, or has other values of.
func intersect(m, with protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case isLabels(fd):
			setLabels(m, fd, protocol.IntersectLabelSets(labelsOf(m, fd), labelsOf(with, fd)))
		case isNested(fd):
			intersect(v.Message(), with.Get(fd).Message())
		case !v.Equal(with.Get(fd)) || !with.Has(fd):
			m.Clear(fd)
		}
		return true
	})
}

// subtract clears the fields of m that minus has the same values of.
func subtract(m, minus protoreflect.Message) {
	minus.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case isLabels(fd):
			setLabels(m, fd, protocol.SubtractLabelSet(labelsOf(m, fd), labelsOf(minus, fd)))
		case isNested(fd):
			subtract(m.Mutable(fd).Message(), v.Message())
		default:
			m.Clear(fd)
		}
		return true
	})
}
