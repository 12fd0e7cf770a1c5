package keep_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/views/keep"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

const hints = "/hints"

// world is a broker with a table's journals, a host, and the entries that there are.
type world struct {
	t       *testing.T
	broker  *brokertest.Broker
	host    *consumertest.Host
	client  *client.Client
	mu      sync.Mutex
	entries keep.Entries
	asked   func() // is called when the entries are asked for
	changed chan struct{}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := brokertest.New(t, brokertest.Config{})
	b.Create(brokertest.Spec("public/t.1/0"), brokertest.Spec("public/t.1/1"))
	c, err := client.Dial(t.Context(), client.Config{Endpoint: b.Endpoint()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	h := consumertest.New(t, consumertest.Config{Etcd: b.Etcd, Endpoint: b.Endpoint(), Application: nothing{}})
	return &world{t: t, broker: b, host: h, client: c, asked: func() {}, changed: make(chan struct{})}
}

func (w *world) set(e keep.Entries) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = e
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) keeper() *keep.Keeper {
	return keep.New(keep.Config{
		Entries: func(context.Context) (keep.Entries, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked()
			return w.entries, nil
		},
		Changed: func() <-chan struct{} { w.mu.Lock(); defer w.mu.Unlock(); return w.changed },
		Shards:  w.host.Client(), Journals: w.client, Etcd: w.broker.Etcd, HintPrefix: hints, Logger: slog.New(slog.DiscardHandler),
	})
}

// pass makes passes until one says that it is all.
func (w *world) pass(k *keep.Keeper) {
	w.t.Helper()
	for range 100 {
		done, err := k.Pass(w.t.Context())
		require.NoError(w.t, err)
		if done {
			return
		}
	}
	w.t.Fatal("there is always something left to do")
}

// there are the shards and logs that there are.
func (w *world) there() ([]*shards.ShardSpec, []string) {
	w.t.Helper()
	var specs []*shards.ShardSpec
	var logs []string
	r, err := w.host.Client().List(w.t.Context(), &shards.ListRequest{})
	require.NoError(w.t, err)
	for _, s := range r.GetShards() {
		specs = append(specs, s.GetSpec())
	}
	found, err := w.client.List(w.t.Context(), &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelPrefix, keep.LogPrefix+"/")})
	require.NoError(w.t, err)
	for _, j := range found {
		logs = append(logs, j.GetSpec().GetName())
	}
	return specs, logs
}

func ids(specs []*shards.ShardSpec) []string {
	var out []string
	for _, s := range specs {
		out = append(out, s.GetId())
	}
	return out
}

var sums = keep.View{ID: 16400, Standbys: 1, Journals: []string{"public/t.1/1", "public/t.1/0"}}

// TestShardsFollowTheEntries holds that there are a log and a shard of each view that has an entry, and of no other.
func TestShardsFollowTheEntries(t *testing.T) {
	w := newWorld(t)
	k := w.keeper()
	w.set(keep.Entries{Views: []keep.View{sums}})
	w.pass(k)
	specs, logs := w.there()
	require.Equal(t, []string{"broadsheet/recovery/views/16400"}, logs)
	require.Len(t, specs, 1)
	require.Equal(t, "broadsheet/recovery/views/16400", specs[0].RecoveryLog())
	require.Equal(t, "/hints/16400.primary", specs[0].PrimaryHintsKey())
	require.Equal(t, "16400", specs[0].GetLabels().ValueOf(keep.LabelView))
	require.EqualValues(t, 1, specs[0].GetHotStandbys())
	require.Equal(t, "public/t.1/0", specs[0].GetSources()[0].GetJournal())

	// What an operator has set stays, while journals and standbys follow.
	specs[0].Disable = true
	w.host.Apply(specs[0])
	w.broker.Create(brokertest.Spec("public/t.1/2"))
	more := sums
	more.Journals, more.Standbys = append(slices.Clone(sums.Journals), "public/t.1/2"), 0
	more.Skipped = []catalog.RowPlace{{Journal: "public/t.1/1", Offset: 30}, {Journal: "public/t.1/1", Offset: 7}, {Journal: "a;b", Offset: 0}}
	w.set(keep.Entries{Views: []keep.View{more}})
	w.pass(k)
	specs, _ = w.there()
	require.True(t, specs[0].GetDisable())
	require.Len(t, specs[0].GetSources(), 3)
	require.Zero(t, specs[0].GetHotStandbys())
	skipped, err := keep.SkippedOf(specs[0].GetLabels())
	require.NoError(t, err)
	require.Equal(t, map[string][]int64{"public/t.1/1": {7, 30}, "a;b": {0}}, skipped)
	more.Skipped = nil
	w.set(keep.Entries{Views: []keep.View{more}})
	w.pass(k)
	specs, _ = w.there()
	require.Empty(t, specs[0].GetLabels().ValuesOf(keep.LabelSkipped))
	specs[0].Labels = nil
	w.host.Apply(specs[0])
	w.pass(k)
	specs, _ = w.there()
	require.Equal(t, "16400", specs[0].GetLabels().ValueOf(keep.LabelView))
	before := w.host.List(t.Context(), "16400").GetModRevision()
	w.pass(k)
	require.Equal(t, before, w.host.List(t.Context(), "16400").GetModRevision(), "it is so already")

	_, err = w.broker.Etcd.Put(t.Context(), specs[0].PrimaryHintsKey(), "{}")
	require.NoError(t, err)
	w.set(keep.Entries{Unknown: true})
	w.pass(k)
	specs, _ = w.there()
	require.Len(t, specs, 1, "nothing is removed while an entry can't be read")
	w.set(keep.Entries{})
	w.pass(k)
	specs, logs = w.there()
	require.Empty(t, specs)
	require.Empty(t, logs)
	r, err := w.broker.Etcd.Get(t.Context(), "/hints/16400.primary")
	require.NoError(t, err)
	require.Empty(t, r.Kvs)
}

