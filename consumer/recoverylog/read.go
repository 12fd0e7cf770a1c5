package recoverylog

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/message"
)

// maxFrame is how large the frame of an operation can be. What it writes isn't part of it; a property's content is.
const maxFrame = 16 << 20

// readBuffer is how much is read ahead of the operations.
const readBuffer = 64 << 10

// opReader reads operations from the bytes of a log. What isn't one is skipped, and counted.
//
// Invariant: between calls, the next byte of the stream is at the offset, or in what is left of the last operation's
// write.
type opReader struct {
	log    string
	stream *bufio.Reader
	offset int64
	left   int64 // bytes of the write that weren't read

	skipped int64 // bytes that are no operation
	desyncs int   // how often some were
}

func newOpReader(log string) *opReader {
	return &opReader{log: log, stream: bufio.NewReaderSize(nil, readBuffer)}
}

// reset to a stream that begins at an offset of the log.
func (r *opReader) reset(stream io.Reader, offset int64) {
	r.stream.Reset(stream)
	r.offset, r.left = offset, 0
}

// next operation, where it is, and the bytes that it is serialized as, which are valid until the next call. What the
// operation before writes is passed over, as far as it wasn't read. At the end of the stream it returns io.EOF, and
// within an operation io.ErrUnexpectedEOF.
func (r *opReader) next() (*RecordedOp, []byte, error) {
	if _, err := io.Copy(io.Discard, writeReader{r}); err != nil {
		return nil, nil, err
	}
	for {
		begin := r.offset
		frame, err := message.Fixed.ReadFrame(r.stream, maxFrame)
		var (
			desync *message.DesyncError
			large  *message.TooLargeError
		)
		switch {
		case errors.As(err, &desync):
			r.skip(int64(desync.Skipped))
			continue
		case errors.As(err, &large): // it only looks like a frame: the next one is looked for behind its first byte
			if _, err = r.stream.Discard(1); err != nil {
				return nil, nil, fmt.Errorf("read operation: %w", err)
			}
			r.skip(1)
			continue
		case err != nil:
			return nil, nil, err
		}
		op := new(RecordedOp)
		payload := message.Fixed.Message(frame)
		if proto.Unmarshal(payload, op) != nil || op.GetWrite().GetLength() < 0 {
			r.skip(int64(len(frame)))
			continue
		}
		r.offset += int64(len(frame))
		r.left = op.GetWrite().GetLength()
		op.Log, op.FirstOffset, op.LastOffset = r.log, begin, r.offset+r.left
		return op, payload, nil
	}
}

func (r *opReader) skip(n int64) {
	if n != 0 {
		r.desyncs++
	}
	r.skipped += n
	r.offset += n
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
	if n == 0 && errors.Is(err, io.EOF) {
		return 0, io.ErrUnexpectedEOF
	}
	if n != 0 {
		return n, nil
	}
	return 0, err
}
