package sqlgw

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// drawnJournal is a stream of lines, fragments that cut it anywhere, and marks of how far it had come.
type drawnJournal struct {
	starts []int64 // of lines, and the end of the last one
	listed []fragments.Fragment
	points []clock.Point
}

func drawJournal(t *rapid.T) drawnJournal {
	var j drawnJournal
	at := rapid.Int64Range(0, 20).Draw(t, "begin")
	j.starts = []int64{at}
	for range rapid.IntRange(1, 30).Draw(t, "lines") {
		at += rapid.Int64Range(1, 9).Draw(t, "length")
		j.starts = append(j.starts, at)
	}
	begin := j.starts[0]
	for range rapid.IntRange(0, 8).Draw(t, "fragments") {
		b := rapid.Int64Range(begin, at-1).Draw(t, "fragment begin")
		f := fragments.Fragment{Begin: b, End: rapid.Int64Range(b+1, at).Draw(t, "fragment end")}
		if rapid.Bool().Draw(t, "stored") {
			f.Store = "file:///"
		}
		j.listed = append(j.listed, f)
	}
	offset := int64(0)
	for second := range rapid.IntRange(0, 6).Draw(t, "marks") {
		offset = rapid.Int64Range(offset, at).Draw(t, "mark")
		j.points = append(j.points, clock.Point{Offset: offset, Time: time.Unix(int64(second), 0)})
	}
	return j
}

// TestNarrowingLosesNoRow: whatever the bounds are, what is read begins where a line does and has each whole line that
// meets them, also if where lines begin can't be found out.
func TestNarrowingLosesNoRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJournal(t)
		begin, end := j.starts[0], j.starts[len(j.starts)-1]
		head := rapid.Int64Range(begin, end).Draw(t, "head")
		n := &narrowing{last: math.MaxInt64, times: map[string][]clock.Point{"j": j.points}}
		blind := rapid.Bool().Draw(t, "blind")
		n.lineStart = func(_ context.Context, _ string, at int64) bool {
			_, found := slices.BinarySearch(j.starts, at)
			return found && (!blind || rapid.Bool().Draw(t, "there"))
		}
		if rapid.Bool().Draw(t, "offsets") {
			n.first = rapid.Int64Range(0, end+5).Draw(t, "first")
			n.last = rapid.Int64Range(0, end+5).Draw(t, "last")
		}
		if rapid.Bool().Draw(t, "after") {
			n.after = time.Unix(rapid.Int64Range(-1, 7).Draw(t, "after second"), 0)
		}
		if rapid.Bool().Draw(t, "until") {
			n.until = time.Unix(rapid.Int64Range(-1, 7).Draw(t, "until second"), 0)
		}
		from, to, err := n.part(context.Background(), journalScan{journal: "j", begin: begin, head: head}, j.listed)
		require.NoError(t, err)
		require.LessOrEqual(t, begin, from)
		require.LessOrEqual(t, from, to)
		require.LessOrEqual(t, to, head)
		if from < to {
			require.Contains(t, j.starts, from)
		}
		for i, start := range j.starts[:len(j.starts)-1] {
			lineEnd := j.starts[i+1]
			at, marked := clock.TimeOf(j.points, lineEnd)
			switch {
			case lineEnd > head, start < n.first, start > n.last:
			case !n.after.IsZero() && (!marked || !at.After(n.after)):
			case !n.until.IsZero() && (!marked || at.After(n.until)):
			default:
				require.True(t, from <= start && lineEnd <= to, "the line [%d, %d) isn't in [%d, %d)", start, lineEnd, from, to)
			}
		}
	})
}

// TestSharesAddUp: each byte below the cut is of one kind, and each fragment.
func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJournal(t)
		begin, end := j.starts[0], j.starts[len(j.starts)-1]
		whole := journalScan{journal: "j", begin: begin, head: rapid.Int64Range(begin, end).Draw(t, "head")}
		listed := slices.DeleteFunc(j.listed, func(f fragments.Fragment) bool { return f.Begin >= whole.head })
		part := whole
		part.begin = rapid.Int64Range(begin, whole.head).Draw(t, "from")
		part.head = rapid.Int64Range(part.begin, whole.head).Draw(t, "to")
		var stored []storedFragment
		for _, f := range listed {
			if f.Store != "" {
				stored = append(stored, storedFragment{Fragment: f, Clean: rapid.Bool().Draw(t, "clean"), Terminated: true})
			}
		}
		sortStored(stored)
		part.pieces = planJournal(part.begin, part.head, stored, false)
		s := sharesOf(whole, part, listed)
		require.Equal(t, whole.head-whole.begin, s.whole)
		require.Equal(t, s.whole, s.pruned+s.inPlace+s.stored+s.spooled+s.headless)
		require.Equal(t, len(listed), s.fragments)
		require.Equal(t, s.fragments, s.chosen+s.covered+s.skipped)
		for _, n := range []int64{s.pruned, s.inPlace, s.stored, s.spooled, s.headless} {
			require.GreaterOrEqual(t, n, int64(0))
		}
	})
}

// TestBoundsThatAreNotKnown leave nothing out, and those of the clock leave room for it.
func TestBoundsThatAreNotKnown(t *testing.T) {
	text := func(s string) parse.AsOf { return parse.AsOf{Text: &s} }
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	null := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Int64})
	null.AppendNull()
	float := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Float64})
	float.AppendFloat64(1.5)
	p := &pasts{
		query: &query{session: &session{gateway: &Gateway{}}}, now: now,
		args: &columnar.Batch{Len: 1, Cols: []columnar.Vector{null.Vector(), float.Vector()}},
	}
	for _, b := range []parse.Bound{
		{Column: metaTimestamp, Op: ">", Value: text("not a time")},
		{Column: metaTimestamp, Op: ">", Value: text("infinity")},
		{Column: metaTimestamp, Op: ">", Value: parse.AsOf{Param: 1}},
		{Column: metaTimestamp, Op: ">", Value: parse.AsOf{Param: 2}},
		{Column: metaTimestamp, Op: "<", Value: parse.AsOf{Now: true}}, // the engine's now is later
		{Column: metaOffset, Op: ">", Value: text("1.5")},
		{Column: metaOffset, Op: ">", Value: parse.AsOf{Param: 1}},
		{Column: metaOffset, Op: ">", Value: parse.AsOf{Param: 2}},
		{Column: metaJournal, Op: ">", Value: text("a")},
	} {
		require.Nil(t, p.narrowing([]parse.Bound{b}), "%+v", b)
	}
	n := p.narrowing([]parse.Bound{{Column: metaTimestamp, Op: ">", Value: parse.AsOf{Now: true, Shifts: []parse.Shift{{Back: true, Interval: "1 hour"}}}}})
	require.Equal(t, now.Add(-time.Hour-clockSlack), n.after)
	n = p.narrowing([]parse.Bound{{Column: metaTimestamp, Op: "=", Value: text("2026-01-02 03:04:05")}})
	require.Equal(t, now.Add(-roundingSlack), n.after)
	require.Equal(t, now.Add(roundingSlack), n.until)
	require.True(t, p.narrowing([]parse.Bound{{Column: metaJournal, Op: "=", Value: text("a")}, {Column: metaJournal, Op: "=", Value: text("b")}}).none)
}
