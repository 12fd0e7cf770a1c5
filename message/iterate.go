package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"broadsheet.dev/broadsheet/protocol"
)

const (
	defaultMaxFrame = 64 << 20
	iteratorBuffer  = 64 << 10
)

// Reader of a journal. A *client.Reader is one.
type Reader interface {
	io.Reader
	// Offset of the next byte that Read returns, once it has returned any.
	Offset() int64
}

// IteratorConfig says how messages of a journal are read.
type IteratorConfig struct {
	// Journal as it is read; empty is the spec's name.
	Journal string
	// Spec of the journal.
	Spec *protocol.JournalSpec
	// New returns a new message of the journal's type. If it fails, the iterator has ended:
	// that isn't about the bytes, which may be read once more by another one.
	New func(spec *protocol.JournalSpec) (Message, error)
	// Codec of the messages; nil is that of the spec's content type.
	Codec Codec
	// MaxFrame is the largest frame that is read, in bytes. 0 is 64 MiB.
	MaxFrame int
}

// Validate that there is all that is needed.
func (c IteratorConfig) Validate() error {
	switch {
	case c.Journal == "" && c.Spec.GetName() == "":
		return errors.New("no journal")
	case c.New == nil:
		return errors.New("nothing makes new messages")
	case c.MaxFrame < 0:
		return fmt.Errorf("frames of %d bytes at most: must not be negative", c.MaxFrame)
	}
	return nil
}

// SkippedError is of a part of a journal that is no message, and that was read over: Next
// goes on after it.
type SkippedError struct {
	// Range of what was read over.
	Range Range
	// Err says why it is no message.
	Err error
}

// Error has the range and the reason.
func (e *SkippedError) Error() string { return fmt.Sprintf("%s is no message: %v", e.Range, e.Err) }

// Unwrap returns the reason.
func (e *SkippedError) Unwrap() error { return e.Err }

// Uncommitted is an Iterator of all messages of a journal as they stand there: duplicates,
// what was rolled back and acknowledgements among them.
type Uncommitted struct {
	cfg IteratorConfig
	r   Reader
	br  *bufio.Reader
	err error // that ended it
}

// ReadUncommitted returns an iterator of a reader's messages.
func ReadUncommitted(r Reader, cfg IteratorConfig) (*Uncommitted, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("iterator of messages: %w", err)
	}
	if cfg.Journal == "" {
		cfg.Journal = cfg.Spec.GetName()
	}
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = defaultMaxFrame
	}
	if cfg.Codec == nil {
		var err error
		if cfg.Codec, err = CodecOf(cfg.Spec.GetLabels().ValueOf("content-type")); err != nil {
			return nil, fmt.Errorf("iterator of messages of %s: %w", cfg.Journal, err)
		}
	}
	return &Uncommitted{cfg: cfg, r: r, br: bufio.NewReaderSize(r, iteratorBuffer)}, nil
}

// Next returns the next message. It returns io.EOF if the reader did, between two of them;
// within one it is io.ErrUnexpectedEOF. After a *SkippedError, Next goes on; other errors
// are the last.
func (u *Uncommitted) Next() (Envelope, error) {
	if u.err != nil {
		return Envelope{}, u.err
	}
	if _, err := u.br.Peek(1); errors.Is(err, io.EOF) {
		u.err = io.EOF
		return Envelope{}, u.err
	}
	env := Envelope{Journal: u.cfg.Journal, Spec: u.cfg.Spec, Begin: u.offset()}
	var err error
	if env.Message, err = u.cfg.New(u.cfg.Spec); err != nil { // whatever the bytes are
		return Envelope{}, u.fail(env.Begin, fmt.Errorf("make a new one: %w", notEOF(err)))
	}
	frame, err := u.cfg.Codec.ReadFrame(u.br, u.cfg.MaxFrame)
	env.End = u.offset()
	if err == nil {
		if err = u.cfg.Codec.Unmarshal(u.cfg.Codec.Message(frame), env.Message); err == nil {
			return env, nil
		}
	} else if _, skipped := errors.AsType[*DesyncError](err); !skipped {
		return Envelope{}, u.fail(env.Begin, err)
	}
	return Envelope{}, &SkippedError{Range: Range{env.Journal, env.Begin, env.End}, Err: notEOF(err)}
}

// fail for good, at an offset.
func (u *Uncommitted) fail(at int64, err error) error {
	u.err = fmt.Errorf("message of %s at %d: %w", u.cfg.Journal, at, err)
	return u.err
}

// offset of the next byte that isn't taken from the buffer.
func (u *Uncommitted) offset() int64 { return u.r.Offset() - int64(u.br.Buffered()) }

// notEOF is the error, but that it isn't io.EOF: what ends too early for a codec or a type
// isn't the end of the journal, for which a caller would take it.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New(err.Error())
	}
	return err
}

// Rereader opens a reader of a range of a journal, which ends at the range's end with
// io.EOF. If it is an io.Closer, it is closed.
type Rereader func(r Range) (Reader, error)

// Committed is an Iterator of the committed messages of a journal, and of the
// acknowledgements after them, which are known by their flags.
type Committed struct {
	from   *Uncommitted
	seq    *Sequencer
	reread Rereader
	replay io.Closer // of the replay under way; nil if there is none to be closed
}

// ReadCommitted returns an iterator of the committed ones of an iterator's messages. The
// sequencer may have been restored from a checkpoint, from whose offset on the iterator
// then reads; and a checkpoint may be taken between any two messages.
func ReadCommitted(from *Uncommitted, seq *Sequencer, reread Rereader) *Committed {
	return &Committed{from: from, seq: seq, reread: reread}
}

// Next returns the next message. Errors are as of the iterator that it reads from, or of
// the replay: a *SkippedError is read over, and after others of a replay, Next tries
// again.
func (c *Committed) Next() (Envelope, error) {
	for {
		env, err := c.seq.Next()
		switch {
		case errors.Is(err, io.EOF):
			c.endReplay()
			if env, err = c.from.Next(); err != nil {
				return Envelope{}, err
			}
			c.seq.Push(env)
		case errors.Is(err, ErrReplay):
			if err := c.startReplay(); err != nil {
				return Envelope{}, err
			}
		case err != nil:
			if _, skipped := errors.AsType[*SkippedError](err); !skipped {
				c.seq.StartReplay(nil)
				c.endReplay()
			}
			return Envelope{}, err
		default:
			return env, nil
		}
	}
}

func (c *Committed) startReplay() error {
	c.endReplay()
	again, _ := c.seq.ReplayRange()
	r, err := c.reread(again)
	if err != nil {
		return fmt.Errorf("replay %s: %w", again, err)
	}
	c.replay, _ = r.(io.Closer)
	it, err := ReadUncommitted(r, c.from.cfg)
	if err != nil {
		return err
	}
	c.seq.StartReplay(it)
	return nil
}

func (c *Committed) endReplay() {
	if c.replay != nil {
		_ = c.replay.Close() // what was to be read, was
		c.replay = nil
	}
}

// Close the reader of a replay that is under way.
func (c *Committed) Close() error {
	c.endReplay()
	return nil
}
