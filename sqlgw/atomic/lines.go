package atomic

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"broadsheet.dev/broadsheet/message"
)

// maxLine is the longest line that is a row (docs/format/rows.md).
const maxLine = 16 << 20

// ErrLongLine is of a line that is too long with its UUID.
var ErrLongLine = errors.New("a row is too long for a line with its UUID")

const (
	linePrefix = `{"_meta":{"uuid":"`
	lineSuffix = `"},`
	// Grown is how much longer a line gets by its UUID.
	Grown = len(linePrefix) + 36 + len(lineSuffix) - len("{")
)

// stamped are lines of JSON objects with UUIDs of a transaction. It can be rewound to its begin, and is the same then.
type stamped struct {
	lines    io.ReadSeeker
	producer message.Producer
	first    message.Ticker // before the first line

	ticker message.Ticker
	in     *bufio.Reader
	out    []byte // that wasn't read yet
	buf    []byte
	inside bool // a line
	length int  // of the line
}

func newStamped(lines io.ReadSeeker, p message.Producer, from message.Ticker) *stamped {
	return &stamped{lines: lines, producer: p, first: from, ticker: from, in: bufio.NewReaderSize(lines, 64<<10)}
}

// Read the next part.
func (s *stamped) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// next makes more to read: a line, or a part of it.
func (s *stamped) next() error {
	part, err := s.in.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		if errors.Is(err, io.EOF) && (s.inside || len(part) > 0) {
			return io.ErrUnexpectedEOF // every line ends
		}
		return err
	}
	s.buf = s.buf[:0]
	if !s.inside {
		rest, ok := bytes.CutPrefix(part, []byte("{"))
		if !ok {
			return fmt.Errorf("%.20q isn't a JSON object", part)
		}
		s.length = 0
		s.buf = append(s.buf, linePrefix...)
		s.buf, _ = message.NewUUID(s.producer, s.ticker.Tick(), message.ContinueTxn).AppendText(s.buf)
		if part = rest; rest[0] == '}' { // without a comma, and as long as others
			s.buf = append(s.buf, `"} `...)
		} else {
			s.buf = append(s.buf, lineSuffix...)
		}
	}
	s.buf = append(s.buf, part...)
	s.inside = err != nil
	if s.length += len(s.buf); s.length > maxLine+1 {
		return ErrLongLine
	}
	s.out = s.buf
	return nil
}

// Seek to the begin, which is all that is asked for of a body.
func (s *stamped) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence == io.SeekEnd {
		return 0, errors.New("messages can be rewound to their begin only")
	}
	if whence == io.SeekCurrent {
		return 0, nil
	}
	if _, err := s.lines.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	s.in.Reset(s.lines)
	s.ticker, s.out, s.inside = s.first, nil, false
	return 0, nil
}
