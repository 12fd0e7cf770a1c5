package recoverylog

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/consumer/recoverylog/logtest"
	"broadsheet.dev/broadsheet/protocol"
)

// modelFS draws operations on files, and does them.
type modelFS struct {
	fs   vfs.FS
	open []vfs.File
	// anywhere are those of open that may be written anywhere.
	anywhere map[vfs.File]bool
}

var modelPaths = []string{"a", "b", "c", "d/e", "d/f", "d/g/h"}

func drawPath(t *rapid.T) string {
	return testDir + "/" + rapid.SampledFrom(modelPaths).Draw(t, "path")
}

// step does one operation. What the file system refuses changes nothing.
func (m *modelFS) step(t *rapid.T) {
	switch rapid.SampledFrom([]string{"create", "open", "write", "write", "write", "write at", "link", "rename", "remove", "reuse", "property", "remove all"}).Draw(t, "do") {
	case "create":
		f, err := m.fs.Create(drawPath(t), vfs.WriteCategoryUnspecified)
		m.keep(f, err, false)
	case "open":
		f, err := m.fs.OpenReadWrite(drawPath(t), vfs.WriteCategoryUnspecified)
		m.keep(f, err, true)
	case "write":
		if len(m.open) != 0 {
			content := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "content")
			_, err := rapid.SampledFrom(m.open).Draw(t, "file").Write(content)
			require.True(t, err == nil || errors.Is(err, ErrNotRecordable), "%v", err) // a property is written once
		}
	case "write at":
		if len(m.open) != 0 {
			f := rapid.SampledFrom(m.open).Draw(t, "file")
			_, err := f.WriteAt([]byte(rapid.StringN(1, 8, -1).Draw(t, "content")), rapid.Int64Range(0, 60).Draw(t, "offset"))
			require.True(t, m.anywhere[f] && err == nil || errors.Is(err, ErrNotRecordable), "%v", err)
		}
	case "link":
		_ = m.fs.Link(drawPath(t), drawPath(t))
	case "rename":
		_ = m.fs.Rename(drawPath(t), drawPath(t))
	case "remove":
		_ = m.fs.Remove(drawPath(t))
	case "remove all":
		if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
			require.NoError(t, m.fs.RemoveAll(testDir+"/d"))
			require.NoError(t, m.fs.MkdirAll(testDir+"/d/g", 0o700))
		}
	case "reuse":
		from, to := drawPath(t), drawPath(t)
		if from != to {
			f, err := m.fs.ReuseForWrite(from, to, vfs.WriteCategoryUnspecified)
			m.keep(f, err, false)
		}
	case "property":
		_ = m.fs.Rename(drawPath(t), testDir+identity)
	}
}

func (m *modelFS) keep(f vfs.File, err error, anywhere bool) {
	if err == nil {
		m.open = append(m.open, f)
		m.anywhere[f] = anywhere
	}
}

// modelOf a host. Directories aren't in the log, and are there when a store is opened.
func modelOf(t require.TestingT, h *host) *modelFS {
	require.NoError(t, h.fs.MkdirAll(testDir+"/d/g", 0o700))
	return &modelFS{fs: h.fs, anywhere: make(map[vfs.File]bool)}
}

