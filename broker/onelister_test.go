package broker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestOneListerOfAJournal: of the brokers that hold a journal only its primary lists the stores again and again; the
// others are told by it what there is.
func TestOneListerOfAJournal(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{}, "a", "b", "c")
	ctx := bounded(t)
	spec := replicated("a/journal", 3)
	spec.Fragment.Length = 1 << 10
	spec.Fragment.RefreshInterval = durationpb.New(time.Second)
	fleet[0].Create(spec)
	route := persistAppend(ctx, t, fleet[0], "a/journal", pattern(0, 2000)).GetHeader().GetRoute()
	require.Len(t, route.GetMembers(), 3)
	before := make([]float64, len(fleet))
	for i, b := range fleet {
		// It has listed the stores once for itself.
		_, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal", Offset: -1})
		require.NoError(t, err)
		before[i] = listings(t, b)
	}
	// What is stored from now on the others know from the primary.
	persistAppend(ctx, t, fleet[0], "a/journal", pattern(2000, 4000))
	primary := 0
	for i, b := range fleet {
		if route.IndexOf(b.ID()) == int(route.GetPrimary()) {
			primary = i
		}
		awaitCondition(ctx, t, func() bool { return len(storedBegins(ctx, t, b)) == 1 })
	}
	awaitCondition(ctx, t, func() bool { return listings(t, fleet[primary]) >= before[primary]+3 })
	for i, b := range fleet {
		if i != primary {
			require.InDelta(t, before[i], listings(t, b), 0, "broker %d", i)
		}
	}
}
