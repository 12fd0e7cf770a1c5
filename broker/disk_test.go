package broker_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// fullDisk is a file system that can be full: nothing more is written to it.
type fullDisk struct {
	vfs.FS

	full     atomic.Bool
	unsynced atomic.Bool // it has no room for what is to be durable
}

func (d *fullDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.full.Load() {
		return nil, syscall.ENOSPC
	}
	return d.wrap(d.FS.Create(name, c))
}

func (d *fullDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.wrap(d.FS.OpenReadWrite(name, c, o...))
}

func (d *fullDisk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &fullFile{f, d}, nil
}

type fullFile struct {
	vfs.File
	disk *fullDisk
}

func (f *fullFile) Write(p []byte) (int, error) {
	if f.disk.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

func (f *fullFile) WriteAt(p []byte, at int64) (int, error) {
	if f.disk.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(p, at)
}

func (f *fullFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *fullFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *fullFile) sync(do func() error) error {
	if f.disk.unsynced.Load() {
		return syscall.ENOSPC
	}
	return do()
}

// TestDiskWasFull: a spool that a full disk has made fail says so to everybody who asks, ever after. The disk is taken
// to be full until it has room, and no longer.
func TestDiskWasFull(t *testing.T) {
	disk := &fullDisk{FS: vfs.NewMem()}
	b := brokertest.New(t, brokertest.Config{FS: disk, Mode: spool.Synced})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"), brokertest.Spec("b/journal"))
	mustAppend(ctx, t, b, "a/journal", "first ")
	fails := func() {
		_, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "lost")
		require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	}
	disk.unsynced.Store(true)
	fails()
	require.InDelta(t, 1, b.Metric("broadsheet_broker_disk_full"), 0)
	disk.unsynced.Store(false)
	awaitCondition(ctx, t, func() bool { return b.Metric("broadsheet_broker_disk_full") == 0 })
	before := b.Metric("broadsheet_broker_disk_full_errors_total")
	for range 3 {
		fails()
	}
	require.InDelta(t, before, b.Metric("broadsheet_broker_disk_full_errors_total"), 0)
	require.Zero(t, b.Metric("broadsheet_broker_disk_full"))
	mustAppend(ctx, t, b, "b/journal", "others go on")
	b.Kill() // To stop in order would fail, as the spool has.
	b.Restart()
	mustAppend(ctx, t, b, "a/journal", "then ")
	require.Contains(t, []string{"first then ", "first lostthen "}, mustRead(ctx, t, b, "a/journal", 0))
}

// TestDiskFull: a broker whose disk is full says so to everybody who asks, by which none of what is refused is
// appended, and goes on by itself once there is room.
func TestDiskFull(t *testing.T) {
	disk := &fullDisk{FS: vfs.NewMem()}
	b := brokertest.New(t, brokertest.Config{FS: disk})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"), brokertest.Spec("b/journal"))
	mustAppend(ctx, t, b, "a/journal", "first ")
	readiness := func() answer {
		r, err := get(ctx, t, b.URL()+"/debug/ready", nil)
		require.NoError(t, err)
		return r
	}
	for round := range 3 {
		require.Equal(t, http.StatusOK, readiness().code)
		require.Zero(t, b.Metric("broadsheet_broker_disk_full"))
		disk.full.Store(true)
		for _, content := range []string{"lost", strings.Repeat("much is lost ", 100_000)} {
			requireDiskFull(ctx, t, b, content)
		}
		require.Equal(t, http.StatusServiceUnavailable, readiness().code)
		require.Contains(t, readiness().text, "the disk of the broker is full")
		require.InDelta(t, 1, b.Metric("broadsheet_broker_disk_full"), 0)
		require.GreaterOrEqual(t, b.Metric("broadsheet_broker_disk_full_errors_total"), float64(3*(round+1)))

		disk.full.Store(false)
		mustAppend(ctx, t, b, "a/journal", "then ")
		awaitCondition(ctx, t, func() bool { return readiness().code == http.StatusOK })
	}
	require.Equal(t, "first then then then ", mustRead(ctx, t, b, "a/journal", 0))
	require.Empty(t, mustRead(ctx, t, b, "b/journal", 0))
	b.Restart()
	require.Equal(t, "first then then then ", mustRead(ctx, t, b, "a/journal", 0))
}

// TestDiskOfThePrimaryIsFull: who asks a broker that forwards an append is told by it what the primary tells.
func TestDiskOfThePrimaryIsFull(t *testing.T) {
	disk := &fullDisk{FS: vfs.NewMem()}
	fleet := brokertest.NewFleet(t, brokertest.Config{FS: disk}, "a", "b")
	ctx := bounded(t)
	fleet[0].Create(brokertest.Spec("a/journal"))
	for _, b := range fleet {
		awaitCondition(ctx, t, func() bool { // It may not know the journal yet.
			r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "first ")
			return err == nil && r.GetStatus() == protocol.Status_OK
		})
		disk.full.Store(true)
		requireDiskFull(ctx, t, b, "lost")
		disk.full.Store(false)
	}
	require.Equal(t, "first first ", mustRead(ctx, t, fleet[1], "a/journal", 0))
}

// requireDiskFull appends by each door, and is told that nothing was appended.
func requireDiskFull(ctx context.Context, t *testing.T, b *brokertest.Broker, content string) {
	t.Helper()
	stream, err := b.Client().Append(ctx)
	require.NoError(t, err)
	for _, m := range []*protocol.AppendRequest{{Journal: "a/journal"}, {Content: []byte(content)}, {}} {
		if stream.Send(m) != nil {
			break // The outcome tells why.
		}
	}
	_, err = stream.CloseAndRecv()
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "no space left on device; nothing was appended")
	require.Equal(t, 1, strings.Count(err.Error(), "nothing was appended"), "%v", err)
	require.Equal(t, 1, strings.Count(err.Error(), "rpc error"), "%v", err)
	require.Equal(t, []string{"true"}, stream.Trailer().Get("broadsheet-not-applied"))

	code, text := send(t, b, http.MethodPut, "/a/journal", "", content)
	require.Equal(t, http.StatusInsufficientStorage, code, text)
	require.Contains(t, text, "make room on the disk of the broker")

	many := newStreamed(ctx, t, b)
	many.open("a/journal")
	many.append(whole(1, content), whole(1, content))
	for range 2 {
		r := many.next()
		require.True(t, r.GetNotApplied() || codes.Code(uint32(r.GetCode())) == codes.ResourceExhausted, "%v", r) //nolint:gosec // codes are few
		require.False(t, r.GetUnknown())
	}
}
