package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// actor does things to a journal and to its model at once.
type actor struct {
	*model
	j *spool.Journal
	n byte // makes content distinct
	// dense content has two bits or more in each byte, so that none becomes zero by a
	// flip, which could not be told from a byte that was never written.
	dense bool
}

// bytes are the next size bytes to append, none of them zero.
func (a *actor) bytes(size int) []byte {
	a.n = a.n%250 + 1
	b := bytes.Repeat([]byte{a.n}, size)
	for i := range b {
		b[i] = byte(1 + (int(a.n)*31+i*7)%255)
		if a.dense {
			b[i] |= 0x60
		}
	}
	return b
}

// append, without waiting until it is durable.
func (a *actor) append(size int, registers *protocol.LabelSet) (*spool.Commit, error) {
	b := a.bytes(size)
	a.expect(b, registers)
	c, err := a.j.Append(bytes.NewReader(b), int64(size), registers)
	if err != nil {
		a.forgetUnlessFailed()
		return nil, err
	}
	if a.j.State().Watermark >= c.End {
		a.acked = max(a.acked, c.End)
	}
	return c, nil
}

// forgetUnlessFailed forgets an append that was refused. If the journal failed, it
// may come back after all.
func (a *actor) forgetUnlessFailed() {
	if a.j.Failed() == nil {
		a.forget()
	}
}

// durable waits for an append, and counts it as acknowledged.
func (a *actor) durable(c *spool.Commit) error {
	if err := c.Durable(context.Background()); err != nil {
		return err
	}
	a.acked = max(a.acked, c.End)
	return nil
}

func (a *actor) roll(skip int64, codec protocol.CompressionCodec) error {
	end := a.last().end
	a.expectSkip(end + skip)
	err := a.j.Roll(spool.RollOptions{Codec: codec, Begin: end + skip})
	if err == nil {
		a.acked = max(a.acked, a.last().end)
	} else if skip > 0 {
		a.forgetUnlessFailed()
	}
	return err
}

// drop the i-th completed fragment.
func (a *actor) drop(i int) error {
	c := a.j.Completed()
	if len(c) == 0 {
		return nil
	}
	f := c[i%len(c)].Fragment
	a.dropping = append(a.dropping, f)
	return a.j.Drop(f)
}

// script is a life of a journal, with everything that can happen to it.
func script(a *actor) error {
	must := func(c *spool.Commit, err error) *spool.Commit {
		if err != nil {
			panic(err)
		}
		return c
	}
	errs := []error{
		a.durable(must(a.append(10, protocol.MustLabelSet("author", "one")))),
		a.durable(must(a.append(5000, nil))),
		func() error { must(a.append(300, nil)); return nil }(),
		func() error { must(a.append(9000, protocol.MustLabelSet("author", "two"))); return nil }(),
		a.roll(0, protocol.CompressionCodec_GZIP),
		a.roll(0, protocol.CompressionCodec_SNAPPY),
		a.durable(must(a.append(20, nil))),
		func() error { must(a.append(64, protocol.MustLabelSet("author", "three", "fence", "9"))); return nil }(),
		a.roll(1000, protocol.CompressionCodec_NONE),
		a.roll(1000, protocol.CompressionCodec_NONE),
		a.durable(must(a.append(140000, nil))),
		a.roll(0, protocol.CompressionCodec_NONE),
		a.drop(1),
		a.durable(must(a.append(1, nil))),
		a.drop(0),
		func() error { must(a.append(7, nil)); return nil }(),
		a.drop(0),
		a.j.Close(),
	}
	return errors.Join(errs...)
}

// variant is a way to lose power.
type variant struct {
	name    string
	percent int
}

func variants() []variant {
	return []variant{{"nothing unsynced is kept", 0}, {"half of the unsynced is kept", 50}, {"most of the unsynced is kept", 90}, {"all is kept", 100}}
}

