package shards

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

// segment of a log, from one offset to another; in the log of its hints if it has no name.
func segment(log string, first, last int64) *recoverylog.Segment {
	return &recoverylog.Segment{
		Author: 1, FirstSeqNo: first, LastSeqNo: last, FirstOffset: first, LastOffset: last, FirstChecksum: uint32(first), Log: log,
	}
}

// hintsOf files, each with one segment.
func hintsOf(log string, files ...*recoverylog.Segment) *recoverylog.FSMHints {
	out := &recoverylog.FSMHints{Log: log}
	for _, s := range files {
		out.LiveNodes = append(out.LiveNodes, &recoverylog.FnodeSegments{Fnode: s.GetFirstSeqNo(), Segments: []*recoverylog.Segment{s}})
	}
	return out
}

func keeperOf(id string, hints ...*recoverylog.FSMHints) keeper {
	return keeper{
		spec:  &shards.ShardSpec{Id: id, RecoveryLogPrefix: "logs", HintPrefix: "/hints", HintBackups: int32(len(hints) - 1)},
		hints: hints,
	}
}

// fragmentsOf a log, of ten bytes each, in a store but for the last.
func fragmentsOf(log string, until int64) []*protocol.Fragment {
	var out []*protocol.Fragment
	for at := int64(0); at < until; at += 10 {
		f := &protocol.Fragment{Journal: log, Begin: at, End: at + 10, CompressionCodec: protocol.CompressionCodec_NONE, BackingStore: "file:///", ModTime: 1}
		if f.GetEnd() == until {
			f.BackingStore, f.ModTime = "", 0
		}
		out = append(out, f)
	}
	return out
}

// goneOf are where the fragments begin that may be removed.
func goneOf(t *testing.T, log string, all ...keeper) []int64 {
	t.Helper()
	needs, err := needsOf(log, all)
	require.NoError(t, err)
	var out []int64
	for _, f := range prunable(needs, fragmentsOf(log, 100)) {
		out = append(out, f.Begin)
	}
	return out
}

// TestPruneKeepsWhatHintsNeed: any of them, of any shard, whichever log is its own.
func TestPruneKeepsWhatHintsNeed(t *testing.T) {
	one := keeperOf("one-shard", hintsOf("logs/one-shard", segment("", 51, 55), segment("", 71, 79)))
	require.Equal(t, []int64{0, 10, 20, 30, 40, 60}, goneOf(t, "logs/one-shard", one))

	// A backup needs an earlier one.
	backed := keeperOf("one-shard", one.hints[0], hintsOf("logs/one-shard", segment("", 32, 34), segment("", 71, 79)))
	require.Equal(t, []int64{0, 10, 20, 40, 60}, goneOf(t, "logs/one-shard", backed))

	// A shard with a log of its own has a file in this one still, since it was forked.
	fork := keeperOf("fork-shard", hintsOf("logs/fork-shard", segment("logs/one-shard", 11, 14), segment("", 21, 29)))
	require.Equal(t, []int64{0, 20, 30, 40, 60}, goneOf(t, "logs/one-shard", one, fork))
	require.Equal(t, []int64{0, 10}, goneOf(t, "logs/fork-shard", one, fork))

	// One whose hints are wholly of this log has yet to begin its own: it may play this one on.
	begun := keeperOf("begun-shard", hintsOf("logs/one-shard", segment("", 42, 43)))
	require.Equal(t, []int64{0, 10, 20, 30}, goneOf(t, "logs/one-shard", one, begun))

	// Two shards may have one log by their names.
	same := keeper{spec: &shards.ShardSpec{Id: "log/one-shard", RecoveryLogPrefix: "a", HintPrefix: "/other"}, hints: []*recoverylog.FSMHints{hintsOf("a/log/one-shard", segment("", 81, 82))}}
	other := keeper{spec: &shards.ShardSpec{Id: "one-shard", RecoveryLogPrefix: "a/log", HintPrefix: "/hints"}, hints: []*recoverylog.FSMHints{hintsOf("a/log/one-shard", segment("", 25, 26), segment("", 95, 96))}}
	require.Equal(t, same.spec.RecoveryLog(), other.spec.RecoveryLog())
	require.Equal(t, []int64{0, 10, 30, 40, 50, 60, 70}, goneOf(t, "a/log/one-shard", same, other))

	// Hints without files have the log played from its begin.
	require.Empty(t, goneOf(t, "logs/one-shard", one, keeperOf("new-shard", hintsOf("logs/one-shard"))))
}

// TestPruneNeedsAllHints of all shards that keep a log, and of no others.
func TestPruneNeedsAllHints(t *testing.T) {
	one := keeperOf("one-shard", hintsOf("logs/one-shard", segment("", 51, 55)))
	lacks := keeperOf("two-shard", hintsOf("logs/two-shard", segment("", 21, 29)), nil)
	require.Equal(t, []int64{0, 10, 20, 30, 40}, goneOf(t, "logs/one-shard", one, lacks))
	_, err := needsOf("logs/two-shard", []keeper{one, lacks})
	require.ErrorIs(t, err, recoverylog.ErrHintsMissing)
	require.ErrorContains(t, err, "backup 0 of two-shard")

	// The one that lacks hints has files of another's log.
	lacks.hints[0] = hintsOf("logs/two-shard", segment("logs/one-shard", 11, 12), segment("", 21, 29))
	_, err = needsOf("logs/one-shard", []keeper{one, lacks})
	require.ErrorIs(t, err, recoverylog.ErrHintsMissing)

	// A shard that never wrote any.
	_, err = needsOf("logs/one-shard", []keeper{keeperOf("one-shard", nil)})
	require.ErrorIs(t, err, recoverylog.ErrHintsMissing)
	require.ErrorContains(t, err, "those of the primary of one-shard")

	// Nobody keeps it.
	_, err = needsOf("logs/nobody", []keeper{one})
	require.ErrorIs(t, err, recoverylog.ErrHintsMissing)

	// Hints that can't be.
	bad := hintsOf("logs/one-shard", segment("", 51, 55))
	bad.LiveNodes[0].Fnode = 7
	_, err = needsOf("logs/one-shard", []keeper{keeperOf("one-shard", bad)})
	require.Error(t, err)
	require.NotErrorIs(t, err, recoverylog.ErrHintsMissing)
}
