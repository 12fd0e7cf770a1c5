package broker

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// lone is a replica without a broker, in a bubble of its own time.
type lone struct {
	*replica
	t    *testing.T
	root string // of file stores
}

func newLone(t *testing.T, spec *protocol.JournalSpec) *lone {
	t.Helper()
	l := newLoneAt(t, t.TempDir(), spec)
	require.NoError(t, l.awaitIndex(t.Context()))
	return l
}

func newLoneAt(t *testing.T, root string, spec *protocol.JournalSpec) *lone {
	t.Helper()
	stores, err := store.NewRegistry(store.RegistryConfig{FileRoot: root})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stores.Close()) })
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	persister, err := persist.New(persist.Config{Stores: stores, TempDir: t.TempDir(), Logger: logger})
	require.NoError(t, err)
	spools, err := spool.Open(t.Context(), spool.Config{FS: vfs.NewMem(), Dir: "spools", Logger: logger})
	require.NoError(t, err)
	self := &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "self"}
	j := journal{journalItem: journalItem{spec: spec, most: defaultReplication}, createRevision: 1}
	env := &replicaEnv{
		spools: spools, stores: stores, persister: persister, logger: logger, metrics: newMetrics(), disk: newDisk(vfs.NewMem(), "", newDescriptors(logger), logger), now: time.Now,
		contents: newContents(stores), retentionGrace: time.Hour,
		peers: newPeers(nil, nil, 1<<20), members: newPeers(nil, nil, 1<<20), chunks: newChunkPool(), self: self,
		member: epoch.Member{Broker: brokerOf(self), Disk: spools.Disk()},
		directories: newLoneDirectories(&entry{
			journal: j, etcd: new(protocol.Header_Etcd),
			route:       &protocol.Route{Members: []*protocol.ProcessSpec_ID{self}},
			assignments: []assignment{{}},
		}),
	}
	return &lone{replica: newReplica(t.Context(), env, j, nil), t: t, root: root}
}

// loneDirectories has one journal, whose only member this is.
type loneDirectories struct {
	now       atomic.Pointer[entry]
	suspended []protocol.JournalSpec_Suspend_Level // as it was asked for
	recorded  atomic.Int64                         // mod revision of the epochs
}

func newLoneDirectories(e *entry) *loneDirectories {
	d := new(loneDirectories)
	d.now.Store(e)
	return d
}

// change the entry.
func (d *loneDirectories) change(by func(*entry)) {
	e := *d.now.Load()
	by(&e)
	d.now.Store(&e)
}

func (d *loneDirectories) journalExists(name string) bool          { return name == "a/journal/nested" }
func (d *loneDirectories) openTried()                              {}
func (d *loneDirectories) advertise(context.Context, string) error { return nil }
func (d *loneDirectories) entry(spool.ID) *entry                   { return d.now.Load() }
func (d *loneDirectories) leaseIsValid() bool                      { return true }
func (d *loneDirectories) leaseID() int64                          { return 0 }
func (d *loneDirectories) entryAt(context.Context, spool.ID, int64) (*entry, error) {
	return d.now.Load(), nil
}

func (d *loneDirectories) recordEpochs(_ context.Context, e *entry, l epoch.List) (int64, bool, error) {
	next := *e
	next.epochs, next.epochsRevision = l, d.recorded.Add(1)
	d.now.Store(&next)
	return 1, true, nil
}

func (d *loneDirectories) epochsRevision(context.Context, string) (int64, int64, error) {
	return d.recorded.Load(), 100, nil
}

func (d *loneDirectories) setSuspension(_ context.Context, _ *entry, s *protocol.JournalSpec_Suspend, _ *epoch.Epoch) outcome {
	d.suspended = append(d.suspended, s.GetLevel())
	return outcome{again: true}
}

func specWith(change func(*protocol.JournalSpec_Fragment)) *protocol.JournalSpec {
	spec := &protocol.JournalSpec{
		Name: "a/journal", Replication: 1,
		Fragment: &protocol.JournalSpec_Fragment{
			Length: 1 << 20, CompressionCodec: protocol.CompressionCodec_NONE,
			Stores: []string{"file:///"}, RefreshInterval: durationpb.New(time.Hour),
		},
	}
	change(spec.GetFragment())
	return spec
}

