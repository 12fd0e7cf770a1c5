package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

// means tells, by its definition, whether a label of a selector matches one of a set.
func means(of, l *protocol.Label) bool {
	return of.GetName() == l.GetName() &&
		(of.GetValue() == "" || of.GetValue() == l.GetValue() || of.GetPrefix() && strings.HasPrefix(l.GetValue(), of.GetValue()))
}

// matchesByDefinition compares all with all.
func matchesByDefinition(s *protocol.LabelSelector, set *protocol.LabelSet) bool {
	matched := func(of *protocol.Label) bool {
		return slices.ContainsFunc(set.GetLabels(), func(l *protocol.Label) bool { return means(of, l) })
	}
	names := make(map[string]bool)
	for _, of := range s.GetInclude().GetLabels() {
		names[of.GetName()] = names[of.GetName()] || matched(of)
	}
	for _, ok := range names {
		if !ok {
			return false
		}
	}
	return !slices.ContainsFunc(s.GetExclude().GetLabels(), matched)
}

// TestMatchesModel compares Matches with the definition.
func TestMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string, most int, prefixes bool) *protocol.LabelSet {
			set := new(protocol.LabelSet)
			for range rapid.IntRange(0, most).Draw(t, what) {
				name := rapid.SampledFrom([]string{"aa", "ab", "ba"}).Draw(t, "name")
				set.AddValue(name, rapid.StringMatching(`[abc]{0,4}`).Draw(t, "value"))
			}
			for _, l := range set.GetLabels() {
				l.Prefix = prefixes && rapid.Bool().Draw(t, "prefix")
			}
			return set
		}
		s := &protocol.LabelSelector{Include: draw("include", 40, true), Exclude: draw("exclude", 5, true)}
		set := draw("set", 6, false)
		require.Equal(t, matchesByDefinition(s, set), s.Matches(set), "%v of %v", s, set)
	})
}

// TestLargeSelectors: matching a selector as large as a message takes no longer than it must: compared with all of its
// labels, this would take minutes.
func TestLargeSelectors(t *testing.T) {
	large := new(protocol.LabelSet)
	for i := range 200_000 {
		large.Labels = append(large.Labels, &protocol.Label{Name: "nn", Value: fmt.Sprintf("v%06d", i), Prefix: i%2 == 0})
	}
	include, exclude := (&protocol.LabelSelector{Include: large}).ResolveMeta(), (&protocol.LabelSelector{Exclude: large}).ResolveMeta()
	other := protocol.LabelSet{Labels: []*protocol.Label{{Name: "mm", Value: "v000001"}, {Name: "nn", Value: "v2"}, {Name: "oo", Value: "x"}}}
	for i := range 100_000 {
		set := &protocol.LabelSet{Labels: []*protocol.Label{{Name: "nn", Value: fmt.Sprintf("v%06d-x", i)}}}
		require.Equal(t, i%2 == 0, include.Matches(set))
		require.Equal(t, i%2 != 0, exclude.Matches(set))
		require.False(t, include.Matches(&other))
		require.True(t, exclude.Matches(&other))
	}
}

// TestResolveMetaIsOrdered: a prefix takes its place among names, once; what is there as an exact value becomes one.
func TestResolveMetaIsOrdered(t *testing.T) {
	s := &protocol.LabelSelector{Include: &protocol.LabelSet{Labels: []*protocol.Label{
		{Name: "aa", Value: "x"},
		{Name: "name", Value: "a/"},
		{Name: "name", Value: "c/d"},
		{Name: "oo"},
		{Name: "prefix", Value: "a/"},
		{Name: "prefix", Value: "b/"},
		{Name: "zz", Value: "x"},
	}}}
	want := []*protocol.Label{
		{Name: "aa", Value: "x"},
		{Name: "name", Value: "a/", Prefix: true},
		{Name: "name", Value: "b/", Prefix: true},
		{Name: "name", Value: "c/d"},
		{Name: "oo"},
		{Name: "zz", Value: "x"},
	}
	got := s.ResolveMeta().GetInclude().GetLabels()
	require.Len(t, got, len(want))
	for i := range want {
		require.True(t, proto.Equal(want[i], got[i]), "%v", got)
	}
}
