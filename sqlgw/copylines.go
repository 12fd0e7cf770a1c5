package sqlgw

import (
	"bufio"
	"errors"
	"io"

	"broadsheet.dev/broadsheet/pgwire"
)

// maxCopyLine bounds one row of a COPY, in bytes.
const maxCopyLine = 16 << 20

func copyTooLong() error {
	return hinted(sqlError("54000", "row of COPY data is too long"), "A row may have up to 16 MiB.")
}

func badCopyFormat(format string, args ...any) *pgwire.Error {
	return sqlError("22P04", format, args...)
}

// ending is how lines end: the first line's end says how all do.
type ending uint8

const (
	endingUnknown ending = iota
	endingNL
	endingCR
	endingCRNL
)

// copyLines splits the data of a COPY FROM into lines, as PostgreSQL does: a newline after a backslash in
// text, or in quotes in CSV, is part of the data. What follows an end-of-data marker is read and
// means nothing.
type copyLines struct {
	r             *bufio.Reader
	csv           bool
	quote, escape byte // of CSV; escape is 0 if it is the quote
	special       [256]bool

	raw    []byte // the line, without its end
	line   int    // its number; of a row over several lines, that of the last
	ending ending
	ended  bool // by the end of the data, or its marker

	quoted  bool // raw ends inside of quotes
	escaped bool // raw ends in an escape that counts
}

func newCopyLines(r io.Reader, f copyFormat) *copyLines {
	l := &copyLines{r: bufio.NewReaderSize(r, 64<<10), csv: f.CSV, quote: f.Quote}
	special := []byte{'\n', '\r', '\\'}
	if f.CSV {
		if f.Escape != f.Quote {
			l.escape = f.Escape
		}
		special = append(special, f.Quote, f.Escape)
	}
	for _, c := range special {
		l.special[c] = true
	}
	return l
}

// next reads a line; io.EOF if there are no more.
func (l *copyLines) next() error {
	l.raw, l.quoted, l.escaped = l.raw[:0], false, false
	l.line++
	for !l.ended {
		if len(l.raw) > maxCopyLine {
			return copyTooLong()
		}
		if err := l.plain(); err != nil {
			return err
		}
		c, err := l.r.ReadByte()
		if errors.Is(err, io.EOF) {
			l.ended = true
			break
		}
		if err != nil {
			return err
		}
		complete, err := l.char(c)
		if err != nil || complete {
			return err
		}
	}
	if len(l.raw) == 0 {
		return io.EOF
	}
	return nil
}

// plain takes characters without a meaning, as many as have arrived.
func (l *copyLines) plain() error {
	if _, err := l.r.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	buf, _ := l.r.Peek(l.r.Buffered())
	n := 0
	for n < len(buf) && !l.special[buf[n]] {
		n++
	}
	if n > 0 {
		l.raw = append(l.raw, buf[:n]...)
		l.escaped = false
		_, _ = l.r.Discard(n)
	}
	return nil
}

// char takes a character that may mean something, and tells whether the line is complete.
func (l *copyLines) char(c byte) (bool, error) {
	if l.csv {
		l.toggle(c)
	}
	switch outside := !l.csv || !l.quoted; {
	case c == '\r' && outside:
		return true, l.carriageReturn()
	case c == '\n' && outside:
		if l.ending == endingCR || l.ending == endingCRNL {
			return false, l.literal("newline", `\n`)
		}
		l.ending = endingNL
		return true, nil
	case c == '\\' && (!l.csv || len(l.raw) == 0):
		return l.backslash()
	}
	l.raw = append(l.raw, c)
	return false, nil
}

// toggle keeps account of quotes. Where the escape is the quote, the two of them toggle twice.
func (l *copyLines) toggle(c byte) {
	if l.quoted && l.escape != 0 && c == l.escape {
		l.escaped = !l.escaped
	}
	if c == l.quote && !l.escaped {
		l.quoted = !l.quoted
	}
	if c != l.escape || l.escape == 0 {
		l.escaped = false
	}
	end := byte('\r')
	if l.ending == endingNL {
		end = '\n'
	}
	if l.quoted && c == end {
		l.line++
	}
}

// carriageReturn ends a line, alone or with the newline after it.
func (l *copyLines) carriageReturn() error {
	if l.ending == endingNL {
		return l.literal("carriage return", `\r`)
	}
	if l.ending == endingCR {
		return nil
	}
	next, err := l.peek(1)
	switch {
	case err != nil:
		return err
	case len(next) == 1 && next[0] == '\n':
		_, _ = l.r.Discard(1)
		l.ending = endingCRNL
	case l.ending == endingCRNL:
		return l.literal("carriage return", `\r`)
	default:
		l.ending = endingCR
	}
	return nil
}

// peek returns the next n bytes, or as many as there are before the end.
func (l *copyLines) peek(n int) ([]byte, error) {
	next, err := l.r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return next, err
}

// literal is the error of an end of line that isn't the first line's.
func (l *copyLines) literal(what, escape string) error {
	if l.csv {
		return hinted(badCopyFormat("unquoted %s found in data", what), "Use quoted CSV field to represent "+what+".")
	}
	return hinted(badCopyFormat("literal %s found in data", what), `Use "`+escape+`" to represent `+what+".")
}

// backslash takes one with the character after it, or the end-of-data marker.
func (l *copyLines) backslash() (bool, error) {
	next, err := l.peek(3)
	if err != nil {
		return false, err
	}
	if len(next) > 0 && next[0] == '.' {
		marker, err := l.marker(next)
		if err != nil {
			return false, err
		}
		if marker {
			l.ended = true
			_, err = io.Copy(io.Discard, l.r)
			return false, err
		}
	}
	l.raw = append(l.raw, '\\')
	if !l.csv && len(next) > 0 {
		l.raw = append(l.raw, next[0])
		_, _ = l.r.Discard(1)
	}
	return false, nil
}

// marker tells whether a backslash and what comes next is the end-of-data marker.
func (l *copyLines) marker(next []byte) (bool, error) {
	at := func(i int) byte { // 0 is the end of the data
		if i < len(next) {
			return next[i]
		}
		return 0
	}
	i := 1
	if l.ending == endingCRNL {
		switch {
		case at(i) == '\n' && !l.csv:
			return false, badCopyFormat("end-of-copy marker does not match previous newline style")
		case at(i) != '\r':
			return false, l.corruptMarker()
		}
		i++
	}
	c := at(i)
	if c != '\r' && c != '\n' {
		return false, l.corruptMarker()
	}
	if l.ending != endingUnknown && (c == '\r') != (l.ending == endingCR) {
		return false, badCopyFormat("end-of-copy marker does not match previous newline style")
	}
	return true, nil
}

// corruptMarker is an error in text. In CSV, what looks like a marker and is none is data.
func (l *copyLines) corruptMarker() error {
	if l.csv {
		return nil
	}
	return badCopyFormat("end-of-copy marker corrupt")
}
