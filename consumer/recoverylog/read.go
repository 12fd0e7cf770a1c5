package recoverylog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// frameMagic begins each frame; its length follows.
var frameMagic = []byte{0x66, 0x33, 0x93, 0x36}

const frameHeader = 8

// maxFrame is how large the frame of an operation can be. What it writes isn't part of it; a property's content is.
const maxFrame = 256 << 10

// opReader reads operations from the bytes of a log. What isn't one is skipped, and counted: even if it begins as a frame
// does, an operation that follows is found.
//
// Invariant: between calls, the next byte of the stream is at the offset, or in what is left of the last operation's
// write.
type opReader struct {
	log    string
	stream *bufio.Reader // whose buffer takes a whole frame
	offset int64
	left   int64 // bytes of the write that weren't read

	skipped int64 // bytes that are no operation
}

func newOpReader(log string) *opReader {
	return &opReader{log: log, stream: bufio.NewReaderSize(nil, maxFrame)}
}

// reset to a stream that begins at an offset of the log.
func (r *opReader) reset(stream io.Reader, offset int64) {
	r.stream.Reset(stream)
	r.offset, r.left = offset, 0
}

// next operation, where it is, and the bytes that it is serialized as. What the operation before writes is passed over, as
// far as it wasn't read. At the end of the stream it returns io.EOF, and within what the operation before writes
// io.ErrUnexpectedEOF.
func (r *opReader) next() (*RecordedOp, []byte, error) {
	if _, err := io.Copy(io.Discard, writeReader{r}); err != nil {
		return nil, nil, err
	}
	for {
		if err := r.findFrame(); err != nil {
			return nil, nil, err
		}
		frame, err := r.peekFrame()
		if err != nil {
			return nil, nil, err
		}
		op := new(RecordedOp)
		if frame == nil || proto.Unmarshal(frame[frameHeader:], op) != nil || op.GetWrite().GetLength() < 0 {
			r.skip(1) // it only looks like an operation
			continue
		}
		payload := bytes.Clone(frame[frameHeader:])
		op.Log, op.FirstOffset = r.log, r.offset
		r.discard(len(frame))
		r.left = op.GetWrite().GetLength()
		op.LastOffset = r.offset + r.left
		return op, payload, nil
	}
}

// findFrame skips to the next bytes that a frame begins with.
func (r *opReader) findFrame() error {
	for {
		head, err := r.stream.Peek(len(frameMagic))
		switch {
		case bytes.Equal(head, frameMagic):
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("read an operation: %w", err)
		case err != nil && len(head) == 0:
			return io.EOF
		case err != nil:
			r.skip(len(head))
			continue
		}
		buffered, _ := r.stream.Peek(r.stream.Buffered())
		if i := bytes.Index(buffered, frameMagic); i > 0 {
			r.skip(i)
		} else {
			r.skip(len(buffered) - len(frameMagic) + 1) // the last ones may be of the next
		}
	}
}

// peekFrame returns the frame at the offset; nil if there can't be one.
func (r *opReader) peekFrame() ([]byte, error) {
	size := frameHeader
	head, err := r.stream.Peek(size)
	if err == nil {
		length := binary.LittleEndian.Uint32(head[len(frameMagic):])
		if int64(length) > maxFrame-frameHeader {
			return nil, nil
		}
		size += int(length)
		head, err = r.stream.Peek(size)
	}
	switch {
	case err == nil:
		return head, nil
	case errors.Is(err, io.EOF):
		return nil, nil
	}
	return nil, fmt.Errorf("read an operation: %w", err)
}

// discard bytes that are buffered.
func (r *opReader) discard(n int) {
	_, _ = r.stream.Discard(n)
	r.offset += int64(n)
}

// skip bytes that are buffered, and are no operation.
func (r *opReader) skip(n int) {
	r.discard(n)
	r.skipped += int64(n)
}

// content that the last operation writes, as far as it wasn't read.
func (r *opReader) content() io.Reader { return writeReader{r} }

// writeReader reads the content of a write, and no further.
type writeReader struct{ r *opReader }

// Read as of io.Reader. If the stream ends first, it is io.ErrUnexpectedEOF.
func (w writeReader) Read(p []byte) (int, error) {
	if w.r.left == 0 {
		return 0, io.EOF
	}
	n, err := w.r.stream.Read(p[:min(int64(len(p)), w.r.left)])
	w.r.left -= int64(n)
	w.r.offset += int64(n)
	switch {
	case n != 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}
