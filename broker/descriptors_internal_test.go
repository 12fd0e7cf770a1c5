package broker

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestJournalsWithin: three files for each journal, and a quarter of all, or what the least needs, for everything else.
func TestJournalsWithin(t *testing.T) {
	for files, want := range map[int]int{
		0: 0, 64: 0, 66: 0, 67: 1, 200: 45, 256: 64, 1024: 256, 4096: 1024, 20_000: 5000, 1 << 20: 1 << 18, math.MaxInt32: 536870912,
	} {
		require.Equal(t, want, journalsWithin(files), "%d files", files)
		require.LessOrEqual(t, journalsWithin(files)*journalFiles, files)
	}
}

func TestJournalLimitIsLowered(t *testing.T) {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	for _, c := range []struct {
		cfg  Config
		want int
	}{
		{Config{JournalLimit: 30_000}, 30_000}, // unknown
		{Config{JournalLimit: 30_000, OpenFiles: 20_000}, 5000},
		{Config{JournalLimit: 1024, OpenFiles: 20_000}, 1024},
	} {
		require.NoError(t, c.cfg.limitJournals(log))
		require.Equal(t, c.want, c.cfg.JournalLimit)
		require.EqualValues(t, c.want, c.cfg.spec(false).GetJournalLimit(), "what the allocator is told")
	}
	cfg := Config{JournalLimit: 1, OpenFiles: 60}
	require.ErrorContains(t, cfg.limitJournals(log), "OpenFiles: 60 are too few to hold a journal")
}

// failingListener can't accept.
type failingListener struct {
	net.Listener

	err error
}

func (l failingListener) Accept() (net.Conn, error) { return nil, l.err }

// TestDescriptorsAreScarceForAWhile: for as long as nothing can be opened, and for a while thereafter. Other errors
// don't count.
func TestDescriptorsAreScarceForAWhile(t *testing.T) {
	d := newDescriptors(slog.New(slog.NewTextHandler(t.Output(), nil)))
	now, opened := time.Unix(1, 0), error(nil)
	d.now, d.open = func() time.Time { return now }, func() error { return opened }
	require.NoError(t, d.scarce())

	opened = &os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}
	require.NoError(t, d.scarce())
	opened = &os.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}
	require.ErrorIs(t, d.scarce(), syscall.EMFILE)
	now = now.Add(scarceFor)
	require.ErrorIs(t, d.scarce(), syscall.EMFILE, "nothing can be opened still")
	opened = nil
	now = now.Add(scarceFor - 1)
	require.Error(t, d.scarce())
	now = now.Add(1)
	require.NoError(t, d.scarce())

	for _, err := range []error{syscall.EMFILE, syscall.ENFILE} {
		_, got := d.watch(failingListener{err: &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}}).Accept()
		require.ErrorIs(t, got, err)
		require.ErrorIs(t, d.scarce(), err)
		now = now.Add(scarceFor)
		require.NoError(t, d.scarce())
	}
	_, _ = d.watch(failingListener{err: net.ErrClosed}).Accept()
	require.NoError(t, d.scarce())

	disk := newDisk(nil, "", d, d.log)
	require.ErrorContains(t, disk.failed(fmt.Errorf("open its spool: %w", syscall.EMFILE)), "open its spool")
	require.Error(t, d.scarce(), "a spool couldn't be opened")
	require.NoError(t, disk.isFull())
}

// TestNotReadyWhileDescriptorsAreScarce: what /debug/ready says of them, and to do about it.
func TestNotReadyWhileDescriptorsAreScarce(t *testing.T) {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b := &Broker{ready: make(chan struct{}), leaving: make(chan struct{}), stopping: make(chan struct{}), descriptors: newDescriptors(log)}
	b.disk = newDisk(nil, "", b.descriptors, log)
	close(b.ready)
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		b.serveReady(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/ready", nil))
		return w
	}
	require.Equal(t, http.StatusOK, ask().Code)
	b.descriptors.open = func() error { return syscall.EMFILE }
	w := ask()
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "too many open files")
	require.Contains(t, w.Body.String(), "--broker.limit")
}
