package protocol

import (
	"cmp"
	"slices"
	"sort"
)

// Registers are the labels that a journal carries from append to append.
type Registers = *LabelSet

// compareLabels orders by name, then by value.
func compareLabels(a, b *Label) int {
	return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetValue(), b.GetValue()))
}

// compareLabelName orders a label against a name.
func compareLabelName(l *Label, name string) int { return cmp.Compare(l.GetName(), name) }

// A Label is never changed once it is in a set, so that sets may share labels.
// Every method below puts new labels where it needs other ones.

// MustLabelSet returns the set of the given names and values, in turn. It panics
// on an odd count, or if the set isn't valid: it is meant for a program's own
// labels.
func MustLabelSet(nameValue ...string) *LabelSet {
	if len(nameValue)%2 != 0 {
		panic("protocol: odd number of names and values")
	}
	set := new(LabelSet)
	for i := 0; i < len(nameValue); i += 2 {
		set.AddValue(nameValue[i], nameValue[i+1])
	}
	if err := set.Validate(); err != nil {
		panic("protocol: " + err.Error())
	}
	return set
}

// labelsOf returns the run of labels of a name. Like all that look labels up, it
// takes the set to be ordered: sets from elsewhere are validated first.
func (x *LabelSet) labelsOf(name string) []*Label {
	i, found := slices.BinarySearchFunc(x.GetLabels(), name, compareLabelName)
	if !found {
		return nil
	}
	return firstRun(x.GetLabels()[i:])
}

// ValuesOf returns the values of a name in ascending order; nil if it has none.
func (x *LabelSet) ValuesOf(name string) []string {
	var out []string
	for _, l := range x.labelsOf(name) {
		out = append(out, l.GetValue())
	}
	return out
}

// ValueOf returns the first value of a name, or "".
func (x *LabelSet) ValueOf(name string) string {
	if run := x.labelsOf(name); len(run) != 0 {
		return run[0].GetValue()
	}
	return ""
}

// SetValue makes value the only one of the name.
func (x *LabelSet) SetValue(name, value string) {
	x.Remove(name)
	x.AddValue(name, value)
}

// AddValue adds a value to those of the name. It does nothing if the name has
// it already.
func (x *LabelSet) AddValue(name, value string) { x.add(&Label{Name: name, Value: value}) }

// add a label. One that is there already stays, but becomes a prefix if the new
// one is: a prefix matches whatever its value alone does.
func (x *LabelSet) add(l *Label) {
	i, found := slices.BinarySearchFunc(x.GetLabels(), l, compareLabels)
	switch {
	case !found:
		x.Labels = slices.Insert(slices.Clip(x.GetLabels()), i, l)
	case l.GetPrefix() && !x.GetLabels()[i].GetPrefix():
		x.Labels[i] = l // only while a selector is being made: its slice isn't shared
	}
}

// Remove all values of the name.
func (x *LabelSet) Remove(name string) {
	if run := x.labelsOf(name); len(run) != 0 {
		x.Labels = slices.DeleteFunc(slices.Clone(x.GetLabels()), func(l *Label) bool { return l.GetName() == name })
	}
}

// UnionLabelSets returns the labels of a, and those of b whose names a has not.
func UnionLabelSets(a, b *LabelSet) *LabelSet {
	out := &LabelSet{Labels: make([]*Label, 0, len(a.GetLabels())+len(b.GetLabels()))}
	out.Labels = append(out.Labels, a.GetLabels()...)
	for _, l := range b.GetLabels() {
		if len(a.labelsOf(l.GetName())) == 0 {
			out.Labels = append(out.Labels, l)
		}
	}
	slices.SortFunc(out.GetLabels(), compareLabels)
	return out
}

// IntersectLabelSets returns the labels of a whose names have just the same values
// in b. A name whose values differ in one of several is left out altogether.
func IntersectLabelSets(a, b *LabelSet) *LabelSet {
	return filterNames(a, func(name string, run []*Label) bool { return sameValues(run, b.labelsOf(name)) })
}

// SubtractLabelSet returns the labels of a whose names don't have just the same
// values in b. A name is kept or removed with all of its values.
func SubtractLabelSet(a, b *LabelSet) *LabelSet {
	return filterNames(a, func(name string, run []*Label) bool { return !sameValues(run, b.labelsOf(name)) })
}

// filterNames returns the labels of the names that keep chooses.
func filterNames(set *LabelSet, keep func(name string, run []*Label) bool) *LabelSet {
	out := new(LabelSet)
	for rest := set.GetLabels(); len(rest) != 0; {
		run := firstRun(rest)
		if keep(run[0].GetName(), run) {
			out.Labels = append(out.Labels, run...)
		}
		rest = rest[len(run):]
	}
	return out
}

// firstRun returns the labels at the front that have the first one's name.
func firstRun(labels []*Label) []*Label {
	// Most runs are short, and others are halved.
	n, name := 1, labels[0].GetName()
	for n < len(labels) && labels[n].GetName() == name {
		if n == 8 {
			rest := labels[n:]
			return labels[:n+sort.Search(len(rest), func(i int) bool { return rest[i].GetName() != name })]
		}
		n++
	}
	return labels[:n]
}

func sameValues(a, b []*Label) bool {
	return slices.EqualFunc(a, b, func(a, b *Label) bool { return a.GetValue() == b.GetValue() })
}

// LabelSetsEqual reports whether two sets have the same labels. An absent set
// equals an empty one.
func LabelSetsEqual(a, b *LabelSet) bool {
	return slices.EqualFunc(a.GetLabels(), b.GetLabels(), func(a, b *Label) bool {
		return compareLabels(a, b) == 0 && a.GetPrefix() == b.GetPrefix()
	})
}

// Validate the name, 2 to 64 bytes of the token alphabet, and the value, up to
// 1024 bytes of that and "=%".
func (x *Label) Validate() error {
	if err := tokenRunes.validate(x.GetName(), minLabelName, maxLabelName); err != nil {
		return within("Name", err)
	}
	if err := pathRunes.validate(x.GetValue(), minLabelValue, maxLabelValue); err != nil {
		return within("Value", err)
	}
	return nil
}

// Validate that labels are valid, none of them a prefix, unique and in ascending
// order, and that no name has both an empty and another value.
func (x *LabelSet) Validate() error {
	for i, l := range x.GetLabels() {
		if l.GetPrefix() {
			return withinIndex("Labels", i, invalidField("Prefix", "is allowed in selectors only (%s)", l.GetName()))
		}
	}
	return x.validateOrdered()
}

// validateOrdered is Validate for sets of selectors, whose labels may be prefixes.
func (x *LabelSet) validateOrdered() error {
	var last *Label
	for i, l := range x.GetLabels() {
		if err := l.Validate(); err != nil {
			return withinIndex("Labels", i, err)
		}
		if last != nil && compareLabels(last, l) >= 0 {
			return withinIndex("Labels", i, invalid("isn't unique and in ascending order (%s=%s after %s=%s)",
				l.GetName(), l.GetValue(), last.GetName(), last.GetValue()))
		}
		if last != nil && last.GetName() == l.GetName() && last.GetValue() == "" {
			return withinIndex("Labels", i, invalid("has both an empty and another value (%s)", l.GetName()))
		}
		last = l
	}
	return nil
}
