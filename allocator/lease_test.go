package allocator

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/internal/embedetcd/etcdtest"
)

func leaseConfig(t *testing.T, c *clientv3.Client, dir string) LeaseConfig {
	t.Helper()
	return LeaseConfig{Client: c, Dir: dir, TTL: 600 * time.Second, Logger: slog.New(slog.DiscardHandler)}
}

// TestRestartDoesNotWaitForItself leaves a lease behind as kill -9 does.
func TestRestartDoesNotWaitForItself(t *testing.T) {
	c, dir := etcdtest.Client(t), t.TempDir()
	announce := func(l *Lease) {
		_, err := Announce(t.Context(), AnnounceParams{
			Client: c, Key: "/p/members/z#s", Lease: l.ID(), Logger: slog.New(slog.DiscardHandler),
			retry: time.Hour, // Who waits for that hangs.
		})
		require.NoError(t, err)
	}
	first, err := OpenLease(t.Context(), leaseConfig(t, c, dir))
	require.NoError(t, err)
	require.True(t, first.Valid())
	announce(first)

	second, err := OpenLease(t.Context(), leaseConfig(t, c, dir))
	require.NoError(t, err)
	announce(second)
	require.NotEqual(t, first.ID(), second.ID())
	ttl, err := c.TimeToLive(t.Context(), first.ID())
	require.NoError(t, err)
	require.EqualValues(t, -1, ttl.TTL, "the first lease is revoked")
	require.ErrorIs(t, first.Keep(t.Context()), ErrLeaseLost)

	require.NoError(t, second.Close(t.Context()))
	require.False(t, second.Valid())
	require.NoFileExists(t, filepath.Join(dir, "LEASE"))
	r, err := c.Get(t.Context(), "/p", clientv3.WithPrefix())
	require.NoError(t, err)
	require.Empty(t, r.Kvs)
	require.NoError(t, second.Close(t.Context()), "what is revoked already is no failure")
}

