package broker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
)

// TestRemnantClosesItsEpoch: a broker that was the only one to hold two journals comes back when another broker has them,
// and there is room at it for one only. What it has of the other is nowhere else: it writes down where that ends, and
// stores it, and the journal goes on without it.
func TestRemnantClosesItsEpoch(t *testing.T) {
	var limit atomic.Int64
	limit.Store(2)
	first := brokertest.New(t, brokertest.Config{Zone: "a", Adjust: func(c *broker.Config) {
		c.JournalLimit, c.LeaseTTL = int(limit.Load()), 4*time.Second
	}})
	ctx := bounded(t)
	names := []string{"a/one", "a/two"}
	for _, name := range names {
		first.Create(brokertest.Spec(name))
		persistAppend(ctx, t, first, name, "only here ")
	}
	first.Kill()
	second := brokertest.New(t, brokertest.Config{Zone: "b", Join: first})
	limit.Store(1)
	first.Restart()
	for _, name := range names {
		persistAppend(ctx, t, second, name, "and on")
		require.Equal(t, "only here and on", mustReadTo(ctx, t, second, name, 0, 16))
	}
	// It has one of them at the most, and nothing of the other any more.
	awaitCondition(ctx, t, func() bool {
		return len(first.SpoolFiles(names[0])) == 0 || len(first.SpoolFiles(names[1])) == 0
	})
	for _, name := range names {
		require.Equal(t, "only here and on", mustReadTo(ctx, t, first, name, 0, 16))
	}
}
