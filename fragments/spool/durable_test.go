package spool_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// slowDisk counts the rounds in which data is synced, and holds each until it is let go.
type slowDisk struct {
	mu     sync.Mutex
	rounds int
	gate   chan error // what each round ends with
}

func (d *slowDisk) hook(o op) error {
	if o.kind != "sync" || !strings.HasSuffix(o.name, ".data") {
		return nil
	}
	d.mu.Lock()
	d.rounds++
	d.mu.Unlock()
	return <-d.gate
}

func (d *slowDisk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rounds
}

func openSlow(t *testing.T) (*spool.Journal, *slowDisk) {
	t.Helper()
	fs := newHookFS(vfs.NewMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	d := &slowDisk{gate: make(chan error)}
	fs.setHook(d.hook)
	return j, d
}

func appendBytes(t *testing.T, j *spool.Journal, text string) *spool.Commit {
	t.Helper()
	c, err := write(j, []byte(text), nil)
	require.NoError(t, err)
	return c
}

// TestWaitersShareSync: however many wait, there is one round for those who came
// before it began, and one more for all who came while it ran.
func TestWaitersShareSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, disk := openSlow(t)
		var waiters errgroup.Group
		wait := func(n int) {
			for i := range n {
				c := appendBytes(t, j, strconv.Itoa(i))
				waiters.Go(func() error { return c.Durable(context.Background()) })
			}
			synctest.Wait()
		}
		wait(1) // It leads the first round,
		wait(100)
		require.Equal(t, 1, disk.count()) // for which these came too late.
		disk.gate <- nil
		synctest.Wait()
		require.Equal(t, int64(1), j.State().Durable)
		require.Equal(t, 2, disk.count())
		disk.gate <- nil
		require.NoError(t, waiters.Wait())
		require.Equal(t, 2, disk.count())
		require.Equal(t, j.State().End, j.State().Durable)

		// What is durable, or empty, needs no round.
		require.NoError(t, appendBytes(t, j, "").Durable(context.Background()))
		require.Equal(t, 2, disk.count())
	})
}

// TestEmptyAppendWaits: an empty append is a barrier for all before it.
func TestEmptyAppendWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, disk := openSlow(t)
		appendBytes(t, j, "before")
		barrier := appendBytes(t, j, "")
		var waiter errgroup.Group
		waiter.Go(func() error { return barrier.Durable(context.Background()) })
		synctest.Wait()
		require.Equal(t, 1, disk.count())
		require.Zero(t, j.State().Durable)
		disk.gate <- nil
		require.NoError(t, waiter.Wait())
		require.Equal(t, int64(6), j.State().Durable)
	})
}

// TestCancelledWaiter: a follower leaves at once; whoever syncs stays to the end, and
// then knows that it is durable.
func TestCancelledWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, disk := openSlow(t)
		gone := errors.New("client is gone")
		ctx, cancel := context.WithCancelCause(context.Background())
		a, b := appendBytes(t, j, "a"), appendBytes(t, j, "b")
		var leader, follower errgroup.Group
		leader.Go(func() error { return a.Durable(ctx) })
		synctest.Wait()
		follower.Go(func() error { return b.Durable(ctx) })
		synctest.Wait()
		cancel(gone)
		require.ErrorIs(t, follower.Wait(), gone)
		disk.gate <- nil
		require.NoError(t, leader.Wait())

		// b was written when the round began, so it is durable all the same.
		require.NoError(t, b.Durable(ctx))
		// Nobody begins a round for a context that has ended.
		require.ErrorIs(t, appendBytes(t, j, "c").Durable(ctx), gone)
		require.Equal(t, 1, disk.count())
	})
}

// TestFailedSync: all who wait for it, and all who come later, get its error, though
// the disk would do better the next time; who was served before isn't concerned.
func TestFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, disk := openSlow(t)
		var first, waiters errgroup.Group
		ok := appendBytes(t, j, "ok")
		first.Go(func() error { return ok.Durable(context.Background()) })
		synctest.Wait()
		disk.gate <- nil
		require.NoError(t, first.Wait())
		require.NoError(t, j.Acknowledge(ok.End))

		advanced := j.Advanced()
		lost := make([]*spool.Commit, 10)
		errs := make([]error, len(lost))
		for i := range lost {
			lost[i] = appendBytes(t, j, "lost")
			waiters.Go(func() error { errs[i] = lost[i].Durable(context.Background()); return nil })
		}
		synctest.Wait()
		disk.gate <- syscall.EIO
		require.NoError(t, waiters.Wait())
		for i, err := range errs {
			failure := new(spool.FailedError)
			require.ErrorAs(t, err, &failure)
			require.ErrorIs(t, err, syscall.EIO)
			require.Contains(t, failure.File, ".data")
			require.ErrorIs(t, lost[i].Durable(context.Background()), syscall.EIO)
		}
		<-advanced // Whoever watches the journal hears of it.
		require.NoError(t, ok.Durable(context.Background()))
		_, err := write(j, []byte("x"), nil)
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorIs(t, j.Roll(spool.RollOptions{Codec: protocol.CompressionCodec_NONE, Begin: j.State().End}), syscall.EIO)
		require.Equal(t, int64(2), j.State().Watermark)
		require.Equal(t, 2, disk.count(), "no round after the failed one")
		p := make([]byte, 2)
		n, err := j.Open().Local.ReadAt(p, 0)
		require.NoError(t, err)
		require.Equal(t, "ok", string(p[:n]))
	})
}

