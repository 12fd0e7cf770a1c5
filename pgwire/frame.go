package pgwire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// frame is one message of the client: its type and its body, without the length.
type frame struct {
	kind byte
	body []byte
}

// growth is how much memory a body may take before its bytes have arrived.
const growth = 64 << 10

// readFrame reads one message. A length outside [4, limit] is an *Error with code
// 08P01, found before any memory is taken for the body.
func readFrame(r *bufio.Reader, limit int) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return frame{}, err
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return frame{}, truncated(err)
	}
	n := int64(binary.BigEndian.Uint32(head[1:])) - 4
	if n < 0 || n > int64(limit) {
		return frame{}, &Error{
			Severity: "FATAL", Code: "08P01",
			Message: fmt.Sprintf("invalid length %d of message type %q", n+4, head[0]),
			Hint:    fmt.Sprintf("A message may have up to %d bytes.", limit),
		}
	}
	body, err := readBody(r, int(n))
	return frame{kind: head[0], body: body}, err
}

// readBody reads n bytes, taking memory only as they arrive.
func readBody(r io.Reader, n int) ([]byte, error) {
	body := make([]byte, 0, min(n, growth))
	for len(body) < n {
		step := min(n-len(body), max(growth, len(body)))
		body = slices.Grow(body, step)
		if _, err := io.ReadFull(r, body[len(body):len(body)+step]); err != nil {
			return nil, truncated(err)
		}
		body = body[:len(body)+step]
	}
	return body, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