func TestLeaseFile(t *testing.T) {
	c := etcdtest.Client(t)
	granted, err := c.Grant(t.Context(), 600)
	require.NoError(t, err)
	cluster := formatCluster(granted.GetClusterId())
	alive := func(id clientv3.LeaseID) bool {
		r, err := c.TimeToLive(t.Context(), id)
		require.NoError(t, err)
		return r.TTL > 0
	}

	t.Run("golden", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, writeLease(dir, formatCluster(0xabc), 0x1234))
		b, err := os.ReadFile(filepath.Join(dir, "LEASE"))
		require.NoError(t, err)
		require.JSONEq(t, `{"format":1,"cluster":"abc","lease":"1234"}`, string(b))
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing else is left")
	})
	t.Run("another cluster", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, writeLease(dir, "abc", granted.ID))
		l, err := OpenLease(t.Context(), leaseConfig(t, c, dir))
		require.NoError(t, err)
		require.True(t, alive(granted.ID), "a lease of the same number elsewhere isn't ours")
		id, err := readLease(dir, cluster)
		require.NoError(t, err)
		require.Equal(t, l.ID(), id)
	})
	t.Run("ran out", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, writeLease(dir, cluster, 0x7777))
		_, err := OpenLease(t.Context(), leaseConfig(t, c, dir))
		require.NoError(t, err)
	})
	leases := func() int {
		r, err := c.Leases(t.Context())
		require.NoError(t, err)
		return len(r.Leases)
	}
	for name, content := range map[string]string{
		"newer":     `{"format":2,"cluster":"x","lease":"y"}`,
		"garbage":   "garbage",
		"empty":     "",
		"not hex":   `{"format":1,"cluster":"` + cluster + `","lease":"xyz"}`,
		"no format": `{"cluster":"` + cluster + `","lease":"1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir, before := t.TempDir(), leases()
			path := filepath.Join(dir, "LEASE")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			_, err := OpenLease(t.Context(), leaseConfig(t, c, dir))
			require.ErrorContains(t, err, path)
			require.Equal(t, name == "newer", errors.Is(err, ErrNewerFormat))
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, content, string(b), "it is left alone")
			require.Equal(t, before, leases(), "no lease is left behind")
		})
	}
	t.Run("no directory", func(t *testing.T) {
		before := leases()
		_, err := OpenLease(t.Context(), leaseConfig(t, c, filepath.Join(t.TempDir(), "missing")))
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.Equal(t, before, leases())
	})
}

func TestKeepAgainstEtcd(t *testing.T) {
	c := etcdtest.Client(t)
	config := leaseConfig(t, c, "")
	config.TTL = 9 * time.Second // Three times as long as it takes until the lease is kept alive again.
	l, err := OpenLease(t.Context(), config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.Keep(ctx) }()
	granted := *l.deadline.Load()
	for range 2 { // at once, and after a third of its time
		before := l.deadline.Load()
		require.Eventually(t, func() bool { return l.deadline.Load() != before }, time.Minute, time.Millisecond)
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.GreaterOrEqual(t, l.deadline.Load().Sub(granted), config.TTL/3)
	r, err := c.TimeToLive(t.Context(), l.ID())
	require.NoError(t, err)
	require.NotEqual(t, int64(-1), r.TTL, "it lives on")
}

// fakeLeases is an etcd whose answers are set by the test.
type fakeLeases struct {
	mu      sync.Mutex
	delay   time.Duration // of each answer
	err     error         // of all but Grant
	revoked []clientv3.LeaseID
	calls   int
}

func (f *fakeLeases) set(delay time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay, f.err = delay, err
}

func (f *fakeLeases) get() (time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delay, f.err
}

func (f *fakeLeases) Grant(_ context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	delay, _ := f.get()
	<-time.After(delay)
	return &clientv3.LeaseGrantResponse{ResponseHeader: &etcdserverpb.ResponseHeader{ClusterId: 1}, ID: 7, TTL: ttl}, nil
}

func (f *fakeLeases) Revoke(_ context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	f.revoked = append(f.revoked, id)
	_, err := f.get()
	return &clientv3.LeaseRevokeResponse{}, err
}

func (f *fakeLeases) keepAlive(ctx context.Context, _ clientv3.LeaseID) (int64, error) {
	f.calls++
	delay, err := f.get()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return 12, err
}

// TestDeadlineIsNeverLate follows a lease of 12 s whose answers take 1 s, through
// a time in which etcd can't be reached.
func TestDeadlineIsNeverLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLeases{delay: time.Second}
		l, err := openLease(t.Context(), LeaseConfig{TTL: 12 * time.Second, Logger: slog.New(slog.DiscardHandler)}, f)
		require.NoError(t, err)
		began := time.Now().Add(-time.Second) // the request was sent before it was answered
		require.True(t, l.deadline.Load().Equal(began.Add(12*time.Second)))

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Keep(ctx) }() // awaited below
		<-time.After(time.Minute)
		synctest.Wait()
		require.True(t, l.Valid())

		f.set(time.Second, rpctypes.ErrNoLeader)
		<-time.After(12 * time.Second)
		require.False(t, l.Valid(), "unreachable for longer than it lives")
		f.set(0, nil)
		<-time.After(5 * time.Second)
		synctest.Wait()
		require.True(t, l.Valid(), "etcd still had it")

		f.set(0, rpctypes.ErrLeaseNotFound)
		require.ErrorIs(t, <-done, ErrLeaseLost)
		require.False(t, l.Valid(), "etcd ended it, however long it was to live")
		cancel()
		require.Less(t, f.calls, 60, "a third of the time to live apart, closer only while it fails")
	})
}

func TestCloseThatFailsKeepsTheNote(t *testing.T) {
	f, dir := &fakeLeases{}, t.TempDir()
	l, err := openLease(t.Context(), LeaseConfig{Dir: dir, TTL: time.Second, Logger: slog.New(slog.DiscardHandler)}, f)
	require.NoError(t, err)
	away := errors.New("etcd is away")
	f.set(0, away)
	require.ErrorIs(t, l.Close(t.Context()), away)
	require.False(t, l.Valid())
	_, err = openLease(t.Context(), LeaseConfig{Dir: dir, TTL: time.Second, Logger: slog.New(slog.DiscardHandler)}, f)
	require.ErrorIs(t, err, away, "a start that can't end the old lease doesn't go on")
	f.set(0, nil)
	_, err = openLease(t.Context(), LeaseConfig{Dir: dir, TTL: time.Second, Logger: slog.New(slog.DiscardHandler)}, f)
	require.NoError(t, err)
	require.Contains(t, f.revoked, l.ID())
}

func TestLeaseConfigIsValidated(t *testing.T) {
	ok := LeaseConfig{Client: &clientv3.Client{}, TTL: time.Second, Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, ok.Validate())
	for want, change := range map[string]func(*LeaseConfig){
		"Client is missing": func(c *LeaseConfig) { c.Client = nil },
		"Logger is missing": func(c *LeaseConfig) { c.Logger = nil },
		"TTL: 1.5s":         func(c *LeaseConfig) { c.TTL = 1500 * time.Millisecond },
		"TTL: 0s":           func(c *LeaseConfig) { c.TTL = 0 },
	} {
		bad := ok
		change(&bad)
		_, err := OpenLease(t.Context(), bad)
		require.ErrorContains(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), "allocator: "))
	}
}