// TestAlignAndCloseDuringSync: they wait for the round that is under way.
func TestAlignAndCloseDuringSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, disk := openSlow(t)
		var waiter, roller errgroup.Group
		c := appendBytes(t, j, "a")
		waiter.Go(func() error { return c.Durable(context.Background()) })
		synctest.Wait()
		disk.gate <- nil
		require.NoError(t, waiter.Wait())
		require.NoError(t, j.Acknowledge(1))
		// An epoch may begin while a commit is waited for.
		c = appendBytes(t, j, "b")
		waiter.Go(func() error { return c.Durable(context.Background()) })
		synctest.Wait()
		roller.Go(func() error {
			err := j.Align(spool.Alignment{Epoch: 1, Keep: 2, Start: 2, Codec: protocol.CompressionCodec_NONE})
			return errors.Join(err, j.Close())
		})
		synctest.Wait()
		require.Empty(t, j.Completed())
		disk.gate <- nil // The waiter's round,
		require.NoError(t, waiter.Wait())
		require.Empty(t, j.Completed())
		for range 3 { // the alignment's own, that of the new file, and that of closing.
			disk.gate <- nil
		}
		require.NoError(t, roller.Wait())
		require.Len(t, j.Completed(), 1)
		require.Equal(t, 5, disk.count())
	})
}

// TestReplicatedIsDurableAtOnce: nothing is synced for an append.
func TestReplicatedIsDurableAtOnce(t *testing.T) {
	fs := newHookFS(vfs.NewMem())
	j, err := openJournal(fs, spool.Replicated, 0)
	require.NoError(t, err)
	fs.setHook(func(o op) error {
		if o.kind == "sync" {
			return syscall.EIO
		}
		return nil
	})
	c := appendBytes(t, j, "x")
	require.NoError(t, c.Durable(context.Background()))
	require.Equal(t, int64(1), j.State().Durable)
}

// TestConcurrentUse: appends and rolls by one, waits, reads and drops by many. It is
// meant for the race detector.
func TestConcurrentUse(t *testing.T) {
	fs := newHookFS(vfs.NewMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	commits := make(chan *spool.Commit, 16)
	var all errgroup.Group
	for range 4 {
		all.Go(func() error {
			p := make([]byte, 8)
			for c := range commits {
				if err := errors.Join(c.Durable(context.Background()), j.Acknowledge(c.End)); err != nil {
					return err
				}
				for _, f := range j.Completed() {
					if _, err := f.Content.ReadAt(p[:1], f.Begin); err != nil {
						return err
					}
				}
				open := j.Open()
				if n := open.Length(); n > 0 {
					if _, err := open.Local.ReadAt(p[:1], open.Begin); err != nil {
						return err
					}
				}
				if done := j.Completed(); len(done) > 3 {
					if err := j.Drop(done[1].Fragment); err != nil {
						return err
					}
				}
				_ = j.State()
				_ = j.Advanced()
			}
			return nil
		})
	}
	for i := range 400 {
		commits <- appendBytes(t, j, strconv.Itoa(i))
		if i%20 == 0 {
			c := appendBytes(t, j, "")
			require.NoError(t, c.Durable(context.Background()))
			require.NoError(t, j.Acknowledge(c.End))
			require.NoError(t, j.Roll(spool.RollOptions{Codec: protocol.CompressionCodec_NONE, Begin: j.State().End}))
		}
	}
	close(commits)
	require.NoError(t, all.Wait())
	require.NoError(t, j.Close())
}

// TestSyncedOutlivesTheMachine: in mode replicated a commit is on disk if that was asked for, and so is all before it.
func TestSyncedOutlivesTheMachine(t *testing.T) {
	fs := newHookFS(vfs.NewCrashableMem())
	syncs := 0
	j, err := openJournal(fs, spool.Replicated, 0)
	require.NoError(t, err)
	fs.setHook(func(o op) error {
		if o.kind == "sync" && strings.HasSuffix(o.name, ".data") {
			syncs++
		}
		return nil
	})
	require.NoError(t, appendBytes(t, j, "first ").Durable(t.Context()))
	require.Zero(t, syncs)
	second := appendBytes(t, j, "second ")
	require.NoError(t, second.Synced(t.Context()))
	require.NoError(t, second.Synced(t.Context()))
	require.NoError(t, appendBytes(t, j, "").Synced(t.Context()), "nothing was appended since")
	require.Equal(t, 1, syncs)
	require.NoError(t, appendBytes(t, j, "third").Durable(t.Context()))
	require.Equal(t, 1, syncs)

	crashed := newHookFS(fs.crash(0, nil))
	again, err := openJournal(crashed, spool.Replicated, 1)
	require.NoError(t, err)
	s := again.State()
	require.Equal(t, second.End, s.End, "the third was in memory only")
	require.True(t, s.Recovery.Suspect)
	require.NoError(t, again.Close())
}
