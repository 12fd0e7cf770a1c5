package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/consumer"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/views/rowcodec"
)

// fewer is the part of a batch that the next attempt has, after a transaction that would have written too much.
const fewer = 4

// finish a transaction. One that would write too much fails, and the next attempts are made with fewer lines, down to a single one: that one
// is told then.
func (v *view) finish(ctx context.Context) error {
	err := v.finalize(ctx)
	if !errors.Is(err, pebblestore.ErrTooLarge) {
		return err
	}
	if journal, offset, ok := v.batch.single(); ok {
		return &consumer.MessageError{Journal: journal, Offset: offset, Err: err}
	}
	next := max(1, v.batch.bytes/fewer)
	v.app.mu.Lock()
	defer v.app.mu.Unlock()
	v.app.batches[v.id] = next
	return fmt.Errorf("%d bytes of lines at once, and %d are tried next: %w", v.batch.bytes, next, err)
}

// finalize a transaction: what its lines make of the state is written to the store.
func (v *view) finalize(ctx context.Context) error {
	if v.failed != nil {
		return v.failed
	}
	v.now.number++
	v.now.half = v.half
	if v.batch.bytes > 0 {
		if err := v.maintain(ctx); err != nil {
			return err
		}
	}
	if err := v.prune(); err != nil {
		return err
	}
	v.batch.reset()
	return v.store.Set([]byte{keyEpoch}, v.now.encode())
}

// maintain what is kept, by the lines of the batch. The definition is asked for after they were read: it is as new as they are.
func (v *view) maintain(ctx context.Context) error {
	if err := v.define(ctx); err != nil {
		return err
	}
	v.cache.resize(v.app.cacheOf())
	began := time.Now()
	var told decoded
	change := &change{view: v}
	take := change.addRows
	if v.definition.Plan.Kind != Rows {
		take = change.addGroups
	}
	err := v.queries.overBatch(ctx, v.batch, v.definition.Lines, &told, take)
	v.metrics.queried(&told, time.Since(began), change.took)
	if err != nil {
		return fmt.Errorf("the query over lines: %w", v.blame(ctx, err))
	}
	return change.finish(ctx)
}

// keepable tells whether all values are such as their types have: sums of DuckDB's decimals may be larger, and what is kept then couldn't be
// read any more.
func keepable(b *columnar.Batch) error {
	for i := range b.Cols {
		if b.Cols[i].Type.Kind != columnar.Decimal {
			continue
		}
		for _, x := range b.Cols[i].I128 {
			hi, lo := uint64(x.Hi), x.Lo
			if x.Hi < 0 {
				var borrow uint64
				lo, borrow = bits.Sub64(0, lo, 0)
				hi, _ = bits.Sub64(0, hi, borrow)
			}
			if hi > widest.hi || hi == widest.hi && lo >= widest.lo {
				const text = "a numeric value has more than 38 digits"
				return &duck.Error{Class: "Out of Range", SQLSTATE: "22003", Position: -1, Message: text, Raw: text}
			}
		}
	}
	return nil
}

// widest is 10^38, which no decimal has.
var widest = struct{ hi, lo uint64 }{0x4b3b4ca85a86c47a, 0x098a224000000000}

// change is what a transaction makes of a state.
type change struct {
	view *view
	// groups that are touched, in the order in which they were met.
	groups []touched
	at     map[string]int // of their keys
	order  []int          // of all groups by their keys, once they have been looked up
	merge  *columnar.BatchBuilder

	took  time.Duration // by what was done with rows
	chunk []byte        // of rows or changes that are to be written
	parts uint32        // that were
	bytes uint64
}

// touched is a group that the batch has rows of.
type touched struct {
	key      string
	old, new []byte // nil is none
	merges   bool
	unknown  bool // whether it is kept
}

// chunkSize is about how many bytes a value of rows, or of a delta, has.
const chunkSize = 64 << 10

