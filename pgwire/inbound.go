package pgwire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Sizes of the buffer in which messages arrive: of a connection that isn't a session yet,
// of a session, and of one that copies in.
const (
	startupBuffer = 256
	sessionBuffer = 8 << 10
	copyBuffer    = 64 << 10
)

// Lengths of messages that are refused as garbage: of those that carry text or data, and of
// all others.
const (
	longMessage  = 1<<30 - 1
	shortMessage = 10_000
)

// inbound cuts the bytes of a client into messages. It has no more memory than its buffer,
// except for the body of one message that is longer, which grows as the bytes arrive. What
// it returns is valid until the next call.
//
// An error of the source may pass (a cancelled call stops waiting for the client): every
// method but take can be called again after it, and goes on where it was.
type inbound struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] has arrived, and wasn't taken yet
	left int // how much of the current message's body wasn't taken yet
}

func newInbound(src io.Reader, size int) inbound { return inbound{src: src, buf: make([]byte, size)} }

// resize changes the buffer to one of size bytes, or of what it holds if that is more.
func (in *inbound) resize(size int) {
	size = max(size, in.w-in.r)
	if size == len(in.buf) {
		return
	}
	to := make([]byte, size)
	in.w = copy(to, in.buf[in.r:in.w])
	in.buf, in.r = to, 0
}

// fill waits until n bytes are in the buffer, which is at least that long.
func (in *inbound) fill(n int) error {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	if in.r+n > len(in.buf) {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	for in.w-in.r < n {
		got, err := in.src.Read(in.buf[in.w:])
		in.w += got
		if err != nil && in.w-in.r < n {
			return err
		}
	}
	return nil
}

// header waits for the next message and returns its type, and the length of its body in
// left. What wasn't taken of the message before is thrown away. A type or a length that no
// client sends is an error of severity FATAL.
func (in *inbound) header() (byte, error) {
	if err := in.discard(); err != nil {
		return 0, err
	}
	if err := in.fill(5); err != nil {
		return 0, err
	}
	kind, n := in.buf[in.r], int64(binary.BigEndian.Uint32(in.buf[in.r+1:]))-4
	longest := int64(shortMessage)
	switch kind {
	case 'Q', 'P', 'B', 'F', 'd':
		longest = longMessage
	case 'C', 'D', 'E', 'H', 'S', 'X', 'c', 'f':
	default:
		return 0, violation(fmt.Sprintf("invalid frontend message type %d", kind))
	}
	if n < 0 || n > longest {
		return 0, violation(fmt.Sprintf("invalid length %d of a message of type %q", n+4, kind))
	}
	in.r += 5
	in.left = int(n)
	return kind, nil
}

// body returns the rest of the current message. One of more than limit bytes is an error of
// severity ERROR, and stays untaken.
func (in *inbound) body(limit int) ([]byte, error) {
	if in.left > limit {
		return nil, &Error{
			Code: "54000", Message: fmt.Sprintf("a message of %d bytes is too long", in.left),
			Hint: fmt.Sprintf("A message may have up to %d bytes; COPY takes data of any length.", limit),
		}
	}
	b, err := in.take(in.left)
	if err == nil {
		in.left = 0
	}
	return b, err
}

// chunk returns the next part of the current message's body, nil at its end.
func (in *inbound) chunk() ([]byte, error) {
	if in.left == 0 {
		return nil, nil
	}
	if in.r == in.w {
		if err := in.fill(1); err != nil {
			return nil, err
		}
	}
	n := min(in.left, in.w-in.r)
	b := in.buf[in.r : in.r+n : in.r+n]
	in.r += n
	in.left -= n
	return b, nil
}

// discard throws away the rest of the current message.
func (in *inbound) discard() error {
	for in.left > 0 {
		if _, err := in.chunk(); err != nil {
			return err
		}
	}
	return nil
}

// take returns the next n bytes. If the buffer is too short for them, memory is taken as
// they arrive.
func (in *inbound) take(n int) ([]byte, error) {
	if n <= len(in.buf) {
		if err := in.fill(n); err != nil {
			return nil, err
		}
		b := in.buf[in.r : in.r+n : in.r+n]
		in.r += n
		return b, nil
	}
	long := append(make([]byte, 0, min(n, 2*len(in.buf))), in.buf[in.r:in.w]...)
	in.r = in.w
	for len(long) < n {
		if len(long) == cap(long) {
			long = slices.Grow(long, min(len(long), n-len(long)))
		}
		got, err := in.src.Read(long[len(long):min(cap(long), n)])
		long = long[:len(long)+got]
		if err != nil && len(long) < n {
			return nil, err
		}
	}
	return long, nil
}
