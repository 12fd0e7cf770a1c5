package shardspace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/shardspace"
	"broadsheet.dev/broadsheet/protocol"
)

// TestScenarios:
//
//	parse      YAML -> the set as it is formatted again
//	flatten    YAML -> each shard by itself, with what is common
//	hoist      YAML -> the set of those
//	changes    YAML -> what a consumer is asked for
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string {
			out, err := run(d)
			if err != nil {
				return "error: " + err.Error() + "\n"
			}
			return out
		})
	})
}

func run(d *datadriven.TestData) (string, error) {
	set, err := shardspace.Parse([]byte(d.Input))
	if err != nil {
		return "", err
	}
	switch d.Cmd {
	case "parse":
		return format(set)
	case "flatten", "hoist":
		all, err := set.Flatten()
		if err != nil {
			return "", err
		}
		if d.Cmd == "hoist" {
			return format(shardspace.Hoist(all))
		}
		return format(&shardspace.Set{Shards: all})
	case "changes":
		changes, err := set.Changes()
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for _, c := range changes {
			what := "delete " + c.GetDelete()
			if c.GetUpsert() != nil {
				what = "upsert " + c.GetUpsert().GetId()
			}
			fmt.Fprintf(&b, "%s at revision %d\n", what, c.GetExpectModRevision())
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("unknown command %s", d.Cmd)
}

func format(set *shardspace.Set) (string, error) {
	b, err := set.Format()
	return string(b), err
}

func requireEqual(t require.TestingT, want, got proto.Message) {
	require.True(t, proto.Equal(want, got), "want %s\ngot  %s", prototext.Format(want), prototext.Format(got))
}

// TestFieldsAreThoseOfTheProtocol: a spec with every field set is written and read as it is, so that a field that is new in
// the protocol can't be lost by an edit.
func TestFieldsAreThoseOfTheProtocol(t *testing.T) {
	var spec shards.ShardSpec
	require.NoError(t, prototext.Unmarshal([]byte(`
		id: "a-shard" sources { journal: "a/journal;meta" min_offset: 77 } sources { journal: "b/journal" }
		recovery_log_prefix: "recovery/logs" hint_prefix: "/hints" hint_backups: 2
		max_txn_duration { seconds: 90 nanos: 5 } min_txn_duration { seconds: 1 }
		disable: true hot_standbys: 4000000000 labels { labels { name: "aa" value: "bb" } labels { name: "x/y" } }
		disable_wait_for_ack: true ring_buffer_size: 12 read_channel_size: 34`), &spec))
	fields := spec.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		require.True(t, spec.ProtoReflect().Has(fields.Get(i)), "%s: isn't in this test", fields.Get(i).Name())
	}
	text, err := format(shardspace.Hoist([]shardspace.Shard{{Spec: &spec, Revision: 7}}))
	require.NoError(t, err)
	set, err := shardspace.Parse([]byte(text))
	require.NoError(t, err)
	require.Len(t, set.Shards, 1)
	requireEqual(t, &spec, set.Shards[0].Spec)
	require.Equal(t, int64(7), set.Shards[0].Revision)
}

// drawSpec draws from few values, so that much is in common.
func drawSpec(t *rapid.T, id string) *shards.ShardSpec {
	few := func(what string) int64 { return rapid.SampledFrom([]int64{0, 1, 1, 77}).Draw(t, what) }
	word := func(what string) string { return rapid.SampledFrom([]string{"", "one", "null", "1e3"}).Draw(t, what) }
	s := &shards.ShardSpec{
		Id: id, RecoveryLogPrefix: word("log"), HintPrefix: word("hints"), HintBackups: int32(few("backups")),
		Disable: rapid.Bool().Draw(t, "disable"), DisableWaitForAck: rapid.Bool().Draw(t, "wait"),
		HotStandbys: uint32(few("standbys")), RingBufferSize: uint32(few("ring")), ReadChannelSize: uint32(few("ahead")),
	}
	if n := few("max"); n != 0 {
		s.MaxTxnDuration = &durationpb.Duration{Seconds: n}
	}
	if n := few("min"); n != 0 {
		s.MinTxnDuration = &durationpb.Duration{Seconds: n}
	}
	for _, journal := range rapid.SampledFrom([][]string{nil, {"a/b"}, {"a/b", "c/d;m"}}).Draw(t, "sources") {
		s.Sources = append(s.Sources, &shards.ShardSpec_Source{Journal: journal, MinOffset: few("offset")})
	}
	set := new(protocol.LabelSet)
	for range rapid.IntRange(0, 4).Draw(t, "labels") {
		set.AddValue(rapid.SampledFrom([]string{"aa", "bb", "cc"}).Draw(t, "label"), word("value"))
	}
	if len(set.GetLabels()) != 0 {
		s.Labels = set
	}
	return s
}

// TestHoistAndFlattenAreInverse, over YAML: what is listed, shown, edited in no way and applied is what was there.
func TestHoistAndFlattenAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]shardspace.Shard{}
		var in []shardspace.Shard
		for _, id := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-c]{4,5}`), rapid.ID).Draw(t, "ids") {
			s := shardspace.Shard{Spec: drawSpec(t, id), Revision: rapid.Int64Range(-1, 99).Draw(t, "revision"), Delete: rapid.Bool().Draw(t, "delete")}
			want[id], in = s, append(in, s)
		}
		text, err := shardspace.Hoist(in).Format()
		require.NoError(t, err)
		set, err := shardspace.Parse(text)
		require.NoError(t, err, "%s", text)
		again, err := set.Format()
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
		got, err := set.Flatten()
		require.NoError(t, err)
		require.Len(t, got, len(want))
		last := ""
		for _, s := range got {
			id := s.Spec.GetId()
			require.Less(t, last, id)
			last = id
			requireEqual(t, want[id].Spec, s.Spec)
			require.Equal(t, want[id].Revision, s.Revision, id)
			require.Equal(t, want[id].Delete, s.Delete, id)
		}
	})
}

// FuzzParse: whatever is read is written and read again the same.
func FuzzParse(f *testing.F) {
	f.Add("common: {hint_backups: 2, labels: [{name: a/b, value: c}]}\nshards:\n- id: one-shard\n  sources: [{journal: a/b, min_offset: 3}]\n  disable: true\n")
	f.Add("shards:\n- &a {id: a123, hot_standbys: 3}\n- {<<: *a, id: b123, delete: true, revision: -1}\n")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := shardspace.Parse([]byte(text))
		if err != nil {
			return
		}
		out, err := set.Format()
		require.NoError(t, err)
		set, err = shardspace.Parse(out)
		require.NoError(t, err, "%s", out)
		again, err := set.Format()
		require.NoError(t, err)
		require.Equal(t, string(out), string(again))
		_, err = set.Changes()
		_ = err // that it returns
	})
}
