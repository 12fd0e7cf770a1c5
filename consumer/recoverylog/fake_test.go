package recoverylog

import (
	"context"
	"errors"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client/async"
)

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
