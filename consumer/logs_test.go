package consumer_test

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

const recorded = "recovery/logs/a-shard"

// keeper is an application that counts in Pebble, in a recovery log, how often each entry came, and publishes it to the
// journal out.
type keeper struct {
	out   string
	quiet bool // it publishes nothing
	// hints is how often they are written; 0 is often.
	hints time.Duration
	// consume is called before an entry is counted; nil does nothing.
	consume func(ctx context.Context, e *entry) error
	// finalize is called as a transaction ends; nil does nothing.
	finalize func(ctx context.Context)

	mu   sync.Mutex
	last async.Operation // the commit that was started last
}

// keptStore tells of its commits.
type keptStore struct {
	*pebblestore.Store

	keeper *keeper
}

func (s *keptStore) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	op := s.Store.StartCommit(ctx, cp, waitFor...)
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	s.keeper.last = op
	return op
}

func (k *keeper) NewStore(_ context.Context, shard *consumer.Shard) (store.Store, error) {
	r := shard.Recorder()
	s, err := pebblestore.Open(pebblestore.Config{FS: r.FS(), Dir: r.Dir(), MemTableSize: 16 << 10})
	if err != nil {
		return nil, err
	}
	return &keptStore{Store: s, keeper: k}, nil
}

func (*keeper) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(entry), nil }

func (k *keeper) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	e := env.Message.(*entry)
	if e.UUID.Flags() == message.AckTxn {
		return nil
	}
	if k.consume != nil {
		if err := k.consume(ctx, e); err != nil {
			return err
		}
	}
	kept := st.(*keptStore)
	key := strconv.AppendInt(nil, int64(e.N), 10)
	value, _, err := kept.Get(key)
	if err != nil {
		return err
	}
	if err = kept.Set(key, append(value, '|')); err != nil {
		return err
	}
	if !k.quiet {
		_, err = shard.Publish(ctx, to(k.out), &entry{N: e.N})
	}
	return err
}

func (k *keeper) FinalizeTxn(ctx context.Context, _ *consumer.Shard, _ store.Store) error {
	if k.finalize != nil {
		k.finalize(ctx)
	}
	return nil
}

// newLoggedWorld is one with a source, an output and logs.
func newLoggedWorld(t *testing.T, logs ...string) *world {
	t.Helper()
	w := newWorld(t, "some/in", "some/out")
	w.createLogs(logs...)
	return w
}

func (w *world) createLogs(logs ...string) {
	w.t.Helper()
	for _, name := range logs {
		spec := brokertest.Spec(name)
		spec.Labels = protocol.MustLabelSet("content-type", "application/x-gazette-recoverylog")
		spec.Fragment.Length = 32 << 10
		w.broker.Create(spec)
	}
}

func loggedSpec() *shards.ShardSpec {
	spec := consumertest.Spec("a-shard", "some/in")
	spec.RecoveryLogPrefix, spec.HintPrefix, spec.HintBackups = "recovery/logs", "/hints", 2
	return spec
}

// keeps is a host that keeps in logs, by the configuration as it is by default; but hints are written often, and when it is
// told to end it does.
func (w *world) keeps(i int, app *keeper, grace time.Duration) *consumertest.Host {
	app.out = "some/out"
	return w.host(app, func(c *consumertest.Config) {
		c.Suffix = fmt.Sprintf("consumer-%d", i)
		c.Adjust = func(c *consumer.Config) { c.HintsInterval, c.Grace = cmp.Or(app.hints, time.Millisecond), grace }
	})
}

// played plays a log to its end, in an empty directory, and doesn't take it over.
func (w *world) played(hints *recoverylog.FSMHints) (vfs.FS, *recoverylog.Recovered) {
	w.t.Helper()
	files := vfs.NewMem()
	p, err := recoverylog.NewPlayer(recoverylog.PlayerConfig{Journals: recoverylog.Brokers(w.client), Hints: hints, FS: files, Dir: "/played"})
	require.NoError(w.t, err)
	require.NoError(w.t, p.FinishAtWriteHead())
	r, err := p.Play(w.t.Context())
	require.NoError(w.t, err)
	return files, r
}

// kept returns how often each entry is in what a log says.
func (w *world) kept(hints *recoverylog.FSMHints) (*recoverylog.Recovered, map[int]int) {
	w.t.Helper()
	files, r := w.played(hints)
	s, err := pebblestore.Open(pebblestore.Config{FS: files, Dir: "/played"})
	require.NoError(w.t, err)
	seen := make(map[int]int)
	require.NoError(w.t, s.Scan(nil, nil, func(key, value []byte) error {
		i, err := strconv.Atoi(string(key))
		seen[i] = len(value)
		return err
	}))
	require.NoError(w.t, s.Close())
	return r, seen
}

