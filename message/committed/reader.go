package committed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"broadsheet.dev/broadsheet/message"
)

const (
	// MaxLine is the longest line that is held, in bytes without its newline.
	MaxLine = 16 << 20
	// Kept is how much is held of a longer one. Its UUID is looked for in that.
	Kept = 16 << 10

	lineBuffer = 64 << 10
)

// Line of a journal.
type Line struct {
	// Begin and End of the line, with its newline.
	Begin, End int64
	// Text of the line, without its newline, valid until the next is read; of a line beyond
	// MaxLine the first bytes.
	Text []byte
	// Long tells that the line is beyond MaxLine.
	Long bool
	// UUID of the line; zero if it has none.
	UUID message.UUID
	// Verdict on it.
	Verdict Verdict
}

// Source opens a range of a journal's bytes.
type Source func(ctx context.Context, begin, end int64) (io.ReadCloser, error)

// lines of a range of a journal.
type lines struct {
	from    io.ReadCloser
	br      *bufio.Reader
	find    Finder
	at, end int64
	most    int64 // bytes of a line that is held, with its newline
	long    []byte
}

// open the lines of a range. One at a time is open.
func (r *Reader) open(ctx context.Context, begin, end int64) (*lines, error) {
	l := &lines{br: r.br, find: r.cfg.UUID, at: begin, end: end, most: r.maxLine + 1}
	if err := l.open(ctx, r.src); err != nil {
		return nil, err
	}
	return l, nil
}

// open what has the bytes.
func (l *lines) open(ctx context.Context, src Source) error {
	l.from = io.NopCloser(strings.NewReader(""))
	if l.at < l.end {
		var err error
		if l.from, err = src(ctx, l.at, l.end); err != nil {
			return fmt.Errorf("read [%d, %d): %w", l.at, l.end, err)
		}
	}
	l.br.Reset(l.from)
	return nil
}

// next line, or io.EOF if the range has no more of which it has the newline.
func (l *lines) next() (Line, error) {
	line := Line{Begin: l.at}
	text, err := l.br.ReadSlice('\n')
	l.at += int64(len(text))
	if errors.Is(err, bufio.ErrBufferFull) {
		text, err = l.rest(text)
	}
	switch {
	case errors.Is(err, io.EOF) && l.at != l.end:
		return Line{}, fmt.Errorf("it ends at %d (expected %d): %w", l.at, l.end, io.ErrUnexpectedEOF)
	case errors.Is(err, io.EOF):
		return Line{}, io.EOF
	case err != nil:
		return Line{}, fmt.Errorf("at %d: %w", l.at, err)
	case l.at > l.end:
		return Line{}, fmt.Errorf("it goes on to %d (expected %d)", l.at, l.end)
	}
	line.End = l.at
	line.Text = text[:len(text)-1]
	if line.End-line.Begin > l.most {
		line.Long, line.Text = true, text[:Kept]
	}
	line.UUID = l.find(line.Text)
	return line, nil
}

// rest of a line that doesn't fit the buffer. Of one beyond MaxLine its begin is returned.
func (l *lines) rest(text []byte) ([]byte, error) {
	l.long = append(l.long[:0], text...)
	for {
		more, err := l.br.ReadSlice('\n')
		l.at += int64(len(more))
		l.long = append(l.long, more[:min(int64(len(more)), l.most-int64(len(l.long)))]...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.long, err
		}
	}
}

func (l *lines) close() { _ = l.from.Close() } // it was read

// Config of a Reader.
type Config struct {
	// UUID finds that of a line.
	UUID Finder
	// Limits of a window.
	Limits Limits
}

// Reader returns the lines of a journal from a state to a cut, each with its verdict. It
// reads each range twice: to decide, and to return its lines.
type Reader struct {
	src   Source
	cfg   Config
	state State
	cut   int64
	br    *bufio.Reader
	// maxLine is MaxLine, but for tests.
	maxLine int64

	walk  *Walk
	lines *lines
	whole bool  // it was asked whether recalled lines are missing
	last  bool  // the window is
	err   error // that ended it
}

