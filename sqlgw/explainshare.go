package sqlgw

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments"
)

// shares say what of a journal is read, and what of it comes whence, in bytes of content.
type shares struct {
	whole    int64 // below the cut
	pruned   int64 // no row of it can be wanted
	inPlace  int64 // by the engine, from files
	stored   int64 // decoded, of stored fragments
	spooled  int64 // decoded, of what is only with brokers yet
	headless int64 // decoded, of what was appended since they listed their fragments

	fragments, chosen, covered, skipped int // that brokers listed; chosen, held by others, pruned
}

// sharesOf tells them of a journal that is whole below the cut, and of which a part is planned to be read.
func sharesOf(whole, part journalScan, listed []fragments.Fragment) shares {
	s := shares{whole: whole.head - whole.begin, fragments: len(listed)}
	s.pruned = s.whole - (part.head - part.begin)
	entries := make([]fragments.Entry, 0, len(listed))
	var stored []fragments.Fragment
	for _, f := range listed {
		if f.End <= part.begin || f.Begin >= part.head {
			s.skipped++
			continue
		}
		entries = append(entries, fragments.Entry{Fragment: f})
		if f.Store != "" {
			stored = append(stored, f)
		}
	}
	s.chosen = len(fragments.NewCoverSet(entries))
	s.covered = len(entries) - s.chosen
	for _, p := range part.pieces {
		if p.InPlace != nil {
			s.inPlace += p.End - p.Begin
			continue
		}
		inStores, listed := measure(stored, p.Begin, p.End), measure(listed, p.Begin, p.End)
		s.stored += inStores
		s.spooled += listed - inStores
		s.headless += p.End - p.Begin - listed
	}
	return s
}

// measure is how much of [begin, end) fragments hold.
func measure(list []fragments.Fragment, begin, end int64) int64 {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b fragments.Fragment) int { return cmp.Compare(a.Begin, b.Begin) })
	held := int64(0)
	for _, f := range list {
		from, to := max(begin, f.Begin), min(end, f.End)
		if to > from {
			held += to - from
			begin = to
		}
	}
	return held
}

// notes are what is planned and done for an EXPLAIN. Nil notes nothing.
type notes struct {
	analyze bool
	tables  []tableNotes
	planned time.Time // when there was a plan
}

// tableNotes are of one mention of a table.
type tableNotes struct {
	table  catalog.Table
	plans  []journalScan
	copied int64 // of inPlace: from the object cache
	failed int64 // of inPlace: decoded, as it can't be copied
	staged int64 // by the session's transaction
	counts *scanCounts
}

// reset forgets what was noted, as the statement is planned again.
func (n *notes) reset() {
	if n != nil {
		n.tables = nil
	}
}

// note how a table is to be read.
func (n *notes) note(t catalog.Table, plans []journalScan, read sources, scan *tableScan) {
	if n == nil {
		return
	}
	scan.counts = &scanCounts{}
	x := tableNotes{table: t, plans: plans, copied: read.copied, failed: read.failed, counts: scan.counts}
	for _, r := range scan.ranges {
		if r.staged != nil {
			x.staged += r.end
		}
	}
	n.tables = append(n.tables, x)
}

// compiled notes that there is a plan, and returns what stands before it so that the engine tells of it.
func (n *notes) compiled() string {
	switch {
	case n == nil:
		return ""
	case n.analyze:
		n.planned = time.Now()
		return "EXPLAIN (ANALYZE, FORMAT JSON) "
	default:
		n.planned = time.Now()
		return "EXPLAIN (FORMAT JSON) "
	}
}

// scanCounts are what was decoded for a mention of a table, or was decoded already. Nil counts nothing.
type scanCounts struct {
	rows, bytes             atomic.Int64 // decoded for the statement
	headRows                atomic.Int64 // of the cache of heads
	headHit, headRead       atomic.Int64 // bytes of journals that were decoded already, and that weren't
	stagedRows, stagedBytes atomic.Int64
}

func (c *scanCounts) decoded(rows int, bytes int64, staged bool) {
	switch {
	case c == nil:
	case staged:
		c.stagedRows.Add(int64(rows))
		c.stagedBytes.Add(bytes)
	default:
		c.rows.Add(int64(rows))
		c.bytes.Add(bytes)
	}
}

func (c *scanCounts) cached(rows int) {
	if c != nil {
		c.headRows.Add(int64(rows))
	}
}

// head counts a range that may be decoded already in part.
func (c *scanCounts) head(length, hit int64) {
	if c != nil {
		c.headHit.Add(hit)
		c.headRead.Add(length - hit)
	}
}