// requireKept checks that a log has each entry in [0, n) once, whoever plays it, and the output too.
func (w *world) requireKept(n int, hints *recoverylog.FSMHints) {
	w.t.Helper()
	_, seen := w.kept(hints)
	requireOnce(w.t, n, seen)
	requireList(w.t, n, w.committed("some/out"))
}

// primaryHints of the shard, as they are in etcd.
func (w *world) primaryHints() *recoverylog.FSMHints {
	w.t.Helper()
	r, err := w.broker.Etcd.Get(w.t.Context(), "/hints/a-shard.primary")
	require.NoError(w.t, err)
	require.Len(w.t, r.Kvs, 1)
	hints, err := recoverylog.DecodeHints(r.Kvs[0].GetValue())
	require.NoError(w.t, err)
	return hints
}

func hasPrimary(s *shards.ListResponse_Shard) bool {
	p := s.GetRoute().GetPrimary()
	return p >= 0 && s.GetStatus()[p].GetCode() == shards.ReplicaStatus_PRIMARY
}

func hasStandby(s *shards.ListResponse_Shard) bool {
	for _, r := range s.GetStatus() {
		if r.GetCode() == shards.ReplicaStatus_STANDBY {
			return hasPrimary(s)
		}
	}
	return false
}

// TestRecoversFromTheLogAlone: hosts are ended by force while messages flow, and others go on from what is in the log: one
// that has followed it all the while, or one that comes anew. Each message has its effect once.
func TestRecoversFromTheLogAlone(t *testing.T) {
	for name, standbys := range map[string]uint32{"cold": 0, "standby": 1} {
		t.Run(name, func(t *testing.T) {
			w := newLoggedWorld(t, recorded)
			spec, n := loggedSpec(), 0
			spec.HotStandbys = standbys
			h := w.keeps(0, new(keeper), time.Nanosecond)
			h.Apply(spec)
			for i := range 3 {
				h.Await("a-shard", hasPrimary)
				head := w.publish("some/in", n, n+200)
				readThrough(t, h, "a-shard", "some/in", head)
				awaitHints(t, h, "/hints/a-shard.primary", `"live_nodes":[{`)
				var after *consumertest.Host
				if standbys != 0 {
					after = w.keeps(i+1, new(keeper), time.Nanosecond)
					after.Await("a-shard", hasStandby)
				}
				w.publish("some/in", n+200, n+300)
				require.NoError(t, h.Kill(t.Context()))
				if after == nil {
					after = w.keeps(i+1, new(keeper), time.Nanosecond)
				}
				h = after
				head = w.publish("some/in", n+300, n+400)
				readThrough(t, h, "a-shard", "some/in", head)
				n += 400
			}
			hints, err := h.Client().GetHints(t.Context(), &shards.GetHintsRequest{Shard: "a-shard"})
			require.NoError(t, err)
			require.Len(t, hints.GetBackupHints(), 2)
			h.Stop()
			w.requireKept(n, &recoverylog.FSMHints{Log: recorded})
			w.requireKept(n, w.primaryHints())
			for _, b := range hints.GetBackupHints() {
				w.requireKept(n, b.GetHints())
			}
		})
	}
}

// TestZombie: a primary that stands still in the midst of a transaction doesn't know that its lease is gone, and that another
// host has its shard. When it goes on, it commits nothing.
func TestZombie(t *testing.T) {
	w := newLoggedWorld(t, recorded)
	spec := loggedSpec()
	spec.HotStandbys = 1
	frozen, thaw := make(chan struct{}), make(chan struct{})
	var freeze sync.Once
	armed := make(chan struct{})
	zombie := &keeper{hints: time.Hour, finalize: func(context.Context) {
		select {
		case <-armed:
			freeze.Do(func() { close(frozen) })
			<-thaw
		default:
		}
	}}
	one := w.keeps(1, zombie, time.Minute)
	one.Apply(spec)
	one.Await("a-shard", hasPrimary)
	readThrough(t, one, "a-shard", "some/in", w.publish("some/in", 0, 100))
	two := w.keeps(2, new(keeper), time.Nanosecond)
	two.Await("a-shard", hasStandby)
	close(armed)
	head := w.publish("some/in", 100, 200)
	<-frozen
	killed := task.New(t.Context(), "kill")
	killed.Go("kill", one.Kill)
	two.Await("a-shard", func(s *shards.ListResponse_Shard) bool {
		return hasPrimary(s) && s.GetRoute().GetMembers()[s.GetRoute().GetPrimary()].GetSuffix() == "consumer-2"
	})
	readThrough(t, two, "a-shard", "some/in", head)
	close(thaw)
	require.NoError(t, killed.Wait())
	require.ErrorIs(t, zombie.last.Err(), recoverylog.ErrFenced)
	head = w.publish("some/in", 200, 300)
	readThrough(t, two, "a-shard", "some/in", head)
	two.Stop()
	w.requireKept(300, &recoverylog.FSMHints{Log: recorded})
}
