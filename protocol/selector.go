package protocol

import (
	"slices"
	"strings"
)

// Meta-labels are matched by selectors as if each journal had them.
const (
	// MetaLabelName is the name of the journal.
	MetaLabelName = "name"
	// MetaLabelPrefix is a prefix of the journal's name that ends in '/'.
	MetaLabelPrefix = "prefix"
)

// prefixSuffix follows a name in the text of a selector whose value is a prefix.
const prefixSuffix = ":prefix"

// Matches reports whether no excluded label matches the set and every included
// name has at least one that does. An absent or empty selector matches all sets.
// The labels of both are unique and in order: so a selector may be as large as a
// message, and what it takes to match it depends on the set.
func (x *LabelSelector) Matches(set *LabelSet) bool {
	for rest := set.GetLabels(); len(rest) != 0 && len(x.GetExclude().GetLabels()) != 0; {
		run := firstRun(rest)
		if anyMatches(x.GetExclude().labelsOf(run[0].GetName()), run) {
			return false
		}
		rest = rest[len(run):]
	}
	for rest := x.GetInclude().GetLabels(); len(rest) != 0; {
		run := firstRun(rest)
		if !anyMatches(run, set.labelsOf(run[0].GetName())) {
			return false
		}
		rest = rest[len(run):]
	}
	return true
}

// anyMatches reports whether one of a set's labels is meant by one of a selector's,
// all of the same name. An empty value of a selector means every label.
func anyMatches(selector, set []*Label) bool {
	if len(selector) == 0 || len(set) == 0 {
		return false
	}
	return selector[0].GetValue() == "" || slices.ContainsFunc(set, func(l *Label) bool {
		return valueMatches(selector, l.GetValue())
	})
}

// valueMatches reports whether a value is one of the selector's labels, or begins with
// one that is a prefix. What the value begins with is looked up, ever longer, for as long
// as labels begin so.
func valueMatches(selector []*Label, value string) bool {
	for n := 1; n <= len(value); n++ {
		i, found := slices.BinarySearchFunc(selector, value[:n], func(l *Label, v string) int { return strings.Compare(l.GetValue(), v) })
		selector = selector[i:]
		switch {
		case len(selector) == 0 || !strings.HasPrefix(selector[0].GetValue(), value[:n]):
			return false
		case found && (n == len(value) || selector[0].GetPrefix()):
			return true
		}
	}
	return false
}

// Validate both sets. Their labels may be prefixes.
func (x *LabelSelector) Validate() error {
	if err := x.GetInclude().validateOrdered(); err != nil {
		return within("Include", err)
	}
	return within("Exclude", x.GetExclude().validateOrdered())
}

// ResolveMeta returns the selector with each meta-label "prefix" turned into a
// prefix of the meta-label "name", for matching with JournalSpec.SelectableLabels.
func (x *LabelSelector) ResolveMeta() *LabelSelector {
	return &LabelSelector{Include: x.GetInclude().resolveMeta(), Exclude: x.GetExclude().resolveMeta()}
}

func (x *LabelSet) resolveMeta() *LabelSet {
	out := make([]*Label, 0, len(x.GetLabels()))
	for _, l := range x.GetLabels() {
		if l.GetName() == MetaLabelPrefix {
			l = &Label{Name: MetaLabelName, Value: l.GetValue(), Prefix: true}
		}
		out = append(out, l)
	}
	// Of a value that is there twice the prefix stays: it means the other, too.
	slices.SortStableFunc(out, func(a, b *Label) int {
		if c := compareLabels(a, b); c != 0 || a.GetPrefix() == b.GetPrefix() {
			return c
		}
		if a.GetPrefix() {
			return -1
		}
		return 1
	})
	out = slices.CompactFunc(out, func(a, b *Label) bool { return compareLabels(a, b) == 0 })
	return &LabelSet{Labels: out}
}

// SelectableLabels returns the labels of the spec and its meta-label "name".
func (x *JournalSpec) SelectableLabels() *LabelSet {
	return UnionLabelSets(&LabelSet{Labels: []*Label{{Name: MetaLabelName, Value: x.GetName()}}}, x.GetLabels())
}

// FormatLabelSelector returns the text of a selector, in its one canonical form:
// what is included first, each name once, or twice if some values are prefixes.
func FormatLabelSelector(s *LabelSelector) string {
	var b strings.Builder
	formatLabels(&b, s.GetInclude().GetLabels(), false)
	formatLabels(&b, s.GetExclude().GetLabels(), true)
	return b.String()
}

func formatLabels(b *strings.Builder, labels []*Label, exclude bool) {
	for len(labels) != 0 {
		run := firstRun(labels)
		labels = labels[len(run):]
		var exact, prefixes []string
		for _, l := range run {
			if l.GetPrefix() {
				prefixes = append(prefixes, l.GetValue())
			} else {
				exact = append(exact, l.GetValue())
			}
		}
		formatExpression(b, run[0].GetName(), exact, exclude)
		formatExpression(b, run[0].GetName()+prefixSuffix, prefixes, exclude)
	}
}

func formatExpression(b *strings.Builder, name string, values []string, exclude bool) {
	if len(values) == 0 {
		return
	}
	if b.Len() != 0 {
		b.WriteByte(',')
	}
	switch {
	case len(values) > 1 && exclude:
		b.WriteString(name + " notin (" + strings.Join(values, ",") + ")")
	case len(values) > 1:
		b.WriteString(name + " in (" + strings.Join(values, ",") + ")")
	case values[0] == "" && exclude:
		b.WriteString("!" + name)
	case values[0] == "":
		b.WriteString(name)
	case exclude:
		b.WriteString(name + "!=" + values[0])
	case values[0][0] == '=':
		// A value may begin with '=', which "=" alone would take for its own.
		b.WriteString(name + "==" + values[0])
	default:
		b.WriteString(name + "=" + values[0])
	}
}
