package spool_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// machine is a journal, its model, and a disk that may fail.
type machine struct {
	actor
	fs      *hookFS
	boot    int
	waiting []*spool.Commit
}

// TestRandomLives does random things to a journal, with crashes and faults between
// them, and compares it with the model after each.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{actor: actor{model: newModel()}, fs: newHookFS(vfs.NewCrashableMem())}
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"append":     m.appendSome,
			"roll back":  m.writeAndRollBack,
			"durable":    m.wait,
			"roll":       m.rollSome,
			"drop":       m.dropSome,
			"align":      m.align,
			"cut":        m.cutSome,
			"crash":      m.crash,
			"close":      m.close,
			"disk fails": m.fault,
			"":           m.compare,
		})
	})
}

func (m *machine) open(t *rapid.T) {
	var err error
	m.j, err = openJournal(m.fs, spool.Synced, m.boot)
	require.NoError(t, err)
	m.model = m.resolved(m.j.State())
	require.NoError(t, m.check(m.j))
	m.settle(m.j.State())
	m.waiting = nil
}

func (m *machine) registers(t *rapid.T) *protocol.LabelSet {
	switch rapid.IntRange(0, 3).Draw(t, "registers") {
	case 0:
		return protocol.MustLabelSet("author", strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "author")))
	case 1:
		return protocol.MustLabelSet("author", "me", "note", strings.Repeat("n", rapid.IntRange(0, 900).Draw(t, "note")))
	default:
		return nil
	}
}

func (m *machine) appendSome(t *rapid.T) {
	size := rapid.OneOf(rapid.IntRange(1, 50), rapid.IntRange(3000, 9000), rapid.IntRange(131000, 132000)).Draw(t, "size")
	c, err := m.append(size, m.registers(t))
	if err != nil {
		m.mayFail(t, err)
		return
	}
	m.waiting = append(m.waiting, c)
}

// writeAndRollBack writes what isn't committed.
func (m *machine) writeAndRollBack(t *rapid.T) {
	for range rapid.IntRange(1, 3).Draw(t, "pieces") {
		if err := m.j.Write(m.bytes(rapid.IntRange(0, 200000).Draw(t, "size"))); err != nil {
			m.mayFail(t, err)
		}
	}
	if err := m.j.Rollback(); err != nil {
		m.mayFail(t, err)
	}
}

// mayFail is for errors: the disk has to be the reason.
func (m *machine) mayFail(t *rapid.T, err error) {
	require.ErrorIs(t, err, syscall.ENOSPC)
}

func (m *machine) wait(t *rapid.T) {
	if len(m.waiting) == 0 {
		t.Skip("nothing to wait for")
	}
	i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "commit")
	err := m.durable(m.waiting[i])
	if m.after != nil && errors.Is(err, spool.ErrCut) {
		return // The cut failed, but may have come that far.
	}
	if err != nil {
		m.mayFail(t, err)
	}
}

func (m *machine) rollSome(t *rapid.T) {
	skip := rapid.SampledFrom([]int64{0, 0, 0, 10, 5000}).Draw(t, "skip")
	codec := rapid.SampledFrom([]protocol.CompressionCodec{1, 2, 4}).Draw(t, "codec")
	if err := m.roll(skip, codec); err != nil {
		m.mayFail(t, err)
	}
}

// align to the next epoch, often with bytes that aren't committed, which are dropped.
func (m *machine) align(t *rapid.T) {
	c := cut{
		skip:    rapid.SampledFrom([]int64{0, 0, 0, 10, 5000}).Draw(t, "skip"),
		discard: rapid.IntRange(0, 5).Draw(t, "discard") == 0, registers: m.registers(t),
	}
	if rapid.Bool().Draw(t, "delta") {
		if err := m.j.Write(m.bytes(rapid.IntRange(1, 140000).Draw(t, "size"))); err != nil {
			m.mayFail(t, err)
		}
	}
	m.voidSome(t, c)
}

func (m *machine) cutSome(t *rapid.T) { m.voidSome(t, cut{sameEpoch: true}) }

// voidSome of the appends that aren't acknowledged.
func (m *machine) voidSome(t *rapid.T, c cut) {
	s := m.j.State()
	most := 0
	for i := len(m.points) - 2; i >= 0 && m.points[i].end >= s.Watermark && m.last().end == s.End; i-- {
		most++
	}
	c.void = rapid.IntRange(0, most).Draw(t, "void")
	keep := m.points[len(m.points)-1-c.void].end
	if c.discard {
		keep = s.Begin
	}
	if err := m.cut(c); err != nil {
		m.mayFail(t, err)
		return
	}
	// What was cut is never durable, though other bytes come to be there.
	waiting := m.waiting
	m.waiting = nil
	for _, w := range waiting {
		if w.End <= keep {
			m.waiting = append(m.waiting, w)
		} else {
			require.ErrorIs(t, w.Durable(context.Background()), spool.ErrCut)
		}
	}
}

func (m *machine) dropSome(t *rapid.T) {
	if len(m.j.Completed()) == 0 {
		t.Skip("nothing to drop")
	}
	if err := m.drop(rapid.IntRange(0, 5).Draw(t, "fragment")); err != nil {
		m.mayFail(t, err)
	}
}

// crash loses power, or only the process, and recovers.
func (m *machine) crash(t *rapid.T) {
	percent := rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "kept")
	seed := rapid.Uint64().Draw(t, "seed")
	m.boot++
	m.fs = newHookFS(m.fs.crash(percent, newRand(seed)))
	m.open(t)
}

func (m *machine) close(t *rapid.T) {
	m.fs.setHook(nil)
	if failed := m.j.Failed(); failed != nil {
		require.ErrorIs(t, m.j.Close(), failed)
		m.open(t)
		return
	}
	end := m.j.State().End
	require.NoError(t, m.j.Close())
	m.promised = max(m.promised, end)
	m.fixed = m.promised
	m.open(t)
	require.True(t, m.j.State().Recovery.Clean)
}

// fault lets one of the next operations fail.
func (m *machine) fault(t *rapid.T) {
	m.fs.torn = rapid.SampledFrom([]int{0, 10, 1 << 20}).Draw(t, "torn")
	f := &oneFault{n: rapid.IntRange(1, 12).Draw(t, "operation"), err: syscall.ENOSPC}
	m.fs.setHook(f.hook)
}

// compare what is readable now: everything up to the watermark.
func (m *machine) compare(t *rapid.T) {
	hook := m.fs.hook
	m.fs.setHook(nil)
	defer m.fs.setHook(hook)
	s := m.j.State()
	if m.after == nil {
		require.GreaterOrEqual(t, s.Durable, m.promised)
	}
	require.LessOrEqual(t, s.Watermark, s.Durable)
	now := m.model
	if a := m.after; a != nil && a.epoch == s.Epoch && a.begin == s.Begin {
		now = a // It happened, and then something failed.
	}
	if m.j.Failed() == nil {
		require.Equal(t, m.epoch, s.Epoch)
		require.Equal(t, m.last().end, s.End)
		require.True(t, protocol.LabelSetsEqual(m.last().registers, s.Registers))
	}
	for _, c := range m.j.Completed() {
		require.NoError(t, now.checkContent(c.Content, c.Begin, c.End))
	}
	open := m.j.Open()
	require.NoError(t, now.checkContent(open.Local, open.Begin, open.End))
	_, err := open.Local.ReadAt(make([]byte, 1), s.Watermark+1)
	require.ErrorIs(t, err, spool.ErrRange)
}
