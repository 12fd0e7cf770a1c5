package mapping

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// journals of the names, listed in their order.
func journals(names ...string) []*protocol.ListResponse_Journal {
	var out []*protocol.ListResponse_Journal
	for _, n := range names {
		out = append(out, &protocol.ListResponse_Journal{
			Spec: &protocol.JournalSpec{Name: n, Labels: protocol.MustLabelSet("content-type", "application/x-ndjson")},
		})
	}
	return out
}

func parts(n int) *Partitions {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("a/part-%03d", i))
	}
	return Of(journals(names...))
}

// TestVectors holds the choices that a program in another language made of the text of
// FNV-1a and of the two rules, for five partitions a/part-000 to a/part-004.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		key                string
		hash               uint32
		modulo, rendezvous int
	}{
		{"", 0x811c9dc5, 1, 4},
		{"a", 0xe40c292c, 0, 4},
		{"foobar", 0xbf9cf968, 0, 4},
		{"key-1", 0x57e03446, 3, 3},
		{"key-2", 0x56e032b3, 4, 2},
		{"key-3", 0x55e03120, 0, 1},
		{"user:42", 0x2f6b7b82, 2, 3},
		{"\x00\xff\x80", 0x728e7760, 1, 2},
		{"gr\xc3\xbc\xc3\x9fe", 0x0a0eb658, 4, 2},
		{strings.Repeat("x", 100), 0xac246ad5, 2, 4},
	} {
		require.Equal(t, v.hash, fnv1a([]byte(v.key)), "%q", v.key)
		p := parts(5)
		got, err := Modulo(p, []byte(v.key))
		require.NoError(t, err)
		require.Equal(t, p.At(v.modulo), got, "%q", v.key)
		got, err = Rendezvous(p, []byte(v.key))
		require.NoError(t, err)
		require.Equal(t, p.At(v.rendezvous), got, "%q", v.key)
	}
}

func TestNoWeightChoosesTheFirst(t *testing.T) {
	p := Of(journals("same"))
	got, err := Rendezvous(p, []byte("same"))
	require.NoError(t, err)
	require.Equal(t, Partition{Journal: "same", ContentType: "application/x-ndjson"}, got)
}

func TestNoPartitionsAreAnError(t *testing.T) {
	for name, m := range map[string]Mapping{"random": Random, "modulo": Modulo, "rendezvous": Rendezvous} {
		for _, p := range []*Partitions{nil, Of(nil)} {
			_, err := m(p, []byte("k"))
			require.ErrorIs(t, err, ErrNoPartitions, name)
		}
	}
}

// TestChoiceDoesNotDependOnTheOrderListed: every mapping of a key is one of the
// partitions, the same for any order of the listing, and Rendezvous moves no key from
// a partition that stays to another that stays.
func TestChoiceDoesNotDependOnTheOrderListed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}/[a-z0-9-]{1,6}`), 2, 20, rapid.ID).Draw(t, "names")
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		shuffled := rapid.Permutation(names).Draw(t, "shuffled")
		for _, m := range []Mapping{Modulo, Rendezvous} {
			a, err := m(Of(journals(names...)), key)
			require.NoError(t, err)
			b, err := m(Of(journals(shuffled...)), key)
			require.NoError(t, err)
			require.Equal(t, a, b)
			require.Contains(t, names, a.Journal)
		}
		before, err := Rendezvous(Of(journals(names...)), key)
		require.NoError(t, err)
		gone := rapid.SampledFrom(names).Draw(t, "gone")
		rest := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == gone })
		after, err := Rendezvous(Of(journals(rest...)), key)
		require.NoError(t, err)
		if before.Journal != gone {
			require.Equal(t, before, after)
		}
	})
}

func TestRandomChoosesThemAll(t *testing.T) {
	p, seen := parts(4), map[string]bool{}
	for range 1000 {
		got, err := Random(p, nil)
		require.NoError(t, err)
		seen[got.Journal] = true
	}
	require.Len(t, seen, 4)
}

// snapshots is what is watched, set by a test.
type snapshots struct{ now *client.Snapshot }

func (s *snapshots) Snapshot() *client.Snapshot { return s.now }

func TestFollowedPartitionsAreMadeOncePerSnapshot(t *testing.T) {
	watched := new(snapshots)
	f := Follow(watched)
	_, err := f.Map(Modulo, []byte("k"))
	require.ErrorIs(t, err, ErrNoPartitions)

	watched.now = &client.Snapshot{Journals: journals("a/b", "a/a")}
	first := f.Partitions()
	require.Equal(t, "a/a", first.At(0).Journal)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { require.Same(t, first, f.Partitions()) })
	}
	wg.Wait()
	watched.now = &client.Snapshot{Journals: journals("a/c")}
	got, err := f.Map(Modulo, []byte("k"))
	require.NoError(t, err)
	require.Equal(t, "a/c", got.Journal)
}
