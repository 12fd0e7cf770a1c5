package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// openRange returns the bytes [begin, end) of a journal.
type openRange func(ctx context.Context, journal string, begin, end int64) (io.ReadCloser, error)

// headKey names what is cached: a journal, decoded under one schema. Another journal of its name was created at another
// revision.
type headKey struct {
	journal  string
	revision int64
	schema   uint64
}

// segment is a decoded range [begin, end) of a journal, from one line's start to
// another's.
type segment struct {
	begin, end int64
	batch      *columnar.Batch // nil if the range has no rows
	rejects    int
}

// head is what is cached of one journal: adjoining segments. Whoever holds the token may
// add and drop segments; the slice itself is never changed, only replaced.
type head struct {
	token    chan struct{}
	segments []segment

	// These are the cache's: what the segments take, the range that they are of, when they were last used.
	bytes      int64
	begin, end int64
	used       time.Time
}

// headCache keeps the heads of journals in decoded columns, so that a query that is asked
// every second parses only what is new (design D9). It is safe for concurrent use.
//
// Memory is bounded: over the limit the heads that were used least recently are dropped,
// and a range that is over the limit by itself isn't cached.
type headCache struct {
	open  openRange
	limit int64 // bytes

	mu    sync.Mutex
	heads map[headKey]*head
	bytes int64
}

func newHeadCache(open openRange, limit int64) *headCache {
	return &headCache{open: open, limit: limit, heads: map[headKey]*head{}}
}

// errTooLarge: the range is over the cache's limit.
var errTooLarge = errors.New("the range is larger than the head cache")

// read returns the rows of [begin, end) of a journal. Begin is the start of a line; a line
// that isn't whole before end isn't a row. It fails with errTooLarge if the caller has to
// read without the cache.
func (c *headCache) read(ctx context.Context, key headKey, schema columnar.Schema, begin, end int64) ([]*columnar.Batch, error) {
	// Columns take less than text as a rule; a range this long would push all else out.
	if end-begin > c.limit/2 {
		return nil, errTooLarge
	}
	h := c.head(key)
	select {
	case <-h.token:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	segments, err := c.extend(ctx, h, key, schema, begin, end)
	h.token <- struct{}{}
	if err != nil {
		return nil, err
	}
	c.evict(h)
	return c.collect(ctx, key, schema, segments, begin, end)
}

func (c *headCache) head(key headKey) *head {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.heads[key]
	if !ok {
		h = &head{token: make(chan struct{}, 1)}
		h.token <- struct{}{}
		c.heads[key] = h
	}
	h.used = time.Now()
	return h
}

// extend makes the segments reach from begin to the last whole line before end. The caller
// holds the head's token.
func (c *headCache) extend(ctx context.Context, h *head, key headKey, schema columnar.Schema, begin, end int64) ([]segment, error) {
	segments := h.segments
	first := sort.Search(len(segments), func(i int) bool { return segments[i].end > begin })
	if len(segments) > 0 && segments[0].begin > begin {
		first = len(segments) // an older range is asked for: begin anew
	}
	segments = append([]segment(nil), segments[first:]...)
	from := begin
	if n := len(segments); n > 0 {
		from = segments[n-1].end
	}
	var bytes int64
	for _, s := range segments {
		bytes += s.size()
	}
	var err error
	if from < end {
		err = decodeRange(ctx, c.open, schema, lineRange{key.journal, from, end}, func(s segment) {
			if bytes += s.size(); bytes <= c.limit {
				segments = append(segments, s)
			}
		})
	}
	if bytes > c.limit { // short lines under many columns take far more than their text
		segments, bytes, err = nil, 0, errors.Join(err, errTooLarge)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heads[key] == h {
		c.bytes += bytes - h.bytes
		h.bytes = bytes
		h.begin, h.end = 0, 0
		if n := len(segments); n > 0 {
			h.begin, h.end = segments[0].begin, segments[n-1].end
		}
	}
	h.segments = segments
	return segments, err
}

func (s *segment) size() int64 {
	const overhead = 64
	if s.batch == nil {
		return overhead
	}
	return overhead + s.batch.Bytes()
}

// lineRange is a range of a journal to decode: Begin is the start of a line.
type lineRange struct {
	journal    string
	begin, end int64
}

// decodeRange reads a range of a journal and hands over a segment for each batch.
func decodeRange(ctx context.Context, open openRange, schema columnar.Schema, lines lineRange, add func(segment)) error {
	journal, begin, end := lines.journal, lines.begin, lines.end
	r, err := open(ctx, journal, begin, end)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	sc := columnar.NewScanner(r, columnar.ScanOptions{Journal: journal, Begin: begin, End: end, Schema: schema})
	for at := begin; ; at = sc.Offset() {
		batch, rejects, err := sc.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s at %d: %w", journal, sc.Offset(), err)
		}
		if batch != nil && batch.Len == 0 {
			batch = nil
		}
		add(segment{begin: at, end: sc.Offset(), batch: batch, rejects: len(rejects)})
	}
}

// collect picks the rows of [begin, end) from segments that cover it.
func (c *headCache) collect(ctx context.Context, key headKey, schema columnar.Schema, segments []segment, begin, end int64) ([]*columnar.Batch, error) {
	var out []*columnar.Batch
	for _, s := range segments {
		if s.begin >= end {
			break
		}
		if s.end > end {
			// A query with a later cut made this segment; which of its rows are whole
			// before end only their text tells.
			err := decodeRange(ctx, c.open, schema, lineRange{key.journal, max(s.begin, begin), end}, func(s segment) {
				if s.batch != nil {
					out = append(out, s.batch)
				}
			})
			return out, err
		}
		if s.batch == nil {
			continue
		}
		b := s.batch
		if s.begin < begin {
			from := sort.Search(b.Len, func(i int) bool { return b.Offsets[i] >= begin })
			b = b.Slice(from, b.Len)
		}
		if b.Len > 0 {
			out = append(out, b)
		}
	}
	return out, nil
}

// evict drops the heads used least recently, but not keep, until the rest is within the limit.
func (c *headCache) evict(keep *head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.bytes > c.limit {
		var oldest headKey
		var found *head
		for k, h := range c.heads {
			if h != keep && (found == nil || h.used.Before(found.used)) {
				oldest, found = k, h
			}
		}
		if found == nil {
			return
		}
		c.drop(oldest, found)
	}
}

// dropIdle drops the heads that weren't used since a time.
func (c *headCache) dropIdle(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, h := range c.heads {
		if h.used.Before(since) {
			c.drop(k, h)
		}
	}
}

// drop forgets a head; who reads it now goes on with what it has.
func (c *headCache) drop(key headKey, h *head) {
	delete(c.heads, key)
	c.bytes -= h.bytes
}

// has is how many bytes of a range of a journal are decoded already.
func (c *headCache) has(key headKey, begin, end int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.heads[key]
	if !ok || h.begin > begin {
		return 0
	}
	return max(0, min(end, h.end)-begin)
}