// NewReader returns a reader of the lines from a state to a cut, which is at its offset or
// behind it. Errors name offsets; the journal is known to the caller, and to the source.
func NewReader(src Source, from State, cut int64, cfg Config) (*Reader, error) {
	switch {
	case cfg.UUID == nil:
		return nil, errors.New("committed lines: nothing finds UUIDs")
	case cut < from.Offset:
		return nil, fmt.Errorf("committed lines: the cut at %d is before the state at %d", cut, from.Offset)
	}
	if _, err := NewDecider(from, cfg.Limits); err != nil {
		return nil, fmt.Errorf("committed lines: %w", err)
	}
	return &Reader{src: src, cfg: cfg, state: from, cut: cut, br: bufio.NewReaderSize(nil, lineBuffer), maxLine: MaxLine}, nil
}

// Next returns the next line, in the order of the journal, but that those which were pending
// before a window precede it. It returns io.EOF once all lines were returned. An error is
// the last.
func (r *Reader) Next(ctx context.Context) (Line, error) {
	for r.err == nil {
		if r.lines == nil {
			r.err = r.begin(ctx)
			continue
		}
		line, err := r.lines.next()
		if !r.whole && (err != nil || line.Begin >= r.walk.window.from.Offset) {
			r.whole = true
			if id, missing := r.walk.Missing(); missing && (err == nil || errors.Is(err, io.EOF)) {
				r.err = fmt.Errorf("committed lines: those of producer %s before %d aren't what the state is of", id, r.state.Offset)
				break
			}
		}
		switch {
		case err == nil:
			line.Verdict = r.walk.Line(line.Begin, line.UUID)
			return line, nil
		case errors.Is(err, io.EOF):
			r.finish()
		default:
			r.err = fmt.Errorf("committed lines: read [%d, %d): %w", r.walk.window.Begin(), r.walk.window.End(), err)
		}
	}
	return Line{}, r.err
}

// begin a window: decide on it, and open its lines.
func (r *Reader) begin(ctx context.Context) error {
	if r.last {
		return io.EOF
	}
	w, err := r.decide(ctx)
	if err != nil {
		return fmt.Errorf("committed lines: %w", err)
	}
	r.walk, r.whole = w.Walk(), false
	if r.lines, err = r.open(ctx, w.Begin(), w.End()); err != nil {
		return fmt.Errorf("committed lines: %w", err)
	}
	return nil
}

// decide on the next window. It is the last if it comes to the cut, or to the begin of a
// line that the cut is in.
func (r *Reader) decide(ctx context.Context) (*Window, error) {
	d, err := NewDecider(r.state, r.cfg.Limits)
	if err != nil {
		return nil, err
	}
	in, err := r.open(ctx, r.state.Offset, r.cut)
	if err != nil {
		return nil, err
	}
	defer in.close()
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			r.last = true
			return d.Window(), nil
		case err != nil:
			return nil, fmt.Errorf("read [%d, %d): %w", r.state.Offset, r.cut, err)
		}
		if !d.Take(line.Begin, line.End, line.UUID) {
			return d.Window(), nil
		}
	}
}

// finish a window.
func (r *Reader) finish() {
	r.lines.close()
	r.state = r.walk.window.State()
	r.lines, r.walk = nil, nil
}

// State after Next returned io.EOF: that at the cut, or before the line that it is in.
func (r *Reader) State() State { return r.state }

// errClosed is what Next says after Close.
var errClosed = errors.New("committed lines: reader is closed")

// Close the reader.
func (r *Reader) Close() error {
	if r.lines != nil {
		r.lines.close()
		r.lines = nil
	}
	if r.err == nil {
		r.err = errClosed
	}
	return nil
}
