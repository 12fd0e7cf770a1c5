package spool_test

import (
	"errors"
	"io"
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
			"bad body":   m.badBody,
			"durable":    m.wait,
			"roll":       m.rollSome,
			"drop":       m.dropSome,
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

// badBody is an append whose body ends or breaks before its end.
func (m *machine) badBody(t *rapid.T) {
	broken := errors.New("broken")
	b := m.bytes(rapid.IntRange(0, 5000).Draw(t, "present"))
	missing := rapid.Int64Range(1, 200000).Draw(t, "missing")
	var body io.Reader = strings.NewReader(string(b))
	want := io.ErrUnexpectedEOF
	if rapid.Bool().Draw(t, "breaks") {
		body, want = io.MultiReader(body, &brokenReader{broken}), broken
	}
	_, err := m.j.Append(body, int64(len(b))+missing, protocol.MustLabelSet("author", "nobody"))
	if m.j.Failed() == nil && !errors.Is(err, syscall.ENOSPC) {
		require.ErrorIs(t, err, want)
	}
	require.Error(t, err)
}

type brokenReader struct{ err error }

func (r *brokenReader) Read([]byte) (int, error) { return 0, r.err }

// mayFail is for errors: the disk has to be the reason.
func (m *machine) mayFail(t *rapid.T, err error) {
	require.ErrorIs(t, err, syscall.ENOSPC)
}

func (m *machine) wait(t *rapid.T) {
	if len(m.waiting) == 0 {
		t.Skip("nothing to wait for")
	}
	i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "commit")
	if err := m.durable(m.waiting[i]); err != nil {
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
	m.acked = max(m.acked, end)
	m.open(t)
	require.True(t, m.j.State().Recovery.Clean)
}

// fault lets one of the next operations fail.
func (m *machine) fault(t *rapid.T) {
	m.fs.torn = rapid.SampledFrom([]int{0, 10, 1 << 20}).Draw(t, "torn")
	f := &oneFault{n: rapid.IntRange(1, 12).Draw(t, "operation"), err: syscall.ENOSPC}
	m.fs.setHook(f.hook)
}

// compare what is readable now: everything up to the watermark, which is at least
// what was acknowledged.
func (m *machine) compare(t *rapid.T) {
	hook := m.fs.hook
	m.fs.setHook(nil)
	defer m.fs.setHook(hook)
	s := m.j.State()
	require.GreaterOrEqual(t, s.Watermark, m.acked)
	if m.j.Failed() == nil {
		require.Equal(t, m.last().end, s.End)
		require.True(t, protocol.LabelSetsEqual(m.last().registers, s.Registers))
	}
	for _, c := range m.j.Completed() {
		require.NoError(t, m.checkContent(c.Content, c.Begin, c.End))
	}
	open := m.j.Open()
	require.NoError(t, m.checkContent(open.Local, open.Begin, open.End))
	_, err := open.Local.ReadAt(make([]byte, 1), s.Watermark+1)
	require.ErrorIs(t, err, spool.ErrRange)
}