// addRows keeps rows of a view of rows.
func (c *change) addRows(b *columnar.Batch) error {
	began := time.Now()
	defer func() { c.took += time.Since(began) }()
	if err := keepable(b); err != nil {
		return err
	}
	var row []byte
	for i := range b.Len {
		row = rowcodec.AppendRow(row[:0], b, i)
		c.chunk = rowcodec.AppendChunk(c.chunk, row)
		if err := c.flush(keyRow, chunkSize); err != nil {
			return err
		}
	}
	c.view.now.rows += uint64(b.Len) //nolint:gosec // it isn't negative
	return nil
}

// flush what is to be written, if it is more than so many bytes.
func (c *change) flush(kind byte, most int) error {
	if len(c.chunk) <= most {
		return nil
	}
	c.parts++
	c.bytes += uint64(len(c.chunk))
	err := c.view.store.Set(numbered(kind, c.view.now.number, c.parts), c.chunk)
	c.chunk = c.chunk[:0]
	return err
}

// addGroups takes rows of groups, as the query over lines gives them.
func (c *change) addGroups(b *columnar.Batch) error {
	began := time.Now()
	defer func() { c.took += time.Since(began) }()
	if err := keepable(b); err != nil {
		return err
	}
	if c.at == nil {
		c.at = make(map[string]int, b.Len)
	}
	var key []byte
	for i := range b.Len {
		key = rowcodec.AppendKey(key[:0], b, c.view.definition.Plan.Keys, i)
		at, again := c.at[string(key)]
		if !again {
			old, known := c.view.cache.get(key)
			at = len(c.groups)
			c.groups = append(c.groups, touched{key: string(key), old: old, unknown: !known})
			c.at[c.groups[at].key] = at
		}
		g := &c.groups[at]
		if g.old == nil && g.new == nil {
			g.new = rowcodec.AppendRow(nil, b, i)
			continue
		}
		if err := c.merges(g, b, i); err != nil {
			return err
		}
	}
	return nil
}

// merges a row of a group with what there is of it.
func (c *change) merges(g *touched, b *columnar.Batch, i int) error {
	if err := c.mergesKept(g); err != nil {
		return err
	}
	for col := range b.Cols {
		c.merge.Col(col).AppendFrom(&b.Cols[col], i)
	}
	return nil
}

// mergesKept has the row that is kept of a group merged, and the one that it has so far.
func (c *change) mergesKept(g *touched) error {
	if g.merges {
		return nil
	}
	g.merges = true
	for _, row := range [][]byte{g.old, g.new} {
		if err := c.mergesRow(row); err != nil {
			return err
		}
	}
	g.new = nil
	return nil
}

func (c *change) mergesRow(row []byte) error {
	if row == nil {
		return nil
	}
	if c.merge == nil {
		c.merge = c.view.decoder.NewBuilder()
	}
	if err := c.view.decoder.Append(c.merge, row); err != nil {
		return fmt.Errorf("a kept row: %w", err)
	}
	return nil
}

// lookUp the groups that aren't known. It is done in the order of their keys, in which they are written, too: what stands together in the
// store is met together.
func (c *change) lookUp() error {
	began := time.Now()
	defer func() { c.took += time.Since(began) }()
	c.order = make([]int, len(c.groups))
	for i := range c.order {
		c.order[i] = i
	}
	slices.SortFunc(c.order, func(x, y int) int { return strings.Compare(c.groups[x].key, c.groups[y].key) })
	var g *touched // that is looked up
	keys := func(yield func([]byte) bool) {
		var key []byte
		for _, at := range c.order {
			if g = &c.groups[at]; !g.unknown {
				continue
			}
			if key = groupKey(key[:0], g.key); !yield(key) {
				return
			}
		}
	}
	return c.view.store.GetEach(keys, func(value []byte, ok bool) error {
		if !ok {
			return nil
		}
		g.old = append([]byte{}, value...)
		if g.merges { // what the batch has of it
			return c.mergesRow(g.old)
		}
		return c.mergesKept(g)
	})
}

