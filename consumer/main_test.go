package consumer_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// entry is a message of tests.
type entry struct {
	UUID message.UUID `json:"uuid"`
	N    int          `json:"n"`
}

func (e *entry) GetUUID() message.UUID                           { return e.UUID }
func (e *entry) SetUUID(u message.UUID)                          { e.UUID = u }
func (*entry) NewAcknowledgement(journal string) message.Message { return new(entry) }

// vault is what outlives hosts: stores of shards, each fenced as a row of a database is.
type vault struct {
	mu     sync.Mutex
	stores map[string]*durable
}

type durable struct {
	fence      int
	checkpoint []byte
	seen       map[int]int // how often each entry had its effect
	commits    int
}

func newVault() *vault { return &vault{stores: make(map[string]*durable)} }

// of a shard, a copy.
func (v *vault) of(id string) durable {
	v.mu.Lock()
	defer v.mu.Unlock()
	d := v.stores[id]
	if d == nil {
		return durable{}
	}
	out := *d
	out.seen = maps.Clone(d.seen)
	return out
}

// safe is a store in the vault.
type safe struct {
	v     *vault
	id    string
	fence int
	fresh map[int]int // of the present transaction
	wg    sync.WaitGroup
}

func (s *safe) RestoreCheckpoint(context.Context) (*shards.Checkpoint, error) {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	d := s.v.stores[s.id]
	if d == nil {
		d = &durable{seen: make(map[int]int)}
		s.v.stores[s.id] = d
	}
	d.fence++
	s.fence = d.fence
	cp := new(shards.Checkpoint)
	return cp, proto.Unmarshal(d.checkpoint, cp)
}

// operation that ends with an error, or none.
type operation struct {
	done chan struct{}
	err  error
}

func (o *operation) Done() <-chan struct{} { return o.done }
func (o *operation) Err() error            { <-o.done; return o.err }

var errFenced = errors.New("there is another primary")

func (s *safe) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	op, fresh := &operation{done: make(chan struct{})}, s.fresh
	s.fresh = make(map[int]int)
	value, err := cp.Marshal()
	s.wg.Go(func() {
		defer close(op.done)
		if op.err = err; op.err == nil {
			op.err = s.commit(ctx, value, fresh, waitFor)
		}
	})
	return op
}

func (s *safe) commit(ctx context.Context, checkpoint []byte, fresh map[int]int, waitFor []async.Operation) error {
	for _, o := range waitFor {
		select {
		case <-o.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := o.Err(); err != nil {
			return err
		}
	}
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	d := s.v.stores[s.id]
	if d.fence != s.fence {
		return errFenced
	}
	for n, times := range fresh {
		d.seen[n] += times
	}
	d.checkpoint = checkpoint
	d.commits++
	return nil
}

func (s *safe) Close() error {
	s.wg.Wait()
	return nil
}

// tally is an application: it notes each entry in its store, and publishes one for it to the journal out.
type tally struct {
	v   *vault
	out string
	// consume is called before an entry is noted; nil does nothing.
	consume func(env message.Envelope, e *entry) error
}

func (a *tally) NewStore(_ context.Context, shard *consumer.Shard) (store.Store, error) {
	return &safe{v: a.v, id: shard.Spec().GetId(), fresh: make(map[int]int)}, nil
}

func (*tally) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(entry), nil }

func (a *tally) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	e := env.Message.(*entry)
	if e.UUID.Flags() == message.AckTxn {
		return nil
	}
	if a.consume != nil {
		if err := a.consume(env, e); err != nil {
			return err
		}
	}
	st.(*safe).fresh[e.N]++
	if a.out == "" {
		return nil
	}
	_, err := shard.Publish(ctx, to(a.out), &entry{N: e.N})
	return err
}

func (*tally) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return nil }

// to maps every message to a journal.
func to(journal string) publish.Mapping {
	return func(message.Message) (mapping.Partition, error) {
		return mapping.Partition{Journal: journal, ContentType: message.JSONLines}, nil
	}
}

// lines is the spec of a journal of JSON lines.
func lines(name string) *protocol.JournalSpec {
	spec := brokertest.Spec(name)
	spec.Labels = protocol.MustLabelSet("content-type", message.JSONLines)
	return spec
}

// world is a broker, and whoever publishes to it.
type world struct {
	t         *testing.T
	broker    *brokertest.Broker
	client    *client.Client
	run       *async.Run
	publisher *publish.Publisher
}

