package allocator

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"pgregory.net/rapid"
)

func TestKeys(t *testing.T) {
	require.Equal(t, "/p/items/a/b", ItemKey("/p", "a/b"))
	require.Equal(t, "/p/members/zone#suffix", MemberKey("/p", "zone", "suffix"))
	require.Equal(t, "/p/assign/a/b#zone#suffix#2", AssignmentKey("/p", "a/b", "zone", "suffix", 2))
	require.Equal(t, "/p/assign/a/b#", ItemAssignmentsPrefix("/p", "a/b"))
}

func TestMalformedKeys(t *testing.T) {
	for _, key := range []string{
		"", "/p", "/p/items", "/p/items/", "/q/items/a", "/p/items/a#b", "/p/items/a b", "/p/items/a\x00", "/p/items/a!",
		"/p/members/", "/p/members/z", "/p/members/z#", "/p/members/#s", "/p/members/z#s#t", "/p/members/z #s",
		"/p/assign/", "/p/assign/i#z#s", "/p/assign/i#z#s#", "/p/assign/i#z#s#x", "/p/assign/i#z#s#-1", "/p/assign/i#z#s#+1",
		"/p/assign/i#z#s#01", "/p/assign/i#z#s#99999999999999999999", "/p/assign/i#z#s#0#0", "/p/assign/#z#s#0", "/p/assign/i##s#0",
	} {
		_, err := ParseItemKey("/p", key)
		require.Error(t, err, key)
		_, err = ParseMemberKey("/p", key)
		require.Error(t, err, key)
		_, err = ParseAssignmentKey("/p", key)
		require.Error(t, err, key)
		_, err = Decode("/p", testDecoder{}, &mvccpb.KeyValue{Key: []byte(key)})
		require.Error(t, err, key)
	}
}

func TestKeysRoundTripAndSort(t *testing.T) {
	part := rapid.StringMatching(`[a-z0-9_+/.=%-]{1,12}`)
	rapid.Check(t, func(t *rapid.T) {
		var ids, keys []string
		for range 5 {
			id := AssignmentID{Item: part.Draw(t, "item"), Member: MemberID{Zone: part.Draw(t, "zone"), Suffix: part.Draw(t, "suffix")}, Slot: rapid.IntRange(0, 99).Draw(t, "slot")}
			key := AssignmentKey("/p", id.Item, id.Member.Zone, id.Member.Suffix, id.Slot)
			got, err := ParseAssignmentKey("/p", key)
			require.NoError(t, err)
			require.Equal(t, id, got)
			require.True(t, strings.HasPrefix(key, ItemAssignmentsPrefix("/p", id.Item)))

			member, err := ParseMemberKey("/p", MemberKey("/p", id.Member.Zone, id.Member.Suffix))
			require.NoError(t, err)
			require.Equal(t, id.Member, member)
			item, err := ParseItemKey("/p", ItemKey("/p", id.Item))
			require.NoError(t, err)
			require.Equal(t, id.Item, item)
			ids, keys = append(ids, id.Item), append(keys, key)
		}
		slices.Sort(ids)
		slices.Sort(keys)
		for i, key := range keys {
			got, err := ParseAssignmentKey("/p", key)
			require.NoError(t, err)
			require.Equal(t, ids[i], got.Item, "assignments sort as their items")
		}
	})
}

func FuzzParseAssignmentKey(f *testing.F) {
	f.Add("/p/assign/a/b#zone#suffix#2")
	f.Fuzz(func(t *testing.T, key string) {
		id, err := ParseAssignmentKey("/p", key)
		if err == nil {
			require.Equal(t, key, AssignmentKey("/p", id.Item, id.Member.Zone, id.Member.Suffix, id.Slot))
		}
	})
}

func TestDecode(t *testing.T) {
	got, err := Decode("/p", testDecoder{}, &mvccpb.KeyValue{Key: []byte("/p/items/a/b"), Value: []byte("3")})
	require.NoError(t, err)
	require.Equal(t, Item{ID: "a/b", Value: testItem{Replicas: 3}}, got)
	got, err = Decode("/p", testDecoder{}, &mvccpb.KeyValue{Key: []byte("/p/members/z#s"), Value: []byte(`{"Limit":2}`)})
	require.NoError(t, err)
	require.Equal(t, Member{ID: MemberID{Zone: "z", Suffix: "s"}, Value: testMember{Limit: 2}}, got)
	got, err = Decode("/p", testDecoder{}, &mvccpb.KeyValue{Key: []byte("/p/assign/a#z#s#0")})
	require.NoError(t, err)
	require.Equal(t, Assignment{ID: AssignmentID{Item: "a", Member: MemberID{Zone: "z", Suffix: "s"}}, Value: ""}, got)

	for _, key := range []string{"/p/items/a", "/p/members/z#s", "/p/assign/a#z#s#0"} {
		_, err = Decode("/p", testDecoder{}, &mvccpb.KeyValue{Key: []byte(key), Value: []byte("bad")})
		require.ErrorIs(t, err, errBadValue)
	}
}

var errBadValue = errors.New("bad value")
