package recoverylog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/recoverylog/logtest"
	"broadsheet.dev/broadsheet/protocol"
)

// standby plays a log until it is told to end.
type standby struct {
	base   *vfs.MemFS
	player *Player
	done   chan struct{}

	recovered *Recovered
	err       error
}

func startStandby(t *testing.T, b Journals, hints *FSMHints) *standby {
	t.Helper()
	s := &standby{base: vfs.NewMem(), done: make(chan struct{})}
	var err error
	s.player, err = NewPlayer(PlayerConfig{Journals: b, Hints: hints, FS: s.base, Dir: testDir})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(s.done)
		s.recovered, s.err = s.player.Play(ctx)
	}()
	t.Cleanup(func() { stop(); <-s.done })
	return s
}

// TestHotStandby: it follows the log, takes it over where it is, and the one before is fenced.
func TestHotStandby(t *testing.T) {
	b := logtest.New()
	first := takeOver(t, b, begin(), 1)
	s := startStandby(t, b, begin())
	<-s.player.Tailing()
	writeFile(t, first.fs, testDir+"/a", "one")
	require.NoError(t, first.barrier())
	writeFile(t, first.fs, testDir+"/d/b", "")
	require.NoError(t, first.fs.Remove(testDir+"/a"))
	writeFile(t, first.fs, testDir+"/a", "two")
	require.NoError(t, first.barrier())
	require.NoError(t, s.player.InjectHandOff(2))
	require.Error(t, s.player.InjectHandOff(3), "it was told already")
	require.Error(t, s.player.FinishAtWriteHead())
	<-s.done
	require.NoError(t, s.err)
	require.Equal(t, uint32(2), s.recovered.Author)
	requireFiles(t, map[string]string{testDir + "/a": "two", testDir + "/d/b": ""}, s.base)
	_, err := s.base.Stat(testDir + "/.fnodes")
	require.Error(t, err)
	require.Equal(t, protocol.MustLabelSet("author", "2").String(), b.Journal(testLog).Registers.String())
	require.ErrorIs(t, first.barrier(), ErrFenced)
	_, err = s.player.Play(t.Context())
	require.Error(t, err, "it was played")
	stats := s.player.Stats()
	require.Equal(t, int64(0), stats.Rejected)
	require.Equal(t, int64(len(b.Journal(testLog).Content)), stats.Bytes)
}

// TestStandbyIsFinished: at the head that the log has when it is told to, and the author stays the author.
func TestStandbyIsFinished(t *testing.T) {
	b := logtest.New()
	first := takeOver(t, b, begin(), 1)
	s := startStandby(t, b, begin())
	<-s.player.Tailing()
	writeFile(t, first.fs, testDir+"/a", "one")
	require.NoError(t, first.barrier())
	require.NoError(t, s.player.FinishAtWriteHead())
	<-s.done
	require.NoError(t, s.err)
	require.Zero(t, s.recovered.Author)
	requireFiles(t, map[string]string{testDir + "/a": "one"}, s.base)
	require.NoError(t, first.barrier())
	_, err := NewRecorder(t.Context(), RecorderConfig{Recovered: s.recovered, Run: first.run, Dir: testDir})
	require.ErrorContains(t, err, "wasn't taken over")
}

// TestStandbyEndsWithItsContext, and leaves nothing.
func TestStandbyEndsWithItsContext(t *testing.T) {
	b := logtest.New()
	first := takeOver(t, b, begin(), 1)
	writeFile(t, first.fs, testDir+"/a", "one")
	require.NoError(t, first.barrier())
	base := vfs.NewMem()
	p, err := NewPlayer(PlayerConfig{Journals: b, Hints: begin(), FS: base, Dir: testDir})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-p.Tailing(); stop() }()
	_, err = p.Play(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, filesOf(t, base, testDir))
}

