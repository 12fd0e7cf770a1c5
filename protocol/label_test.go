package protocol_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

func requireLabels(t require.TestingT, set *protocol.LabelSet, nameValue ...string) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	var got []string
	for _, l := range set.GetLabels() {
		got = append(got, l.GetName(), l.GetValue())
	}
	require.Equal(t, nameValue, got)
}

func TestLabelSetIsOrderedAndUnique(t *testing.T) {
	set := protocol.MustLabelSet("bb", "2", "aa", "x", "bb", "1", "bb", "2")
	requireLabels(t, set, "aa", "x", "bb", "1", "bb", "2")
	require.Equal(t, []string{"1", "2"}, set.ValuesOf("bb"))
	require.Equal(t, "1", set.ValueOf("bb"))
	require.Nil(t, set.ValuesOf("cc"))
	require.Empty(t, set.ValueOf("cc"))

	set.SetValue("bb", "9")
	requireLabels(t, set, "aa", "x", "bb", "9")
	set.AddValue("cc", "")
	set.Remove("aa")
	set.Remove("zz")
	requireLabels(t, set, "bb", "9", "cc", "")
}

func TestAbsentLabelSetIsEmpty(t *testing.T) {
	var absent *protocol.LabelSet
	require.Nil(t, absent.ValuesOf("aa"))
	require.NoError(t, absent.Validate())
	require.True(t, protocol.LabelSetsEqual(absent, new(protocol.LabelSet)))
	requireLabels(t, protocol.UnionLabelSets(absent, nil))
	requireLabels(t, protocol.SubtractLabelSet(nil, absent))
	requireLabels(t, protocol.IntersectLabelSets(nil, absent))
}

func TestMustLabelSetPanicsOnWhatIsNoSet(t *testing.T) {
	odd := []string{"aa", "1", "bb"}
	require.Panics(t, func() { protocol.MustLabelSet(odd...) })
	require.Panics(t, func() { protocol.MustLabelSet("a", "") })
	require.Panics(t, func() { protocol.MustLabelSet("aa", "", "aa", "1") })
}

func TestUnionPrefersLeftByName(t *testing.T) {
	a := protocol.MustLabelSet("aa", "1", "cc", "1", "cc", "2")
	b := protocol.MustLabelSet("aa", "8", "aa", "9", "bb", "7")
	requireLabels(t, protocol.UnionLabelSets(a, b), "aa", "1", "bb", "7", "cc", "1", "cc", "2")
	requireLabels(t, protocol.UnionLabelSets(b, a), "aa", "8", "aa", "9", "bb", "7", "cc", "1", "cc", "2")
}

func TestSubtractAndIntersectTakeAllValuesOfAName(t *testing.T) {
	a := protocol.MustLabelSet("aa", "1", "bb", "1", "bb", "2", "cc", "3")
	b := protocol.MustLabelSet("aa", "1", "bb", "1", "cc", "4", "dd", "5")
	requireLabels(t, protocol.SubtractLabelSet(a, b), "bb", "1", "bb", "2", "cc", "3")
	requireLabels(t, protocol.IntersectLabelSets(a, b), "aa", "1")
	requireLabels(t, protocol.SubtractLabelSet(a, a))
	requireLabels(t, protocol.SubtractLabelSet(a, nil), "aa", "1", "bb", "1", "bb", "2", "cc", "3")
}

func TestSetsShareLabelsButNeverEachOthersChanges(t *testing.T) {
	a := protocol.MustLabelSet("aa", "1", "bb", "1", "dd", "1")
	derive := []func() *protocol.LabelSet{
		func() *protocol.LabelSet { return protocol.UnionLabelSets(a, nil) },
		func() *protocol.LabelSet { return protocol.IntersectLabelSets(a, a) },
		func() *protocol.LabelSet { return protocol.SubtractLabelSet(a, nil) },
		func() *protocol.LabelSet { return &protocol.LabelSet{Labels: a.GetLabels()} },
		func() *protocol.LabelSet { return &protocol.LabelSet{Labels: a.GetLabels()[:2]} },
	}
	for _, from := range derive {
		for _, change := range []func(*protocol.LabelSet){
			func(s *protocol.LabelSet) { s.SetValue("aa", "9") },
			func(s *protocol.LabelSet) { s.AddValue("cc", "9") },
			func(s *protocol.LabelSet) { s.AddValue("aa", "0") },
			func(s *protocol.LabelSet) { s.Remove("bb") },
		} {
			change(from())
			requireLabels(t, a, "aa", "1", "bb", "1", "dd", "1")
		}
	}
}

