package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// TestConsumesExactlyOnce: each message has its effect once, in the store and in the output, and Stat tells when.
func TestConsumesExactlyOnce(t *testing.T) {
	w := newWorld(t, "some/in", "some/out")
	v := newVault()
	h := w.host(&tally{v: v, out: "some/out"}, nil)
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	head := w.publish("some/in", 0, 100)
	r := readThrough(t, h, "a-shard", "some/in", head)
	require.Positive(t, r.GetPublishAt()["some/out"])
	requireOnce(t, 100, v.of("a-shard").seen)
	requireList(t, 100, w.committed("some/out"))
}

// TestSources: a shard reads several journals, each from its least offset on, unless it has read further.
func TestSources(t *testing.T) {
	w := newWorld(t, "some/in", "some/late")
	v := newVault()
	h := w.host(&tally{v: v}, nil)
	early := w.publish("some/late", 100, 110) // none of which is read
	spec := consumertest.Spec("a-shard", "some/in", "some/late")
	spec.Sources[1].MinOffset = early
	h.Apply(spec)
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	readThrough(t, h, "a-shard", "some/in", w.publish("some/in", 0, 10))
	readThrough(t, h, "a-shard", "some/late", w.publish("some/late", 10, 20))
	requireOnce(t, 20, v.of("a-shard").seen)

	spec.Sources[1].MinOffset = 0
	h.Apply(spec)
	readThrough(t, h, "a-shard", "some/late", w.publish("some/late", 20, 30))
	requireOnce(t, 30, v.of("a-shard").seen)
}

// TestHandOver: while messages flow, the shard goes from host to host. Nothing is lost, or there twice.
func TestHandOver(t *testing.T) {
	w := newWorld(t, "some/in", "some/out")
	v, n := newVault(), 0
	next := func(i int) *consumertest.Host {
		return w.host(&tally{v: v, out: "some/out"}, func(c *consumertest.Config) {
			c.Zone, c.Suffix = fmt.Sprintf("zone-%d", i%2), fmt.Sprintf("consumer-%d", i)
		})
	}
	h := next(0)
	spec := consumertest.Spec("a-shard", "some/in")
	spec.HotStandbys = 1
	h.Apply(spec)
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	for i := range 3 {
		after := next(i + 1)
		after.Await("a-shard", func(s *shards.ListResponse_Shard) bool { return len(s.GetRoute().GetMembers()) == 2 })
		w.publish("some/in", n, n+50)
		h.Stop()
		h = after
		h.Await("a-shard", func(s *shards.ListResponse_Shard) bool {
			p := s.GetRoute().GetPrimary()
			return p >= 0 && s.GetStatus()[p].GetCode() == shards.ReplicaStatus_PRIMARY
		})
		head := w.publish("some/in", n+50, n+100)
		n += 100
		readThrough(t, h, "a-shard", "some/in", head)
	}
	requireOnce(t, n, v.of("a-shard").seen)
	requireList(t, n, w.committed("some/out"))
}

// stuckOpener is a tally whose stores open only as their shards end.
type stuckOpener struct {
	tally
	opening chan struct{} // gets what opens
}

func (s *stuckOpener) NewStore(ctx context.Context, _ *consumer.Shard) (store.Store, error) {
	s.opening <- struct{}{}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestGivesUpWhatDoesNotServeYet: a shard that is taken away while its store opens has no transactions to end, and isn't
// waited for.
func TestGivesUpWhatDoesNotServeYet(t *testing.T) {
	w := newWorld(t, "some/in")
	app := &stuckOpener{tally: tally{v: newVault()}, opening: make(chan struct{}, 1)}
	h := w.host(app, func(c *consumertest.Config) {
		c.Adjust = func(c *consumer.Config) { c.Grace = time.Hour }
	})
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	select {
	case <-app.opening:
	case <-t.Context().Done():
	}
	h.Stop()
}

// TestProxies: a host that hasn't a shard asks the one that has.
func TestProxies(t *testing.T) {
	w := newWorld(t, "some/in")
	v := newVault()
	one := w.host(&tally{v: v}, func(c *consumertest.Config) { c.Suffix = "consumer-1" })
	one.Apply(consumertest.Spec("a-shard", "some/in"))
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.host(&tally{v: v}, func(c *consumertest.Config) { c.Suffix = "consumer-2" })
	two.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	head := w.publish("some/in", 0, 10)
	readThrough(t, two, "a-shard", "some/in", head)
	requireOnce(t, 10, v.of("a-shard").seen)

	// With a header, that of a host that has asked already, it doesn't.
	r, err := one.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard"})
	require.NoError(t, err)
	for _, h := range []*consumertest.Host{one, two} {
		header := &protocol.Header{Route: r.GetHeader().GetRoute(), Etcd: r.GetHeader().GetEtcd()}
		r, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard", Header: header})
		require.NoError(t, err)
		want := shards.Status_OK
		if h == two {
			want = shards.Status_NOT_SHARD_PRIMARY
		}
		require.Equal(t, want, r.GetStatus())
	}
	_, err = two.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard", Header: r.GetHeader()})
	require.ErrorContains(t, err, "request is for process local#consumer-1, and this is local#consumer-2")
	require.Len(t, two.ShardsWithSource("some/in"), 1)
	require.Empty(t, two.ShardsWithSource("other/in"))
}

// TestSkips: a shard that fails on a message names it, again and again, until it is told to skip it. The message is
// then among the dead letters, once.
func TestSkips(t *testing.T) {
	w := newWorld(t, "some/in", "some/out", "dead/letters")
	v := newVault()
	var bad atomic.Int64
	h := w.host(&tally{v: v, out: "some/out", consume: func(env message.Envelope, e *entry) error {
		if e.N == 5 {
			bad.Store(env.Begin)
			return errors.New("five isn't liked")
		}
		return nil
	}}, nil)
	spec := consumertest.Spec("a-shard", "some/in")
	h.Apply(spec)
	head := w.publish("some/in", 0, 10)
	text := h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, fmt.Sprintf("message of some/in at %d: five isn't liked", bad.Load()))
	require.Zero(t, v.of("a-shard").seen[5])

	spec.Labels = protocol.MustLabelSet(consumer.LabelDeadLetters, "dead/letters", consumer.LabelSkip, fmt.Sprintf("some/in=%d", bad.Load()))
	h.Apply(spec)
	readThrough(t, h, "a-shard", "some/in", head)
	d := v.of("a-shard")
	require.Len(t, d.seen, 9)
	require.Zero(t, d.seen[5])
	var letters []*consumer.DeadLetter
	w.eachCommitted("dead/letters", func() message.Message { return new(consumer.DeadLetter) }, func(m message.Message) {
		letters = append(letters, m.(*consumer.DeadLetter))
	})
	require.Len(t, letters, 1)
	require.Equal(t, "five isn't liked", letters[0].Error)
	require.Equal(t, "some/in", letters[0].Journal)
	require.Equal(t, bad.Load(), letters[0].Begin)
	var e entry
	require.NoError(t, json.Unmarshal(letters[0].Bytes, &e))
	require.Equal(t, 5, e.N)
}

