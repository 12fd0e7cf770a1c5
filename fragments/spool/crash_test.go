package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
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
	c, err := write(a.j, b, registers)
	if err != nil {
		a.forgetUnlessFailed()
		return nil, err
	}
	if a.j.State().Durable >= c.End {
		a.promised = max(a.promised, c.End)
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

// durable waits for an append, which is promised then, and acknowledges it.
func (a *actor) durable(c *spool.Commit) error {
	if err := c.Durable(context.Background()); err != nil {
		return err
	}
	a.promised = max(a.promised, c.End)
	return a.j.Acknowledge(c.End)
}

// durableAll waits for all appends.
func (a *actor) durableAll() error {
	c, err := a.j.Commit(nil)
	if err != nil {
		return err
	}
	return a.durable(c)
}

func (a *actor) roll(skip int64, codec protocol.CompressionCodec) error {
	if err := a.durableAll(); err != nil {
		return err
	}
	end := a.last().end
	a.expectSkip(end + skip)
	err := a.j.Roll(spool.RollOptions{Codec: codec, Begin: end + skip})
	if err == nil {
		a.promised = max(a.promised, a.last().end)
		a.fixed = a.promised
	} else if skip > 0 {
		a.forgetUnlessFailed()
	}
	return err
}

// cut is an alignment to the next epoch, or without one, which voids the last appends.
type cut struct {
	void      int // How many.
	skip      int64
	registers *protocol.LabelSet
	discard   bool
	sameEpoch bool
}

func (a *actor) cut(c cut) error {
	s := a.j.State()
	keep := a.points[len(a.points)-1-c.void].end
	if c.discard {
		keep = s.Begin
	}
	after := a.cutAt(keep, keep+c.skip)
	if c.discard {
		after.dropping = append(after.dropping, fragments.Fragment{End: after.begin})
	}
	if !c.sameEpoch {
		after.epoch++
	}
	if c.registers != nil {
		after.points[len(after.points)-1].registers = c.registers
	}
	if a.j.Failed() == nil {
		a.after = after
	}
	var err error
	if c.sameEpoch {
		err = a.j.Cut(keep)
	} else {
		err = a.j.Align(spool.Alignment{
			Epoch: after.epoch, Keep: keep, Start: after.begin, Registers: after.last().registers,
			Codec: protocol.CompressionCodec_SNAPPY, Discard: c.discard,
		})
	}
	switch {
	case err == nil:
		a.model = after
	case a.j.Failed() == nil:
		a.after = nil
		err = errors.Join(err, a.j.Rollback()) // A refused cut leaves the delta.
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
	if a.after != nil {
		a.after.dropping = append(a.after.dropping, f)
	}
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

// epochScript is a life with cluster epochs, each of which begins in another way.
func epochScript(a *actor) error {
	appends := func(sizes ...int) error {
		var errs []error
		for _, size := range sizes {
			_, err := a.append(size, protocol.MustLabelSet("author", strconv.Itoa(size)))
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return errors.Join(
		a.cut(cut{registers: protocol.MustLabelSet("author", "primary")}),
		appends(10), a.durableAll(), appends(20, 5000, 30),
		a.cut(cut{void: 2, registers: protocol.MustLabelSet("author", "other")}),
		appends(40, 41),
		a.cut(cut{void: 2}), // All of the fragment goes.
		appends(50), a.j.Write(a.bytes(9000)),
		a.cut(cut{skip: 1000}),
		appends(60, 61, 62),
		a.cut(cut{void: 1, sameEpoch: true}),
		appends(70), a.durableAll(), a.drop(1), appends(71),
		a.cut(cut{void: 1}),
		appends(80),
		a.cut(cut{void: 1, sameEpoch: true}), // All of the fragment goes.
		appends(90), a.roll(0, protocol.CompressionCodec_NONE), appends(91, 92),
		a.cut(cut{discard: true, skip: 500, registers: protocol.MustLabelSet("author", "store")}),
		appends(100), a.roll(0, protocol.CompressionCodec_NONE), appends(101),
		a.cut(cut{discard: true}),
		appends(110), a.durableAll(),
		a.j.Close(),
	)
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
	m = m.resolved(j.State())
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
	c.dropping = append([]fragments.Fragment(nil), m.dropping...)
	return &c
}

// crashEverywhere runs the script and loses power before each operation, in each way.
// It returns how often it lost power, and the first difference.
func crashEverywhere(t *testing.T, mode spool.Mode, life func(*actor) error, prepare func(*hookFS)) (int, error) {
	t.Helper()
	fs := newHookFS(vfs.NewCrashableMem())
	prepare(fs)
	j, err := openJournal(fs, mode, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	a.opening = 1
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
				m.promised = m.fixed
			}
			if err := recoverAndCheck(fs.crash(v.percent, rng), m, mode, boot); err != nil {
				first = fmt.Errorf("crash %d, before %q, %s: %w", crashes, o, v.name, err)
				return nil
			}
		}
		return nil
	})
	require.NoError(t, life(a))
	return crashes, first
}

// TestCrashAtEveryOperation: whatever the script was about to do when the power went,
// recovery gives a prefix of what was written, with all that was acknowledged.
func TestCrashAtEveryOperation(t *testing.T) {
	for _, mode := range []spool.Mode{spool.Synced, spool.Replicated} {
		for _, life := range []func(*actor) error{script, epochScript} {
			crashes, err := crashEverywhere(t, mode, life, func(*hookFS) {})
			require.NoError(t, err, "mode %v", mode)
			require.Greater(t, crashes, 80)
		}
	}
}

// TestCrashFindsMissingSync: with a disk that doesn't sync the same test must fail,
// or it would prove nothing.
func TestCrashFindsMissingSync(t *testing.T) {
	_, err := crashEverywhere(t, spool.Synced, script, func(fs *hookFS) {
		j, err := openJournal(fs, spool.Synced, 0)
		require.NoError(t, err)
		require.NoError(t, j.Close())
		fs.lying = true
	})
	require.Error(t, err)
}

// TestCrashDuringRecovery loses power again at every operation of a recovery.
func TestCrashDuringRecovery(t *testing.T) {
	for _, life := range []func(*actor) error{script, epochScript} {
		crashDuringRecovery(t, life)
	}
}

func crashDuringRecovery(t *testing.T, life func(*actor) error) {
	t.Helper()
	fs := newHookFS(vfs.NewCrashableMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	a.opening = 1
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
	require.NoError(t, life(a))
	require.Greater(t, recoveries, 60)
	require.Greater(t, crashes, 600)
}