func TestRegistersAreSubtractedThenUnited(t *testing.T) {
	// A fencing author replaces itself: the new value wins over the old one.
	registers := protocol.MustLabelSet("author", "one", "other", "x")
	next := protocol.UnionLabelSets(protocol.MustLabelSet("author", "two"), registers)
	requireLabels(t, next, "author", "two", "other", "x")
	next = protocol.SubtractLabelSet(next, protocol.MustLabelSet("other", "x"))
	requireLabels(t, next, "author", "two")
}

// drawSet draws a valid set.
func drawSet(t *rapid.T, label string) *protocol.LabelSet {
	set := new(protocol.LabelSet)
	for range rapid.IntRange(0, 6).Draw(t, label) {
		name := rapid.SampledFrom([]string{"aa", "bb", "cc", "dd"}).Draw(t, "name")
		value := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "value")
		set.AddValue(name, value)
	}
	return set
}

func TestLabelSetLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSet(t, "a"), drawSet(t, "b")
		before := proto.CloneOf(a)
		union, both, rest := protocol.UnionLabelSets(a, b), protocol.IntersectLabelSets(a, b), protocol.SubtractLabelSet(a, b)
		for _, set := range []*protocol.LabelSet{union, both, rest} {
			require.NoError(t, set.Validate())
		}
		require.True(t, proto.Equal(before, a), "operands stay as they are")
		require.True(t, protocol.LabelSetsEqual(a, protocol.UnionLabelSets(both, rest)), "both and rest make a")
		require.True(t, protocol.LabelSetsEqual(a, protocol.UnionLabelSets(a, a)))
		require.True(t, protocol.LabelSetsEqual(union, protocol.UnionLabelSets(union, b)))
		for _, name := range []string{"aa", "bb", "cc", "dd"} {
			want := a.ValuesOf(name)
			if want == nil {
				want = b.ValuesOf(name)
			}
			require.Equal(t, want, union.ValuesOf(name))
			require.True(t, slices.IsSorted(want))
		}
	})
}

// FuzzLabelSet decodes sets from the wire, which may be in any order, and proves
// that no operation panics on one and that valid ones stay valid.
func FuzzLabelSet(f *testing.F) {
	for _, set := range []*protocol.LabelSet{
		nil, protocol.MustLabelSet("aa", "1", "aa", "2"), {Labels: []*protocol.Label{{Name: "bb"}, nil, {Name: "aa", Prefix: true}}},
	} {
		b, err := proto.Marshal(set)
		require.NoError(f, err)
		f.Add(b, "aa", "1")
	}
	f.Fuzz(func(t *testing.T, b []byte, name, value string) {
		set, other := new(protocol.LabelSet), new(protocol.LabelSet)
		if proto.Unmarshal(b, set) != nil {
			return
		}
		valid := set.Validate() == nil
		other.AddValue(name, value)
		valid = valid && other.Validate() == nil && value != "" && !slices.Contains(set.ValuesOf(name), "")
		_ = (&protocol.LabelSelector{Include: set, Exclude: other}).Matches(set)
		_ = protocol.FormatLabelSelector(&protocol.LabelSelector{Include: set})
		out := []*protocol.LabelSet{
			protocol.UnionLabelSets(set, other), protocol.IntersectLabelSets(set, other), protocol.SubtractLabelSet(set, other),
		}
		set.AddValue(name, value)
		for _, s := range append(out, set) {
			if valid {
				require.NoError(t, s.Validate())
			}
		}
		set.SetValue(name, value)
		if valid {
			require.NoError(t, set.Validate())
			require.Equal(t, []string{value}, set.ValuesOf(name))
		}
		set.Remove(name)
		if valid {
			require.NoError(t, set.Validate())
			require.Empty(t, set.ValuesOf(name))
		}
	})
}