// TestTheRunningAuthorIsFirst: its operation takes the number of the hand-off, which is injected again.
func TestTheRunningAuthorIsFirst(t *testing.T) {
	b := logtest.New()
	first := takeOver(t, b, begin(), 1)
	raced := 0
	b.Before = func(p client.AppendParams, _ []byte) error {
		if p.Union != nil && raced < 1 {
			raced++
			writeFile(t, first.fs, testDir+"/raced", "in time")
			return first.barrier()
		}
		return nil
	}
	base, recovered, err := play(t, b, begin(), 2)
	require.NoError(t, err)
	require.Equal(t, 1, raced)
	require.Equal(t, uint32(2), recovered.Author)
	requireFiles(t, map[string]string{testDir + "/raced": "in time"}, base)
	b.Before = nil
	require.ErrorIs(t, first.barrier(), ErrFenced)
}

// TestTwoTakeOver: who is second reads the first one's hand-off, and is the author in the end.
func TestTwoTakeOver(t *testing.T) {
	b := logtest.New()
	first := takeOver(t, b, begin(), 1)
	writeFile(t, first.fs, testDir+"/a", "one")
	require.NoError(t, first.barrier())
	var other *host
	b.Before = func(p client.AppendParams, _ []byte) error {
		if p.Union != nil && p.Union.ValueOf("author") == "2" && other == nil {
			b.Before = nil
			other = takeOver(t, b, begin(), 3)
			writeFile(t, other.fs, testDir+"/b", "by three")
			require.NoError(t, other.barrier())
		}
		return nil
	}
	second := takeOver(t, b, begin(), 2)
	requireFiles(t, map[string]string{testDir + "/a": "one", testDir + "/b": "by three"}, second.base)
	require.ErrorIs(t, other.barrier(), ErrFenced)
	require.ErrorIs(t, first.barrier(), ErrFenced)
	require.NoError(t, second.barrier())
}

// TestLostRegistersFailClosed: with Gazette's rule any append passes when there are none. Neither who was fenced off commits then, nor
// the present author. A new one takes over, and has what was committed.
func TestLostRegistersFailClosed(t *testing.T) {
	b := logtest.New()
	first := takeOver(t, b, begin(), 1)
	writeFile(t, first.fs, testDir+"/a", "one")
	require.NoError(t, first.barrier())
	second := takeOver(t, b, begin(), 2)
	writeFile(t, second.fs, testDir+"/b", "two")
	require.NoError(t, second.barrier())

	b.SetRegisters(testLog, new(protocol.LabelSet))
	for _, h := range []*host{first, second} {
		_, err := h.fs.Create(testDir+"/lost", vfs.WriteCategoryUnspecified)
		require.NoError(t, err, "it isn't known yet")
		err = h.barrier()
		require.ErrorIs(t, err, ErrFenced)
		fenced, ok := errors.AsType[*FencedError](err)
		require.True(t, ok)
		require.True(t, fenced.Lost)
		require.Equal(t, testLog, fenced.Log)
	}
	b.SetRegisters(testLog, authorSet(2))
	for _, h := range []*host{first, second} { // for ever
		require.ErrorIs(t, h.barrier(), ErrFenced)
		require.ErrorIs(t, h.recorder.Err(), ErrFenced)
		_, err := h.fs.Create(testDir+"/late", vfs.WriteCategoryUnspecified)
		require.ErrorIs(t, err, ErrFenced)
		require.ErrorIs(t, h.fs.Remove(testDir+"/b"), ErrFenced)
		_, err = h.recorder.Hints(t.Context())
		require.ErrorIs(t, err, ErrFenced)
	}
	third := takeOver(t, b, begin(), 3)
	files := filesOf(t, third.base, testDir)
	require.Equal(t, "one", files[testDir+"/a"])
	require.Equal(t, "two", files[testDir+"/b"])
}

// operation that ends when it is told to.
type operation struct {
	done chan struct{}
	err  error
}

func (o *operation) Done() <-chan struct{} { return o.done }
func (o *operation) Err() error            { <-o.done; return o.err }