// TestEntryThatComesDuringAPass holds that a pass never removes what was made for an entry that it doesn't know, and leaves what isn't a view's alone.
func TestEntryThatComesDuringAPass(t *testing.T) {
	w := newWorld(t)
	w.broker.Create(brokertest.Spec(keep.LogPrefix + "/other"))
	w.host.Apply(consumertest.Spec("other", "public/t.1/0"))
	k, other := w.keeper(), w.keeper()
	raced := false
	w.asked = func() { // the entry comes once the first keeper has listed, and another one is quicker
		if raced {
			return
		}
		raced = true
		w.entries = keep.Entries{Views: []keep.View{sums}}
		w.mu.Unlock()
		w.pass(other)
		w.mu.Lock()
	}
	done, err := k.Pass(t.Context())
	require.NoError(t, err)
	require.False(t, done, "another one has made it")
	w.pass(k)
	specs, logs := w.there()
	require.Equal(t, []string{"16400", "other"}, ids(specs))
	require.Equal(t, []string{"broadsheet/recovery/views/16400", "broadsheet/recovery/views/other"}, logs)
}

// TestViewWhoseJournalsAreMissing holds that one view which can't be kept stops no other.
func TestViewWhoseJournalsAreMissing(t *testing.T) {
	w := newWorld(t)
	k := w.keeper()
	w.set(keep.Entries{Views: []keep.View{{ID: 16390, Journals: []string{"nowhere/0"}}, sums}})
	_, err := k.Pass(t.Context())
	require.ErrorContains(t, err, "view 16390: none of its journals is there yet")
	specs, _ := w.there()
	require.Equal(t, []string{"16400"}, ids(specs))
}

// TestKeepersRun holds that keepers which run together make and remove what entries say, whichever of them is told.
func TestKeepersRun(t *testing.T) {
	w := newWorld(t)
	g := task.New(t.Context(), "keepers")
	for range 3 {
		g.Go("keeper", w.keeper().Run)
	}
	views := []keep.View{sums, {ID: 16401, Journals: sums.Journals}}
	for _, now := range [][]keep.View{views, views[1:], nil} {
		w.set(keep.Entries{Views: now})
		require.Eventually(t, func() bool {
			specs, logs := w.there()
			return len(specs) == len(now) && len(logs) == len(now)
		}, time.Minute, 20*time.Millisecond, "%d views", len(now))
	}
	g.Cancel()
	require.NoError(t, g.Wait())
}

// nothing is an application that consumes what it is given, and does nothing with it.
type nothing struct{}

func (nothing) NewStore(_ context.Context, _ *consumer.Shard) (store.Store, error) {
	return nil, errors.New("these shards needn't run")
}

func (nothing) NewMessage(*protocol.JournalSpec) (message.Message, error) {
	return nil, errors.New("no messages")
}

func (nothing) ConsumeMessage(context.Context, *consumer.Shard, store.Store, message.Envelope) error {
	return nil
}
func (nothing) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return nil }

// TestBadLabel holds that what isn't the place of a row is refused.
func TestBadLabel(t *testing.T) {
	for _, value := range []string{"j", "j=", "j=x", "j=-1", "=3"} {
		_, err := keep.SkippedOf(protocol.MustLabelSet(keep.LabelSkipped, value))
		require.ErrorContains(t, err, value)
	}
}
