package sqlgw

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// parsing bounds the memory that texts of statements take: while they are parsed, for the grammar is C and can't be told to take less,
// and then for as long as anything has what became of them: prepared statements, cursors, what runs. Who goes over waits for the
// others, or is told 53200.
//
// The grammar can't be interrupted. Whose deadline comes while it is at work goes on without it; its memory is given back when it is done.
type parsing struct {
	most   int64
	memory *semaphore.Weighted
	lost   func(error) // is told of a panic that nobody waits for
}

// parsingPatience is how long a text waits for memory of others.
const parsingPatience = 2 * time.Second

func newParsing(most int64, lost func(error)) *parsing {
	return &parsing{most: most, memory: semaphore.NewWeighted(most), lost: lost}
}

// parse the statements of a text.
func (p *parsing) parse(ctx context.Context, pieces []parse.Piece) ([]parse.Statement, error) {
	var peak, kept int64
	for i := range pieces {
		during, after := pieces[i].Memory()
		peak = max(peak, during)
		kept += after
	}
	if err := p.take(ctx, peak+kept); err != nil {
		return nil, err
	}
	held := &heldByText{bytes: kept}
	runtime.AddCleanup(held, p.memory.Release, kept) // when nothing has any of the statements any more
	var out []parse.Statement
	var err error
	left := apart(ctx, func() {
		defer p.memory.Release(peak)
		out, err = parseAll(ctx, pieces, held)
	}, p.lost)
	if left != nil {
		return nil, left
	}
	return out, err
}

// parseAll parses pieces, as long as anybody waits.
func parseAll(ctx context.Context, pieces []parse.Piece, held *heldByText) ([]parse.Statement, error) {
	out := make([]parse.Statement, len(pieces))
	for i := range pieces {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		pieces[i].Keep = held
		var err error
		if out[i], err = parse.Parse(pieces[i]); err != nil {
			return nil, parseError(err)
		}
	}
	return out, nil
}

// heldByText is there for as long as any statement of a text.
type heldByText struct{ bytes int64 }

func (p *parsing) take(ctx context.Context, n int64) error {
	if n > p.most {
		e := sqlError("54000", "the statements would take %d bytes of memory to be parsed, of %d that there are", n, p.most)
		return hinted(e, "Send many rows with COPY ... FROM STDIN, and many values as one array.")
	}
	patient, cancel := context.WithTimeout(ctx, parsingPatience)
	defer cancel()
	if !p.memory.TryAcquire(n) {
		runtime.GC() // what nothing has any more is given back
		if p.memory.Acquire(patient, n) != nil {
			return p.refused(ctx)
		}
	}
	if err := awaitMappable(patient, n); err != nil {
		p.memory.Release(n)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

func (p *parsing) refused(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return hinted(sqlError("53200", "out of memory: the statements that are being parsed, and are prepared, take all of the %d bytes that there are for them", p.most),
		"Close prepared statements and cursors that aren't used, or try again later.")
}

const (
	// smallText is how much memory is found for a text in what the allocator has.
	smallText = 1 << 20
	// mappableTick is how often it is tried again whether there is memory.
	mappableTick = 10 * time.Millisecond
)

// awaitMappable waits until the process may map so many bytes more. Where the grammar gets no memory it ends the process, and the engine, which
// doesn't, may have it all for a while.
func awaitMappable(ctx context.Context, n int64) error {
	if n < smallText || mappable(n) {
		return nil
	}
	tick := time.NewTicker(mappableTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if mappable(n) {
				return nil
			}
		case <-ctx.Done():
			return hinted(sqlError("53200", "out of memory: other queries take what it takes to parse the statement, %d bytes", n), "Try again later.")
		}
	}
}

// mappable tells whether the process may map so many bytes more, at this moment.
func mappable(n int64) bool {
	b, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	return err == nil && unix.Munmap(b) == nil
}
