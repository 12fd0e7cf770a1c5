package fragments

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// JumpAge is how old the next stored fragment above a hole has to be before
// readers are let over the hole: younger ones may yet be joined by what is missing.
const JumpAge = 6 * time.Hour

// Outcome of a query of an Index.
type Outcome int

const (
	// Wait means that nothing covers the offset and nothing is above it.
	Wait Outcome = iota
	// Found means that the entry covers the offset.
	Found
	// Hole means that nothing covers the offset and the entry is the next above it.
	Hole
)

// String is the outcome in lower case.
func (o Outcome) String() string {
	switch o {
	case Found:
		return "found"
	case Hole:
		return "hole"
	default:
		return "wait"
	}
}

// Hit answers a query of an Index.
type Hit struct {
	// Outcome says what Entry is.
	Outcome Outcome
	// Offset that was asked for; for -1, End.
	Offset int64
	// Entry that covers Offset with the most content after it (Found), or the next
	// above it (Hole).
	Entry Entry
	// First says that nothing is below Entry.
	First bool
	// End of the index: its write head, as of this answer.
	End int64
	// Changed is closed when an answer may differ from this one.
	Changed <-chan struct{}
}

// MayJump tells whether a reader who came to a Hole may go on at Entry.Begin: Entry
// is stored, and it is either the first of the index or older than JumpAge.
func (h Hit) MayJump(now time.Time) bool {
	return h.Outcome == Hole && h.Entry.Stored() &&
		(h.First || now.Sub(time.Unix(h.Entry.ModTime, 0)) > JumpAge)
}

// GapError is a range which no fragment of an Index covers.
type GapError struct {
	// Begin and End offsets of the uncovered range [Begin, End).
	Begin, End int64
}

// Error names the range.
func (e *GapError) Error() string {
	return fmt.Sprintf("no fragment covers offsets [%d, %d)", e.Begin, e.End)
}

// Index is what is known of a journal's fragments: those of its stores, as last
// listed, and the local ones. Make it with NewIndex; it is safe for concurrent use.
//
// Queries read one immutable state, so each answer is of a single moment.
type Index struct {
	state  atomic.Pointer[indexState]
	listed chan struct{} // Closed by the first SetStored.

	// Held while the stored part of the state is made anew, which may take long.
	storing sync.Mutex
	mu      sync.Mutex // Held to replace the state, which never does.
	once    sync.Once
}

// indexState never changes once it is published, but for changed, which is closed
// when another state took its place.
//
// The cover set of stored and local entries together is never made: a lookup in
// both, of which the better is taken, gives the same answer, and a local entry
// that grows with every append costs nothing then.
type indexState struct {
	stored  CoverSet
	added   []Entry // Stored ones added since the last listing was set.
	newest  int64   // Newest ModTime of the stored.
	local   CoverSet
	head    int64 // End of the last local entry, which may be empty; or zero.
	changed chan struct{}
}

// NewIndex returns an empty index.
func NewIndex() *Index {
	x := &Index{listed: make(chan struct{})}
	x.state.Store(&indexState{changed: make(chan struct{})})
	return x
}

// SetStored replaces the stored fragments by the listing of all stores. Empty ones
// are left out. Listings are made and set one after the other.
//
// A listing that was under way while a fragment was persisted may lack it, though
// its local copy is gone by now. So what AddStored added since the last SetStored
// stays through this one; the next listing began after it, and has it.
func (x *Index) SetStored(list []Fragment) {
	x.storing.Lock()
	defer x.storing.Unlock()
	added := x.state.Load().added
	entries := make([]Entry, 0, len(added)+len(list))
	entries = append(entries, added...)
	for _, f := range list {
		entries = append(entries, Entry{Fragment: f})
	}
	var newest int64
	for i := range entries {
		newest = max(newest, entries[i].ModTime)
	}
	set := NewCoverSet(entries)
	x.replace(func(s *indexState) { s.stored, s.added, s.newest = set, nil, newest })
	x.once.Do(func() { close(x.listed) })
}

