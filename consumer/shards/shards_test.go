package shards_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

func spec(id string) *shards.ShardSpec {
	return &shards.ShardSpec{Id: id, MaxTxnDuration: durationpb.New(1e9)}
}

func TestDesiredReplication(t *testing.T) {
	for _, c := range []struct {
		standbys uint32
		disable  bool
		want     int
	}{{0, false, 1}, {1, false, 2}, {3, false, 4}, {9, false, 4}, {9, true, 0}} {
		s := spec("a-shard")
		s.HotStandbys, s.Disable = c.standbys, c.disable
		require.Equal(t, c.want, shards.Item{Spec: s, MaxStandbys: 3}.DesiredReplication())
	}
}

// TestConsistency is the rule of consumers: standbys and primaries count, and failed replicas of a failed shard.
func TestConsistency(t *testing.T) {
	assigned := func(slot int, code shards.ReplicaStatus_Code) allocator.Assignment {
		return allocator.Assignment{ID: allocator.AssignmentID{Slot: slot}, Value: &shards.ReplicaStatus{Code: code}}
	}
	const idle, backfill, standby, primary, failed = shards.ReplicaStatus_IDLE, shards.ReplicaStatus_BACKFILL,
		shards.ReplicaStatus_STANDBY, shards.ReplicaStatus_PRIMARY, shards.ReplicaStatus_FAILED
	for _, c := range []struct {
		own, first shards.ReplicaStatus_Code
		want       bool
	}{
		{idle, primary, false},
		{backfill, primary, false},
		{standby, primary, true},
		{standby, idle, true},
		{primary, primary, true},
		{failed, primary, false},
		{failed, standby, false},
		{failed, failed, true},
		{idle, failed, false},
	} {
		own, first := assigned(1, c.own), assigned(0, c.first)
		require.Equal(t, c.want, shards.Item{}.IsConsistent(own, []allocator.Assignment{first, own}), "%v %v", c.own, c.first)
	}
	first := assigned(0, failed)
	require.True(t, shards.Item{}.IsConsistent(first, []allocator.Assignment{first}), "a failed primary counts")
	require.False(t, shards.Item{}.IsConsistent(allocator.Assignment{}, nil), "what has told nothing doesn't count")
}

// TestReduce: of two statuses the further one counts, and failures add up.
func TestReduce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		status := func() *shards.ReplicaStatus {
			code := rapid.SampledFrom([]shards.ReplicaStatus_Code{0, 100, 200, 300, 400}).Draw(t, "code")
			if code != shards.ReplicaStatus_FAILED {
				return &shards.ReplicaStatus{Code: code}
			}
			return shards.Failed(errors.New(rapid.SampledFrom([]string{"one", "two"}).Draw(t, "error")))
		}
		a, b := status(), status()
		before := proto.CloneOf(a)
		out := a.Reduce(b)
		if out.GetCode() != max(a.GetCode(), b.GetCode()) || out.Validate() != nil {
			t.Fatalf("%v and %v are reduced to %v", a, b, out)
		}
		if !proto.Equal(out, out.Reduce(a)) || !proto.Equal(out, out.Reduce(b)) || !proto.Equal(a, before) {
			t.Fatalf("%v and %v are reduced to %v, which isn't the end of it", a, b, out)
		}
	})
	require.Equal(t, shards.ReplicaStatus_IDLE, (*shards.ReplicaStatus)(nil).Reduce(&shards.ReplicaStatus{}).GetCode())
}

func TestFailedTextIsBounded(t *testing.T) {
	s := shards.Failed(errors.New(strings.Repeat("ä", 3000)))
	require.Equal(t, strings.Repeat("ä", 2048), s.GetErrors()[0])
	require.NoError(t, s.Validate())
	_, err := proto.Marshal(shards.Failed(errors.New("\xff")))
	require.NoError(t, err, "text that isn't UTF-8 is made so")
}

func TestKeys(t *testing.T) {
	s := spec("a/shard")
	require.Empty(t, s.RecoveryLog())
	require.Empty(t, s.PrimaryHintsKey())
	s.RecoveryLogPrefix, s.HintPrefix, s.HintBackups = "logs/of", "/hints/of", 2
	require.NoError(t, s.Validate())
	require.Equal(t, "logs/of/a/shard", s.RecoveryLog())
	require.Equal(t, "/hints/of/a/shard.primary", s.PrimaryHintsKey())
	require.Equal(t, []string{"/hints/of/a/shard.backup.0", "/hints/of/a/shard.backup.1"}, s.BackupHintsKeys())
	require.Equal(t, []string{"a/shard"}, s.SelectableLabels().ValuesOf("id"))
}

// TestStatusErrors are the same if their statuses are.
func TestStatusErrors(t *testing.T) {
	require.NoError(t, shards.Status_OK.Err())
	err := error(&shards.StatusError{Status: shards.Status_SHARD_STOPPED, Shard: "a-shard"})
	require.ErrorIs(t, err, shards.Status_SHARD_STOPPED.Err())
	require.NotErrorIs(t, err, shards.Status_SHARD_NOT_FOUND.Err())
	require.EqualError(t, err, "shard a-shard: SHARD_STOPPED")
	require.EqualError(t, shards.Status_SHARD_NOT_FOUND.Err(), "SHARD_NOT_FOUND")
}

