package sqlgw

import (
	"context"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// asked are the journals that a statement asks a relation of bs_catalog for: those that meet all of the conditions. The engine judges
// each row all the same: so there may be too many of them, and never too few. Without a condition it is all journals.
type asked []journalSet

// journalSet are the journals of some names, or if there are none those with a prefix.
type journalSet struct {
	names  []string
	prefix string
	none   bool
}

// journalsAsked are those of the bounds that a statement has of a relation, if that has journals.
func journalsAsked(v *systemView, bounds []parse.Bound, args *columnar.Batch) asked {
	if !slices.ContainsFunc(v.columns, func(c columnar.Column) bool { return c.Name == parse.BoundJournal }) {
		return nil
	}
	var out asked
	for _, b := range bounds {
		if b.Column != parse.BoundJournal {
			continue
		}
		if set, ok := journalSetOf(b, args); ok {
			out = append(out, set)
		}
	}
	return out
}

// journalSetOf is what a bound leaves; false if that isn't known.
func journalSetOf(b parse.Bound, args *columnar.Batch) (journalSet, bool) {
	values := b.In
	if b.Op != "IN" {
		values = []parse.AsOf{b.Value}
	}
	var names []string
	for i := range values {
		if p := values[i].Param; p > 0 && (args == nil || args.Cols[p-1].Type.Kind != columnar.Text) {
			return journalSet{}, false
		}
		text, ok := (&pasts{args: args}).text(&values[i])
		if !ok {
			return journalSet{}, false
		}
		names = append(names, text)
	}
	if b.Op == "LIKE" {
		prefix, exact := likePrefix(names[0])
		if !exact {
			return journalSet{prefix: prefix}, true
		}
		names = []string{prefix}
	}
	return journalSet{names: names, none: len(names) == 0}, true
}

// likePrefix is what all texts begin with that are like a pattern, and whether that is all of each.
func likePrefix(pattern string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '%' || c == '_':
			return b.String(), false
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteByte(pattern[i])
		case c == '\\':
			return b.String(), false // which the engine refuses
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func (s journalSet) has(journal string) bool {
	if len(s.names) > 0 || s.none {
		return slices.Contains(s.names, journal)
	}
	return strings.HasPrefix(journal, s.prefix)
}

// under tells whether there may be one with a prefix.
func (s journalSet) under(prefix string) bool {
	if len(s.names) > 0 || s.none {
		return slices.ContainsFunc(s.names, func(name string) bool { return strings.HasPrefix(name, prefix) })
	}
	return strings.HasPrefix(prefix, s.prefix) || strings.HasPrefix(s.prefix, prefix)
}

func (a asked) has(journal string) bool {
	return !slices.ContainsFunc(a, func(s journalSet) bool { return !s.has(journal) })
}

func (a asked) under(prefix string) bool {
	return !slices.ContainsFunc(a, func(s journalSet) bool { return !s.under(prefix) })
}

// selector lists those under a prefix: by their names, if these are known.
func (a asked) selector(prefix string) *protocol.LabelSelector {
	for _, s := range a {
		if len(s.names) == 0 {
			continue
		}
		var set protocol.LabelSet
		for _, name := range slices.Compact(slices.Sorted(slices.Values(s.names))) {
			if strings.HasPrefix(name, prefix) && a.has(name) {
				set.Labels = append(set.Labels, &protocol.Label{Name: protocol.MetaLabelName, Value: name})
			}
		}
		return &protocol.LabelSelector{Include: &set}
	}
	return &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelPrefix, prefix)}
}

// holdings asks brokers for what they hold of the journals that a statement asks for, and for nothing of others.
type holdings struct {
	asked  asked
	tables []catalog.Table

	journals  func(context.Context, catalog.Table) ([]string, error)
	list      func(context.Context, *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error)
	fragments func(context.Context, string) ([]*protocol.Fragment, error)
}

// holdings of the tables that the session may read.
func (v viewState) holdings() holdings {
	brokers := v.session.gateway.cfg.Brokers
	return holdings{asked: v.asked, tables: v.readable(), journals: v.snap.Journals, list: brokers.List, fragments: brokers.Fragments}
}

// eachListed calls fn for each journal of each table, as brokers list it.
func (h holdings) eachListed(ctx context.Context, fn func(t catalog.Table, j *protocol.ListResponse_Journal) error) error {
	for _, t := range h.tables {
		if !h.asked.under(t.Journals) {
			continue
		}
		selector := h.asked.selector(t.Journals)
		if len(selector.GetInclude().GetLabels()) == 0 {
			continue // which would be all journals
		}
		listed, err := h.list(ctx, selector)
		if err != nil {
			return err
		}
		for _, j := range listed {
			if !h.asked.has(j.GetSpec().GetName()) {
				continue
			}
			if err := fn(t, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachJournal calls fn for each journal of each table, as the catalog knows it.
func (h holdings) eachJournal(ctx context.Context, fn func(t catalog.Table, journal string) error) error {
	for _, t := range h.tables {
		if !h.asked.under(t.Journals) {
			continue
		}
		journals, err := h.journals(ctx, t)
		if err != nil {
			return err
		}
		for _, j := range journals {
			if !h.asked.has(j) {
				continue
			}
			if err := fn(t, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachFragments calls fn with the fragments of each journal of each table.
func (h holdings) eachFragments(ctx context.Context, fn func(t catalog.Table, journal string, list []*protocol.Fragment) error) error {
	return h.eachJournal(ctx, func(t catalog.Table, journal string) error {
		list, err := h.fragments(ctx, journal)
		if err != nil {
			return err
		}
		return fn(t, journal, list)
	})
}
