package clock

import (
	"maps"
	"slices"
	"time"
)

// Log is what the clock journal says up to an offset. It begins at a full mark, or where the journal is empty.
// What is read from it, at whichever full mark one begins:
//
//   - Times ascend: a line whose time doesn't is passed over, and so is one that is no mark at all.
//   - A journal of one revision never goes back; one of a lower revision is gone.
//
// The zero value is that of an empty journal. It is a state machine without I/O.
type Log struct {
	offset    int64
	time      time.Time // of the last mark; zero if there is none
	places    map[string]Place
	sinceFull int64 // bytes after the last full mark
	fullSize  int64 // of that mark
	unread    int   // lines that were passed over
}

// NewLog returns a log that begins at an offset of the journal.
func NewLog(offset int64) *Log { return &Log{offset: offset} }

// Offset up to which the journal was read.
func (l *Log) Offset() int64 { return l.offset }

// Time of the last mark; zero if there is none.
func (l *Log) Time() time.Time { return l.time }

// Unread is how many lines weren't marks.
func (l *Log) Unread() int { return l.unread }

// Begun tells whether a full mark was read: before that, marks tell of some journals only.
func (l *Log) Begun() bool { return l.places != nil }

// Cut is how far journals went by the last mark.
func (l *Log) Cut() Cut { return NewCut(0, slices.Collect(maps.Values(l.places))) }

// Journals are those that have a place.
func (l *Log) Journals() []string { return slices.Sorted(maps.Keys(l.places)) }

// Read takes the line at the log's offset, with its newline. It returns the mark as it is understood: with those
// places only that go further. The second result is false for a line that is passed over.
func (l *Log) Read(line []byte) (Mark, bool) {
	l.offset += int64(len(line))
	m, err := ParseMark(line)
	if err != nil || (!l.time.IsZero() && !m.Time.After(l.time)) {
		l.sinceFull += int64(len(line))
		l.unread++
		return Mark{}, false
	}
	if l.places == nil && !m.Full {
		l.unread++
		return Mark{}, false
	}
	if l.places == nil {
		l.places = map[string]Place{}
	}
	l.sinceFull += int64(len(line))
	if m.Full {
		l.sinceFull, l.fullSize = 0, int64(len(line))
		l.forget(m)
	}
	l.time = m.Time
	m.Places = slices.DeleteFunc(m.Places, func(p Place) bool { return !l.further(p) })
	for _, p := range m.Places {
		l.places[p.Journal] = p
	}
	return m, true
}

// forget the journals that a full mark doesn't have.
func (l *Log) forget(m Mark) {
	named := make(map[string]bool, len(m.Places))
	for _, p := range m.Places {
		named[p.Journal] = true
	}
	maps.DeleteFunc(l.places, func(j string, _ Place) bool { return !named[j] })
}

// further tells whether a place is beyond what the log has.
func (l *Log) further(p Place) bool {
	was, ok := l.places[p.Journal]
	return !ok || p.Revision > was.Revision || (p.Revision == was.Revision && p.Offset > was.Offset)
}

// minFull is how many bytes of marks follow a full one, at least. Otherwise it is four times as many as the full
// one has: who looks for a time reads about that much, and full marks are a fifth of the journal at most.
const minFull = 64 << 10

// FullDue tells whether the next mark is to be a full one.
func (l *Log) FullDue() bool { return l.places == nil || l.sinceFull > max(minFull, 4*l.fullSize) }

// Next is the mark to append at the log's offset, given how far journals went before now; false if none of them
// went further. With force there is one in any case: it says that nothing is added to the times before it. The
// mark isn't read yet.
//
// A full mark has what the log has, but for the journals in gone.
func (l *Log) Next(now time.Time, heads []Place, gone map[string]bool, force bool) (Mark, bool) {
	m := Mark{Time: now.UTC().Truncate(time.Microsecond), Full: l.FullDue()}
	if !m.Time.After(l.time) && !l.time.IsZero() {
		m.Time = l.time.Add(time.Microsecond)
	}
	moved := map[string]Place{}
	for _, p := range heads {
		if was, ok := moved[p.Journal]; l.further(p) && (!ok || p.Revision > was.Revision || p.Offset > was.Offset) {
			moved[p.Journal] = p
		}
	}
	if len(moved) == 0 && !force {
		return Mark{}, false
	}
	if m.Full {
		for j, p := range l.places {
			if _, ok := moved[j]; !ok && !gone[j] {
				moved[j] = p
			}
		}
	}
	m.Places = NewCut(0, slices.Collect(maps.Values(moved))).Places
	return m, true
}

// Point says that a journal went up to an offset by a time, and not by an earlier one that is known.
type Point struct {
	Offset int64
	Time   time.Time
}

// TimeOf is the time of the first point that reaches an offset; false if none does. Points ascend.
func TimeOf(points []Point, end int64) (time.Time, bool) {
	i, _ := slices.BinarySearchFunc(points, end, func(p Point, end int64) int {
		if p.Offset < end {
			return -1
		}
		return 1
	})
	if i == len(points) {
		return time.Time{}, false
	}
	return points[i].Time, true
}