// mergeAll of what has to be merged.
func (c *change) mergeAll(ctx context.Context) error {
	if err := c.lookUp(); err != nil {
		return fmt.Errorf("look groups up: %w", err)
	}
	if c.merge == nil {
		return nil
	}
	began := time.Now()
	err := c.view.queries.merged(ctx, c.merge.Batch(), c.takeMerged)
	c.view.metrics.engine.Add(time.Since(began).Seconds())
	if err != nil {
		return fmt.Errorf("the query that merges: %w", err)
	}
	return nil
}

var errMerge = errors.New("the query that merges gave another group, or the same one twice")

// takeMerged takes the rows of merged groups.
func (c *change) takeMerged(b *columnar.Batch) error {
	if err := keepable(b); err != nil {
		return err
	}
	var key []byte
	for i := range b.Len {
		key = rowcodec.AppendKey(key[:0], b, c.view.definition.Plan.Keys, i)
		at, ok := c.at[string(key)]
		if !ok || !c.groups[at].merges || c.groups[at].new != nil {
			return errMerge
		}
		c.groups[at].new = rowcodec.AppendRow(nil, b, i)
	}
	return nil
}

// finish writes what has changed.
func (c *change) finish(ctx context.Context) error {
	if c.view.definition.Plan.Kind == Rows {
		return c.flush(keyRow, 0)
	}
	c.took = 0
	err := c.mergeAll(ctx)
	c.view.metrics.state.Add(c.took.Seconds())
	if err != nil {
		return c.view.blame(ctx, err)
	}
	began := time.Now()
	defer func() { c.view.metrics.state.Add(time.Since(began).Seconds()) }()
	return c.write()
}

// write the rows of groups that are others now, and what was changed.
func (c *change) write() error {
	v := c.view
	var key []byte
	for _, at := range c.order {
		g := &c.groups[at]
		if g.new == nil {
			return errMerge
		}
		if bytes.Equal(g.old, g.new) {
			continue
		}
		key = groupKey(key[:0], g.key)
		if err := v.store.Set(key, g.new); err != nil {
			return err
		}
		v.cache.put(g.key, g.new)
		if g.old == nil {
			v.now.rows++
		}
		c.chunk = appendChange(c.chunk, swap{g.old, g.new})
		if err := c.flush(keyDelta, chunkSize); err != nil {
			return err
		}
	}
	if err := c.flush(keyDelta, 0); err != nil || c.parts == 0 {
		return err
	}
	head := deltaHead{micros: v.clock().UnixMicro(), bytes: c.bytes}
	v.deltas = append(v.deltas, keptDelta{v.now.number, head})
	v.deltaBytes += head.bytes
	return v.store.Set(numbered(keyDelta, v.now.number, 0), head.encode())
}

// keptDelta is what is known of a delta in the store.
type keptDelta struct {
	epoch uint64
	deltaHead
}

// prune deltas that are too old, or too many: an eighth more than what is kept may be there.
func (v *view) prune() error {
	cfg := v.app.cfg
	oldest := v.clock().Add(-cfg.DeltaAge)
	n := 0
	if len(v.deltas) > 0 && v.deltas[0].micros < oldest.Add(-cfg.DeltaAge/8).UnixMicro() {
		for n < len(v.deltas) && v.deltas[n].micros < oldest.UnixMicro() {
			n++
		}
	}
	left := v.deltaBytes
	for _, d := range v.deltas[:n] {
		left -= d.bytes
	}
	if most := uint64(cfg.DeltaBytes); left > most+most/8 { //nolint:gosec // it isn't negative
		for ; n < len(v.deltas) && left > most; n++ {
			left -= v.deltas[n].bytes
		}
	}
	if n == 0 {
		return nil
	}
	from, to := within(keyDelta, v.now.floor, v.deltas[n-1].epoch)
	v.now.floor = v.deltas[n-1].epoch
	v.deltas, v.deltaBytes = v.deltas[n:], left
	return v.store.DeleteRange(from, to)
}
