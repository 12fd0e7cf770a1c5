package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/protocol"
)

// TestDecodeKeys: values have to be of their keys.
func TestDecodeKeys(t *testing.T) {
	encode := func(m proto.Message) string {
		b, err := proto.Marshal(m)
		require.NoError(t, err)
		return string(b)
	}
	spec := encode(specWith(func(*protocol.JournalSpec_Fragment) {}))
	id := &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "broker"}
	member := encode(&protocol.BrokerSpec{ProcessSpec: &protocol.ProcessSpec{Id: id, Endpoint: "http://host"}, JournalLimit: 5, Exiting: true})
	route := encode(&protocol.Route{Members: []*protocol.ProcessSpec_ID{id}})
	for _, tc := range []struct{ key, value, err string }{
		{"/p/items/a/journal", spec, ""},
		{"/p/items/b/journal", spec, `allocator: item b/journal: spec is named "a/journal"`},
		{"/p/items/a/journal", "", "Name: "},
		{"/p/items/a/journal", "\xff", "allocator: item a/journal: proto:"},
		{"/p/members/zone#broker", member, ""},
		{"/p/members/zone#other", member, "allocator: member zone#other: spec is of process zone#broker"},
		{"/p/members/zone#broker", "", "ProcessSpec"},
		{"/p/assign/a/journal#zone#broker#0", route, ""},
		{"/p/assign/a/journal#zone#broker#0", "", ""},
		{"/p/assign/a/journal#zone#broker#0", "\x10\x05", "Primary"},
		{"/p/else", "", "is not a key of an allocator"},
	} {
		value, err := decodeKey("/p", defaultReplication)(&mvccpb.KeyValue{Key: []byte(tc.key), Value: []byte(tc.value)})
		if tc.err != "" {
			require.ErrorContains(t, err, tc.err, tc.key)
			continue
		}
		require.NoError(t, err, tc.key)
		switch v := value.(type) {
		case allocator.Item:
			require.Equal(t, 1, v.Value.DesiredReplication())
		case allocator.Member:
			require.Equal(t, 5, v.Value.ItemLimit())
			require.True(t, v.Value.Exiting())
		}
	}
	for level, want := range map[protocol.JournalSpec_Suspend_Level]int{
		protocol.JournalSpec_Suspend_NONE: 1, protocol.JournalSpec_Suspend_PARTIAL: 1, protocol.JournalSpec_Suspend_FULL: 0,
	} {
		suspended := specWith(func(*protocol.JournalSpec_Fragment) {})
		suspended.Suspend = &protocol.JournalSpec_Suspend{Level: level}
		require.Equal(t, want, journalItem{spec: suspended, most: defaultReplication}.DesiredReplication())
	}
	three := specWith(func(*protocol.JournalSpec_Fragment) {})
	three.Replication = 3
	require.Equal(t, 2, journalItem{spec: three, most: 2}.DesiredReplication(), "capped for the allocator, too")
}

// FuzzDecodeKey: whatever is in etcd, it is decoded or refused.
func FuzzDecodeKey(f *testing.F) {
	for _, key := range []string{"/p/items/a/journal", "/p/members/zone#broker", "/p/assign/a/journal#zone#broker#0"} {
		f.Add(key, []byte("\x0a\x09a/journal\x10\x01"))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		decoded, err := decodeKey("/p", defaultReplication)(&mvccpb.KeyValue{Key: []byte(key), Value: value})
		if err == nil && decoded == nil {
			t.Fatal("neither value nor error")
		}
	})
}

// TestJournalIsConsistent: when each assignment has the route that all of them make.
func TestJournalIsConsistent(t *testing.T) {
	id := func(suffix string) *protocol.ProcessSpec_ID {
		return &protocol.ProcessSpec_ID{Zone: "z", Suffix: suffix}
	}
	assign := func(suffix string, slot int, told *protocol.Route) allocator.Assignment {
		return allocator.Assignment{ID: allocator.AssignmentID{Item: "j", Member: memberID(id(suffix)), Slot: slot}, Value: told}
	}
	route := &protocol.Route{Members: []*protocol.ProcessSpec_ID{id("a"), id("b")}, Primary: 1}
	other := &protocol.Route{Members: []*protocol.ProcessSpec_ID{id("a"), id("b")}, Primary: 0}
	for name, tc := range map[string]struct {
		all  []allocator.Assignment
		want bool
	}{
		"all agree":       {[]allocator.Assignment{assign("b", 0, route), assign("a", 1, route)}, true},
		"one is new":      {[]allocator.Assignment{assign("b", 0, route), assign("a", 1, nil)}, false},
		"one has another": {[]allocator.Assignment{assign("b", 0, route), assign("a", 1, other)}, false},
		"another primary": {[]allocator.Assignment{assign("b", 1, route), assign("a", 0, route)}, false},
		"one more":        {[]allocator.Assignment{assign("b", 0, route), assign("a", 1, route), assign("c", 2, route)}, false},
	} {
		require.Equal(t, tc.want, journalItem{}.IsConsistent(tc.all[0], tc.all), name)
	}
}