// append writes content as an append does.
func (l *lone) append(content string) {
	l.t.Helper()
	o := l.commit(l.t.Context(), l.ticket(content))
	require.NoError(l.t, o.err)
	require.Equal(l.t, protocol.Status_OK, o.response.GetStatus())
}

func (l *lone) ticket(content string) *ticket {
	return &ticket{spec: l.currentSpec(), small: []byte(content), size: int64(len(content))}
}

// until lets time pass up to a time of the bubble's first day.
func (l *lone) until(clock string) {
	l.t.Helper()
	at, err := time.Parse(time.DateTime, "2000-01-01 "+clock)
	require.NoError(l.t, err)
	require.NoError(l.t, wait(l.t.Context(), time.Until(at)))
	synctest.Wait()
}

// stored are the names of the journal's stored objects.
func (l *lone) stored() []string {
	l.t.Helper()
	found, err := filepath.Glob(filepath.Join(l.root, "a", "journal", "*"))
	require.NoError(l.t, err)
	for i := range found {
		found[i], _, _ = strings.Cut(filepath.Base(found[i]), "-da")
	}
	return found
}

// TestFlushWithoutAppends: at multiples of the interval in UTC the open fragment is
// closed and stored, though nothing is appended then.
func TestFlushWithoutAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(f *protocol.JournalSpec_Fragment) { f.FlushInterval = durationpb.New(10 * time.Minute) }))
		l.until("00:03:00")
		l.append("one")
		l.until("00:09:59")
		require.Empty(t, l.stored())
		l.until("00:10:00")
		require.Len(t, l.stored(), 1)
		require.EqualValues(t, 3, l.spool.State().Begin)
		require.Empty(t, l.spool.Completed())

		// Nothing was appended since: nothing is closed.
		l.until("00:55:00")
		require.Len(t, l.stored(), 1)

		// A fragment that was begun just before a multiple is closed there too.
		l.until("00:59:59")
		l.append("two")
		l.until("01:00:00")
		require.Len(t, l.stored(), 2)
		require.NoError(t, l.close())
	})
}

// TestFlushIntervalIsChanged: a new interval counts from the spec's change on.
func TestFlushIntervalIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		l.append("one")
		l.until("05:00:00")
		require.Empty(t, l.stored())
		l.update(specWith(func(f *protocol.JournalSpec_Fragment) { f.FlushInterval = durationpb.New(time.Hour) }))
		synctest.Wait()
		require.Len(t, l.stored(), 1, "it is overdue")
		require.NoError(t, l.close())
	})
}

// TestRefresh: what appears in a store is found at the next refresh, but not the
// fragments of a nested journal.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		for name, content := range map[string]string{
			"a/journal/0000000000000000-0000000000000005-aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d.raw":              "hello",
			"a/journal/day=1/0000000000000005-000000000000000a-aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d.raw":        "hello",
			"a/journal/nested/0000000000000000-00000000000000ff-aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d.raw":       "nested",
			"a/journal/nested/day=1/00000000000000ff-0000000000000100-aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d.raw": "nested",
			"a/journal/no-fragment.txt": "other",
			"a/journals/0000000000000000-00000000000000ff-aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d.raw": "other",
		} {
			path := filepath.Join(l.root, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		}
		require.Empty(t, l.index.Entries())
		l.until("01:00:00")
		var spans [][2]int64
		for _, e := range l.index.Entries() {
			spans = append(spans, [2]int64{e.Begin, e.End})
		}
		require.Equal(t, [][2]int64{{0, 5}, {5, 10}}, spans)
		require.NoError(t, l.close())
	})
}

