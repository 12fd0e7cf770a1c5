package spool_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// TestDisk goes through a life on the disk of the operating system, whose files can
// be truncated, unlike those in memory.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	open := func() *spool.Journal {
		d, err := spool.Open(context.Background(), spool.Config{Dir: filepath.Join(dir, "spools")})
		require.NoError(t, err)
		j, err := d.Journal(context.Background(), testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
		require.NoError(t, err)
		return j
	}
	file := func(pattern string) string {
		names, err := filepath.Glob(filepath.Join(dir, "spools", "*", pattern))
		require.NoError(t, err)
		require.Len(t, names, 1)
		return names[0]
	}
	size := func(pattern string) int64 {
		info, err := os.Stat(file(pattern))
		require.NoError(t, err)
		return info.Size()
	}
	j := open()
	a := &actor{model: newModel(), j: j}
	for range 20 {
		c, err := a.append(300, protocol.MustLabelSet("author", "me"))
		require.NoError(t, err)
		require.NoError(t, a.durable(c))
	}
	for range 10 {
		require.NoError(t, j.Write(bytes.Repeat([]byte("x"), 50000)))
	}
	require.Greater(t, size("*.data"), j.State().End)
	require.NoError(t, j.Rollback())
	require.Equal(t, j.State().End, size("*.data"))
	require.NoError(t, a.roll(0, protocol.CompressionCodec_NONE))
	_, err := a.append(100, nil)
	require.NoError(t, err)
	require.NoError(t, j.Close())

	// What a crash tears is cut off the files.
	logSize := size("0000000000001770.log")
	for _, name := range []string{file("0000000000001770.log"), file("0000000000001770.data")} {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		require.NoError(t, err)
		_, err = f.WriteString("torn")
		require.NoError(t, errors.Join(err, f.Close()))
	}
	j = open()
	a.j, a.opening = j, 1
	require.NoError(t, a.check(j))
	require.Equal(t, int64(8), j.State().Recovery.CutBytes)
	require.Equal(t, int64(100), size("0000000000001770.data"))
	require.Equal(t, logSize+64, size("0000000000001770.log"))
	require.NoError(t, a.drop(0))
	require.NoError(t, j.Close())
	size("*.data") // There is one only.
}

