package message

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
)

// Content types of journals that have a framing.
const (
	// JSONLines is the content type of JSON values, one on each line.
	JSONLines = "application/x-ndjson"
	// CSV is the content type of comma-separated lines.
	CSV = "text/csv"
	// ProtobufFixed is the content type of Fixed frames.
	ProtobufFixed = "application/x-protobuf-fixed"
	// RecoveryLog is the content type of recovery logs, which have no framing.
	RecoveryLog = "application/x-gazette-recoverylog"
)

// Framing of messages in a stream.
type Framing interface {
	// AppendFrame appends the frame of a message. It is an error if the message can't be
	// framed.
	AppendFrame(b, message []byte) ([]byte, error)
	// ReadFrame reads the next frame, whole with all that bounds it; it is valid until
	// the next read. At the end of the stream it returns io.EOF, and within a frame
	// io.ErrUnexpectedEOF. A *TooLargeError is of a frame of more than most bytes.
	ReadFrame(r *bufio.Reader, most int) ([]byte, error)
	// Message of a frame, without what bounds it.
	Message(frame []byte) []byte
}

// TooLargeError is of a frame that is larger than its reader allows.
type TooLargeError struct {
	// Size of the frame; at least, if only its begin was read.
	Size int64
	// Most bytes that are allowed.
	Most int
}

// Error has both sizes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("frame has %d bytes or more (expected at most %d)", e.Size, e.Most)
}

// DesyncError is of a stream of Fixed frames in which something else stood before the
// next frame. It was skipped: the next read returns that frame.
type DesyncError struct {
	// Skipped bytes.
	Skipped int
	// Begin of them, at most 16 bytes.
	Begin []byte
}

// Error has how much was skipped.
func (e *DesyncError) Error() string {
	return fmt.Sprintf("skipped %d bytes that are no frame, beginning with %x", e.Skipped, e.Begin)
}

// FramingOf returns the framing of a content type. CSV is framed by lines as well: a
// value with a line break isn't supported.
func FramingOf(contentType string) (Framing, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("content type %q: %w", contentType, err)
	}
	switch media {
	case JSONLines, CSV:
		return Lines, nil
	case ProtobufFixed:
		return Fixed, nil
	}
	return nil, fmt.Errorf("content type %q has no framing (expected %s, %s or %s)", contentType, JSONLines, CSV, ProtobufFixed)
}

// Lines frames a message by a line feed at its end.
var Lines Framing = lines{}

type lines struct{}

func (lines) AppendFrame(b, message []byte) ([]byte, error) {
	if bytes.IndexByte(message, '\n') >= 0 {
		return b, errors.New("message has a line feed within")
	}
	return append(append(b, message...), '\n'), nil
}

func (lines) ReadFrame(r *bufio.Reader, most int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(line) <= most {
			var more []byte
			more, err = r.ReadSlice('\n')
			line = append(line, more...)
		}
	}
	switch {
	case len(line) > most:
		return nil, &TooLargeError{Size: int64(len(line)), Most: most}
	case err == nil:
		return line, nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	}
	return nil, fmt.Errorf("read a line: %w", err)
}

func (lines) Message(frame []byte) []byte { return bytes.TrimSuffix(frame, []byte{'\n'}) }

// Fixed frames a message by four bytes that are always the same, and its length.
var Fixed Framing = fixed{}

type fixed struct{}

// magic begins each frame.
var magic = [4]byte{0x66, 0x33, 0x93, 0x36}

const fixedHeader = len(magic) + 4

func (fixed) AppendFrame(b, message []byte) ([]byte, error) {
	if uint64(len(message)) > 1<<32-1 {
		return b, fmt.Errorf("message has %d bytes, and its length no more than 4", len(message))
	}
	b = append(b, magic[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(message))) //nolint:gosec // checked above
	return append(b, message...), nil
}

func (f fixed) ReadFrame(r *bufio.Reader, most int) ([]byte, error) {
	header, err := r.Peek(fixedHeader)
	switch {
	case len(header) >= len(magic) && [4]byte(header) != magic, len(header) > 0 && len(header) < len(magic) && !bytes.HasPrefix(magic[:], header):
		return nil, f.resync(r)
	case errors.Is(err, io.EOF) && len(header) > 0:
		return nil, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, fmt.Errorf("read a frame: %w", err)
	}
	size := int64(fixedHeader) + int64(binary.LittleEndian.Uint32(header[len(magic):]))
	if size > int64(most) {
		return nil, &TooLargeError{Size: size, Most: most}
	}
	// The length is believed only as far as bytes follow.
	var frame bytes.Buffer
	switch n, err := io.CopyN(&frame, r, size); {
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, fmt.Errorf("read a frame of %d bytes, at %d: %w", size, n, err)
	}
	return frame.Bytes(), nil
}

// resync skips to the next frame, or to the end.
func (fixed) resync(r *bufio.Reader) error {
	out := new(DesyncError)
	for {
		next, err := r.Peek(len(magic))
		if len(next) == len(magic) && [4]byte(next) == magic {
			return out
		}
		if len(next) == 0 {
			if errors.Is(err, io.EOF) {
				return out
			}
			return fmt.Errorf("read after %d bytes that are no frame: %w", out.Skipped, err)
		}
		if len(out.Begin) < 16 {
			out.Begin = append(out.Begin, next[0])
		}
		_, _ = r.Discard(1) // which is buffered
		out.Skipped++
	}
}

func (fixed) Message(frame []byte) []byte { return frame[min(fixedHeader, len(frame)):] }
