package broker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// slowDisk is a file system whose syncs can be held up, and made to fail.
type slowDisk struct {
	vfs.FS

	mu             sync.Mutex
	held           chan struct{} // syncs wait until it is closed; nil if they don't
	err            error         // of syncs
	syncs, waiting int
}

// hold makes all syncs from now on wait, until release is called.
func (d *slowDisk) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = make(chan struct{})
}

// release lets the syncs go on, with an error or none.
func (d *slowDisk) release(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	if d.held != nil {
		close(d.held)
		d.held = nil
	}
}

// begun is how many syncs there have been.
func (d *slowDisk) begun() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// waiters is how many syncs are held up.
func (d *slowDisk) waiters() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting
}

func (d *slowDisk) sync(do func() error) error {
	d.mu.Lock()
	d.syncs++
	held := d.held
	d.waiting++
	d.mu.Unlock()
	if held != nil {
		<-held
	}
	d.mu.Lock()
	err := d.err
	d.waiting--
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return do()
}

func (d *slowDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.wrap(d.FS.Create(name, c))
}

func (d *slowDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.wrap(d.FS.OpenReadWrite(name, c, o...))
}

func (d *slowDisk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &slowFile{f, d}, nil
}

type slowFile struct {
	vfs.File
	disk *slowDisk
}

func (f *slowFile) Sync() error     { return f.disk.sync(f.File.Sync) }
func (f *slowFile) SyncData() error { return f.disk.sync(f.File.SyncData) }

// outcome of an append that runs on its own.
type outcome struct {
	resp *protocol.AppendResponse
	err  error
}

func appendInBackground(g *task.Group, b *brokertest.Broker, params *protocol.AppendRequest, content string) <-chan outcome {
	out := make(chan outcome, 1)
	g.Go("append", func(ctx context.Context) error {
		r, err := appendWith(ctx, b.Client(), params, content)
		out <- outcome{r, err}
		return nil
	})
	return out
}

// newSlow returns a broker on a slow disk, with a journal of 10 bytes that aren't its
// first fragment.
func newSlow(t *testing.T) (context.Context, *slowDisk, *brokertest.Broker, *task.Group) {
	t.Helper()
	disk := &slowDisk{FS: vfs.NewMem()}
	b := brokertest.New(t, brokertest.Config{FS: disk})
	t.Cleanup(func() { disk.release(nil) }) // A broker whose disk hangs doesn't stop.
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "first")
	r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{
		Journal: "a/journal", UnionRegisters: protocol.MustLabelSet("author", "alice"),
	}, "next.")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
	return ctx, disk, b, task.New(ctx, "test")
}

// TestNothingIsToldBeforeItIsDurable: while the disk syncs, an append isn't
// acknowledged, its bytes aren't read, a barrier tells the old head, and refusals
// that rest on it wait as well.
func TestNothingIsToldBeforeItIsDurable(t *testing.T) {
	ctx, disk, b, g := newSlow(t)
	disk.hold()
	appended := appendInBackground(g, b, &protocol.AppendRequest{
		Journal: "a/journal", UnionRegisters: protocol.MustLabelSet("author", "bob"),
	}, "unsynced")
	awaitCondition(ctx, t, func() bool { return b.Metric("gazette_spool_commit_bytes_total") == 18 })

	refused := appendInBackground(g, b, &protocol.AppendRequest{Journal: "a/journal", Offset: 10}, "x")
	fenced := appendInBackground(g, b, &protocol.AppendRequest{
		Journal: "a/journal", CheckRegisters: &protocol.LabelSelector{Include: protocol.MustLabelSet("author", "alice")},
	}, "x")
	checked := appendInBackground(g, b, &protocol.AppendRequest{
		Journal: "a/journal", CheckRegisters: &protocol.LabelSelector{Include: protocol.MustLabelSet("author", "bob")},
	}, "")

	// A barrier is ordered before what isn't durable.
	barrier := mustAppend(ctx, t, b, "a/journal", "")
	require.EqualValues(t, 10, barrier.GetCommit().GetEnd())
	require.Equal(t, "alice", barrier.GetRegisters().ValueOf("author"))
	require.Equal(t, "firstnext.", mustRead(ctx, t, b, "a/journal", 0))
	for _, c := range []<-chan outcome{appended, refused, fenced, checked} {
		require.Empty(t, c)
	}

	disk.release(nil)
	for i, want := range []protocol.Status{
		protocol.Status_OK, protocol.Status_WRONG_APPEND_OFFSET, protocol.Status_REGISTER_MISMATCH, protocol.Status_OK,
	} {
		out := <-[]<-chan outcome{appended, refused, fenced, checked}[i]
		require.NoError(t, out.err)
		require.Equal(t, want, out.resp.GetStatus(), "%d", i)
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 18, mustAppend(ctx, t, b, "a/journal", "").GetCommit().GetEnd())
	require.Equal(t, "firstnext.unsynced", mustRead(ctx, t, b, "a/journal", 0))
}