// TestModel: what is done to files is recorded, by one host after another. Wherever the log is cut between two appends, what is played is
// what the files were then, by hints of any time before. What hosts append that were taken over is refused. Copies
// of appends change nothing. Fragments that no hints need can go.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := logtest.New()
		b.Twice = rapid.Bool().Draw(t, "appends are made twice")
		type moment struct {
			appends int
			files   map[string]string
		}
		type made struct {
			appends int
			hints   *FSMHints
		}
		var (
			moments []moment
			hints   = []made{{0, begin()}}
			zombies []*host
		)
		for author := range uint32(rapid.IntRange(1, 3).Draw(t, "hosts")) {
			by := rapid.SampledFrom(hints).Draw(t, "hints to take over by")
			h := takeOver(t, b, by.hints, author+1)
			if len(moments) != 0 {
				requireFiles(t, moments[len(moments)-1].files, h.base)
			}
			for _, z := range zombies {
				_ = z.fs.MkdirAll(testDir, 0o700)
				_, err := z.fs.Create(testDir+"/zombie", vfs.WriteCategoryUnspecified)
				if err == nil {
					err = z.barrier()
				}
				require.ErrorIs(t, err, ErrFenced)
				require.ErrorIs(t, z.barrier(), ErrFenced)
			}
			m := modelOf(t, h)
			for range rapid.IntRange(0, 25).Draw(t, "operations") {
				m.step(t)
				if rapid.Bool().Draw(t, "wait") {
					require.NoError(t, h.barrier())
					moments = append(moments, moment{b.Appends(testLog), filesOf(t, h.base, testDir)})
				}
				if rapid.IntRange(0, 5).Draw(t, "hints") == 0 {
					x, err := h.recorder.Hints(h.ctx)
					require.NoError(t, err)
					require.NoError(t, x.Validate())
					hints = append(hints, made{b.Appends(testLog), x})
				}
			}
			require.NoError(t, h.barrier())
			moments = append(moments, moment{b.Appends(testLog), filesOf(t, h.base, testDir)})
			zombies = append(zombies, h)
		}
		for range 3 {
			at := rapid.SampledFrom(moments).Draw(t, "moment")
			by := rapid.SampledFrom(hints).Draw(t, "hints")
			if by.appends > at.appends {
				continue
			}
			base, recovered, err := play(t, b.Cut(testLog, at.appends), by.hints, 0)
			require.NoError(t, err)
			requireFiles(t, at.files, base)
			require.NoError(t, recovered.FSM.BuildHints().Validate())
		}
		// What no hints need is gone: those that are retained lead to the same files.
		retained := rapid.SliceOfN(rapid.SampledFrom(hints), 1, 3).Draw(t, "retained")
		var all []*FSMHints
		for _, r := range retained {
			all = append(all, r.hints)
		}
		prune(t, b, all)
		for _, x := range all {
			base, _, err := play(t, b, x, 0)
			require.NoError(t, err)
			requireFiles(t, moments[len(moments)-1].files, base)
		}
	})
}

// prune what no hints need: fragments are of a few appends each.
func prune(t *rapid.T, b *logtest.Brokers, all []*FSMHints) {
	needs, err := NeedsOf(testLog, all)
	require.NoError(t, err)
	var list []*protocol.Fragment
	last := int64(0)
	for _, end := range b.Journal(testLog).Ends {
		if rapid.Bool().Draw(t, "fragment ends") {
			list = append(list, &protocol.Fragment{Journal: testLog, Begin: last, End: end})
			last = end
		}
	}
	for _, f := range needs.Prunable(list) {
		b.Journal(testLog).Gone = append(b.Journal(testLog).Gone, [2]int64{f.GetBegin(), f.GetEnd()})
	}
}

// TestPruneRules: which fragments hints need, each rule by itself.
func TestPruneRules(t *testing.T) {
	segment := func(first, begin, last, end int64, log string) *Segment {
		return &Segment{Author: 1, FirstSeqNo: first, FirstOffset: begin, FirstChecksum: uint32(first - 1), LastSeqNo: last, LastOffset: end, Log: log}
	}
	hints := func(segments ...*Segment) *FSMHints {
		return &FSMHints{Log: testLog, LiveNodes: []*FnodeSegments{{Fnode: segments[0].GetFirstSeqNo(), Segments: segments}}}
	}
	two := hints(segment(1, 100, 2, 200, ""), &Segment{Author: 2, FirstSeqNo: 9, FirstOffset: 500, FirstChecksum: 3, LastSeqNo: 9, LastOffset: 510})
	forked := hints(segment(1, 100, 2, 200, testLog))
	forked.Log = "recovery/forked"
	for _, c := range []struct {
		name string
		log  string
		all  []*FSMHints
		want string // of the fragments [0,100), [100,200) ... [500,600) and [600,700): those that are needed
	}{
		{"segments, and the last goes on", testLog, []*FSMHints{two}, "100 500 600"},
		{"a segment whose end isn't known goes on", testLog, []*FSMHints{hints(segment(1, 300, 2, 0, ""), &Segment{Author: 2, FirstSeqNo: 9, FirstOffset: 500, FirstChecksum: 3, LastSeqNo: 9})}, "300 400 500 600"},
		{"hints without files need all", testLog, []*FSMHints{two, begin()}, "0 100 200 300 400 500 600"},
		{"all hints count", testLog, []*FSMHints{two, hints(segment(4, 250, 5, 260, ""))}, "100 200 300 400 500 600"},
		{"a fork needs its segments of the old log", testLog, []*FSMHints{forked}, "100"},
		{"a fork needs all of the new log", "recovery/forked", []*FSMHints{forked}, "0 100 200 300 400 500 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needs, err := NeedsOf(c.log, c.all)
			require.NoError(t, err)
			var got []string
			for begin := int64(0); begin < 700; begin += 100 {
				f := &protocol.Fragment{Journal: c.log, Begin: begin, End: begin + 100}
				if needs.Need(f) {
					got = append(got, strconv.FormatInt(begin, 10))
				}
				require.Equal(t, needs.Need(f), len(needs.Prunable([]*protocol.Fragment{f})) == 0)
			}
			require.Equal(t, c.want, strings.Join(got, " "))
			require.True(t, needs.Need(&protocol.Fragment{Journal: "another/journal", End: 50}))
		})
	}
	for _, all := range [][]*FSMHints{nil, {two, nil}} {
		_, err := NeedsOf(testLog, all)
		require.ErrorIs(t, err, ErrHintsMissing)
	}
	_, err := NeedsOf(testLog, []*FSMHints{{}})
	require.Error(t, err)
}