// TestStoresCantBeListed: those who wait for the first listing are told why after
// some attempts; once the spec is mended all is well.
func TestStoresCantBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoneAt(t, t.TempDir(), specWith(func(f *protocol.JournalSpec_Fragment) { f.Stores = []string{"s3://bucket/"} }))
		began := time.Now()
		err := l.awaitIndex(t.Context())
		var unlisted *indexError
		require.ErrorAs(t, err, &unlisted)
		require.ErrorContains(t, err, `journal a/journal: list its stores: store s3://bucket/: no entry allows it`)
		require.Greater(t, time.Since(began), time.Second)
		l.update(specWith(func(*protocol.JournalSpec_Fragment) {}))
		synctest.Wait()
		require.NoError(t, l.awaitIndex(t.Context()))
		require.NoError(t, l.close())
	})
}

// TestPersistAfterSpecChange: a fragment that can't be stored where the spec says
// stays in the spool, and is stored once the spec says otherwise.
func TestPersistAfterSpecChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(f *protocol.JournalSpec_Fragment) {
			f.Stores = []string{"file:///"}
			f.FlushInterval = durationpb.New(time.Minute)
		}))
		require.NoError(t, os.WriteFile(filepath.Join(l.root, "a"), nil, 0o600))
		l.append("one")
		l.until("02:00:00")
		require.Len(t, l.spool.Completed(), 1)
		l.update(specWith(func(f *protocol.JournalSpec_Fragment) { f.Stores = []string{"file:///other/"} }))
		synctest.Wait()
		require.Empty(t, l.spool.Completed())
		found, err := filepath.Glob(filepath.Join(l.root, "other", "a", "journal", "*"))
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.NoError(t, l.close())
	})
}

// TestNoStores: a journal without stores keeps its content in its spool.
func TestNoStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(f *protocol.JournalSpec_Fragment) {
			f.Stores, f.FlushInterval = nil, durationpb.New(time.Minute)
		}))
		l.append("one")
		l.until("00:01:00")
		l.append("two")
		l.until("00:02:00")
		require.Len(t, l.spool.Completed(), 2)
		require.Len(t, l.index.Entries(), 2)
		u, ok := l.unstored()
		require.True(t, ok)
		require.Equal(t, unstored{head: 6, bytes: 6, age: u.age}, u)
		require.NoError(t, l.close())
	})
}

// TestClosedReplica: whoever waits for it is told.
func TestClosedReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		p, err := l.acquire(t.Context())
		require.NoError(t, err)
		waited := make(chan error, 1)
		l.group.Go("wait", func(ctx context.Context) error {
			_, err := l.acquire(context.WithoutCancel(ctx))
			waited <- err
			return nil
		})
		synctest.Wait()
		closing := make(chan error, 1)
		go func() { closing <- l.close() }()
		require.ErrorIs(t, <-waited, errReplicaClosed)
		synctest.Wait()
		require.Empty(t, closing, "it waits for who holds the pipeline")
		l.release(p)
		require.NoError(t, <-closing)
		_, err = l.acquire(t.Context())
		require.ErrorIs(t, err, errReplicaClosed)
	})
}

// TestRetention: what is older than the retention is removed from the store, but nothing that makes a hole, that
// is read, or that is the last; and only from journals that ask for it.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		day := 24 * time.Hour
		spec := func(change func(*protocol.JournalSpec)) *protocol.JournalSpec {
			s := specWith(func(f *protocol.JournalSpec_Fragment) {
				f.FlushInterval, f.Retention = durationpb.New(time.Minute), durationpb.New(day)
			})
			s.Labels = protocol.MustLabelSet(LabelRetention, RetentionEnforced)
			change(s)
			return s
		}
		l := newLone(t, spec(func(*protocol.JournalSpec) {}))
		for _, content := range []string{"one", "two", "three"} {
			l.append(content)
			require.NoError(t, wait(t.Context(), 2*time.Minute))
			synctest.Wait()
		}
		require.Len(t, l.stored(), 3)
		found, err := filepath.Glob(filepath.Join(l.root, "a", "journal", "*"))
		require.NoError(t, err)
		for _, name := range found { // What the file system says is not of the bubble's time.
			require.NoError(t, os.Chtimes(name, time.Time{}, time.Now()))
		}
		held := l.index.Entries()[0]
		r, err := l.env.contents.open(t.Context(), held, held.Begin, held.End)
		require.NoError(t, err)
		require.NoError(t, r.Close())

		require.NoError(t, wait(t.Context(), day))
		require.Len(t, l.stored(), 3, "the grace isn't over")
		require.NoError(t, wait(t.Context(), 3*time.Hour))
		synctest.Wait()
		require.Len(t, l.stored(), 1, "the last one stays")
		last, _ := l.env.entry(l.id).epochs.Last()
		require.EqualValues(t, len("onetwo"), last.Pruned, "others are told that nothing is missing")
		require.NoError(t, l.close())
	})
	require.Zero(t, retentionOf(&protocol.JournalSpec{Fragment: &protocol.JournalSpec_Fragment{Retention: durationpb.New(1)}}), "it wasn't asked for")
	require.Zero(t, retentionOf(&protocol.JournalSpec{
		Labels:   protocol.MustLabelSet("content-type", recoveryLog, LabelRetention, RetentionEnforced),
		Fragment: &protocol.JournalSpec_Fragment{Retention: durationpb.New(1)},
	}), "recovery logs never")
}

