package clock_test

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// TestMarkFormat pins the lines that docs/format/clock.md shows.
func TestMarkFormat(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 30, 0, 123456789, time.UTC)
	page, err := os.ReadFile("../../docs/format/clock.md")
	require.NoError(t, err)
	for _, m := range []clock.Mark{
		{Time: at, Full: true, Places: []clock.Place{{"public/rides.7/part-000", 230, 1 << 20}, {"public/rides.7/part-001", 230, 77}}},
		{Time: at.Add(time.Second), Places: []clock.Place{{"public/rides.7/part-001", 230, 154}}},
	} {
		line, err := m.AppendLine(nil)
		require.NoError(t, err)
		require.Contains(t, string(page), "\n"+string(line))
		got, err := clock.ParseMark(line)
		require.NoError(t, err)
		m.Time = m.Time.Truncate(time.Microsecond)
		require.Equal(t, m, got)
	}
}

// TestMarkRefused: what isn't a mark is told by its fault.
func TestMarkRefused(t *testing.T) {
	for line, want := range map[string]string{
		``:   "isn't a mark",
		`{}`: "version 0",
		`{"v":2,"t":"2026-11-28T09:30:00.000000Z","heads":{}}`:                    "version 2",
		`{"v":1,"t":"yesterday","heads":{}}`:                                      "time of a mark",
		`{"v":1,"t":"2026-11-28T09:30:00.000000Z"}`:                               "without heads",
		`{"v":1,"t":"2026-11-28T09:30:00.000000Z","heads":{"a b c":[1,1]}}`:       `journal "a b c"`,
		`{"v":1,"t":"2026-11-28T09:30:00.000000Z","heads":{"a/b/c":[0,1]}}`:       "of revision 0",
		`{"v":1,"t":"2026-11-28T09:30:00.000000Z","heads":{"a/b/c":[1,-1]}}`:      "at -1",
		`{"v":1,"t":"2026-11-28T09:30:00.000000Z","heads":{"a/b/c":[1,1]}}{"v":1`: "isn't a mark",
	} {
		_, err := clock.ParseMark([]byte(line))
		require.ErrorContains(t, err, want, line)
	}
}

// world is journals that are appended to, and the clock journal, with those who write it.
type world struct {
	now      time.Time
	acked    map[string]clock.Place
	journal  []byte
	marks    []mark
	writers  []*writer
	answered map[time.Time]map[string]clock.Place // as of times, once there is a later mark
}

// mark is one of the clock journal: where it begins, and how it is understood from the beginning on.
type mark struct {
	offset int64
	time   time.Time
	full   bool
	cut    map[string]clock.Place
	truth  map[string]clock.Place // what was acknowledged when it was appended
}

// writer has a clock of its own, and what it knows.
type writer struct {
	skew  time.Duration
	log   *clock.Log
	heads map[string]clock.Place
}

func places(c clock.Cut) map[string]clock.Place {
	out := map[string]clock.Place{}
	for _, p := range c.Places {
		out[p.Journal] = p
	}
	return out
}

func (w *world) read(log *clock.Log) {
	for log.Offset() < int64(len(w.journal)) {
		rest := w.journal[log.Offset():]
		log.Read(rest[:bytes.IndexByte(rest, '\n')+1])
	}
}

// write lets a writer that may not have read on append a mark: it is refused then.
func (w *world) write(t *rapid.T, by *writer, force bool) {
	gone := map[string]bool{}
	for _, j := range by.log.Journals() {
		if _, ok := w.acked[j]; !ok {
			gone[j] = true
		}
	}
	var heads []clock.Place
	for _, p := range by.heads {
		heads = append(heads, p)
	}
	m, ok := by.log.Next(w.now.Add(by.skew), heads, gone, force)
	if !ok {
		return
	}
	if by.log.Offset() != int64(len(w.journal)) {
		w.read(by.log)
		return
	}
	line, err := m.AppendLine(nil)
	require.NoError(t, err)
	at := int64(len(w.journal))
	w.journal = append(w.journal, line...)
	_, ok = by.log.Read(line)
	require.True(t, ok)
	w.marks = append(w.marks, mark{offset: at, time: m.Time, full: m.Full, cut: places(by.log.Cut()), truth: maps.Clone(w.acked)})
}

// asOf is the cut as of a time, read from one of the full marks at or before it.
func (w *world) asOf(t *rapid.T, at time.Time) map[string]clock.Place {
	from := int64(-1)
	for _, m := range w.marks {
		if m.full && !m.time.After(at) && (from < 0 || rapid.Bool().Draw(t, "this one")) {
			from = m.offset
		}
	}
	if from < 0 {
		return nil
	}
	log := clock.NewLog(from)
	for log.Offset() < int64(len(w.journal)) {
		rest := w.journal[log.Offset():]
		line := rest[:bytes.IndexByte(rest, '\n')+1]
		m, err := clock.ParseMark(line)
		require.NoError(t, err)
		if m.Time.After(at) {
			break
		}
		log.Read(line)
	}
	return places(log.Cut())
}