// TestMessageThatIsNone fails the shard by its place, and can be skipped too.
func TestMessageThatIsNone(t *testing.T) {
	w := newWorld(t, "some/in", "dead/letters")
	v := newVault()
	h := w.host(&tally{v: v}, nil)
	write, err := w.run.Start(t.Context(), clientAppend("some/in"))
	require.NoError(t, err)
	_, err = write.Write([]byte("{\"n\": nonsense}\n"))
	require.NoError(t, err)
	_, err = write.Release()
	require.NoError(t, err)
	head := w.publish("some/in", 0, 3)
	spec := consumertest.Spec("a-shard", "some/in")
	h.Apply(spec)
	require.Contains(t, h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0], "message of some/in at 0: is no message")
	spec.Labels = protocol.MustLabelSet(consumer.LabelDeadLetters, "dead/letters", consumer.LabelSkip, "some/in=0")
	h.Apply(spec)
	readThrough(t, h, "a-shard", "some/in", head)
	requireOnce(t, 3, v.of("a-shard").seen)
	n := 0
	w.eachCommitted("dead/letters", func() message.Message { return new(consumer.DeadLetter) }, func(m message.Message) {
		n++
		require.Equal(t, "{\"n\": nonsense}\n", string(m.(*consumer.DeadLetter).Bytes))
	})
	require.Equal(t, 1, n)
}

// TestFailureIsTriedAgain, without anybody's doing, and leaves nothing of its transaction.
func TestFailureIsTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(){
		"error": nil,
		"panic": func() { panic("ouch") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "some/in", "some/out")
			v := newVault()
			var failures atomic.Int64
			h := w.host(&tally{v: v, out: "some/out", consume: func(_ message.Envelope, e *entry) error {
				if e.N == 5 && failures.Add(1) == 1 {
					if fail != nil {
						fail()
					}
					return errors.New("not yet")
				}
				return nil
			}}, nil)
			h.Apply(consumertest.Spec("a-shard", "some/in"))
			head := w.publish("some/in", 0, 10)
			readThrough(t, h, "a-shard", "some/in", head)
			requireOnce(t, 10, v.of("a-shard").seen)
			requireList(t, 10, w.committed("some/out"))
		})
	}
}

// TestDefers: a message that is deferred is consumed in the next transaction.
func TestDefers(t *testing.T) {
	w := newWorld(t, "some/in", "some/out")
	v := newVault()
	deferred := make(map[int]bool)
	h := w.host(&tally{v: v, out: "some/out", consume: func(_ message.Envelope, e *entry) error {
		if e.N%3 == 2 && !deferred[e.N] {
			deferred[e.N] = true
			return consumer.ErrDeferToNextTransaction
		}
		return nil
	}}, nil)
	head := w.publish("some/in", 0, 20)
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	readThrough(t, h, "a-shard", "some/in", head)
	requireOnce(t, 20, v.of("a-shard").seen)
	requireList(t, 20, w.committed("some/out"))
	require.GreaterOrEqual(t, v.of("a-shard").commits, 2)
}

// TestReadsAgainWhatLeftTheRing: with a ring of one message all others of a transaction are replayed.
func TestReadsAgainWhatLeftTheRing(t *testing.T) {
	w := newWorld(t, "some/in")
	v := newVault()
	h := w.host(&tally{v: v}, nil)
	head := w.publish("some/in", 0, 30)
	spec := consumertest.Spec("a-shard", "some/in")
	spec.RingBufferSize, spec.ReadChannelSize = 1, 1
	h.Apply(spec)
	readThrough(t, h, "a-shard", "some/in", head)
	requireOnce(t, 30, v.of("a-shard").seen)
}
