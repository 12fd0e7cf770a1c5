package specyaml

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

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

// DropZeroes makes what is there and says nothing absent.
func DropZeroes(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil || fd.IsList() {
			return true
		}
		if isNested(fd) {
			DropZeroes(v.Message())
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

// Merge sets the fields that m doesn't have and from does.
func Merge(m, from protoreflect.Message) {
	from.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case isLabels(fd):
			setLabels(m, fd, protocol.UnionLabelSets(labelsOf(m, fd), labelsOf(from, fd)))
		case isNested(fd):
			Merge(m.Mutable(fd).Message(), v.Message())
		case !m.Has(fd):
			m.Set(fd, v)
		}
		return true
	})
}

// Intersect clears the fields of m that with hasn't, or has other values of.
func Intersect(m, with protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case isLabels(fd):
			setLabels(m, fd, protocol.IntersectLabelSets(labelsOf(m, fd), labelsOf(with, fd)))
		case isNested(fd):
			Intersect(v.Message(), with.Get(fd).Message())
		case !v.Equal(with.Get(fd)) || !with.Has(fd):
			m.Clear(fd)
		}
		return true
	})
}

// Subtract clears the fields of m that minus has the same values of.
func Subtract(m, minus protoreflect.Message) {
	minus.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case isLabels(fd):
			setLabels(m, fd, protocol.SubtractLabelSet(labelsOf(m, fd), labelsOf(minus, fd)))
		case isNested(fd):
			Subtract(m.Mutable(fd).Message(), v.Message())
		default:
			m.Clear(fd)
		}
		return true
	})
}