// TestBarrierWaitsForOthers: neither it nor what comes after gets into the log before, and not at all if they fail.
func TestBarrierWaitsForOthers(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint("fails ", fails), func(t *testing.T) {
			b := logtest.New()
			h := takeOver(t, b, begin(), 1)
			writeFile(t, h.fs, testDir+"/before", "x")
			require.NoError(t, h.barrier())
			before := b.Appends(testLog)
			o := &operation{done: make(chan struct{})}
			waiting := h.recorder.Barrier(o)
			writeFile(t, h.fs, testDir+"/after", "x")
			after := h.recorder.Barrier()
			require.Equal(t, before, b.Appends(testLog))
			select {
			case <-after.Done():
				t.Fatal("it didn't wait")
			default:
			}
			if fails {
				o.err = errInjected
			}
			close(o.done)
			for _, op := range []async.Operation{waiting, after} {
				require.Equal(t, fails, op.Err() != nil)
			}
			base, _, err := play(t, b, begin(), 0)
			require.NoError(t, err)
			_, err = base.Stat(testDir + "/after")
			require.Equal(t, fails, err != nil)
			require.Equal(t, fails, h.barrier() != nil)
		})
	}
}

// TestDataLoss: what hints promise and the log lacks is an error of its own, and nothing is left of what was played.
func TestDataLoss(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	writeFile(t, h.fs, testDir+"/a", strings.Repeat("a", 1000))
	require.NoError(t, h.barrier())
	early, err := h.recorder.Hints(t.Context())
	require.NoError(t, err)
	appends := b.Appends(testLog)
	writeFile(t, h.fs, testDir+"/b", "b")
	require.NoError(t, h.barrier())
	late, err := h.recorder.Hints(t.Context())
	require.NoError(t, err)
	whole := b.Appends(testLog)
	writeFile(t, h.fs, testDir+"/c", "c")
	require.NoError(t, h.barrier())
	head := int64(len(b.Journal(testLog).Content))

	gone := func(begin, end int64) *logtest.Brokers {
		c := b.Cut(testLog, b.Appends(testLog))
		c.Journal(testLog).Gone = [][2]int64{{begin, end}}
		return c
	}
	ends := b.Journal(testLog).Ends
	wrong := proto.CloneOf(late)
	wrong.LiveNodes[1].Segments[0].FirstChecksum++
	for name, c := range map[string]struct {
		in    *logtest.Brokers
		hints *FSMHints
		want  error
	}{
		"a shorter log":          {b.Cut(testLog, appends), late, ErrBeyondHead},
		"an empty log":           {logtest.New(), early, ErrBeyondHead},
		"a segment is gone":      {gone(ends[0], ends[appends-1]+1), early, ErrJump},
		"a write is gone":        {gone(ends[0]+100, ends[0]+200), early, ErrJump},
		"the begin is gone":      {gone(0, ends[appends-1]), begin(), ErrJump},
		"the end is gone":        {gone(ends[whole-1], head), late, ErrJump},
		"a segment of elsewhere": {b, wrong, ErrHintsUnused},
	} {
		t.Run(name, func(t *testing.T) {
			base, _, err := play(t, c.in, c.hints, 0)
			require.ErrorIs(t, err, ErrDataLoss)
			require.ErrorIs(t, err, c.want)
			require.Empty(t, filesOf(t, base, testDir))
			base, _, err = play(t, c.in, c.hints, 7)
			require.ErrorIs(t, err, ErrDataLoss)
			require.Empty(t, filesOf(t, base, testDir))
			require.NotEqual(t, "7", c.in.Journal(testLog).Registers.ValueOf("author"), "the log isn't taken over")
		})
	}
	// What is needed and can't be read fails, if only for now; what is between needn't be there, however short it is.
	lost := func(begin, end int64) *logtest.Brokers {
		c := b.Cut(testLog, b.Appends(testLog))
		c.Journal(testLog).Lost = [][2]int64{{begin, end}}
		return c
	}
	_, _, err = play(t, lost(ends[0], ends[1]), early, 0)
	require.ErrorIs(t, err, logtest.ErrLost)
	_, _, err = play(t, lost(head-1, head), late, 0)
	require.ErrorIs(t, err, logtest.ErrLost)
	require.NoError(t, h.fs.Remove(testDir+"/b"))
	require.NoError(t, h.barrier())
	without, err := h.recorder.Hints(t.Context())
	require.NoError(t, err)
	between := [2]int64{0, 0}
	for _, n := range without.GetLiveNodes() {
		s := n.GetSegments()
		if next := s[len(s)-1].GetLastOffset(); n.GetFnode() == without.GetLiveNodes()[0].GetFnode() {
			between[0] = next
		} else {
			between[1] = s[0].GetFirstOffset()
		}
	}
	require.Less(t, between[0], between[1])
	_, _, err = play(t, lost(between[0], between[1]), without, 0)
	require.NoError(t, err)
	// What is gone and nobody needs is no loss.
	for _, x := range []*FSMHints{early, late} {
		_, _, err = play(t, gone(0, ends[0]), x, 0)
		require.NoError(t, err)
	}
}

