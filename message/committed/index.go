package committed

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"sort"
	"sync/atomic"

	"broadsheet.dev/broadsheet/message"
)

// Errors of an Index.
var (
	// ErrCompacted: of a cut so old the index has forgotten what was committed after it. An index that is made anew,
	// and extended no further than to the cut, knows.
	ErrCompacted = errors.New("the index doesn't know what was committed at the cut any more")
	// ErrTooManyHoles: the lines that aren't rows are in too many places.
	ErrTooManyHoles = errors.New("too many places with lines that aren't committed")
)

// never is when a line becomes a row that doesn't.
const never = math.MaxInt64

// hole is a range of lines that aren't rows in a cut below until; those from the offset rest on aren't in any.
type hole struct {
	begin, end  int64
	until, rest int64 // changed only by atomic operations, once the hole is there
}

// holeBytes is about what a hole takes in memory, with what is known of an open transaction in it.
const holeBytes = 32 + 24

// piece is lines of an open transaction that are next to each other: a hole, and the clocks of its first and last.
type piece struct {
	begin       int64
	first, last message.Clock
}

// Index knows which lines of a journal aren't rows: at any cut, if it was extended to it. Acknowledgements aren't among
// them, for whoever reads a line knows one by its UUID alone. So a journal whose transactions are committed takes
// next to nothing once the index is compacted; else each place with such lines takes some 50 bytes.
//
// What is known of a cut never changes. An Index belongs to one goroutine at a time; the Holes that it gave out may be
// used by others all the while.
type Index struct {
	find   Finder
	most   int // holes
	ledger *message.Ledger

	begin   int64
	at      int64 // the first line that isn't known
	floor   int64 // cuts below aren't known any more
	holes   []hole
	open    map[message.Producer][]piece
	splits  []split // that are still to be made
	compact int     // how many holes there are when it is compacted next
}

// compactFrom is how many holes an index has, at least, when it is compacted.
const compactFrom = 1 << 16

// NewIndex returns an index of a journal from an offset on, where a line begins: the journal's first. It has at
// most so many holes.
func NewIndex(begin int64, find Finder, most int) *Index {
	return &Index{
		find: find, most: most, ledger: message.NewLedger(defaultLimit),
		begin: begin, at: begin, floor: begin, open: map[message.Producer][]piece{}, compact: min(most, compactFrom),
	}
}

// Bytes is about how much memory the index takes.
func (x *Index) Bytes() int64 {
	const itself, producer = 512, 128
	return itself + int64(cap(x.holes))*holeBytes + int64(x.ledger.Len())*producer
}

// Extend the index to a cut. If it fails, it keeps what it has learnt.
func (x *Index) Extend(ctx context.Context, src Source, cut int64) error {
	if err := x.extend(ctx, src, cut); err != nil {
		return fmt.Errorf("committed lines: %w", err)
	}
	return nil
}

func (x *Index) extend(ctx context.Context, src Source, cut int64) error {
	if err := x.split(ctx, src); err != nil || cut <= x.at {
		return err
	}
	in, err := x.lines(ctx, src, x.at, cut)
	if err != nil {
		return err
	}
	defer in.close()
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read [%d, %d): %w", x.at, cut, err)
		}
		if err := x.room(); err != nil {
			return err
		}
		x.take(line.Begin, line.End, line.UUID)
		x.at = line.End
		if err := x.split(ctx, src); err != nil {
			return err
		}
	}
}

// lines of a range, by a buffer that isn't larger than that.
func (x *Index) lines(ctx context.Context, src Source, begin, end int64) (*lines, error) {
	in := &lines{find: x.find, at: begin, end: end, most: MaxLine + 1}
	in.br = bufio.NewReaderSize(nil, int(min(end-begin, lineBuffer)))
	return in, in.open(ctx, src)
}

// room makes sure that there is some for one more hole.
func (x *Index) room() error {
	if len(x.holes) < x.compact {
		return nil
	}
	x.floor = x.at
	x.holes = slices.DeleteFunc(slices.Clone(x.holes), func(h hole) bool { return h.until != never && h.rest == never })
	x.compact = min(x.most, max(2*len(x.holes), compactFrom)) // never beyond most, however often it is asked
	if len(x.holes) >= x.most {
		return ErrTooManyHoles
	}
	return nil
}

// take the next line.
func (x *Index) take(begin, end int64, u message.UUID) {
	d := x.ledger.Decide(begin, u)
	if forgot, ok := x.ledger.Forgot(); ok {
		delete(x.open, forgot.Producer)
	}
	switch d.Outcome {
	case message.ContinueBegin, message.ContinueExtend:
		x.pend(begin, end, u)
	case message.OutsideDuplicate, message.ContinueDuplicate, message.ContinueAcked:
		x.drop(begin, end)
	case message.OutsideRollback:
		delete(x.open, u.Producer())
	case message.AckCommit:
		x.commit(u.Producer(), d.Through, end)
	case message.NoUUID, message.OutsideCommit, message.AckEmpty, message.AckRepeated, message.AckLate:
	}
}