// TestMarks: writers with wrong clocks, who know little and are often late, write marks that are true, whose times
// ascend, and which are understood in one way wherever one begins; as of a time after which there is a mark
// the answer never changes.
func TestMarks(t *testing.T) {
	names := []string{"a/t.1/part-000", "a/t.1/part-001", "b/u.2/part-000"}
	rapid.Check(t, func(t *rapid.T) {
		w := &world{now: time.Unix(1_700_000_000, 0), acked: map[string]clock.Place{}, answered: map[time.Time]map[string]clock.Place{}}
		for range 3 {
			skew := time.Duration(rapid.IntRange(-5000, 5000).Draw(t, "skew")) * time.Millisecond
			w.writers = append(w.writers, &writer{skew: skew, log: &clock.Log{}, heads: map[string]clock.Place{}})
		}
		revision := int64(1)
		journal := func(t *rapid.T) string { return rapid.SampledFrom(names).Draw(t, "journal") }
		some := func(t *rapid.T) *writer { return rapid.SampledFrom(w.writers).Draw(t, "writer") }
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
				w.check(t)
			},
			"append": func(t *rapid.T) {
				j := journal(t)
				p, ok := w.acked[j]
				if !ok {
					revision++
					p = clock.Place{Journal: j, Revision: revision}
				}
				p.Offset += rapid.Int64Range(1, 100).Draw(t, "bytes")
				w.acked[j] = p
			},
			"remove": func(t *rapid.T) { delete(w.acked, journal(t)) },
			"learn": func(t *rapid.T) {
				j := journal(t)
				if p, ok := w.acked[j]; ok {
					some(t).heads[j] = p
				}
			},
			"read":  func(t *rapid.T) { w.read(some(t).log) },
			"write": func(t *rapid.T) { w.write(t, some(t), false) },
			"close": func(t *rapid.T) { w.write(t, some(t), true) },
			"ask": func(t *rapid.T) {
				if len(w.marks) == 0 {
					t.Skip("no marks")
				}
				at := rapid.SampledFrom(w.marks).Draw(t, "mark").time.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "off")) * time.Microsecond)
				if at.Before(w.marks[len(w.marks)-1].time) {
					w.answered[at] = w.asOf(t, at)
				}
			},
		})
		for at, was := range w.answered {
			require.Equal(t, was, w.asOf(t, at))
		}
	})
}

// check the marks against what was true.
func (w *world) check(t *rapid.T) {
	if len(w.marks) == 0 {
		return
	}
	n := len(w.marks) - 1
	last := w.marks[n]
	require.True(t, w.marks[0].full)
	if n > 0 {
		require.True(t, last.time.After(w.marks[n-1].time))
	}
	for j, p := range last.cut {
		if now, ok := last.truth[j]; ok && now.Revision == p.Revision {
			require.LessOrEqual(t, p.Offset, now.Offset, "it wasn't acknowledged")
		}
		if n > 0 {
			if was, ok := w.marks[n-1].cut[j]; ok {
				require.True(t, p.Revision > was.Revision || p.Offset >= was.Offset, "it went back")
			}
		}
	}
	require.Equal(t, last.cut, w.asOf(t, last.time))
}

// TestFullMarks: they come often enough for a reader, and aren't most of the journal.
func TestFullMarks(t *testing.T) {
	var log clock.Log
	now := time.Unix(1_700_000_000, 0)
	var fulls []int64
	var all, inFull int
	for i := range 5000 {
		m, ok := log.Next(now.Add(time.Duration(i)*time.Second), []clock.Place{{"public/rides.7/part-000", 9, int64(i + 1)}}, nil, false)
		require.True(t, ok)
		line, err := m.AppendLine(nil)
		require.NoError(t, err)
		if m.Full {
			fulls = append(fulls, log.Offset())
			inFull += len(line)
		}
		all += len(line)
		log.Read(line)
	}
	require.Greater(t, len(fulls), 4)
	require.Less(t, inFull, all/5)
	for i := range fulls[1:] {
		require.Less(t, fulls[i+1]-fulls[i], int64(66<<10))
	}
	_, ok := log.Next(now, []clock.Place{{"public/rides.7/part-000", 9, 5000}}, nil, false)
	require.False(t, ok, "nothing moved: nothing is written")
	require.False(t, log.FullDue() && log.Unread() > 0)
}

// TestTimeOf: a row has the time of the first point at or beyond its end.
func TestTimeOf(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	points := []clock.Point{{10, at(1)}, {20, at(2)}, {30, at(3)}}
	for end, want := range map[int64]int64{1: 1, 10: 1, 11: 2, 20: 2, 30: 3} {
		got, ok := clock.TimeOf(points, end)
		require.True(t, ok)
		require.Equal(t, at(want), got, end)
	}
	_, ok := clock.TimeOf(points, 31)
	require.False(t, ok)
	_, ok = clock.TimeOf(nil, 1)
	require.False(t, ok)
	require.True(t, slices.IsSortedFunc(points, func(a, b clock.Point) int { return a.Time.Compare(b.Time) }))
}

func FuzzParseMark(f *testing.F) {
	f.Add([]byte(`{"v":1,"t":"2026-11-28T09:30:00.000000Z","full":true,"heads":{"a/b/c":[1,1]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := clock.ParseMark(line)
		if err != nil {
			return
		}
		again, err := m.AppendLine(nil)
		require.NoError(t, err)
		got, err := clock.ParseMark(again)
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}
