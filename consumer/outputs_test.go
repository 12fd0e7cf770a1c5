package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/message"
)

var errOutput = errors.New("injected")

// trouble is what happens once, at an entry, when it was published to some of the outputs.
type trouble struct {
	kind     string
	entry    int
	outputs  int
	happened chan struct{}
}

// scatter is a tally that publishes each entry to several journals.
type scatter struct {
	tally

	outs []string
	mu   sync.Mutex
	next *trouble // nil if there is none to come
	fail bool     // the next commit
}

// take the trouble that is due, and say whether it is.
func (a *scatter) take(entry, outputs int) *trouble {
	a.mu.Lock()
	defer a.mu.Unlock()
	due := a.next
	if due == nil || due.entry != entry || due.outputs != outputs {
		return nil
	}
	a.next, a.fail = nil, due.kind == "commit"
	return due
}

func (a *scatter) NewStore(ctx context.Context, shard *consumer.Shard) (store.Store, error) {
	st, err := a.tally.NewStore(ctx, shard)
	if err != nil {
		return nil, err
	}
	return &failing{safe: st.(*safe), app: a}, nil
}

func (a *scatter) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	e := env.Message.(*entry)
	if e.UUID.Flags() == message.AckTxn {
		return nil
	}
	st.(*failing).fresh[e.N]++
	for i := range len(a.outs) + 1 {
		if due := a.take(e.N, i); due != nil {
			close(due.happened)
			switch due.kind {
			case "application":
				return errOutput
			case "kill":
				<-ctx.Done()
				return ctx.Err()
			}
		}
		if i == len(a.outs) {
			break
		}
		if _, err := shard.Publish(ctx, to(a.outs[i]), &entry{N: e.N}); err != nil {
			return err
		}
	}
	return nil
}

// failing is a safe whose commit fails when it is told.
type failing struct {
	*safe

	app *scatter
}

func (s *failing) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	if s.app.fail {
		s.app.fail = false
		refused := &operation{done: make(chan struct{}), err: errOutput}
		close(refused.done)
		waitFor = append(waitFor, refused)
	}
	return s.safe.StartCommit(ctx, cp, waitFor...)
}

// TestManyOutputJournals: a shard publishes each entry to several journals, while its application fails between two of them, a commit
// fails, and its host is killed without handing over. Read committed, each journal has each entry exactly once, and so has the store.
func TestManyOutputJournals(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { manyOutputs(t, rand.New(rand.NewPCG(seed, 9))) })
	}
}

func manyOutputs(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	app := &scatter{tally: tally{v: newVault()}}
	for i := range 1 + rnd.IntN(6) {
		app.outs = append(app.outs, fmt.Sprintf("some/out-%d", i))
	}
	w, hosts := newWorld(t, append([]string{"some/in"}, app.outs...)...), 0
	next := func() *consumertest.Host {
		hosts++
		return w.host(app, func(c *consumertest.Config) {
			c.Suffix = fmt.Sprintf("consumer-%d", hosts)
			c.Adjust = func(c *consumer.Config) { c.Grace = time.Nanosecond }
		})
	}
	h, n := next(), 0
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	kinds := []string{"application", "commit", "kill"}
	rnd.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for _, kind := range kinds {
		due := &trouble{kind: kind, entry: n + rnd.IntN(40), outputs: rnd.IntN(len(app.outs) + 1), happened: make(chan struct{})}
		app.mu.Lock()
		app.next = due
		app.mu.Unlock()
		head := w.publish("some/in", n, n+40)
		n += 40
		<-due.happened
		if kind == "kill" {
			require.NoError(t, h.Kill(t.Context()))
			h = next()
		}
		awaitThrough(t, h, "some/in", head)
	}
	requireOnce(t, n, app.v.of("a-shard").seen)
	for _, out := range app.outs {
		requireList(t, n, w.committed(out))
	}
}

// awaitThrough until the shard has read up to an offset, however often it fails before.
func awaitThrough(t *testing.T, h *consumertest.Host, journal string, offset int64) {
	t.Helper()
	for {
		h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
		r, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard", ReadThrough: map[string]int64{journal: offset}})
		if err == nil && r.GetStatus() == shards.Status_OK {
			return
		}
	}
}
