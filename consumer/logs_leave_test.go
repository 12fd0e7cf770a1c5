package consumer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// TestLeavesHints: a primary that ends in order leaves hints, by which the next one plays little, and what it finds is whole. One that
// is edited leaves those that were put with its spec.
func TestLeavesHints(t *testing.T) {
	w := newLoggedWorld(t, recorded)
	hints := func() int64 { // of which revision they are; 0 is none
		r, err := w.broker.Etcd.Get(t.Context(), "/hints/a-shard.primary")
		require.NoError(t, err)
		if len(r.Kvs) == 0 {
			return 0
		}
		return r.Kvs[0].GetModRevision()
	}
	one := w.keeps(1, &keeper{hints: time.Hour}, time.Minute)
	one.Apply(loggedSpec())
	one.Await("a-shard", hasPrimary)
	readThrough(t, one, "a-shard", "some/in", w.publish("some/in", 0, 200))
	require.Zero(t, hints())

	edited := loggedSpec()
	edited.RingBufferSize = 17
	revision := one.List(t.Context(), "a-shard").GetModRevision()
	one.Apply(edited)
	one.Await("a-shard", func(s *shards.ListResponse_Shard) bool { return s.GetModRevision() != revision && hasPrimary(s) })
	readThrough(t, one, "a-shard", "some/in", w.publish("some/in", 200, 300))
	require.Zero(t, hints(), "an edited shard begins anew by what is there")

	one.Stop()
	left := hints()
	require.NotZero(t, left)
	w.requireKept(300, &recoverylog.FSMHints{Log: recorded})
	w.requireKept(300, w.primaryHints())

	two := w.keeps(2, &keeper{hints: time.Hour}, time.Minute)
	two.Await("a-shard", hasPrimary)
	readThrough(t, two, "a-shard", "some/in", w.publish("some/in", 300, 400))
	require.Equal(t, left, hints())
	families, err := two.Metrics.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	require.InDelta(t, 1, got["broadsheet_shard_recoveries_total"], 0)
	require.Positive(t, got["broadsheet_shard_recovery_seconds_total"])
	require.Positive(t, got["broadsheet_recoverylog_played_bytes_total"])
	two.Stop()
	require.Greater(t, hints(), left)
	w.requireKept(400, w.primaryHints())
}