// TestAFailingDisk: whichever operation of the disk fails, so does the player, and nothing is left of what was played.
func TestAFailingDisk(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	for i := range 5 {
		writeFile(t, h.fs, fmt.Sprintf("%s/d%d/%d", testDir, i%2, i), strings.Repeat("x", i*100))
	}
	require.NoError(t, h.fs.Remove(testDir+"/d0/2"))
	writeFile(t, h.fs, testDir+"/id", "id")
	require.NoError(t, h.fs.Rename(testDir+"/id", testDir+identity))
	require.NoError(t, h.barrier())
	for n := 0; ; n++ {
		base := vfs.NewMem()
		done := 0
		failing := errorfs.Wrap(base, errorfs.InjectorFunc(func(errorfs.Op) error {
			if done++; done == n+1 {
				return errInjected
			}
			return nil
		}))
		p, err := NewPlayer(PlayerConfig{Journals: b, Hints: begin(), FS: failing, Dir: testDir})
		require.NoError(t, err)
		require.NoError(t, p.FinishAtWriteHead())
		_, err = p.Play(t.Context())
		if done <= n { // so many operations there aren't
			require.NoError(t, err)
			requireFiles(t, filesOf(t, h.base, testDir), base)
			require.Greater(t, n, 20)
			return
		}
		require.ErrorIs(t, err, errInjected)
		require.Empty(t, filesOf(t, base, testDir))
	}
}

// TestPlayerRefuses what it can't do, before it does anything.
func TestPlayerRefuses(t *testing.T) {
	b, base := logtest.New(), vfs.NewMem()
	for _, cfg := range []PlayerConfig{
		{Hints: begin(), FS: base, Dir: testDir},
		{Journals: b, FS: base, Dir: testDir},
		{Journals: b, Hints: begin(), Dir: testDir},
		{Journals: b, Hints: begin(), FS: base},
		{Journals: b, Hints: &FSMHints{Log: "a/log", LiveNodes: []*FnodeSegments{{Fnode: 1}}}, FS: base, Dir: testDir},
	} {
		_, err := NewPlayer(cfg)
		require.Error(t, err)
	}
	require.NoError(t, base.MkdirAll(testDir, 0o700))
	writeFile(t, base, testDir+"/mine", "precious")
	p, err := NewPlayer(PlayerConfig{Journals: b, Hints: begin(), FS: base, Dir: testDir})
	require.NoError(t, err)
	require.Error(t, p.InjectHandOff(0))
	require.NoError(t, p.FinishAtWriteHead())
	_, err = p.Play(t.Context())
	require.ErrorContains(t, err, "isn't empty: it has mine")
	requireFiles(t, map[string]string{testDir + "/mine": "precious"}, base)
}

