package recoverylog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/protocol"
)

// fakeJournal is a journal in memory.
type fakeJournal struct {
	content   []byte
	ends      []int64 // of each append that has content
	registers *protocol.LabelSet
	gone      [][2]int64 // ranges that were deleted
	grown     chan struct{}
}

// fakeBrokers are journals in memory: of Journals and of async.Appender. As brokers do, they let anything pass where no registers are.
type fakeBrokers struct {
	mu       sync.Mutex
	journals map[string]*fakeJournal
	// before, if not nil, is called with each append, without the mutex. What it returns, the append fails with.
	before func(p client.AppendParams, content []byte) error
	twice  bool // appends that may be are made twice, as if the answer to the first was lost
}

func newFakeBrokers() *fakeBrokers { return &fakeBrokers{journals: make(map[string]*fakeJournal)} }

// journal of a name. The caller holds the mutex.
func (b *fakeBrokers) journal(name string) *fakeJournal {
	j := b.journals[name]
	if j == nil {
		j = &fakeJournal{registers: new(protocol.LabelSet), grown: make(chan struct{})}
		b.journals[name] = j
	}
	return j
}

func (b *fakeBrokers) Append(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	return b.AppendAtLeastOnce(ctx, p, body)
}

func (b *fakeBrokers) AppendAtLeastOnce(_ context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = io.ReadAll(body); err != nil {
			return nil, err
		}
	}
	if b.before != nil {
		if err := b.before(p, content); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	response, err := b.append(p, content)
	if err == nil && b.twice && len(content) != 0 {
		return b.append(p, content)
	}
	return response, err
}

func (b *fakeBrokers) append(p client.AppendParams, content []byte) (*protocol.AppendResponse, error) {
	j := b.journal(p.Journal)
	if p.Check != nil && len(j.registers.GetLabels()) != 0 && !p.Check.Matches(j.registers) {
		return nil, fmt.Errorf("append: %w", &protocol.StatusError{Status: protocol.Status_REGISTER_MISMATCH, Journal: p.Journal})
	}
	begin := int64(len(j.content))
	if len(content) != 0 {
		j.content = append(j.content, content...)
		j.ends = append(j.ends, int64(len(j.content)))
		if p.Union != nil {
			j.registers = protocol.UnionLabelSets(p.Union, j.registers)
		}
		close(j.grown)
		j.grown = make(chan struct{})
	}
	return &protocol.AppendResponse{
		Commit: &protocol.Fragment{Journal: p.Journal, Begin: begin, End: int64(len(j.content))}, Registers: j.registers,
	}, nil
}