// TestAutoSuspend: a journal all of which is stored, whose route hasn't changed for a while, is suspended.
func TestAutoSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(f *protocol.JournalSpec_Fragment) { f.FlushInterval = durationpb.New(time.Minute) }))
		synctest.Wait() // It looks at the environment.
		l.env.autoSuspend = true
		d := l.env.directories.(*loneDirectories)
		l.append("one")
		notify(l.tended)
		require.NoError(t, wait(t.Context(), 14*time.Minute))
		synctest.Wait()
		require.Empty(t, d.suspended)
		found, err := filepath.Glob(filepath.Join(l.root, "a", "journal", "*"))
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.NoError(t, os.Chtimes(found[0], time.Time{}, time.Now())) // The file system's time isn't the bubble's.
		l.listing.again()
		require.NoError(t, wait(t.Context(), 3*time.Minute))
		synctest.Wait()
		require.NotEmpty(t, d.suspended)
		require.Equal(t, protocol.JournalSpec_Suspend_PARTIAL, d.suspended[0])
		require.NoError(t, l.close())
	})
}

// TestBarrierWhileTheHeadMoves: readers see an append a moment before, or after, barriers do. That is no
// reason to refuse one, as if the stores had more than the journal.
func TestBarrierWhileTheHeadMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		l.append("one")
		o := l.barrier(l.ticket(""))
		require.EqualValues(t, 3, o.response.GetCommit().GetEnd())

		before := l.acked.Load()
		l.append("two")
		after := l.acked.Swap(before)
		require.True(t, l.barrier(l.ticket("")).again, "it takes its turn")
		l.acked.Store(after)
		require.EqualValues(t, 6, l.barrier(l.ticket("")).response.GetCommit().GetEnd())
		require.NoError(t, l.close())
	})
}

// TestWatchThatLags: a spool may know an epoch before this broker sees it in etcd. Only if etcd itself doesn't know
// it, the journal is refused.
func TestWatchThatLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		l.append("one")
		synctest.Wait()
		d := l.env.directories.(*loneDirectories)
		before := d.now.Load()
		require.NoError(t, l.again(before))
		after := d.now.Load()
		require.EqualValues(t, 2, l.spool.State().Epoch)

		d.now.Store(before)
		require.Equal(t, errAgain{100}, l.again(before))
		o := l.commit(t.Context(), l.ticket("two"))
		require.True(t, o.again, "%v", o.err)
		require.EqualValues(t, 100, o.revision)

		d.recorded.Store(before.epochsRevision) // as in a backup
		require.ErrorContains(t, l.again(before), "it was restored from a backup")
		d.recorded.Store(after.epochsRevision)
		d.now.Store(after)
		require.NoError(t, wait(t.Context(), time.Minute))
		l.append("two")
		require.NoError(t, l.close())
	})
}

// again forms another epoch, by an entry.
func (l *lone) again(e *entry) error {
	n, err := l.acquire(l.t.Context())
	require.NoError(l.t, err)
	defer l.release(n)
	n.revision = 0
	return l.sync(n, e, func(list epoch.List, reports []epoch.Report, floor int64) (epoch.Epoch, error) {
		return list.Form(reports, floor)
	})
}