// recoverAndCheck opens the journal of a file system as a crash left it, compares it
// with the model, and goes on with it.
func recoverAndCheck(fs vfs.FS, m *model, mode spool.Mode, boot int) error {
	j, err := openJournal(fs, mode, boot)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if err := m.check(j); err != nil {
		return fmt.Errorf("recovered: %w", err)
	}
	a := &actor{model: m.clone(), j: j, n: 77}
	a.settle(j.State())
	c, err := a.append(33, protocol.MustLabelSet("author", "after"))
	if err != nil {
		return fmt.Errorf("append after recovery: %w", err)
	}
	if err := errors.Join(a.durable(c), a.roll(0, protocol.CompressionCodec_NONE), j.Close()); err != nil {
		return fmt.Errorf("go on after recovery: %w", err)
	}
	j, err = openJournal(fs, mode, boot)
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	if err := a.check(j); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	if !j.State().Recovery.Clean {
		return errors.New("opened again: not clean")
	}
	return j.Close()
}

func (m *model) clone() *model {
	c := *m
	c.stream = bytes.Clone(m.stream)
	c.points = append([]point(nil), m.points...)
	return &c
}

// crashEverywhere runs the script and loses power before each operation, in each way.
// It returns how often it lost power, and the first difference.
func crashEverywhere(t *testing.T, mode spool.Mode, prepare func(*hookFS)) (int, error) {
	t.Helper()
	fs := newHookFS(vfs.NewCrashableMem())
	prepare(fs)
	j, err := openJournal(fs, mode, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	a.epoch = 1
	var first error
	crashes := 0
	rng := newRand(7)
	var mu sync.Mutex // Data and log are synced in parallel.
	fs.setHook(func(o op) error {
		mu.Lock()
		defer mu.Unlock()
		if first != nil || !o.changes() {
			return nil
		}
		for _, v := range variants() {
			crashes++
			boot, m := 1, a.model
			switch {
			case v.percent == 100:
				boot = 0 // As if only the process died.
			case mode == spool.Replicated:
				// Less may be left than was acknowledged, but nothing that is wrong.
				m = m.clone()
				m.acked = 0
			}
			if err := recoverAndCheck(fs.crash(v.percent, rng), m, mode, boot); err != nil {
				first = fmt.Errorf("crash %d, before %q, %s: %w", crashes, o, v.name, err)
				return nil
			}
		}
		return nil
	})
	require.NoError(t, script(a))
	return crashes, first
}

// TestCrashAtEveryOperation: whatever the script was about to do when the power went,
// recovery gives a prefix of what was written, with all that was acknowledged.
func TestCrashAtEveryOperation(t *testing.T) {
	for _, mode := range []spool.Mode{spool.Synced, spool.Replicated} {
		crashes, err := crashEverywhere(t, mode, func(*hookFS) {})
		require.NoError(t, err, "mode %v", mode)
		require.Greater(t, crashes, 80)
	}
}

// TestCrashFindsMissingSync: with a disk that doesn't sync the same test must fail,
// or it would prove nothing.
func TestCrashFindsMissingSync(t *testing.T) {
	_, err := crashEverywhere(t, spool.Synced, func(fs *hookFS) {
		j, err := openJournal(fs, spool.Synced, 0)
		require.NoError(t, err)
		require.NoError(t, j.Close())
		fs.lying = true
	})
	require.Error(t, err)
}

// TestCrashDuringRecovery loses power again at every operation of a recovery.
func TestCrashDuringRecovery(t *testing.T) {
	fs := newHookFS(vfs.NewCrashableMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	a.epoch = 1
	rng := newRand(13)
	var mu sync.Mutex
	recoveries, crashes := 0, 0
	fs.setHook(func(o op) error {
		mu.Lock()
		defer mu.Unlock()
		if !o.changes() || t.Failed() {
			return nil
		}
		recoveries++
		again := newHookFS(fs.crash(60, rng))
		var inner sync.Mutex
		again.setHook(func(o op) error {
			inner.Lock()
			defer inner.Unlock()
			if !o.changes() {
				return nil
			}
			for _, percent := range []int{0, 50} {
				crashes++
				require.NoError(t, recoverAndCheck(again.crash(percent, rng), a.model, spool.Synced, 2),
					"crash %d, before %q of recovery %d", crashes, o, recoveries)
			}
			return nil
		})
		_, err := openJournal(again, spool.Synced, 1)
		require.NoError(t, err, "recovery %d", recoveries)
		return nil
	})
	require.NoError(t, script(a))
	require.Greater(t, recoveries, 60)
	require.Greater(t, crashes, 600)
}