func TestDecode(t *testing.T) {
	decode := shards.Decode("/prefix", 3)
	value := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		require.NoError(t, err)
		return b
	}
	member := &shards.ConsumerSpec{ProcessSpec: &protocol.ProcessSpec{
		Id: &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "suffix"}, Endpoint: "http://host:80",
	}, ShardLimit: 4, Exiting: true}

	got, err := decode(&mvccpb.KeyValue{Key: []byte("/prefix/items/a-shard"), Value: value(spec("a-shard"))})
	require.NoError(t, err)
	item := got.(allocator.Item).Value.(shards.Item)
	require.Equal(t, "a-shard", item.Spec.GetId())
	require.Equal(t, 3, item.MaxStandbys)

	got, err = decode(&mvccpb.KeyValue{Key: []byte("/prefix/members/zone#suffix"), Value: value(member)})
	require.NoError(t, err)
	require.Equal(t, 4, got.(allocator.Member).Value.ItemLimit())
	require.True(t, got.(allocator.Member).Value.Exiting())

	got, err = decode(&mvccpb.KeyValue{Key: []byte("/prefix/assign/a-shard#zone#suffix#0")})
	require.NoError(t, err)
	require.Equal(t, shards.ReplicaStatus_IDLE, shards.StatusOf(got.(allocator.Assignment)).GetCode())

	for _, c := range []struct {
		key, want string
		value     []byte
	}{
		{"/prefix/items/b-shard", `spec is of shard "a-shard"`, value(spec("a-shard"))},
		{"/prefix/items/b-shard", "MaxTxnDuration", value(&shards.ShardSpec{Id: "b-shard"})},
		{"/prefix/items/b-shard", "proto", []byte{0xff}},
		{"/prefix/members/zone#other", "spec is of process zone#suffix", value(member)},
		{"/prefix/members/zone#other", "ProcessSpec", nil},
		{"/prefix/members/zone#other", "proto", []byte{0xff}},
		{"/prefix/assign/a-shard#zone#suffix#0", "Errors", value(&shards.ReplicaStatus{Code: shards.ReplicaStatus_FAILED})},
		{"/prefix/assign/a-shard#zone#suffix#0", "proto", []byte{0xff}},
		{"/prefix/other", "not a key of an allocator", nil},
	} {
		_, err := decode(&mvccpb.KeyValue{Key: []byte(c.key), Value: c.value})
		require.ErrorContains(t, err, c.want, c.key)
	}
}

// TestCheckpointRoundTrip: what a Sequencer knows is in a checkpoint, and comes out of its bytes again; equal ones have
// equal bytes.
func TestCheckpointRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		read := make(map[string]message.JournalState)
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{4,8}(;[a-z])?`), rapid.ID).Draw(t, "journals") {
			state := message.JournalState{ReadThrough: rapid.Int64Min(0).Draw(t, "through")}
			for _, id := range rapid.SliceOfNDistinct(rapid.Byte(), 0, 4, rapid.ID).Draw(t, "producers") {
				acked := message.Clock(rapid.Uint64().Draw(t, "acked"))
				state.Producers = append(state.Producers, message.ProducerState{
					Producer: message.Producer{id, 5: 7}, Acked: acked, Seen: acked, Begin: rapid.Int64Min(-1).Draw(t, "begin"),
				})
			}
			read[name] = state
		}
		var intents []message.AckIntent
		for _, name := range []string{"aaaa", "bbbb", "cccc"}[:rapid.IntRange(0, 3).Draw(t, "intents")] {
			intents = append(intents, message.AckIntent{Journal: name, Frame: rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "frame")})
		}
		made, again := shards.NewCheckpoint(read, intents), shards.NewCheckpoint(read, intents)
		b, err := made.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := again.Marshal(); err != nil || string(c) != string(b) {
			t.Fatalf("bytes differ: %x, %x (%v)", b, c, err)
		}
		back := new(shards.Checkpoint)
		if err := proto.Unmarshal(b, back); err != nil {
			t.Fatal(err)
		}
		got, err := back.Read()
		require.NoError(t, err)
		require.Equal(t, read, got)
		require.Len(t, back.Intents(), len(intents))
		for i, intent := range back.Intents() {
			require.Equal(t, intents[i], intent)
		}
	})
}

// TestCheckpointThatIsRefused isn't made into what a Sequencer would take.
func TestCheckpointThatIsRefused(t *testing.T) {
	_, err := (&shards.Checkpoint{Sources: map[string]*shards.Checkpoint_Source{"a/journal": {ReadThrough: -1}}}).Read()
	require.ErrorContains(t, err, "checkpoint: Sources[a/journal].ReadThrough")
}

// FuzzDecode of keys' values and of checkpoints: what is taken validates.
func FuzzDecode(f *testing.F) {
	for _, m := range []proto.Message{spec("a-shard"), &shards.ReplicaStatus{Code: 400, Errors: []string{"x"}}} {
		b, _ := proto.Marshal(m)
		f.Add("/p/items/a-shard", b)
		f.Add("/p/assign/a-shard#zone#suffix#0", b)
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		got, err := shards.Decode("/p", 3)(&mvccpb.KeyValue{Key: []byte(key), Value: value})
		if err == nil && got == nil {
			t.Fatal("nothing was decoded")
		}
		cp := new(shards.Checkpoint)
		if proto.Unmarshal(value, cp) != nil {
			return
		}
		if read, err := cp.Read(); err == nil {
			s, err := message.NewSequencer(message.SequencerConfig{})
			require.NoError(t, err)
			require.NoError(t, s.Restore(read), "what is valid can be restored")
		}
	})
}
