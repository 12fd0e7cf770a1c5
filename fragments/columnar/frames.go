package columnar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// frameMagic begins each frame; the length of its message follows in four bytes, little-endian: Gazette's fixed framing, which
// message.Fixed has for streams.
var frameMagic = [4]byte{0x66, 0x33, 0x93, 0x36}

// frameHeader is how many bytes stand before a frame's message.
const frameHeader = len(frameMagic) + 4

// AppendFrame appends the frame of a message.
func AppendFrame(dst, message []byte) ([]byte, error) {
	if len(message) > MaxLine {
		return dst, errRowTooLarge(len(message))
	}
	dst = append(dst, frameMagic[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(message))) //nolint:gosec // checked above
	return append(dst, message...), nil
}

// FrameIsPending tells whether b is the begin of a frame that goes on after it.
func FrameIsPending(b []byte) bool {
	if len(b) < frameHeader {
		return bytes.HasPrefix(frameMagic[:], b) || bytes.HasPrefix(b, frameMagic[:])
	}
	size := binary.LittleEndian.Uint32(b[len(frameMagic):])
	return [4]byte(b) == frameMagic && size <= MaxLine && int(size) > len(b)-frameHeader
}

// nextFrame returns the next whole frame, its header included. Where none begins it returns, with the reason, the bytes up to
// the next one, of which line.bytes has the first. At the end of the range it returns io.EOF: what is left from
// offset on is the begin of a frame.
//
// A length over the limit isn't believed: all that is skipped of such a frame is what stands before the next.
func (l *lineReader) nextFrame() (line, string, error) {
	for {
		b := l.buf[l.from:l.to]
		if len(b) > 0 && !bytes.HasPrefix(frameMagic[:], b[:min(len(b), len(frameMagic))]) {
			return l.noFrame(1, "no frame begins here")
		}
		need := frameHeader
		if len(b) >= frameHeader {
			size := binary.LittleEndian.Uint32(b[len(frameMagic):])
			if int64(size) > int64(l.maxLine) {
				return l.noFrame(frameHeader, fmt.Sprintf("the frame's message would have %d bytes, at most %d work", size, l.maxLine))
			}
			need += int(size)
			if len(b) >= need {
				n := line{offset: l.offset, length: int64(need), bytes: b[:need]}
				l.advance(l.from + need)
				return n, "", nil
			}
		}
		if err := l.fill(); err != nil {
			return line{}, "", err
		}
	}
}

// noFrame goes over bytes, at least so many that are there, to where a frame may begin, or to the end of the range.
func (l *lineReader) noFrame(least int, reason string) (line, string, error) {
	n := line{offset: l.offset}
	take := func(count int) {
		n.bytes = append(n.bytes, l.buf[l.from:l.from+min(count, maxRejectBytes-len(n.bytes))]...)
		n.length += int64(count)
		l.advance(l.from + count)
	}
	take(least)
	for {
		b := l.buf[l.from:l.to]
		if i := bytes.Index(b, frameMagic[:]); i >= 0 {
			take(i)
			return n, reason, nil
		}
		// What may be the begin of a frame stays.
		keep := min(len(b), len(frameMagic)-1)
		for !bytes.HasPrefix(frameMagic[:], b[len(b)-keep:]) {
			keep--
		}
		take(len(b) - keep)
		switch err := l.fill(); {
		case errors.Is(err, io.EOF):
			return n, reason, nil
		case err != nil:
			l.offset = n.offset
			return line{}, "", err
		}
	}
}

// reframe takes back what stands in a frame that was just returned, from where another may begin in it.
func (l *lineReader) reframe(n *line) {
	i := bytes.Index(n.bytes[frameHeader:], frameMagic[:])
	if i < 0 {
		return
	}
	keep := frameHeader + i
	back := len(n.bytes) - keep
	l.from -= back
	l.scanned = l.from
	l.offset -= int64(back)
	n.bytes, n.length = n.bytes[:keep], int64(keep)
}
