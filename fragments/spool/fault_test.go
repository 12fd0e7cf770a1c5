package spool_test

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// lifeSteps do what script does, one at a time, and epochSteps what epochScript does.
func lifeSteps(a *actor, appendDurably func(int, *protocol.LabelSet) func() error) []func() error {
	return []func() error{
		appendDurably(10, protocol.MustLabelSet("author", "one")),
		func() error { _, err := a.append(5000, nil); return err },
		appendDurably(300, protocol.MustLabelSet("author", "two")),
		func() error { return a.roll(0, protocol.CompressionCodec_GZIP) },
		func() error { return a.roll(0, protocol.CompressionCodec_SNAPPY) },
		appendDurably(140000, nil),
		func() error { return a.roll(1000, protocol.CompressionCodec_NONE) },
		func() error { _, err := a.append(64, protocol.MustLabelSet("author", "three")); return err },
		func() error { return a.drop(1) },
		appendDurably(5, nil),
		func() error { return a.roll(0, protocol.CompressionCodec_NONE) },
		func() error { return a.drop(0) },
		appendDurably(6, nil),
	}
}

func epochSteps(a *actor, appendDurably func(int, *protocol.LabelSet) func() error) []func() error {
	return []func() error{
		appendDurably(10, nil),
		func() error { return a.roll(0, protocol.CompressionCodec_NONE) },
		func() error { _, err := a.append(70, nil); return err },
		func() error { _, err := a.append(7000, protocol.MustLabelSet("author", "void")); return err },
		func() error { return a.cut(cut{void: 1, registers: protocol.MustLabelSet("author", "four")}) },
		func() error { _, err := a.append(80, nil); return err },
		func() error { return a.cut(cut{void: 1}) },
		func() error { _, err := a.append(90, nil); return err },
		func() error { _, err := a.append(91, nil); return err },
		func() error { return a.cut(cut{void: 1, sameEpoch: true}) },
		appendDurably(92, nil),
		func() error { return a.cut(cut{discard: true, skip: 100}) },
		appendDurably(93, nil),
	}
}

type steps func(a *actor, appendDurably func(int, *protocol.LabelSet) func() error) []func() error

// stubborn goes on after errors as a broker would: it tries once more, and gives up only
// if the journal has failed.
func stubborn(a *actor, life steps) error {
	appendDurably := func(size int, registers *protocol.LabelSet) func() error {
		return func() error {
			c, err := a.append(size, registers)
			if err != nil {
				return err
			}
			return a.durable(c)
		}
	}
	for i, step := range life(a, appendDurably) {
		err := step()
		if err != nil && a.j.Failed() == nil {
			err = step()
			if err != nil {
				return fmt.Errorf("step %d fails twice: %w", i, err)
			}
		}
		if a.j.Failed() != nil {
			failure := new(spool.FailedError)
			if !errors.As(a.j.Failed(), &failure) || failure.File == "" {
				return fmt.Errorf("failed without a file: %w", a.j.Failed())
			}
			break
		}
	}
	_ = a.j.Close()
	return nil
}

// oneFault fails the n-th operation, once.
type oneFault struct {
	mu      sync.Mutex
	n, seen int
	err     error
	failed  op
	done    bool
}

func (f *oneFault) hook(o op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	if f.done || f.seen != f.n {
		return nil
	}
	f.failed, f.done = o, true
	return f.err
}

// TestEveryOperationFailsOnce: whichever operation of a life fails, and even if a
// failed write leaves something behind, no acknowledged byte is lost by a crash
// thereafter, and the journal either works on or says that it failed.
func TestEveryOperationFailsOnce(t *testing.T) {
	for _, mode := range []spool.Mode{spool.Synced, spool.Replicated} {
		for _, torn := range []int{0, 20, 1 << 20} {
			if mode == spool.Replicated && torn < 1<<20 {
				continue // That differs from mode Synced in nothing.
			}
			for _, life := range []steps{lifeSteps, epochSteps} {
				n := 1
				for failsOnce(t, mode, torn, life, n) {
					n++
				}
				require.Greater(t, n, 50)
			}
		}
	}
}

// failsOnce lives a life whose n-th operation fails, and returns whether it had so many.
func failsOnce(t *testing.T, mode spool.Mode, torn int, life steps, n int) bool {
	t.Helper()
	fs := newHookFS(vfs.NewCrashableMem())
	fs.torn = torn
	j, err := openJournal(fs, mode, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	a.opening = 1
	fault := &oneFault{n: n, err: []error{syscall.EIO, syscall.ENOSPC}[n%2]}
	fs.setHook(fault.hook)
	err = stubborn(a, life)
	what := fmt.Sprintf("mode %v, operation %d %q fails, leaving %d bytes", mode, n, fault.failed, torn)
	require.NoError(t, err, what)
	fs.setHook(nil)
	percents := []int{0, 50, 100}
	if mode == spool.Replicated {
		percents = []int{100}
	}
	rng := newRand(uint64(n))
	for _, percent := range percents {
		require.NoError(t, recoverAndCheck(fs.crash(percent, rng), a.model, mode, 0), "%s, %d%% kept", what, percent)
	}
	if torn == 0 { // Which files are closed doesn't depend on it, and to wait for it is slow.
		a.j = nil
		requireFilesClosed(t, fs, what)
	}
	return fault.seen >= n
}

// requireFilesClosed waits for the files of dropped fragments, which are closed once
// nobody holds their content any more.
func requireFilesClosed(t *testing.T, fs *hookFS, what string) {
	t.Helper()
	require.Eventually(t, func() bool {
		if fs.openFiles() > 0 {
			runtime.GC()
		}
		return fs.openFiles() == 0
	}, time.Minute, time.Millisecond, what)
}

// TestRecoveryFailsOnce: a recovery in which one operation fails is tried again, and
// finds what there was.
func TestRecoveryFailsOnce(t *testing.T) {
	for n, failed := 1, true; failed; n++ {
		fs := newHookFS(vfs.NewCrashableMem())
		j, err := openJournal(fs, spool.Synced, 0)
		require.NoError(t, err)
		a := &actor{model: newModel(), j: j}
		a.opening = 1
		lifeWithoutClose(t, a)
		after := newHookFS(fs.crash(70, newRand(1)))
		fault := &oneFault{n: n, err: syscall.EIO}
		after.setHook(fault.hook)
		j, err = openJournal(after, spool.Synced, 1)
		after.setHook(nil)
		if err != nil {
			require.ErrorIs(t, err, syscall.EIO)
			requireFilesClosed(t, after, fmt.Sprintf("after %q failed", fault.failed))
		} else {
			require.NoError(t, a.check(j), "after %q failed", fault.failed)
		}
		failed = fault.seen >= n
		for _, percent := range []int{0, 100} {
			require.NoError(t, recoverAndCheck(after.crash(percent, newRand(1)), a.model, spool.Synced, 2),
				"%q failed, %d%% kept", fault.failed, percent)
		}
	}
}

// lifeWithoutClose leaves fragments of all kinds behind, and unsynced appends.
func lifeWithoutClose(t *testing.T, a *actor) {
	t.Helper()
	for i := range 4 {
		c, err := a.append(100+5000*i, protocol.MustLabelSet("author", strconv.Itoa(i)))
		require.NoError(t, err)
		require.NoError(t, a.durable(c))
		require.NoError(t, a.roll(0, protocol.CompressionCodec_NONE))
	}
	require.NoError(t, a.drop(1))
	c, err := a.append(500, nil)
	require.NoError(t, err)
	require.NoError(t, a.durable(c))
	_, err = a.append(700, nil)
	require.NoError(t, err)
}
