package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message/committed"
)

// What a table of messages shows is decided by the lines of its journals (package committed): of each journal there is
// an index, which says where the lines are that aren't rows at a cut. Fragments without such lines are read in place,
// if they're proven clean, which none is that has an acknowledgement.

const (
	// maxIndexes bounds the indexes of all journals, in bytes, and maxHoles the places that one of them has.
	maxIndexes = 128 << 20
	maxHoles   = 1 << 20
)

// indexKey names an index: of a journal, whose UUIDs are at a pointer. One that is past is of a cut
// that the other doesn't know any more.
type indexKey struct {
	journal  string
	revision int64
	pointer  string
	past     bool
}

// commitIndex is an index, which belongs to whoever has its token.
type commitIndex struct {
	token chan *committed.Index
	bytes int64
	used  time.Time
}

// commits has the indexes of journals. It is safe for concurrent use.
//
// Memory is bounded: over the limit those that were used least recently are dropped, and made again when they are
// needed, by reading their journals.
type commits struct {
	open  openRange
	limit int64

	mu    sync.Mutex
	known map[indexKey]*commitIndex
	bytes int64
}

func newCommits(open openRange, limit int64) *commits {
	return &commits{open: open, limit: limit, known: map[indexKey]*commitIndex{}}
}

// holes of a journal that begins at an offset, at a cut.
func (c *commits) holes(ctx context.Context, key indexKey, begin, cut int64) (committed.Holes, error) {
	h, err := c.ask(ctx, key, begin, cut)
	if errors.Is(err, committed.ErrCompacted) {
		key.past = true
		h, err = c.ask(ctx, key, begin, cut)
	}
	switch {
	case errors.Is(err, committed.ErrTooManyHoles):
		return h, hinted(sqlError("54000", "journal %s has more than %d places with lines that are open, rolled back or duplicates", key.journal, maxHoles),
			"Read it by a table without reads = 'committed'.")
	case err != nil:
		return h, fmt.Errorf("journal %s: %w", key.journal, err)
	}
	return h, nil
}

// ask one of the indexes.
func (c *commits) ask(ctx context.Context, key indexKey, begin, cut int64) (committed.Holes, error) {
	pointer, err := committed.ParsePointer(key.pointer)
	if err != nil {
		return committed.Holes{}, err // the catalog has none that can't be read
	}
	entry := c.entry(key)
	var x *committed.Index
	select {
	case x = <-entry.token:
	case <-ctx.Done():
		return committed.Holes{}, context.Cause(ctx)
	}
	fresh := func() *committed.Index { return committed.NewIndex(begin, pointer.UUID, maxHoles) }
	if x == nil || x.At() < begin || begin < x.Begin() { // who began earlier may read what retention leaves out for others
		x = fresh()
	}
	source := func(ctx context.Context, begin, end int64) (io.ReadCloser, error) {
		return c.open(ctx, key.journal, begin, end)
	}
	h, err := holesAt(ctx, x, source, cut)
	if key.past && errors.Is(err, committed.ErrCompacted) {
		x = fresh()
		h, err = holesAt(ctx, x, source, cut)
	}
	c.note(key, entry, x.Bytes())
	entry.token <- x
	return h, err
}

func holesAt(ctx context.Context, x *committed.Index, source committed.Source, cut int64) (committed.Holes, error) {
	if err := x.Extend(ctx, source, cut); err != nil {
		return committed.Holes{}, err
	}
	return x.Holes(cut)
}

func (c *commits) entry(key indexKey) *commitIndex {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.known[key]
	if !ok {
		e = &commitIndex{token: make(chan *committed.Index, 1)}
		e.token <- nil
		c.known[key] = e
	}
	e.used = time.Now()
	return e
}

// note the size of an index, and drop others if all are too large.
func (c *commits) note(key indexKey, e *commitIndex, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[key] != e {
		return // it was dropped meanwhile
	}
	c.bytes += bytes - e.bytes
	e.bytes = bytes
	for c.bytes > c.limit {
		var oldest indexKey
		var found *commitIndex
		for k, x := range c.known {
			if x != e && x.bytes > 0 && (found == nil || x.used.Before(found.used)) {
				oldest, found = k, x
			}
		}
		if found == nil {
			return
		}
		c.bytes -= found.bytes
		delete(c.known, oldest)
	}
}

// committedOf says, for the planned journals of a table of messages, where the lines are that aren't rows; and lets none of
// them be read in place. Of another table it is nil. Created are the revisions of the journals that are there.
func (g *Gateway) committedOf(ctx context.Context, t catalog.Table, plans []journalScan, created map[string]int64) (map[string]committed.Holes, error) {
	if t.Messages == "" {
		return nil, nil
	}
	holes := make([]committed.Holes, len(plans))
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(journalFanout)
	for i, p := range plans {
		eg.Go(func() error {
			var err error
			key := indexKey{journal: p.journal, revision: created[p.journal], pointer: t.Messages}
			if holes[i], err = g.commits.holes(ctx, key, p.begin, p.head); err == nil {
				plans[i].pieces = besideHoles(p.pieces, holes[i])
			}
			return err
		})
	}
	if err := eg.Wait(); err != nil {
		return nil, err
	}
	out := make(map[string]committed.Holes, len(plans))
	for i, p := range plans {
		out[p.journal] = holes[i]
	}
	return out, nil
}

// besideHoles decodes the pieces of which not all lines are rows.
func besideHoles(pieces []piece, holes committed.Holes) []piece {
	var out []piece
	for _, p := range pieces {
		if p.InPlace != nil && !holes.Within(p.Begin, p.End) {
			out = append(out, p)
		} else {
			out = appendDecoded(out, p.Begin, p.End)
		}
	}
	return out
}

// rowsBeside are the rows of a batch that aren't in holes, and their offsets: the batch itself if that is all.
func rowsBeside(b *columnar.Batch, holes committed.Holes) *columnar.Batch {
	var runs [][2]int
	for from, to := range holes.Rows(b.Offsets) {
		runs = append(runs, [2]int{from, to})
	}
	return runsOf(b, runs)
}

// runsOf are runs of rows of a batch, and their offsets: the batch itself if that is all.
func runsOf(b *columnar.Batch, runs [][2]int) *columnar.Batch {
	switch len(runs) {
	case 0:
		return &columnar.Batch{}
	case 1:
		if runs[0] == [2]int{0, b.Len} {
			return b
		}
		return b.Slice(runs[0][0], runs[0][1])
	}
	out := &columnar.Batch{Cols: make([]columnar.Vector, len(b.Cols)), Journal: b.Journal}
	for _, r := range runs {
		out.Len += r[1] - r[0]
		out.Offsets = append(out.Offsets, b.Offsets[r[0]:r[1]]...)
	}
	for i := range b.Cols {
		v := columnar.NewVectorBuilder(b.Cols[i].Type)
		for _, r := range runs {
			for row := r[0]; row < r[1]; row++ {
				v.AppendFrom(&b.Cols[i], row)
			}
		}
		out.Cols[i] = v.Vector()
	}
	return out
}