// TestManyFilesAreOpenedInTurn: no more are open at once than may be, and each has its content.
func TestManyFilesAreOpenedInTurn(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	var open []vfs.File
	for i := range 2*maxStaged + 3 {
		f, err := h.fs.Create(fmt.Sprintf("%s/%d", testDir, i), vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		open = append(open, f)
	}
	for round := range 3 {
		for i, f := range open {
			_, err := fmt.Fprintf(f, "%d of %d;", round, i)
			require.NoError(t, err)
		}
	}
	require.NoError(t, h.barrier())
	counting := &countingFS{FS: vfs.NewMem()}
	p, err := NewPlayer(PlayerConfig{Journals: b, Hints: begin(), FS: counting, Dir: testDir})
	require.NoError(t, err)
	require.NoError(t, p.FinishAtWriteHead())
	_, err = p.Play(t.Context())
	require.NoError(t, err)
	requireFiles(t, filesOf(t, h.base, testDir), counting.FS)
	require.LessOrEqual(t, counting.most, maxStaged)
	require.Zero(t, counting.open)
}

type countingFS struct {
	vfs.FS

	open, most int
}

func (c *countingFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	c.open++
	c.most = max(c.most, c.open)
	f, err := c.FS.OpenReadWrite(name, category, opts...)
	return &countedFile{File: f, fs: c}, err
}

type countedFile struct {
	vfs.File

	fs *countingFS
}

func (c *countedFile) Close() error {
	c.fs.open--
	return c.File.Close()
}

// TestFork: a shard goes on in a new log, from hints of the old one, which is written to by its own shard meanwhile.
func TestFork(t *testing.T) {
	b := logtest.New()
	old := takeOver(t, b, begin(), 1)
	writeFile(t, old.fs, testDir+"/a", "one")
	hints, err := old.recorder.Hints(t.Context())
	require.NoError(t, err)
	writeFile(t, old.fs, testDir+"/b", "only in the old log")
	require.NoError(t, old.barrier())
	forkHints(hints, "recovery/forked")
	require.NoError(t, hints.Validate())

	forked := takeOver(t, b, hints, 2)
	requireFiles(t, map[string]string{testDir + "/a": "one"}, forked.base)
	require.NoError(t, old.barrier(), "the old log is its own shard's")
	writeFile(t, forked.fs, testDir+"/c", "in the new log")
	f, err := forked.fs.OpenReadWrite(testDir+"/a", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("ONE, and more"), 0)
	require.NoError(t, err)
	want := map[string]string{testDir + "/a": "ONE, and more", testDir + "/c": "in the new log"}
	later, err := forked.recorder.Hints(t.Context())
	require.NoError(t, err)
	for _, x := range []*FSMHints{hints, later} {
		base, _, err := play(t, b, x, 0)
		require.NoError(t, err)
		requireFiles(t, want, base)
	}
	again := takeOver(t, b, later, 3)
	requireFiles(t, want, again.base)
	require.ErrorIs(t, forked.barrier(), ErrFenced)
}

// TestGarbageIsSkipped: foreign bytes in a log, even half an operation at its end, are in nobody's way.
func TestGarbageIsSkipped(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	foreign := func(content []byte) {
		_, err := b.Append(t.Context(), client.AppendParams{Journal: testLog}, strings.NewReader(string(content)))
		require.NoError(t, err)
	}
	writeFile(t, h.fs, testDir+"/a", "one")
	require.NoError(t, h.barrier())
	foreign([]byte("garbage"))
	writeFile(t, h.fs, testDir+"/b", "two")
	require.NoError(t, h.barrier())
	whole := frameOf(t, &RecordedOp{SeqNo: 5, Author: 1, Write: &RecordedOp_Write{Fnode: 2, Length: 1 << 40}}, "x")
	for cut := 1; cut <= len(whole); cut += 3 {
		foreign(whole[:cut])
		base, _, err := play(t, b, begin(), 0)
		require.NoError(t, err)
		requireFiles(t, map[string]string{testDir + "/a": "one", testDir + "/b": "two"}, base)
	}
	next := takeOver(t, b, begin(), 2)
	writeFile(t, next.fs, testDir+"/c", "three")
	require.NoError(t, next.barrier())
	base, _, err := play(t, b, begin(), 0)
	require.NoError(t, err)
	requireFiles(t, map[string]string{testDir + "/a": "one", testDir + "/b": "two", testDir + "/c": "three"}, base)
}

// TestAppendsFail: a recorder whose append fails for another reason fails for ever too, and isn't said to be fenced.
func TestAppendsFail(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	b.Before = func(client.AppendParams, []byte) error { return errInjected }
	f, err := h.fs.Create(testDir+"/a", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	err = f.Sync()
	require.ErrorContains(t, err, "injected") // of this append, or of the one before
	require.NotErrorIs(t, err, ErrFenced)
	b.Before = nil
	_, err = io.WriteString(f, "x")
	require.Error(t, err)
	require.Error(t, f.SyncData())
	require.Error(t, h.barrier())
	require.Error(t, h.recorder.Err())
}
