package sqlgw

import (
	"bytes"
	"context"
	"errors"
	"io"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

const (
	// maxHeldText is how much of the lines of open transactions a tail holds, of each journal: what it has no room for is
	// read once more when it is committed.
	maxHeldText = 256 << 10
	// maxHeldParts bounds the places of such lines.
	maxHeldParts = 1 << 16
	// maxTailProducers is how many producers are remembered: as many as an index does.
	maxTailProducers = 1 << 16
)

// tailMessages is tail, of a journal of messages: rows come once they are committed.
func tailMessages(ctx context.Context, open openRange, r io.Reader, from position, schema columnar.Schema, emit func(*columnar.Batch) error) error {
	t := &tailer{journal: from.journal, at: from.begin, schema: schema, emit: emit, buf: make([]byte, 0, tailChunk)}
	c, err := newCommittedTail(from.journal, open, schema, t.decode)
	if err != nil {
		return err
	}
	t.lines = func(lines []byte, at int64) error { return c.take(ctx, lines, at) }
	return t.run(ctx, r)
}

// heldPart is lines of an open transaction that are next to each other.
type heldPart struct {
	begin, end int64
	last       message.Clock // of the last line
	text       []byte        // nil if it isn't held
}

// committedTail lets the lines of a tail through that are committed, those of a transaction when it is.
type committedTail struct {
	journal string
	open    openRange
	find    committed.Finder
	decode  func(lines []byte, at int64) error

	ledger *message.Ledger
	held   map[message.Producer][]heldPart
	parts  int
	text   int // bytes that are held
	room   int // for them
}

func newCommittedTail(journal string, open openRange, schema columnar.Schema, decode func(lines []byte, at int64) error) (*committedTail, error) {
	pointer, err := committed.ParsePointer(schema.Messages)
	if err != nil {
		return nil, err
	}
	return &committedTail{
		journal: journal, open: open, find: pointer.UUID, decode: decode,
		room: maxHeldText, ledger: message.NewLedger(maxTailProducers), held: map[message.Producer][]heldPart{},
	}, nil
}

// take whole lines that begin at an offset.
func (t *committedTail) take(ctx context.Context, lines []byte, at int64) error {
	run := 0 // lines[run:i] are rows that weren't handed on
	flush := func(to int) error {
		if run == to {
			return nil
		}
		return t.decode(lines[run:to], at+int64(run))
	}
	for i := 0; i < len(lines); {
		end := i + bytes.IndexByte(lines[i:], '\n') + 1
		line := lines[i:end]
		u := t.find(line[:len(line)-1])
		d := t.ledger.Decide(at+int64(i), u)
		if forgot, ok := t.ledger.Forgot(); ok {
			t.drop(forgot.Producer)
		}
		switch d.Outcome {
		case message.OutsideRollback:
			t.drop(u.Producer())
		case message.NoUUID, message.OutsideCommit:
		default:
			if err := flush(i); err != nil {
				return err
			}
			run = end
			if err := t.hold(ctx, d, u, line, at+int64(i)); err != nil {
				return err
			}
		}
		i = end
	}
	return flush(len(lines))
}

// hold a line of a transaction, or hand on those that a line commits.
func (t *committedTail) hold(ctx context.Context, d message.Decision, u message.UUID, line []byte, at int64) error {
	switch {
	case d.Outcome == message.AckCommit:
		return t.commit(ctx, u.Producer(), d.Through)
	case !d.Outcome.Pends():
		return nil
	}
	keep := t.text+len(line) <= t.room
	parts := t.held[u.Producer()]
	if n := len(parts) - 1; n >= 0 && parts[n].end == at && (parts[n].text != nil) == keep {
		parts[n].end, parts[n].last = at+int64(len(line)), u.Clock()
		if keep {
			parts[n].text = append(parts[n].text, line...)
			t.text += len(line)
		}
		return nil
	}
	if t.parts == maxHeldParts {
		return sqlError("54000", "journal %s has lines of open transactions in more than %d places", t.journal, maxHeldParts)
	}
	p := heldPart{begin: at, end: at + int64(len(line)), last: u.Clock()}
	if keep {
		p.text = bytes.Clone(line)
		t.text += len(line)
	}
	t.held[u.Producer()] = append(parts, p)
	t.parts++
	return nil
}

// drop what is held of a producer.
func (t *committedTail) drop(p message.Producer) {
	for _, x := range t.held[p] {
		t.text -= len(x.text)
		t.parts--
	}
	delete(t.held, p)
}

// commit what is held of a producer, up to a clock.
func (t *committedTail) commit(ctx context.Context, p message.Producer, through message.Clock) error {
	defer t.drop(p)
	for _, x := range t.held[p] {
		text := x.text
		if text == nil {
			if err := t.again(ctx, x, through); err != nil {
				return err
			}
			continue
		}
		if x.last > through {
			text = t.upTo(text, through)
		}
		if len(text) > 0 {
			if err := t.decode(text, x.begin); err != nil {
				return err
			}
		}
	}
	return nil
}

// again reads lines that weren't held.
func (t *committedTail) again(ctx context.Context, x heldPart, through message.Clock) error {
	r, err := t.open(ctx, t.journal, x.begin, x.end)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	buf := make([]byte, 0, tailChunk)
	for at := x.begin; ; {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)] // a line longer than the buffer: grow it
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		whole := bytes.LastIndexByte(buf, '\n') + 1
		lines := buf[:whole]
		if x.last > through {
			lines = t.upTo(lines, through)
		}
		if len(lines) > 0 {
			if err := t.decode(lines, at); err != nil {
				return err
			}
		}
		at += int64(whole)
		buf = buf[:copy(buf, buf[whole:])]
		switch {
		case at == x.end:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}

// upTo are those of lines whose clocks, which ascend, are no greater than one.
func (t *committedTail) upTo(lines []byte, through message.Clock) []byte {
	for i := 0; i < len(lines); {
		end := i + bytes.IndexByte(lines[i:], '\n')
		if t.find(lines[i:end]).Clock() > through {
			return lines[:i]
		}
		i = end + 1
	}
	return lines
}
