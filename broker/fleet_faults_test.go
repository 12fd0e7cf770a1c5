package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// TestFleetLinearizable: what clients of a fleet see of offsets and registers at the same time, each at
// another broker, is what they would see one after the other, while brokers are killed and come back.
func TestFleetLinearizable(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{Mode: spool.Replicated}, "a", "b", "c")
	ctx := bounded(t)
	spec := replicated("a/journal", 3)
	spec.Fragment.Length = 2 << 10
	fleet[0].Create(spec)
	persistAppend(ctx, t, fleet[0], "a/journal", "")
	var history []porcupine.Operation
	for round := range 4 {
		history = append(history, recordFleet(ctx, t, fleet, fleet[round%3])...)
	}
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(journalModel, history, time.Minute))
}

// recordFleet runs clients of all brokers, each until the first operation of which it doesn't know the
// outcome, and kills one broker meanwhile.
func recordFleet(ctx context.Context, t *testing.T, fleet []*brokertest.Broker, victim *brokertest.Broker) []porcupine.Operation {
	t.Helper()
	const clients, each = 6, 20
	var mu sync.Mutex
	var history []porcupine.Operation
	begun := make(chan struct{}, clients*each)
	g := task.New(ctx, "clients")
	for client := range clients {
		g.Go("client", func(ctx context.Context) error {
			var head int64
			var author string
			for range each {
				in := randomInput(&head, &author)
				in.read = false // A replica may not have been told of the head yet.
				called := time.Now().UnixNano()
				out := perform(ctx, fleet[client%3], in)
				returned := time.Now().UnixNano()
				begun <- struct{}{}
				if out.status == protocol.Status_INSUFFICIENT_JOURNAL_BROKERS {
					return nil // refused for the time being
				}
				if !out.unknown {
					head, author = max(head, out.end), out.author
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: called, Output: out, Return: returned})
				mu.Unlock()
				if out.unknown {
					return nil
				}
			}
			return nil
		})
	}
	for range clients * each / 5 {
		select {
		case <-begun:
		case <-time.After(time.Second): // All of them have ended.
		}
	}
	victim.Kill()
	require.NoError(t, g.Wait())
	victim.Restart()
	// What isn't before this append never comes.
	persistAppend(ctx, t, fleet[0], "a/journal", "")
	over := time.Now().UnixNano()
	for i := range history {
		if history[i].Output.(journalOutput).unknown {
			history[i].Return = over
		}
	}
	return history
}

// TestFleetReadersSeeOnlyWhatStays: while brokers are killed, readers at every replica see no byte that isn't
// in the journal for ever (R8).
func TestFleetReadersSeeOnlyWhatStays(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 3))
	persistAppend(ctx, t, fleet[0], "a/journal", "begin\n")

	reading, stopReading := context.WithCancel(ctx)
	seen := make([]strings.Builder, len(fleet))
	readers := task.New(reading, "readers")
	for i, b := range fleet {
		readers.Go("reader", func(ctx context.Context) error {
			for ctx.Err() == nil {
				if err := follow(ctx, b, &seen[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	writing, stopWriting := context.WithCancel(ctx)
	writers := task.New(writing, "writers")
	for i, b := range append(fleet, fleet...) {
		writers.Go("writer", func(ctx context.Context) error {
			for n := 0; ctx.Err() == nil; n++ {
				// Whatever becomes of it.
				_, _ = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, fmt.Sprintf("%d-%d\n", i, n))
			}
			return nil
		})
	}
	for round := range 5 {
		at := readersAt(ctx, t, fleet[(round+1)%3])
		awaitCondition(ctx, t, func() bool { return readersAt(ctx, t, fleet[(round+1)%3]) > at+200 })
		fleet[round%3].Kill()
		fleet[round%3].Restart()
	}
	stopWriting()
	require.NoError(t, writers.Wait())
	end := persistAppend(ctx, t, fleet[0], "a/journal", "end\n").GetCommit().GetEnd()
	content := mustReadTo(ctx, t, fleet[0], "a/journal", 0, end)
	stopReading()
	require.NoError(t, readers.Wait())
	for i := range fleet {
		require.NotZero(t, seen[i].Len())
		require.True(t, strings.HasPrefix(content, seen[i].String()), "broker %d showed bytes that are gone", i)
	}
	for _, b := range fleet {
		require.Equal(t, content, mustReadTo(ctx, t, b, "a/journal", 0, end))
	}
}

// readersAt is the head that a broker tells readers, or 0 if it can't.
func readersAt(ctx context.Context, t *testing.T, b *brokertest.Broker) int64 {
	t.Helper()
	messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal", Offset: -1})
	if err != nil || len(messages) == 0 {
		return 0
	}
	return messages[0].GetWriteHead()
}

// follow a journal at one broker from where one has come to, until the stream ends.
func follow(ctx context.Context, b *brokertest.Broker, seen *strings.Builder) error {
	stream, err := b.Client().Read(ctx, &protocol.ReadRequest{Journal: "a/journal", Offset: int64(seen.Len()), Block: true})
	if err != nil {
		return nil //nolint:nilerr // the broker is about to come back
	}
	for {
		r, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return nil //nolint:nilerr // as above
		case len(r.GetContent()) == 0:
		case r.GetOffset() != int64(seen.Len()):
			return fmt.Errorf("content at offset %d, expected %d", r.GetOffset(), seen.Len())
		default:
			seen.Write(r.GetContent())
		}
	}
}
