package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/internal/task"
)

// TestDrain: brokers are stopped one after the other while appends go on. Each hands its journals
// over first, so that no append fails, and leaves no spool behind.
func TestDrain(t *testing.T) {
	const drain = 20 * time.Second
	fleet := brokertest.NewFleet(t, brokertest.Config{Adjust: func(c *broker.Config) { c.Drain = drain }}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 2))
	want := strings.Builder{}
	want.WriteString("first ")
	persistAppend(ctx, t, fleet[0], "a/journal", "first ")
	for i, leaving := range fleet {
		staying := fleet[(i+1)%3]
		writer := task.New(ctx, "writer")
		running := make(chan struct{})
		writer.Go("append", func(ctx context.Context) error {
			for n := 0; ctx.Err() == nil; n++ {
				text := fmt.Sprintf("%d-%d ", i, n)
				persistAppend(bounded(t), t, staying, "a/journal", text)
				want.WriteString(text)
				if n == 0 {
					close(running)
				}
			}
			return nil
		})
		<-running
		began := time.Now()
		leaving.Stop()
		require.Less(t, time.Since(began), drain, "it wasn't drained")
		writer.Cancel()
		require.NoError(t, writer.Wait())
		require.Empty(t, leaving.SpoolFiles("a/journal"))
		require.Equal(t, want.String(), mustReadTo(ctx, t, staying, "a/journal", 0, int64(want.Len())))
		leaving.Restart()
	}
}

// TestDrainWithNobodyElse: a broker whose journals nobody can take stops at once, and keeps them.
func TestDrainWithNobodyElse(t *testing.T) {
	const drain = time.Hour
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.Drain = drain }})
	ctx := bounded(t)
	b.Create(replicated("a/journal", 1))
	persistAppend(ctx, t, b, "a/journal", "text")
	b.Restart()
	require.Equal(t, "text", mustReadTo(ctx, t, b, "a/journal", 0, 4))
}