func (b *fakeBrokers) AwaitBeyond(ctx context.Context, journal string, offset int64) (int64, error) {
	for {
		b.mu.Lock()
		j := b.journal(journal)
		head, grown := int64(len(j.content)), j.grown
		b.mu.Unlock()
		if head > offset {
			return head, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (b *fakeBrokers) ReadRange(_ context.Context, journal string, begin, end int64) io.ReadCloser {
	return &fakeReader{brokers: b, journal: journal, at: begin, end: end}
}

type fakeReader struct {
	brokers *fakeBrokers
	journal string
	at, end int64
}

func (r *fakeReader) Read(p []byte) (int, error) {
	r.brokers.mu.Lock()
	defer r.brokers.mu.Unlock()
	j := r.brokers.journal(r.journal)
	end := min(r.end, int64(len(j.content)))
	if r.at >= end {
		return 0, io.EOF
	}
	for _, g := range j.gone {
		if g[0] <= r.at && r.at < g[1] {
			return 0, fmt.Errorf("read: %w", &client.OffsetJumpError{Journal: r.journal, From: r.at, To: g[1]})
		}
		if r.at < g[0] {
			end = min(end, g[0])
		}
	}
	n := copy(p, j.content[r.at:end])
	r.at += int64(n)
	return n, nil
}

func (*fakeReader) Close() error { return nil }

// cut returns brokers that have a journal as it was after a number of appends to it, with its registers as they are now.
func (b *fakeBrokers) cut(journal string, appends int) *fakeBrokers {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := newFakeBrokers()
	j, k := b.journal(journal), out.journal(journal)
	k.ends, k.registers = slices.Clone(j.ends[:appends]), j.registers
	if appends != 0 {
		k.content = bytes.Clone(j.content[:j.ends[appends-1]])
	}
	return out
}

func (b *fakeBrokers) appends(journal string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.journal(journal).ends)
}

func (b *fakeBrokers) setRegisters(journal string, set *protocol.LabelSet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.journal(journal).registers = set
}

const testLog, testDir = "recovery/test-shard", "/store"

// host is a process that has taken over a log: its files, and what records them.
type host struct {
	base     *vfs.MemFS
	fs       vfs.FS
	recorder *Recorder
	service  *async.Service
	run      *async.Run
	ctx      context.Context
	stop     context.CancelFunc
}

type failing interface {
	require.TestingT
	Helper()
	Cleanup(func())
}

// play a log by hints to an empty directory.
func play(t failing, b Journals, hints *FSMHints, author uint32) (*vfs.MemFS, *Recovered, error) {
	t.Helper()
	base := vfs.NewMem()
	p, err := NewPlayer(PlayerConfig{Journals: b, Hints: hints, FS: base, Dir: testDir})
	require.NoError(t, err)
	if author == 0 {
		require.NoError(t, p.FinishAtWriteHead())
	} else {
		require.NoError(t, p.InjectHandOff(author))
	}
	recovered, err := p.Play(context.Background())
	return base, recovered, err
}

func (h *host) close() {
	h.stop()
	_ = h.service.Close()
}

// takeOver a log by hints.
func takeOver(t failing, b interface {
	Journals
	async.Appender
}, hints *FSMHints, author uint32,
) *host {
	t.Helper()
	h := new(host)
	h.ctx, h.stop = context.WithCancel(context.Background())
	base, recovered, err := play(t, b, hints, author)
	require.NoError(t, err)
	require.Equal(t, author, recovered.Author)
	h.base = base
	h.service, err = async.New(h.ctx, b, async.Config{})
	require.NoError(t, err)
	t.Cleanup(h.close)
	h.run = h.service.NewRun(async.AtLeastOnce)
	h.recorder, err = NewRecorder(h.ctx, RecorderConfig{Recovered: recovered, Run: h.run, Dir: testDir})
	require.NoError(t, err)
	h.fs = FS(h.recorder, h.base)
	return h
}

func (h *host) barrier() error { return h.recorder.Barrier().Err() }

// filesOf a directory, with their contents.
func filesOf(t require.TestingT, fs vfs.FS, dir string) map[string]string {
	out := make(map[string]string)
	var walk func(dir string)
	walk = func(dir string) {
		names, err := fs.List(dir)
		require.NoError(t, err)
		for _, name := range names {
			at := path.Join(dir, name)
			info, err := fs.Stat(at)
			require.NoError(t, err)
			if info.IsDir() {
				walk(at)
				continue
			}
			f, err := fs.Open(at)
			require.NoError(t, err)
			content, err := io.ReadAll(f)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			out[at] = string(content)
		}
	}
	if _, err := fs.Stat(dir); err != nil {
		return out
	}
	walk(dir)
	return out
}

// requireFiles that a file system has those of another, byte by byte.
func requireFiles(t require.TestingT, want map[string]string, fs vfs.FS) {
	got := filesOf(t, fs, testDir)
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	for name := range want {
		require.Equal(t, want[name], got[name], "content of %s", name)
	}
}

// writeFile of a content.
func writeFile(t require.TestingT, fs vfs.FS, name, content string) {
	require.NoError(t, fs.MkdirAll(path.Dir(name), 0o700))
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = io.WriteString(f, content)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

var errInjected = errors.New("injected")

// begin is a log's hints when there are none.
func begin() *FSMHints { return &FSMHints{Log: testLog} }
