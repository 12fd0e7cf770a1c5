package views

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// lines is a message: a line of a journal with its UUID; or several without, which are committed where they stand. They are
// decoded by the batch.
type lines struct {
	uuid message.UUID
	text []byte // each line with its newline; nil of one that is too long to be a row
}

// GetUUID as of message.Message.
func (m *lines) GetUUID() message.UUID { return m.uuid }

// SetUUID as of message.Message.
func (m *lines) SetUUID(u message.UUID) { m.uuid = u }

// NewAcknowledgement as of message.Message. None is published.
func (*lines) NewAcknowledgement(string) message.Message { return new(lines) }

// lineCodec cuts a journal into messages.
type lineCodec struct {
	find committed.Finder // nil if lines have no UUIDs
	most int              // bytes of a message of several lines; 0 is as many as there are

	uuid message.UUID // of the last one
	long bool         // the last one is too long
}

// ReadFrame reads the lines that are there already, or waits for one.
func (c *lineCodec) ReadFrame(r *bufio.Reader, _ int) ([]byte, error) {
	c.uuid, c.long = message.UUID{}, false
	there, _ := r.Peek(r.Buffered())
	if first := bytes.IndexByte(there, '\n') + 1; first > 0 {
		n := c.cut(there, first)
		_, _ = r.Discard(n)
		return there[:n], nil
	}
	line, err := r.ReadSlice('\n')
	if err == nil {
		c.uuid = c.uuidOf(line)
		return line, nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return nil, endOfLine(err, len(line))
	}
	return c.readLong(r, bytes.Clone(line))
}

// readLong reads on in a line that is longer than the reader's buffer. One that is no row, for its length, isn't held.
func (c *lineCodec) readLong(r *bufio.Reader, line []byte) ([]byte, error) {
	for {
		more, err := r.ReadSlice('\n')
		if !c.long {
			line = append(line, more...)
			c.long = len(bytes.TrimSuffix(line, []byte{'\n'})) > columnar.MaxLine
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, endOfLine(err, 1)
		case c.long:
			return nil, nil
		default:
			c.uuid = c.uuidOf(line)
			return line, nil
		}
	}
}

// endOfLine is the error of a journal that ends behind some bytes of a line.
func endOfLine(err error, some int) error {
	if errors.Is(err, io.EOF) && some > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cut says how much of whole lines, the first of which ends at first, is the next message.
func (c *lineCodec) cut(there []byte, first int) int {
	if c.uuid = c.uuidOf(there[:first]); c.uuid != (message.UUID{}) {
		return first
	}
	if c.most > 0 {
		there = there[:max(first, min(c.most, len(there)))]
	}
	n := bytes.LastIndexByte(there, '\n') + 1
	if c.find == nil {
		return n
	}
	for at := first; at < n; {
		next := at + bytes.IndexByte(there[at:n], '\n') + 1
		if c.uuidOf(there[at:next]) != (message.UUID{}) {
			return at
		}
		at = next
	}
	return n
}

func (c *lineCodec) uuidOf(line []byte) message.UUID {
	if c.find == nil {
		return message.UUID{}
	}
	return c.find(line)
}

// Message of a frame is all of it.
func (*lineCodec) Message(frame []byte) []byte { return frame }

// Unmarshal takes a copy of the frame that was read last.
func (c *lineCodec) Unmarshal(frame []byte, m message.Message) error {
	into, ok := m.(*lines)
	if !ok {
		return errNotLines
	}
	into.uuid = c.uuid
	if !c.long {
		into.text = bytes.Clone(frame)
	}
	return nil
}

var (
	errNotLines = errors.New("a message that isn't of lines")
	errReadOnly = errors.New("views publish nothing")
)

// AppendFrame as of message.Framing.
func (*lineCodec) AppendFrame(b, _ []byte) ([]byte, error) { return b, errReadOnly }

// Marshal as of message.Codec.
func (*lineCodec) Marshal(b []byte, _ message.Message) ([]byte, error) { return b, errReadOnly }