// TestCompletedFragmentsHoldNoFiles: however many wait to be stored, until they are read.
func TestCompletedFragmentsHoldNoFiles(t *testing.T) {
	fs := newHookFS(vfs.NewCrashableMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	before := fs.openFiles()
	for range 20 {
		_, err = a.append(100, nil)
		require.NoError(t, err)
		require.NoError(t, a.roll(0, protocol.CompressionCodec_NONE))
	}
	require.Equal(t, before, fs.openFiles())
	for _, c := range j.Completed() {
		require.NoError(t, a.checkContent(c.Content, c.Begin, c.End))
	}
	require.Equal(t, before+20, fs.openFiles())
	require.NoError(t, j.Close())
	require.Zero(t, fs.openFiles())
}

// TestDroppedContentIsClosed: a reader keeps the file of a dropped fragment open, and
// its end closes it.
func TestDroppedContentIsClosed(t *testing.T) {
	fs := newHookFS(vfs.NewCrashableMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	_, err = a.append(100, nil)
	require.NoError(t, err)
	require.NoError(t, a.roll(0, protocol.CompressionCodec_NONE))
	require.NoError(t, j.Close())
	j, err = openJournal(fs, spool.Synced, 0) // Now the file isn't open.
	require.NoError(t, err)
	a.j = j
	before := fs.openFiles()
	held := j.Completed()[0]
	require.NoError(t, a.drop(0))
	for range 3 {
		runtime.GC()
		require.NoError(t, a.checkContent(held.Content, held.Begin, held.End))
	}
	require.Equal(t, before+1, fs.openFiles())
	held.Content = nil
	require.NoError(t, j.Close())
	requireFilesClosed(t, fs, "nobody holds the content")
}

// TestReadsOfClosedJournal are refused, not wrong.
func TestReadsOfClosedJournal(t *testing.T) {
	fs := newHookFS(vfs.NewMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	_, err = a.append(100, nil)
	require.NoError(t, err)
	require.NoError(t, a.roll(0, protocol.CompressionCodec_NONE))
	done, open := j.Completed()[0], j.Open()
	late, err := a.append(1, nil)
	require.NoError(t, err)
	advanced := j.Advanced()
	require.NoError(t, j.Close())
	<-advanced
	require.Zero(t, fs.openFiles())
	require.NoError(t, late.Durable(context.Background()), "it was synced by closing")
	for _, c := range []fragments.Content{done.Content, open.Local} {
		_, err = c.ReadAt(make([]byte, 1), 100)
		if c == done.Content {
			_, err = c.ReadAt(make([]byte, 1), 0)
		}
		require.ErrorIs(t, err, spool.ErrClosed)
	}
	require.ErrorIs(t, j.Close(), spool.ErrClosed)
	require.ErrorIs(t, j.Drop(done.Fragment), spool.ErrClosed)
	require.ErrorIs(t, j.Roll(spool.RollOptions{Codec: protocol.CompressionCodec_NONE, Begin: 101}), spool.ErrClosed)
}

// TestLostDataFile: a file that shrinks below the watermark is an error to readers.
func TestLostDataFile(t *testing.T) {
	fs := newHookFS(vfs.NewMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	c, err := a.append(100, nil)
	require.NoError(t, err)
	require.NoError(t, a.durable(c))
	broken := errors.New("broken")
	fs.setHook(func(o op) error {
		if o.kind == "read" {
			return broken
		}
		return nil
	})
	_, err = j.Open().Local.ReadAt(make([]byte, 10), 0)
	require.ErrorIs(t, err, broken)
	require.NoError(t, j.Failed(), "that is for the reader")
}

// TestRefusedArguments are named, and change nothing.
func TestRefusedArguments(t *testing.T) {
	ctx := context.Background()
	_, err := spool.Open(ctx, spool.Config{})
	require.ErrorContains(t, err, "Dir")
	_, err = spool.Open(ctx, spool.Config{Dir: "x", Mode: 9})
	require.ErrorContains(t, err, "Mode")

	fs := newHookFS(vfs.NewMem())
	d, err := spool.Open(ctx, config(fs, spool.Synced, 0))
	require.NoError(t, err)
	none := protocol.CompressionCodec_NONE
	for want, fn := range map[string]func() error{
		"journal \"x\"": func() error {
			_, err := d.Journal(ctx, spool.ID{Journal: "x"}, spool.JournalOptions{Codec: none})
			return err
		},
		"FirstOffset": func() error {
			_, err := d.Journal(ctx, testID(), spool.JournalOptions{Codec: none, FirstOffset: -1})
			return err
		},
		"acct/orders.1": func() error { _, err := d.Journal(ctx, testID(), spool.JournalOptions{Codec: 77}); return err },
	} {
		require.ErrorContains(t, fn(), want)
	}
	require.Empty(t, d.Journals())

	j, err := d.Journal(ctx, testID(), spool.JournalOptions{Codec: none})
	require.NoError(t, err)
	before := j.State()
	huge := new(protocol.LabelSet)
	for i := range 1200 {
		huge.AddValue(fmt.Sprintf("label-%05d", i), strings.Repeat("v", 1000))
	}
	_, err = write(j, []byte("x"), huge)
	require.ErrorContains(t, err, "registers take")
	require.ErrorContains(t, j.Roll(spool.RollOptions{Codec: none, Begin: -5}), "-5")
	require.Error(t, j.Roll(spool.RollOptions{Codec: 77}))
	require.Error(t, j.Drop(fragments.Fragment{Begin: 5, End: 9}))
	require.NoError(t, j.Failed())
	require.Equal(t, before, j.State())
	_, err = write(j, []byte("x"), protocol.MustLabelSet("author", "me"))
	require.NoError(t, err)
}

// TestRefusedCuts name both offsets, and change nothing, not even the delta.
func TestRefusedCuts(t *testing.T) {
	fs := newHookFS(vfs.NewMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	none := protocol.CompressionCodec_NONE
	require.NoError(t, j.Align(spool.Alignment{Epoch: 7, Codec: none}))
	require.NoError(t, appendBytes(t, j, "completed").Durable(t.Context()))
	require.ErrorIs(t, j.Roll(spool.RollOptions{Codec: none, Begin: 9}), spool.ErrUnacknowledged)
	require.NoError(t, j.Acknowledge(9))
	require.NoError(t, j.Roll(spool.RollOptions{Codec: none, Begin: 9}))
	require.NoError(t, appendBytes(t, j, "acked").Durable(t.Context()))
	require.NoError(t, j.Acknowledge(14))
	appendBytes(t, j, "whole")
	require.Error(t, j.Acknowledge(19), "it isn't durable")
	require.NoError(t, j.Write([]byte("delta")))
	before := j.State()
	for _, c := range []struct {
		a     spool.Alignment
		is    error
		names string
	}{
		{spool.Alignment{Epoch: 7, Keep: 19, Start: 19, Codec: none}, nil, "epoch 7"},
		{spool.Alignment{Epoch: 8, Keep: 19, Start: 19, Codec: 77}, nil, "77"},
		{spool.Alignment{Epoch: 8, Keep: 8, Start: 19, Codec: none}, spool.ErrCutBelowCompleted, "keep 8: the cut is below the open fragment, which begins at offset 9"},
		{spool.Alignment{Epoch: 8, Keep: 9, Start: 19, Codec: none}, spool.ErrCutBelowWatermark, "keep 9: the cut is below the watermark 14"},
		{spool.Alignment{Epoch: 8, Keep: 16, Start: 19, Codec: none}, spool.ErrCutInside, "16"},
		{spool.Alignment{Epoch: 8, Keep: 19, Start: 18, Codec: none}, nil, "start 18 is below offset 19"},
		{spool.Alignment{Epoch: 8, Start: 8, Codec: none, Discard: true}, nil, "start 8 is below offset 9"},
	} {
		err := j.Align(c.a)
		require.ErrorContains(t, err, c.names)
		if c.is != nil {
			require.ErrorIs(t, err, c.is)
			require.ErrorIs(t, j.Cut(c.a.Keep), c.is)
		}
	}
	require.NoError(t, j.Failed())
	require.Equal(t, before, j.State())
	require.Equal(t, int64(5), j.Delta())
	require.NoError(t, j.Align(spool.Alignment{Epoch: 8, Keep: 14, Start: 14, Codec: none}))
	require.Zero(t, j.Delta())
	require.NoError(t, j.Close())
}

// TestFormat1: what a program of the first format version left is found, and goes on.
func TestFormat1(t *testing.T) {
	text, err := os.ReadFile("testdata/format-1")
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "spools")
	for file := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(string(text)), "\n  ", " "), "\n") {
		name, content, _ := strings.Cut(file, " ")
		b, err := hex.DecodeString(strings.ReplaceAll(content, " ", ""))
		require.NoError(t, err)
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, b, 0o600))
	}
	for opening := range int64(2) {
		for _, c := range []struct {
			mode spool.Mode
			id   spool.ID
			end  int64
			text string
			set  *protocol.LabelSet
		}{
			{spool.Synced, spool.ID{Journal: "acct/orders", CreateRevision: 42}, 123, "after the gap, reopened", protocol.MustLabelSet("author", "two")},
			{spool.Replicated, spool.ID{Journal: "acct/replicated", CreateRevision: 43}, 17, "closed and killed", protocol.MustLabelSet("fence", "9")},
		} {
			d, err := spool.Open(t.Context(), spool.Config{Dir: dir, Mode: c.mode, BootID: strings.Repeat("ab", 16)})
			require.NoError(t, err)
			require.Len(t, d.Journals(), 2)
			j, err := d.Journal(t.Context(), c.id, spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
			require.NoError(t, err)
			s := j.State()
			require.Equal(t, opening, s.Epoch)
			require.Equal(t, 3+opening, s.Opening)
			require.False(t, s.Recovery.Suspect)
			require.Equal(t, c.end, s.End)
			require.True(t, protocol.LabelSetsEqual(c.set, s.Registers))
			if opening == 0 {
				require.NoError(t, j.Acknowledge(s.End))
				got := make([]byte, s.End-s.Begin)
				_, err = j.Open().Local.ReadAt(got, s.Begin)
				require.NoError(t, err)
				require.Equal(t, c.text, string(got))
				require.NoError(t, j.Align(spool.Alignment{Epoch: 1, Keep: s.End, Start: s.End, Codec: s.Codec}))
			}
			last := j.Completed()[len(j.Completed())-1]
			require.Equal(t, c.end, last.End)
			require.Equal(t, sha1.Sum([]byte(c.text)), last.Sum)
			require.NoError(t, j.Close())
		}
		format, err := os.ReadFile(filepath.Join(dir, "FORMAT"))
		require.NoError(t, err)
		require.Equal(t, "broadsheet spools, format 2\n", string(format))
	}
}

// TestCancelledRecovery ends at once, and leaves all as it was.
func TestCancelledRecovery(t *testing.T) {
	fs := newHookFS(vfs.NewMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	_, err = a.append(100, nil)
	require.NoError(t, err)
	require.NoError(t, j.Close())

	gone := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(gone)
	d, err := spool.Open(context.Background(), config(fs, spool.Synced, 0))
	require.NoError(t, err)
	_, err = d.Journal(ctx, testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
	require.ErrorIs(t, err, gone)
	require.Zero(t, fs.openFiles())
	require.Len(t, d.Journals(), 1)
	j, err = d.Journal(context.Background(), testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
	require.NoError(t, err)
	require.NoError(t, a.check(j))
}

// TestNamesDontCollide: names that look alike in a file system are other directories.
func TestNamesDontCollide(t *testing.T) {
	long := strings.Repeat("long/", 100)
	names := []string{"some/name", "some/Name", "some_name", "some.name", "some/name/more", long + "one", long + "two", "ümlaut/x"}
	fs := newHookFS(vfs.NewMem())
	d, err := spool.Open(context.Background(), config(fs, spool.Synced, 0))
	require.NoError(t, err)
	count := 0
	for _, name := range names {
		for revision := range int64(2) {
			j, err := d.Journal(context.Background(), spool.ID{Journal: name, CreateRevision: revision}, spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
			if protocol.ValidateJournalName(name) != nil {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			_, err = write(j, []byte(name), nil)
			require.NoError(t, err)
			require.NoError(t, j.Close())
			count++
		}
	}
	d, err = spool.Open(context.Background(), config(fs, spool.Synced, 0))
	require.NoError(t, err)
	require.Len(t, d.Journals(), count)
	for _, id := range d.Journals() {
		j, err := d.Journal(context.Background(), id, spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
		require.NoError(t, err)
		require.NoError(t, j.Acknowledge(j.State().End))
		got := make([]byte, j.State().End)
		_, err = j.Open().Local.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, id.Journal, string(got))
	}
	names, err = fs.List(spoolDir)
	require.NoError(t, err)
	for _, name := range names {
		require.Less(t, len(name), 128)
	}
}

// TestDiscardIsWhole: whenever the power goes, the journal is there or it is gone.
func TestDiscardIsWhole(t *testing.T) {
	fs := newHookFS(vfs.NewCrashableMem())
	j, err := openJournal(fs, spool.Synced, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j}
	for range 3 {
		_, err = a.append(100, nil)
		require.NoError(t, err)
		require.NoError(t, a.roll(0, protocol.CompressionCodec_NONE))
	}
	require.NoError(t, j.Close())
	d, err := spool.Open(context.Background(), config(fs, spool.Synced, 0))
	require.NoError(t, err)
	there, gone := 0, 0
	check := func() {
		for _, v := range variants() {
			mem := fs.crash(v.percent, newRand(1))
			d, err := spool.Open(context.Background(), config(mem, spool.Synced, 0))
			require.NoError(t, err)
			if len(d.Journals()) == 0 {
				gone++
				names, err := mem.List(spoolDir)
				require.NoError(t, err)
				require.Len(t, names, 2)
				continue
			}
			there++
			j, err := d.Journal(context.Background(), testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
			require.NoError(t, err)
			require.NoError(t, (&actor{model: a.clone(), j: j}).check(j))
		}
	}
	fs.setHook(func(op) error { check(); return nil })
	require.NoError(t, d.Discard(testID()))
	fs.setHook(nil)
	check()
	require.Positive(t, there)
	require.Positive(t, gone)
}

// TestMetrics counts what happened.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := config(vfs.NewMem(), spool.Synced, 0)
	c.Registerer = reg
	d, err := spool.Open(context.Background(), c)
	require.NoError(t, err)
	j, err := d.Journal(context.Background(), testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
	require.NoError(t, err)
	for range 3 {
		appendBytes(t, j, "hello")
	}
	require.NoError(t, j.Write([]byte("undone!")))
	require.NoError(t, j.Rollback())
	require.NoError(t, appendBytes(t, j, "").Durable(context.Background()))
	require.NoError(t, j.Acknowledge(15))
	require.NoError(t, j.Roll(spool.RollOptions{Codec: protocol.CompressionCodec_NONE, Begin: 15}))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP gazette_spool_commit_bytes_total Bytes of appends written to a spool.
# TYPE gazette_spool_commit_bytes_total counter
gazette_spool_commit_bytes_total 15
# HELP gazette_spool_commits_total Appends written to a spool.
# TYPE gazette_spool_commits_total counter
gazette_spool_commits_total 3
# HELP gazette_spool_completed_total Fragments that were completed.
# TYPE gazette_spool_completed_total counter
gazette_spool_completed_total 1
# HELP gazette_spool_rollback_bytes_total Bytes of appends that were taken back.
# TYPE gazette_spool_rollback_bytes_total counter
gazette_spool_rollback_bytes_total 7
# HELP gazette_spool_rollbacks_total Appends that failed and were taken back.
# TYPE gazette_spool_rollbacks_total counter
gazette_spool_rollbacks_total 1
`), "gazette_spool_commits_total", "gazette_spool_commit_bytes_total", "gazette_spool_rollbacks_total",
		"gazette_spool_rollback_bytes_total", "gazette_spool_completed_total"))
	count, err := testutil.GatherAndCount(reg, "broadsheet_spool_sync_seconds")
	require.NoError(t, err)
	require.Equal(t, 1, count)
	_, err = spool.Open(context.Background(), c)
	require.Error(t, err, "the metrics are registered already")
}

// TestIdleJournalIsSmall: beside its files a journal costs less than 2 KiB.
func TestIdleJournalIsSmall(t *testing.T) {
	const journals = 400
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // The first leaves what sync.Pools hold.
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	d, err := spool.Open(context.Background(), spool.Config{FS: emptyFS{vfs.NewMem(), emptyFile{vfs.NewMemFile(nil)}}, Dir: spoolDir})
	require.NoError(t, err)
	before := heap()
	held := make([]*spool.Journal, journals)
	for i := range held {
		held[i], err = d.Journal(context.Background(), spool.ID{Journal: fmt.Sprintf("journal/%d", i)}, spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
		require.NoError(t, err)
		_, err = write(held[i], []byte("hello"), protocol.MustLabelSet("author", "me"))
		require.NoError(t, err)
	}
	each := (heap() - before) / journals
	runtime.KeepAlive(held)
	require.Less(t, each, int64(2048))
}

// emptyFS is a file system whose files hold nothing.
type emptyFS struct {
	*vfs.MemFS
	file emptyFile
}

type emptyFile struct{ vfs.File }

func (f emptyFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (f emptyFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	if strings.HasPrefix(f.PathBase(f.PathDir(name)), "journal") {
		return f.file, nil
	}
	return f.MemFS.OpenReadWrite(name, c)
}

func (f emptyFS) Rename(from, to string) error {
	if strings.HasSuffix(to, ".log") {
		return nil
	}
	return f.MemFS.Rename(from, to)
}
