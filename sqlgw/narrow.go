package sqlgw

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// narrowing leaves out parts of journals that have no row which meets the bounds of a WHERE clause. The engine judges each row
// all the same: so a narrowing may be too wide, and never too narrow.
type narrowing struct {
	journal     *string   // the only one with such rows
	first, last int64     // where such rows begin, both included
	after       time.Time // the marks that have them are later; zero is no bound
	until       time.Time // and not later than that
	none        bool      // there are no such rows

	times map[string][]clock.Point // of each journal, ascending; needed if a time is bounded
	// lineStart tells whether a line begins at an offset, or nothing is known to be there.
	lineStart func(ctx context.Context, journal string, at int64) bool
}

// Room for what the engine may see otherwise: it cuts times where we round them, and reads its clock a little later.
const (
	roundingSlack = time.Millisecond
	clockSlack    = time.Minute
)

// narrowing is that of the bounds of one relation; nil if they leave nothing out.
func (p *pasts) narrowing(bounds []parse.Bound) *narrowing {
	n := &narrowing{last: math.MaxInt64, lineStart: p.query.session.gateway.lineStart}
	some := false
	for _, b := range bounds {
		switch b.Column {
		case metaTimestamp:
			some = n.boundTime(b, p) || some
		case metaOffset:
			some = n.boundOffset(b, p) || some
		case metaJournal:
			some = n.boundJournal(b, p) || some
		}
	}
	if !some {
		return nil
	}
	return n
}

// boundTime tells whether the bound is one that it knows to keep.
func (n *narrowing) boundTime(b parse.Bound, p *pasts) bool {
	if b.Value.Param > 0 {
		switch p.args.Cols[b.Value.Param-1].Type.Kind {
		case columnar.TimestampTZ, columnar.Timestamp, columnar.Date, columnar.Text:
		default:
			return false
		}
	}
	at, err := p.time(&b.Value)
	if err != nil { // the engine says what is wrong, if anything is
		return false
	}
	lower, upper := b.Op == ">" || b.Op == ">=" || b.Op == "=", b.Op == "<" || b.Op == "<=" || b.Op == "="
	slack := roundingSlack
	if b.Value.Now {
		slack, upper = clockSlack, false
	}
	if from := at.Add(-slack); lower && (n.after.IsZero() || from.After(n.after)) {
		n.after = from
	}
	if to := at.Add(slack); upper && (n.until.IsZero() || to.Before(n.until)) {
		n.until = to
	}
	return lower || upper
}

func (n *narrowing) boundOffset(b parse.Bound, p *pasts) bool {
	text, ok := p.text(&b.Value)
	if b.Value.Param > 0 {
		switch p.args.Cols[b.Value.Param-1].Type.Kind {
		case columnar.Int16, columnar.Int32, columnar.Int64:
		default:
			return false
		}
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return false
	}
	switch b.Op {
	case "=":
		n.first, n.last = max(n.first, at), min(n.last, at)
	case ">=":
		n.first = max(n.first, at)
	case ">":
		n.first = max(n.first, at) // one too many is left to the engine
	case "<=", "<":
		n.last = min(n.last, at)
	}
	return true
}

func (n *narrowing) boundJournal(b parse.Bound, p *pasts) bool {
	text, ok := p.text(&b.Value)
	if !ok || b.Op != "=" || b.Value.Param > 0 && p.args.Cols[b.Value.Param-1].Type.Kind != columnar.Text {
		return false
	}
	n.none = n.none || n.journal != nil && *n.journal != text
	n.journal = &text
	return true
}

// text of a constant or of a parameter that isn't NULL.
func (p *pasts) text(v *parse.AsOf) (string, bool) {
	switch {
	case len(v.Shifts) > 0 || v.Now:
		return "", false
	case v.Text != nil:
		return *v.Text, true
	}
	arg := &p.args.Cols[v.Param-1]
	if arg.IsNull(0) {
		return "", false
	}
	return string(columnar.AppendText(nil, arg, 0)), true
}

// mostLooks bounds the bytes that are looked at to find where a line begins.
const mostLooks = 4

// part is what has to be read of a journal up to its head: it begins where a line does.
func (n *narrowing) part(ctx context.Context, p journalScan, listed []fragments.Fragment) (int64, int64, error) {
	if n.none || n.journal != nil && *n.journal != p.journal || n.first > n.last {
		return p.head, p.head, nil
	}
	begin, head := p.begin, p.head
	points := n.times[p.journal]
	if !n.until.IsZero() { // a row has the time of the first mark at or behind its end
		head = max(begin, min(head, lastMark(points, n.until)))
	}
	if n.last < head {
		head = n.lineAbove(ctx, p.journal, n.last, head, listed)
	}
	from := max(begin, n.first)
	if !n.after.IsZero() {
		from = max(from, lastMark(points, n.after))
	}
	if from >= head { // a row that goes on behind the head isn't one yet
		return head, head, context.Cause(ctx)
	}
	return n.lineBelow(ctx, p.journal, begin, from, listed), head, context.Cause(ctx)
}

// lastMark is how far a journal had come at the last mark that isn't later than t. Whatever ends there or below has that mark's
// time, or an earlier one.
func lastMark(points []clock.Point, t time.Time) int64 {
	at := int64(0)
	for _, p := range points {
		if p.Time.After(t) {
			break
		}
		at = max(at, p.Offset)
	}
	return at
}

// lineBelow is the start of a line at or below an offset, as near as can be found with a few looks. Begin is one.
func (n *narrowing) lineBelow(ctx context.Context, journal string, begin, at int64, listed []fragments.Fragment) int64 {
	places := []int64{at}
	for _, f := range listed {
		if f.Begin < at {
			places = append(places, f.Begin)
		}
	}
	slices.SortFunc(places, func(a, b int64) int { return cmp.Compare(b, a) })
	places = slices.Compact(places)
	for _, x := range places[:min(mostLooks, len(places))] {
		if x <= begin {
			break
		}
		if n.lineStart(ctx, journal, x) {
			return x
		}
	}
	return begin
}

// lineAbove is the start of a line above an offset, as near as can be found with a few looks. Head is taken for one.
func (n *narrowing) lineAbove(ctx context.Context, journal string, at, head int64, listed []fragments.Fragment) int64 {
	var places []int64
	for _, f := range listed {
		if f.End > at {
			places = append(places, f.End)
		}
	}
	slices.Sort(places)
	places = slices.Compact(places)
	for _, x := range places[:min(mostLooks, len(places))] {
		if x >= head {
			break
		}
		if n.lineStart(ctx, journal, x) {
			return x
		}
	}
	return head
}

// lineStart tells whether a line of a journal begins at an offset.
func (g *Gateway) lineStart(ctx context.Context, journal string, at int64) bool {
	r, err := g.openRange(ctx, journal, at-1, at)
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }()
	b := make([]byte, 1)
	n, _ := r.Read(b)
	return n == 1 && b[0] == '\n'
}