// AddStored adds a fragment that was just persisted, ahead of the next listing.
func (x *Index) AddStored(f Fragment) {
	x.storing.Lock()
	defer x.storing.Unlock()
	e, old := Entry{Fragment: f}, x.state.Load()
	set, _ := old.stored.Add(e)
	added := append(slices.Clip(old.added), e)
	newest := max(old.newest, f.ModTime)
	x.replace(func(s *indexState) { s.stored, s.added, s.newest = set, added, newest })
}

// SetLocal replaces the local entries: in order, the open one last, with its End
// limited to the watermark. If the open one is empty it still tells where the
// journal's head is.
func (x *Index) SetLocal(entries []Entry) {
	set := NewCoverSet(entries)
	var head int64
	if n := len(entries); n > 0 {
		head = entries[n-1].End
	}
	x.replace(func(s *indexState) { s.local, s.head = set, head })
}

func (x *Index) replace(change func(*indexState)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.state.Load()
	next := *old
	next.changed = make(chan struct{})
	change(&next)
	x.state.Store(&next)
	close(old.changed)
}

// Changed is closed at the next change. Take it before the query whose answer it
// is to outdate, or use that answer's own.
func (x *Index) Changed() <-chan struct{} { return x.state.Load().changed }

// AwaitStored waits for the first SetStored, or for ctx, whose cause it returns.
func (x *Index) AwaitStored(ctx context.Context) error {
	select {
	case <-x.listed:
		return nil
	default:
	}
	select {
	case <-x.listed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Query looks up what to read at an offset; -1 means the end of the index. Only a
// lesser offset is an error.
func (x *Index) Query(offset int64) (Hit, error) {
	if offset < -1 {
		return Hit{}, fmt.Errorf("query of offset %d: less than -1", offset)
	}
	s := x.state.Load()
	hit := Hit{Offset: offset, End: s.end(), Changed: s.changed}
	if offset == -1 {
		hit.Offset = hit.End
	}
	hit.Entry, hit.Outcome = s.lookup(hit.Offset)
	if hit.Outcome != Wait {
		begin, _ := s.begin()
		hit.First = hit.Entry.Begin == begin
	}
	return hit, nil
}

// Cover returns entries that cover [begin, end), in order, each with content that
// neither of its neighbours has; or a *GapError with the first range that none
// covers. Of an entry the caller takes what is inside the range and after the
// entry before.
func (x *Index) Cover(begin, end int64) ([]Entry, error) {
	s := x.state.Load()
	var out []Entry
	for at := begin; at < end; {
		e, outcome := s.lookup(at)
		switch outcome {
		case Found:
			out = append(out, e)
			at = e.End
		case Hole:
			return nil, &GapError{Begin: at, End: min(e.Begin, end)}
		default:
			return nil, &GapError{Begin: at, End: end}
		}
	}
	return out, nil
}

// Covered tells whether the stored fragments hold all content of f, so that a local
// copy may go. A stored fragment of the same span with another sum holds other
// content: it covers nothing of f.
func (x *Index) Covered(f Fragment) bool {
	stored := x.state.Load().stored
	for at := f.Begin; at < f.End; {
		i, ok := stored.Longest(at)
		if !ok || differs(stored[i].Fragment, f) {
			return false
		}
		at = stored[i].End
	}
	return true
}

// Bounds are the least and greatest offset of the index and the newest ModTime of
// its stored fragments. An empty index has equal bounds.
func (x *Index) Bounds() (int64, int64, int64) {
	s := x.state.Load()
	end := s.end()
	begin, ok := s.begin()
	if !ok {
		begin = end
	}
	return begin, end, s.newest
}

// StoredBounds are the least and greatest offset of the stored fragments and their newest
// ModTime. If there are none the bounds are equal.
func (x *Index) StoredBounds() (int64, int64, int64) {
	s := x.state.Load()
	if len(s.stored) == 0 {
		return 0, 0, 0
	}
	return s.stored[0].Begin, s.stored[len(s.stored)-1].End, s.newest
}

// LastStored tells whether the last fragment of the index is stored, and since when.
func (x *Index) LastStored() (time.Time, bool) {
	s := x.state.Load()
	n := len(s.stored)
	if n == 0 || s.stored[n-1].End < s.end() {
		return time.Time{}, false
	}
	return time.Unix(s.stored[n-1].ModTime, 0), true
}

// Covers tells whether stored fragments hold all of [begin, end).
func (x *Index) Covers(begin, end int64) bool {
	stored := x.state.Load().stored
	for at := begin; at < end; {
		i, ok := stored.Longest(at)
		if !ok {
			return false
		}
		at = stored[i].End
	}
	return true
}

// Stored is the cover set of the stored entries alone. The caller must not change it.
func (x *Index) Stored() CoverSet { return x.state.Load().stored }

// Entries is the cover set of stored and local entries together. The caller must
// not change it.
func (x *Index) Entries() []Entry {
	s := x.state.Load()
	if len(s.local) == 0 {
		return slices.Clone([]Entry(s.stored))
	}
	// The stored come last, so that they win where spans are equal, and take the
	// local content with them.
	all := make([]Entry, 0, len(s.local)+len(s.stored))
	all = append(all, s.local...)
	for _, e := range s.stored {
		if i, ok := s.local.Longest(e.Begin); ok && sameSpan(s.local[i].Fragment, e.Fragment) {
			e = joined(e, s.local[i])
		}
		all = append(all, e)
	}
	return NewCoverSet(all)
}

// lookup is CoverSet.Longest on the cover set of both.
func (s *indexState) lookup(offset int64) (Entry, Outcome) {
	i, stored := s.stored.Longest(offset)
	j, local := s.local.Longest(offset)
	switch {
	case stored && local:
		return better(s.stored[i], s.local[j]), Found
	case stored:
		return s.stored[i], Found
	case local:
		return s.local[j], Found
	case i < len(s.stored) && (j == len(s.local) || s.stored[i].Begin < s.local[j].Begin):
		return s.stored[i], Hole
	case i < len(s.stored) && s.stored[i].Begin == s.local[j].Begin:
		return better(s.stored[i], s.local[j]), Hole
	case j < len(s.local):
		return s.local[j], Hole
	default:
		return Entry{}, Wait
	}
}

// better of two entries that overlap is the one that ends later, then the longer.
func better(stored, local Entry) Entry {
	switch {
	case sameSpan(stored.Fragment, local.Fragment):
		return joined(stored, local)
	case local.End > stored.End || local.End == stored.End && local.Begin < stored.Begin:
		return local
	default:
		return stored
	}
}

// joined is what to serve of a stored and a local entry of the same span: the
// stored one, read locally; or the local one alone if their contents differ, since
// its bytes are the ones that were acknowledged here.
func joined(stored, local Entry) Entry {
	if differs(stored.Fragment, local.Fragment) {
		return local
	}
	stored.Local = local.Local
	return stored
}

func sameSpan(a, b Fragment) bool { return a.Begin == b.Begin && a.End == b.End }

// differs tells whether a and b surely have different content for the same span.
func differs(a, b Fragment) bool {
	unknown := [20]byte{}
	return sameSpan(a, b) && a.Sum != b.Sum && a.Sum != unknown && b.Sum != unknown
}

// begin is the least offset of any entry, and whether there is one.
func (s *indexState) begin() (int64, bool) {
	switch {
	case len(s.stored) == 0 && len(s.local) == 0:
		return 0, false
	case len(s.local) == 0:
		return s.stored[0].Begin, true
	case len(s.stored) == 0:
		return s.local[0].Begin, true
	default:
		return min(s.stored[0].Begin, s.local[0].Begin), true
	}
}

// end is the greatest offset: of any entry, or of the local head.
func (s *indexState) end() int64 {
	end := s.head
	if n := len(s.stored); n > 0 {
		end = max(end, s.stored[n-1].End)
	}
	if n := len(s.local); n > 0 {
		end = max(end, s.local[n-1].End)
	}
	return end
}