// TestSyncedAppends: where replicated is enough for others, an append that asks to be on disk is acknowledged once it is on that
// of every member, whoever has a slow one; as is one of a stream, or without content. Others don't wait for it.
func TestSyncedAppends(t *testing.T) {
	for _, slow := range []string{"first", "second", "alone"} {
		t.Run(slow, func(t *testing.T) {
			disk := &slowDisk{FS: vfs.NewMem()}
			t.Cleanup(func() { disk.release(nil) })
			config := brokertest.Config{Mode: spool.Replicated, Zone: "a"}
			if slow != "second" {
				config.FS = disk
			}
			b := brokertest.New(t, config)
			ctx, spec := bounded(t), brokertest.Spec("a/journal")
			if slow != "alone" {
				config = brokertest.Config{Mode: spool.Replicated, Zone: "b", Join: b}
				if slow == "second" {
					config.FS = disk
				}
				brokertest.New(t, config)
				spec.Replication = 2
			}
			b.Create(spec)
			mustAppend(ctx, t, b, "a/journal", "first")
			disk.hold()
			g := task.New(ctx, "test")
			synced := appendInBackground(g, b, &protocol.AppendRequest{Journal: "a/journal", Synced: true}, "synced")
			awaitCondition(ctx, t, func() bool { return disk.waiters() > 0 })
			require.Equal(t, "first", mustReadTo(ctx, t, b, "a/journal", 0, 5))
			require.Empty(t, synced)
			disk.release(nil)
			out := <-synced
			require.NoError(t, out.err)
			require.EqualValues(t, 11, out.resp.GetCommit().GetEnd())

			mustAppend(ctx, t, b, "a/journal", "memory")
			before := disk.begun()
			barrier, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", Synced: true}, "")
			require.NoError(t, err)
			require.EqualValues(t, 17, barrier.GetCommit().GetEnd())
			require.Greater(t, disk.begun(), before, "what is in memory only is synced")
			require.NoError(t, g.Wait())
		})
	}
}

// TestAppendsShareSyncs: those that are written while one syncs share the next.
func TestAppendsShareSyncs(t *testing.T) {
	ctx, disk, b, g := newSlow(t)
	disk.hold()
	disk.mu.Lock()
	before := disk.syncs
	disk.mu.Unlock()
	var all []<-chan outcome
	for range 20 {
		all = append(all, appendInBackground(g, b, &protocol.AppendRequest{Journal: "a/journal"}, "x"))
	}
	awaitCondition(ctx, t, func() bool { return b.Metric("gazette_spool_commit_bytes_total") == 30 })
	disk.release(nil)
	for _, c := range all {
		out := <-c
		require.NoError(t, out.err)
		require.Equal(t, protocol.Status_OK, out.resp.GetStatus())
	}
	require.NoError(t, g.Wait())
	disk.mu.Lock()
	defer disk.mu.Unlock()
	// Two rounds of data and log, and what storing the first fragment takes.
	require.LessOrEqual(t, disk.syncs-before, 8)
}

