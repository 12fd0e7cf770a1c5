package sqlgw

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/internal/task"
)

// tailChunk is how much of a journal is read at once.
const tailChunk = 256 << 10

// maxTailLine is the longest line that a tail holds; a longer one is a reject anyway.
const maxTailLine = columnar.MaxLine

// tail reads a journal from an offset on and hands over the rows of the lines that are
// whole, as soon as they are. It ends when ctx does, or with the journal's error.
func tail(ctx context.Context, r io.Reader, journal string, begin int64, schema columnar.Schema, emit func(*columnar.Batch) error) error {
	t := &tailer{journal: journal, at: begin, schema: schema, emit: emit, buf: make([]byte, 0, tailChunk)}
	t.lines = t.decode
	return t.run(ctx, r)
}

// run the tail over what a reader has.
func (t *tailer) run(ctx context.Context, r io.Reader) error {
	for {
		if len(t.buf) == cap(t.buf) {
			t.buf = append(t.buf, 0)[:len(t.buf)] // a line longer than the buffer: grow it
		}
		n, err := r.Read(t.buf[len(t.buf):cap(t.buf)])
		if n > 0 {
			if err := t.take(n); err != nil {
				return err
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("journal %s at %d: %w", t.journal, t.at, err)
		}
	}
}

// tailer holds the part of a line that isn't whole yet. At is the offset of buf[0].
type tailer struct {
	journal string
	at      int64
	schema  columnar.Schema
	emit    func(*columnar.Batch) error
	lines   func(lines []byte, at int64) error // takes those that are whole
	buf     []byte
	skip    bool // inside a line that is too long
}

// take handles n new bytes behind buf.
func (t *tailer) take(n int) error {
	from := len(t.buf)
	t.buf = t.buf[:from+n]
	if f := t.schema.Format; f != nil && f.Frames() {
		return t.takeFrames()
	}
	if t.skip {
		i := bytes.IndexByte(t.buf, '\n')
		if i < 0 {
			t.drop(len(t.buf))
			return nil
		}
		t.skip, from = false, 0
		t.drop(i + 1)
	}
	if i := bytes.LastIndexByte(t.buf[from:], '\n'); i >= 0 {
		whole := from + i + 1
		if err := t.lines(t.buf[:whole], t.at); err != nil {
			return err
		}
		t.drop(whole)
	}
	if len(t.buf) > maxTailLine {
		t.skip = true
		t.drop(len(t.buf))
	}
	return nil
}

// takeFrames hands over the frames that are whole. One whose length is over the limit is none, so that no more than the
// longest is held.
func (t *tailer) takeFrames() error {
	if columnar.FrameIsPending(t.buf) {
		return nil
	}
	end, err := t.scan(t.buf, t.at)
	if err != nil {
		return err
	}
	t.drop(int(end - t.at))
	return nil
}

// drop forgets the first n bytes.
func (t *tailer) drop(n int) {
	t.at += int64(n)
	t.buf = t.buf[:copy(t.buf, t.buf[n:])]
}

// decode lines that begin at an offset.
func (t *tailer) decode(lines []byte, at int64) error {
	_, err := t.scan(lines, at)
	return err
}

// scan content that begins at an offset, and return the one after what is whole of it.
func (t *tailer) scan(content []byte, at int64) (int64, error) {
	sc := columnar.NewScanner(bytes.NewReader(content), columnar.ScanOptions{
		Journal: t.journal, Begin: at, End: at + int64(len(content)), Schema: t.schema, Ends: true,
	})
	for {
		b, _, err := sc.Next()
		if errors.Is(err, io.EOF) {
			return sc.Offset(), nil
		}
		if err != nil {
			return 0, err
		}
		if b != nil && b.Len > 0 {
			if err := t.emit(b); err != nil {
				return 0, err
			}
		}
	}
}

// position is where the tail of a journal begins.
type position struct {
	journal string
	begin   int64
}

// tails reads journals together, until stop: the rows of each in order, one batch at a time.
type tails struct {
	group   *task.Group
	batches chan *columnar.Batch
}

// startTails begins to read. It holds a goroutine and at most one batch for each journal.
func startTails(ctx context.Context, open openRange, from []position, schema columnar.Schema) *tails {
	t := &tails{group: task.New(ctx, "subscription"), batches: make(chan *columnar.Batch)}
	for _, p := range from {
		t.group.Go(p.journal, func(ctx context.Context) error {
			r, err := open(ctx, p.journal, p.begin, 0)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			emit := func(b *columnar.Batch) error {
				select {
				case t.batches <- b:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			if schema.Messages != "" {
				return tailMessages(ctx, open, r, p, schema, emit)
			}
			return tail(ctx, r, p.journal, p.begin, schema, emit)
		})
	}
	return t
}

// errNoRows: there are none for now.
var errNoRows = errors.New("no rows yet")

// next returns rows. If there are none it waits, after a call of idle, until ctx ends, or the time
// of until comes; a closed channel is now.
func (t *tails) next(ctx context.Context, until <-chan time.Time, idle func() error) (*columnar.Batch, error) {
	return nextBatch(ctx, t.batches, t.group, until, idle)
}

// nextBatch does so for batches that tasks of a group send.
func nextBatch(ctx context.Context, batches <-chan *columnar.Batch, group *task.Group, until <-chan time.Time, idle func() error) (*columnar.Batch, error) {
	select {
	case b := <-batches:
		return b, nil
	default:
	}
	if err := idle(); err != nil {
		return nil, err
	}
	select {
	case b := <-batches:
		return b, nil
	case <-until:
		return nil, errNoRows
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-group.Context().Done():
		return nil, cmp.Or(group.Wait(), context.Cause(group.Context()))
	}
}

// stop ends the reading, and returns when it has ended.
func (t *tails) stop() {
	t.group.Cancel()
	_ = t.group.Wait()
}

// sendAll calls write with the rows of a feed, one batch at a time; idle is called when there are no more rows at the
// moment. It returns, having stopped the feed, when ctx ends or any of these fails.
func sendAll(ctx context.Context, t feed, write func(*columnar.Batch) error, idle func() error) error {
	defer t.stop()
	for {
		b, err := t.next(ctx, nil, idle)
		if err != nil {
			return err
		}
		if err := write(b); err != nil {
			return err
		}
	}
}
