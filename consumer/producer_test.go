package consumer_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/message"
)

// maker is an application that makes its messages itself: entry n is at offset n of journal "made/up".
type maker struct {
	tally

	entries  []message.Envelope
	replays  atomic.Int64
	finished atomic.Int64
	begun    atomic.Int64
}

func newMaker(v *vault, n int) *maker {
	m := &maker{tally: tally{v: v}}
	p := message.NewProducer()
	for i := range n {
		flags, clock := message.ContinueTxn, message.Clock(i+1)<<4
		if i%10 == 9 {
			flags = message.AckTxn
		}
		m.entries = append(m.entries, message.Envelope{
			Journal: "made/up", Begin: int64(i), End: int64(i + 1), Message: &entry{N: i, UUID: message.NewUUID(p, clock, flags)},
		})
	}
	return m
}

func (m *maker) StartReadingMessages(
	ctx context.Context, _ *consumer.Shard, _ store.Store, from *shards.Checkpoint, out chan<- message.Envelope,
) error {
	for _, env := range m.entries[from.GetSources()["made/up"].GetReadThrough():] {
		select {
		case out <- env:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (m *maker) ReplayRange(_ context.Context, _ *consumer.Shard, _ store.Store, r message.Range) (message.Iterator, error) {
	m.replays.Add(1)
	it := iterator(m.entries[r.Begin:r.End])
	return &it, nil
}

func (m *maker) ReadThrough(_ context.Context, _ *consumer.Shard, _ store.Store, asked map[string]int64) (map[string]int64, error) {
	return map[string]int64{"made/up": asked["some/journal"]}, nil
}

func (m *maker) BeginTxn(context.Context, *consumer.Shard, store.Store) error {
	m.begun.Add(1)
	return nil
}

func (m *maker) FinishedTxn(context.Context, *consumer.Shard, store.Store) { m.finished.Add(1) }

// iterator over messages.
type iterator []message.Envelope

func (it *iterator) Next() (message.Envelope, error) {
	if len(*it) == 0 {
		return message.Envelope{}, io.EOF
	}
	env := (*it)[0]
	*it = (*it)[1:]
	return env, nil
}

// TestMessageProducer: the application makes its messages, replays what left the ring, and says what a Stat waits for;
// it is told of transactions that begin, and of those that are over.
func TestMessageProducer(t *testing.T) {
	w := newWorld(t)
	v := newVault()
	m := newMaker(v, 100)
	h := w.host(m, nil)
	spec := consumertest.Spec("a-shard")
	spec.RingBufferSize = 2
	h.Apply(spec)
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	r, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard", ReadThrough: map[string]int64{"some/journal": 100}})
	require.NoError(t, err)
	require.Equal(t, shards.Status_OK, r.GetStatus())
	require.Equal(t, int64(100), r.GetReadThrough()["made/up"])
	d := v.of("a-shard")
	require.Len(t, d.seen, 90, "ten of them are acknowledgements")
	for n, times := range d.seen {
		require.Equal(t, 1, times, "entry %d", n)
	}
	require.Equal(t, int64(10), m.replays.Load())
	require.Positive(t, m.finished.Load())
	require.LessOrEqual(t, m.finished.Load(), m.begun.Load())
}