// TestCancelWhileWaiting: an append whose client goes away while others hold the
// pipeline leaves nothing.
func TestCancelWhileWaiting(t *testing.T) {
	disk := &slowDisk{FS: vfs.NewMem()}
	b := brokertest.New(t, brokertest.Config{FS: disk})
	t.Cleanup(func() { disk.release(nil) })
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "first ")
	g := task.New(ctx, "test")
	disk.hold()
	// The second append closes the first fragment, and syncs with the pipeline in hand.
	rolling := appendInBackground(g, b, &protocol.AppendRequest{Journal: "a/journal"}, "second ")
	awaitCondition(ctx, t, func() bool {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		return disk.waiting > 0
	})
	cancelled, cancel := context.WithCancel(ctx)
	stream := beginAppend(cancelled, t, b, "a/journal", "cancelled ")
	require.NoError(t, stream.Send(new(protocol.AppendRequest)))
	require.NoError(t, stream.CloseSend())
	// A precondition makes it wait for its turn; the barrier before it doesn't.
	require.EqualValues(t, 6, mustAppend(ctx, t, b, "a/journal", "").GetCommit().GetEnd())
	cancel()
	require.Equal(t, codes.Canceled, status.Code(stream.RecvMsg(new(protocol.AppendResponse))))
	disk.release(nil)
	require.NoError(t, (<-rolling).err)
	require.NoError(t, g.Wait())
	mustAppend(ctx, t, b, "a/journal", "third")
	content := mustRead(ctx, t, b, "a/journal", 0)
	require.Equal(t, "first second third", strings.ReplaceAll(content, "cancelled ", ""))
}

// TestClientGoneWhileSyncing: what was written becomes durable and is read, though
// nobody waits for its outcome any more.
func TestClientGoneWhileSyncing(t *testing.T) {
	ctx, disk, b, g := newSlow(t)
	read, err := b.Client().Read(ctx, &protocol.ReadRequest{Journal: "a/journal", Offset: 10, Block: true})
	require.NoError(t, err)
	disk.hold()
	cancelled, cancel := context.WithCancel(ctx)
	gone := appendInBackground(task.New(cancelled, "gone"), b, &protocol.AppendRequest{Journal: "a/journal"}, "orphaned")
	awaitCondition(ctx, t, func() bool { return b.Metric("gazette_spool_commit_bytes_total") == 18 })
	cancel()
	require.Equal(t, codes.Canceled, status.Code((<-gone).err))
	disk.release(nil)
	for content := ""; content != "orphaned"; {
		r, err := read.Recv()
		require.NoError(t, err)
		content += string(r.GetContent())
	}
	require.NoError(t, g.Wait())
}

// TestFailedSync: no append that waited for it is acknowledged, nor is a refusal told
// that rested on one. What was durable is served on, and all of that after a restart.
func TestFailedSync(t *testing.T) {
	ctx, disk, b, g := newSlow(t)
	disk.hold()
	appended := appendInBackground(g, b, &protocol.AppendRequest{Journal: "a/journal"}, "unsynced")
	awaitCondition(ctx, t, func() bool { return b.Metric("gazette_spool_commit_bytes_total") == 18 })
	refused := appendInBackground(g, b, &protocol.AppendRequest{Journal: "a/journal", Offset: 10}, "x")
	disk.release(errors.New("disk is on fire"))
	for _, c := range []<-chan outcome{appended, refused} {
		out := <-c
		require.Equal(t, codes.Internal, status.Code(out.err), "%v", out.resp)
		require.ErrorContains(t, out.err, "disk is on fire")
	}
	require.NoError(t, g.Wait())
	_, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "x")
	require.ErrorContains(t, err, "disk is on fire")
	require.Equal(t, "firstnext.", mustRead(ctx, t, b, "a/journal", 0))
	b.Kill()
	disk.mu.Lock()
	disk.err = nil
	disk.mu.Unlock()
	b.Restart()
	content := mustRead(ctx, t, b, "a/journal", 0)
	require.Contains(t, []string{"firstnext.", "firstnext.unsynced"}, content)
	require.EqualValues(t, len(content), mustAppend(ctx, t, b, "a/journal", "x").GetCommit().GetBegin())
}
