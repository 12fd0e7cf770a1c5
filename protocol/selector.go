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
func (x *LabelSelector) Matches(set *LabelSet) bool {
	for _, l := range x.GetExclude().GetLabels() {
		if l.matches(set) {
			return false
		}
	}
	for rest := x.GetInclude().GetLabels(); len(rest) != 0; {
		run := firstRun(rest)
		if !slices.ContainsFunc(run, func(l *Label) bool { return l.matches(set) }) {
			return false
		}
		rest = rest[len(run):]
	}
	return true
}

// matches reports whether the set has a label that this one of a selector means.
func (x *Label) matches(set *LabelSet) bool {
	return slices.ContainsFunc(set.labelsOf(x.GetName()), func(l *Label) bool {
		switch {
		case x.GetValue() == "":
			return true
		case x.GetPrefix():
			return strings.HasPrefix(l.GetValue(), x.GetValue())
		}
		return l.GetValue() == x.GetValue()
	})
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
	out := new(LabelSet)
	for _, l := range x.GetLabels() {
		if l.GetName() == MetaLabelPrefix {
			l = &Label{Name: MetaLabelName, Value: l.GetValue(), Prefix: true}
		}
		out.add(l)
	}
	return out
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