func newWorld(t *testing.T, journals ...string) *world {
	t.Helper()
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	for _, j := range journals {
		b.Create(lines(j))
	}
	c, err := client.Dial(t.Context(), client.Config{Endpoint: b.Endpoint()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	s, err := async.New(context.WithoutCancel(t.Context()), c, async.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	run := s.NewRun(async.AtLeastOnce)
	return &world{t: t, broker: b, client: c, run: run, publisher: publish.New(run, publish.Config{})}
}

// host over the world's etcd and broker.
func (w *world) host(app consumer.Application, adjust func(*consumertest.Config)) *consumertest.Host {
	w.t.Helper()
	cfg := consumertest.Config{Etcd: w.broker.Etcd, Endpoint: w.broker.Endpoint(), Application: app, Logs: true}
	if adjust != nil {
		adjust(&cfg)
	}
	return consumertest.New(w.t, cfg)
}

// publish entries [from, until) as transactions of a few each, and return where the journal ends then.
func (w *world) publish(journal string, from, until int) int64 {
	w.t.Helper()
	ctx := w.t.Context()
	for n := from; n < until; n++ {
		_, err := w.publisher.PublishUncommitted(ctx, to(journal), &entry{N: n})
		require.NoError(w.t, err)
		if n%7 == 0 || n == until-1 {
			intents, _, err := w.publisher.BuildAckIntents()
			require.NoError(w.t, err)
			_, err = w.publisher.Acknowledge(ctx, intents)
			require.NoError(w.t, err)
		}
	}
	require.NoError(w.t, w.run.Wait(ctx))
	b, err := w.client.Barrier(ctx, journal)
	require.NoError(w.t, err)
	return b.Head
}

// committed entries of a journal, up to its end.
func (w *world) committed(journal string) []int {
	w.t.Helper()
	var out []int
	w.eachCommitted(journal, func() message.Message { return new(entry) }, func(m message.Message) {
		out = append(out, m.(*entry).N)
	})
	return out
}

func (w *world) eachCommitted(journal string, fresh func() message.Message, fn func(message.Message)) {
	w.t.Helper()
	ctx := w.t.Context()
	b, err := w.client.Barrier(ctx, journal)
	require.NoError(w.t, err)
	if b.Head == 0 {
		return
	}
	r := w.client.NewReader(ctx, &protocol.ReadRequest{Journal: journal, EndOffset: b.Head, Block: true})
	defer r.Close()
	it, err := message.ReadUncommitted(r, message.IteratorConfig{
		Spec: lines(journal), New: func(*protocol.JournalSpec) (message.Message, error) { return fresh(), nil },
	})
	require.NoError(w.t, err)
	seq, err := message.NewSequencer(message.SequencerConfig{})
	require.NoError(w.t, err)
	committed := message.ReadCommitted(it, seq, nil)
	for {
		env, err := committed.Next()
		if err != nil {
			require.ErrorContains(w.t, err, "EOF")
			return
		}
		if env.Message.GetUUID().Flags() != message.AckTxn {
			fn(env.Message)
		}
	}
}

// readThrough waits until a shard has read a journal up to an offset, by whichever host is asked.
func readThrough(t *testing.T, h *consumertest.Host, id, journal string, offset int64) *shards.StatResponse {
	t.Helper()
	for {
		r, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: id, ReadThrough: map[string]int64{journal: offset}})
		require.NoError(t, err)
		require.NoError(t, r.Validate())
		if r.GetStatus() == shards.Status_OK {
			require.GreaterOrEqual(t, r.GetReadThrough()[journal], offset)
			return r
		}
		h.AwaitCode(id, shards.ReplicaStatus_PRIMARY)
	}
}

// requireOnce checks that each entry in [0, n) is there exactly once.
func requireOnce(t *testing.T, n int, seen map[int]int) {
	t.Helper()
	require.Len(t, seen, n)
	for i := range n {
		require.Equal(t, 1, seen[i], "entry %d", i)
	}
}

func requireList(t *testing.T, n int, got []int) {
	t.Helper()
	want := make([]int, 0, n)
	for i := range n {
		want = append(want, i)
	}
	slices.Sort(got)
	require.Equal(t, want, got, "%d entries", len(got))
}

func clientAppend(journal string) client.AppendParams { return client.AppendParams{Journal: journal} }
