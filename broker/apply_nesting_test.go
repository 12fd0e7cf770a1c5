package broker

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

func specIn(name string, stores ...string) *protocol.JournalSpec {
	return &protocol.JournalSpec{Name: name, Fragment: &protocol.JournalSpec_Fragment{Stores: stores}}
}

func TestTerritories(t *testing.T) {
	require.Equal(t, []territory{"file:///a/journal/", "s3://bucket/dir/a/journal/"},
		territories(specIn("a/journal", "file:///", "s3://bucket/dir/")))
	// Where a store rewrites paths, it is the rewritten folder that counts.
	require.Equal(t, []territory{"s3://bucket/b/journal/"},
		territories(specIn("a/journal", "s3://bucket/?find=a/&replace=b/")))
	require.Empty(t, territories(specIn("a/journal")))
}

func TestOuterTerritories(t *testing.T) {
	var got []territory
	territory("file:///a/b/").outer(func(o territory) { got = append(got, o) })
	require.Equal(t, []territory{"file:///a/b/", "file:///a/", "file:///"}, got)
}

// TestNestingModel compares checkNesting with the definition: no journal's folder
// may begin with another's.
func TestNestingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "aa"}), 1, 4).Draw(t, "name"), "/")
		})
		names := rapid.SliceOfNDistinct(name, 1, 5, rapid.ID[string]).Draw(t, "names")
		var changes []*protocol.ApplyRequest_Change
		changed := make(map[string]bool)
		var existing []*protocol.JournalSpec
		var folders []territory
		for _, n := range names {
			spec := specIn(n, rapid.SampledFrom([]string{"file:///", "file:///a/", "file:///b/"}).Draw(t, "store"))
			folders = append(folders, territories(spec)...)
			if rapid.Bool().Draw(t, "exists") {
				existing = append(existing, spec)
				continue
			}
			changes = append(changes, &protocol.ApplyRequest_Change{Upsert: spec})
			changed[n] = true
		}
		// What exists already may be as it is: another program may have made it.
		collide := false
		for i, x := range folders {
			for j, y := range folders {
				collide = collide || i != j && strings.HasPrefix(string(x), string(y)) && (changed[names[i]] || changed[names[j]])
			}
		}
		err := checkNesting(slices.Values(existing), changes, changed)
		require.Equal(t, collide, err != nil, "%v: %v", folders, err)
	})
}
