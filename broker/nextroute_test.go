package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// certainAppend appends content, and tries again only where a status says that the journal has too few brokers: whether
// it was applied is known all the time.
func certainAppend(ctx context.Context, t *testing.T, b *brokertest.Broker, content string) *protocol.AppendResponse {
	t.Helper()
	for {
		r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, content)
		require.NoError(t, err)
		switch r.GetStatus() {
		case protocol.Status_OK:
			return r
		case protocol.Status_NO_JOURNAL_PRIMARY_BROKER, protocol.Status_INSUFFICIENT_JOURNAL_BROKERS:
			await(ctx, t, 5*time.Millisecond)
		default:
			require.FailNow(t, "not appended", "%v", r)
		}
	}
}

// TestAppendsWaitForTheNextRoute: once the primary is gone, appends that are to be forwarded to it wait for another route,
// or are told that there are too few brokers: no client has to guess.
func TestAppendsWaitForTheNextRoute(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{Adjust: func(c *broker.Config) { c.GatherMemory = 64 << 10 }}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 2))
	r := persistAppend(ctx, t, fleet[0], "a/journal", "begin ")
	var want strings.Builder
	want.WriteString("begin ")
	for round := range 2 {
		route := r.GetHeader().GetRoute()
		i := slices.IndexFunc(fleet, func(b *brokertest.Broker) bool { return route.IndexOf(b.ID()) == int(route.GetPrimary()) })
		fleet[i].Kill()
		for n, b := range []*brokertest.Broker{fleet[(i+1)%3], fleet[(i+2)%3]} {
			content := strings.Repeat(fmt.Sprintf("%d-%d ", round, n), 1+n*1000)
			certainAppend(ctx, t, b, content)
			want.WriteString(content)
		}
		fleet[i].Restart()
		r = persistAppend(ctx, t, fleet[0], "a/journal", "")
	}
	require.Equal(t, want.String(), mustReadTo(ctx, t, fleet[1], "a/journal", 0, int64(want.Len())))
}