// TestRefusedByName: what a log has no operation for is refused, and says what it is.
func TestRefusedByName(t *testing.T) {
	h := takeOver(t, logtest.New(), begin(), 1)
	writeFile(t, h.fs, testDir+"/file", "x")
	writeFile(t, h.fs, testDir+"/other", "x")
	writeFile(t, h.base, testDir+"/stray", "not recorded")
	require.NoError(t, h.fs.MkdirAll(testDir+"/dir", 0o700))
	lock, err := h.fs.Lock(testDir + "/LOCK")
	require.NoError(t, err)
	defer lock.Close()
	f, err := h.fs.Create(testDir+"/open", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	before := recorded(h)
	file := func(f vfs.File, err error) error { return err }
	for name, err := range map[string]error{
		"create elsewhere":    file(h.fs.Create("/elsewhere/file", vfs.WriteCategoryUnspecified)),
		"create staged":       file(h.fs.Create(testDir+"/.fnodes/3", vfs.WriteCategoryUnspecified)),
		"create the root":     file(h.fs.Create(testDir, vfs.WriteCategoryUnspecified)),
		"create a property":   file(h.fs.Create(testDir+identity, vfs.WriteCategoryUnspecified)),
		"open a property":     file(h.fs.OpenReadWrite(testDir+identity, vfs.WriteCategoryUnspecified)),
		"open a stray":        file(h.fs.OpenReadWrite(testDir+"/stray", vfs.WriteCategoryUnspecified)),
		"create a lock":       file(h.fs.Create(testDir+"/LOCK", vfs.WriteCategoryUnspecified)),
		"lock a file":         func() error { _, err := h.fs.Lock(testDir + "/file"); return err }(),
		"rename a stray":      h.fs.Rename(testDir+"/stray", testDir+"/renamed"),
		"rename a directory":  h.fs.Rename(testDir+"/dir", testDir+"/renamed"),
		"rename from outside": h.fs.Rename("/elsewhere/file", testDir+"/renamed"),
		"rename to outside":   h.fs.Rename(testDir+"/file", "/elsewhere/file"),
		"link a stray":        h.fs.Link(testDir+"/stray", testDir+"/linked"),
		"link to a property":  h.fs.Link(testDir+"/file", testDir+identity),
		"write at":            func() error { _, err := f.WriteAt([]byte("x"), 5); return err }(),
		"read what is open":   func() error { _, err := f.Read(make([]byte, 1)); return err }(),
	} {
		require.ErrorIs(t, err, ErrNotRecordable, name)
	}
	require.Error(t, h.fs.Rename(testDir+"/missing", testDir+"/renamed"))
	require.Error(t, h.fs.Link(testDir+"/missing", testDir+"/renamed"))
	require.Error(t, h.fs.Link(testDir+"/file", testDir+"/other"))
	require.Equal(t, before, recorded(h), "nothing was recorded")

	writeFile(t, h.fs, testDir+"/binary", "\xff")
	require.ErrorIs(t, h.fs.Rename(testDir+"/binary", testDir+identity), ErrNotRecordable)
	writeFile(t, h.fs, testDir+"/long", strings.Repeat("x", maxFrame))
	require.ErrorIs(t, h.fs.Rename(testDir+"/long", testDir+identity), ErrNotRecordable)
	require.NoError(t, h.fs.Rename(testDir+"/other", testDir+identity))
	require.ErrorIs(t, h.fs.Remove(testDir+identity), ErrNotRecordable)
	require.ErrorIs(t, h.fs.RemoveAll(testDir+identity), ErrNotRecordable)
	require.NoError(t, h.fs.Remove(testDir+"/dir"))
	require.NoError(t, f.Sync())
}

// recorded is how far a host has recorded.
func recorded(h *host) int64 {
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	next, _ := h.recorder.fsm.Next()
	return next
}

// TestLargeWritesAreSeveralOperations: each of which is bounded.
func TestLargeWritesAreSeveralOperations(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	content := strings.Repeat("0123456789abcdef", maxWrite/8+1)
	writeFile(t, h.fs, testDir+"/large", content)
	require.NoError(t, h.barrier())
	require.Equal(t, int64(2+1+3), recorded(h))
	base, _, err := play(t, b, begin(), 0)
	require.NoError(t, err)
	requireFiles(t, map[string]string{testDir + "/large": content}, base)
}

// TestARenameIsOneAppend: a log is never cut where the file that is replaced is gone, and the other isn't there.
func TestARenameIsOneAppend(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	writeFile(t, h.fs, testDir+"/CURRENT", "one")
	writeFile(t, h.fs, testDir+"/CURRENT.tmp", "two")
	require.NoError(t, h.barrier())
	before := b.Appends(testLog)
	require.NoError(t, h.fs.Rename(testDir+"/CURRENT.tmp", testDir+"/CURRENT"))
	require.NoError(t, h.barrier())
	require.Equal(t, before+1, b.Appends(testLog))
	r := newOpReader(testLog)
	j := b.Journal(testLog)
	r.reset(b.ReadRange(h.ctx, testLog, j.Ends[before-1], j.Ends[before]), j.Ends[before-1])
	var got []string
	for {
		op, _, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch {
		case op.GetUnlink() != nil:
			got = append(got, "unlink "+op.GetUnlink().GetPath())
		case op.GetLink() != nil:
			got = append(got, "link "+op.GetLink().GetPath())
		}
	}
	require.Equal(t, []string{"unlink /CURRENT", "link /CURRENT", "unlink /CURRENT.tmp"}, got)
}

// TestWritesToRemovedFiles: they are of nobody's interest, and aren't recorded.
func TestWritesToRemovedFiles(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	f, err := h.fs.Create(testDir+"/gone", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	require.NoError(t, h.fs.Remove(testDir+"/gone"))
	before := recorded(h)
	_, err = io.WriteString(f, "unseen")
	require.NoError(t, err)
	require.Equal(t, before, recorded(h))
	base, _, err := play(t, b, begin(), 0)
	require.NoError(t, err)
	requireFiles(t, nil, base)
}

// TestHintsOfABarrier have the ends of all segments, by which a player of another time finds the same.
func TestHintsOfABarrier(t *testing.T) {
	b := logtest.New()
	h := takeOver(t, b, begin(), 1)
	for i := range 20 {
		writeFile(t, h.fs, fmt.Sprintf("%s/%d", testDir, i%7), strconv.Itoa(i))
		if i%5 == 4 {
			x, err := h.recorder.Hints(t.Context())
			require.NoError(t, err)
			head := int64(len(b.Journal(testLog).Content))
			for _, node := range x.GetLiveNodes() {
				for _, s := range node.GetSegments() {
					require.LessOrEqual(t, s.GetLastOffset(), head)
					require.Positive(t, s.GetLastOffset())
				}
			}
			text, err := EncodeHints(x)
			require.NoError(t, err)
			again, err := DecodeHints(text)
			require.NoError(t, err)
			require.True(t, proto.Equal(x, again))
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(h.recorder.fsm.Links())), []string{"/0", "/1", "/2", "/3", "/4", "/5", "/6"})
}