// pend on a line of an open transaction.
func (x *Index) pend(begin, end int64, u message.UUID) {
	pieces, n := x.open[u.Producer()], len(x.holes)-1
	if k := len(pieces) - 1; k >= 0 && x.holes[n].begin == pieces[k].begin && x.holes[n].end == begin {
		atomic.StoreInt64(&x.holes[n].end, end)
		pieces[k].last = u.Clock()
		return
	}
	x.holes = append(x.holes, hole{begin: begin, end: end, until: never, rest: never})
	x.open[u.Producer()] = append(pieces, piece{begin, u.Clock(), u.Clock()})
}

// drop a line that is never a row.
func (x *Index) drop(begin, end int64) {
	if n := len(x.holes) - 1; n >= 0 && x.holes[n].end == begin && x.holes[n].rest == x.holes[n].begin {
		atomic.StoreInt64(&x.holes[n].end, end)
		return
	}
	x.holes = append(x.holes, hole{begin: begin, end: end, until: never, rest: begin})
}

// commit the open transaction of a producer up to a clock.
func (x *Index) commit(p message.Producer, through message.Clock, end int64) {
	for _, c := range x.open[p] {
		switch {
		case c.first > through:
		case c.last > through:
			x.splits = append(x.splits, split{c.begin, through, end})
		default:
			atomic.StoreInt64(&x.holes[x.holeAt(c.begin)].until, end)
		}
	}
	delete(x.open, p)
}

// holeAt is the index of the hole that begins at an offset.
func (x *Index) holeAt(begin int64) int {
	i, _ := slices.BinarySearchFunc(x.holes, begin, func(h hole, at int64) int { return cmp.Compare(h.begin, at) })
	return i
}

// split is of a hole whose lines are committed up to a clock, and no further.
type split struct {
	begin   int64
	through message.Clock
	until   int64
}

// split holes: where, their lines tell once more. That is seldom, for a producer acknowledges all that it wrote.
func (x *Index) split(ctx context.Context, src Source) error {
	for len(x.splits) > 0 {
		s := x.splits[0]
		h := &x.holes[x.holeAt(s.begin)]
		rest, err := x.beyond(ctx, src, *h, s.through)
		if err != nil {
			return err
		}
		atomic.StoreInt64(&h.rest, rest)
		atomic.StoreInt64(&h.until, s.until)
		x.splits = x.splits[1:]
	}
	return nil
}

// beyond is the first line of a hole with a clock beyond one.
func (x *Index) beyond(ctx context.Context, src Source, h hole, through message.Clock) (int64, error) {
	in, err := x.lines(ctx, src, h.begin, h.end)
	if err != nil {
		return 0, err
	}
	defer in.close()
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return 0, fmt.Errorf("the lines [%d, %d) aren't those that were there", h.begin, h.end)
		case err != nil:
			return 0, fmt.Errorf("read [%d, %d): %w", h.begin, h.end, err)
		case line.UUID.Clock() > through:
			return line.Begin, nil
		}
	}
}

// Holes are where the lines are that aren't rows at a cut, which the index was extended to.
func (x *Index) Holes(cut int64) (Holes, error) {
	if cut < x.floor {
		return Holes{}, ErrCompacted
	}
	return Holes{list: x.holes[:x.holeAt(cut)], cut: cut}, nil
}

// Holes are where the lines are that aren't rows at a cut. The zero value has none.
type Holes struct {
	list []hole
	cut  int64
}

// at is the part of a hole whose lines aren't rows.
func (h Holes) at(i int) (int64, int64) {
	x := &h.list[i]
	begin, end := x.begin, atomic.LoadInt64(&x.end)
	if atomic.LoadInt64(&x.until) <= h.cut {
		begin = min(atomic.LoadInt64(&x.rest), end)
	}
	return begin, end
}

// after is the first hole that ends after an offset.
func (h Holes) after(offset int64) int {
	return sort.Search(len(h.list), func(i int) bool { return atomic.LoadInt64(&h.list[i].end) > offset })
}

// Within tells whether any line in [begin, end) isn't a row.
func (h Holes) Within(begin, end int64) bool {
	for i := h.after(begin); i < len(h.list) && h.list[i].begin < end; i++ {
		if from, to := h.at(i); max(from, begin) < min(to, end) {
			return true
		}
	}
	return false
}

// Rows are those, of lines at offsets that ascend, which are rows: from one to before another of them.
func (h Holes) Rows(offsets []int64) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		from := 0
		if len(offsets) > 0 {
			for i := h.after(offsets[0]); i < len(h.list) && from < len(offsets); i++ {
				begin, end := h.at(i)
				left := offsets[from:]
				to, _ := slices.BinarySearch(left, begin)
				next, _ := slices.BinarySearch(left, end)
				if to == len(left) {
					break
				}
				if to > 0 && next > to && !yield(from, from+to) {
					return
				}
				if next > to {
					from += next
				}
			}
		}
		if from < len(offsets) {
			yield(from, len(offsets))
		}
	}
}

// Begin is the offset from which on the index knows lines.
func (x *Index) Begin() int64 { return x.begin }

// At is the offset of the first line that the index doesn't know.
func (x *Index) At() int64 { return x.at }
