package sqlgw

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"broadsheet.dev/broadsheet/pgwire"
)

// copyFormat says how the rows of a COPY FROM are written.
type copyFormat struct {
	CSV       bool
	Header    bool
	Delimiter byte
	Null      string
	Quote     byte
	Escape    byte
}

// maxCopyLine bounds one row of a COPY, in bytes.
const maxCopyLine = 16 << 20

// copyField is one column's value as text.
type copyField struct {
	text string
	null bool
}

// copyParser splits the data of a COPY FROM into rows of fields. Line is the number of the
// line that the last row began at, for errors.
//
// A line of nothing but delimiters would take many times its length as fields, so that fields
// beyond the first of those that no column is for are counted, and not kept.
type copyParser struct {
	format copyFormat
	r      *bufio.Reader
	line   int
	next   int // the number of the line that is read next
	keep   int // how many fields of a row are kept: one more than there are columns
	fields []copyField
	beyond int // fields of the row that weren't kept
	raw    []byte
	ended  bool // by the end-of-data marker
	began  bool
}

func newCopyParser(r io.Reader, format copyFormat, columns int) *copyParser {
	return &copyParser{format: format, r: bufio.NewReaderSize(r, 64<<10), next: 1, keep: columns + 1}
}

// row returns the fields of the next row, valid until the next call; io.EOF at the end.
func (p *copyParser) row() ([]copyField, error) {
	if !p.began {
		p.began = true
		if p.format.Header {
			if _, err := p.record(); err != nil {
				return nil, err
			}
		}
	}
	return p.record()
}

// header returns the fields of the header, which is then not skipped any more.
func (p *copyParser) header() ([]copyField, error) {
	p.began = true
	return p.record()
}

func (p *copyParser) record() ([]copyField, error) {
	if p.ended {
		return nil, p.drain()
	}
	p.line = p.next
	if err := p.readLine(); err != nil {
		return nil, err
	}
	if string(p.raw) == `\.` {
		p.ended = true
		return nil, p.drain()
	}
	p.fields, p.beyond = p.fields[:0], 0
	if p.format.CSV {
		return p.fields, p.splitCSV()
	}
	return p.fields, p.splitText()
}

// drain reads on to the end: what comes after the end-of-data marker must be nothing.
func (p *copyParser) drain() error {
	if _, err := p.r.ReadByte(); err != nil {
		return err
	}
	p.line = p.next
	return &pgwire.Error{Code: "22P04", Message: "received data after the end-of-copy marker"}
}

// readLine reads a line into raw, without its end. The last one may lack it.
func (p *copyParser) readLine() error {
	p.raw = p.raw[:0]
	for {
		part, err := p.r.ReadSlice('\n')
		p.raw = append(p.raw, part...)
		if len(p.raw) > maxCopyLine {
			return &pgwire.Error{Code: "54000", Message: "line of COPY data is too long", Hint: "A line may have up to 16 MiB."}
		}
		if err == nil {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(p.raw) > 0 {
			break
		}
		return err
	}
	p.next++
	if n := len(p.raw); n > 0 && p.raw[n-1] == '\n' {
		p.raw = p.raw[:n-1]
		if n > 1 && p.raw[n-2] == '\r' {
			p.raw = p.raw[:n-2]
		}
	}
	return nil
}

// add a field, and empty its text for the next.
func (p *copyParser) add(text *strings.Builder, null bool) {
	if len(p.fields) < p.keep {
		p.fields = append(p.fields, copyField{text: text.String(), null: null})
	} else {
		p.beyond++
	}
	text.Reset()
}

// splitText splits raw by the rules of the text format: a backslash takes the next
// character, or an escape, for itself; an unescaped Null string is NULL.
func (p *copyParser) splitText() error {
	var field strings.Builder
	start := 0
	flush := func(end int) {
		p.add(&field, string(p.raw[start:end]) == p.format.Null)
	}
	for i := 0; i < len(p.raw); i++ {
		switch c := p.raw[i]; {
		case c == p.format.Delimiter:
			flush(i)
			start = i + 1
		case c == '\\' && i+1 < len(p.raw):
			i = p.unescape(&field, i+1)
		case c == '\\':
			return &pgwire.Error{Code: "22P04", Message: "a line of COPY data ends in a backslash"}
		default:
			field.WriteByte(c)
		}
	}
	flush(len(p.raw))
	return nil
}

// unescape writes what the escape whose letter is raw[i] stands for, and returns the
// index of its last character.
func (p *copyParser) unescape(w *strings.Builder, i int) int {
	named := map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}
	c := p.raw[i]
	if b, ok := named[c]; ok {
		w.WriteByte(b)
		return i
	}
	if c >= '0' && c <= '7' {
		return digits(w, p.raw, i, 3, 8)
	}
	if c == 'x' && i+1 < len(p.raw) && value(p.raw[i+1]) < 16 {
		return digits(w, p.raw, i+1, 2, 16)
	}
	w.WriteByte(c)
	return i
}

// digits writes the byte of up to n digits of a base from raw[i], and returns the index of
// the last.
func digits(w *strings.Builder, raw []byte, i, n, base int) int {
	v, last := 0, i
	for ; last < min(i+n, len(raw)) && value(raw[last]) < base; last++ {
		v = v*base + value(raw[last])
	}
	w.WriteByte(byte(v))
	return last - 1
}

// value of a digit; one that isn't any base's is 99.
func value(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return 99
	}
}

// splitCSV splits raw by the rules of CSV; a quoted field may go on over lines.
func (p *copyParser) splitCSV() error {
	var field strings.Builder
	quoted, inside := false, false
	for i := 0; ; i++ {
		if i >= len(p.raw) {
			if !inside {
				p.addCSV(&field, quoted)
				return nil
			}
			field.WriteByte('\n')
			if err := p.continueCSV(field.Len()); err != nil {
				return err
			}
			i = -1
			continue
		}
		switch c := p.raw[i]; {
		case inside && c == p.format.Escape && i+1 < len(p.raw) && (p.raw[i+1] == p.format.Quote || p.raw[i+1] == p.format.Escape):
			i++
			field.WriteByte(p.raw[i])
		case c == p.format.Quote:
			inside = !inside
			quoted = true
		case !inside && c == p.format.Delimiter:
			p.addCSV(&field, quoted)
			quoted = false
		default:
			field.WriteByte(c)
		}
	}
}

// continueCSV reads the line that a quoted field goes on in.
func (p *copyParser) continueCSV(soFar int) error {
	if soFar > maxCopyLine {
		return &pgwire.Error{Code: "54000", Message: "field of COPY data is too long", Hint: "A row may have up to 16 MiB."}
	}
	err := p.readLine()
	if errors.Is(err, io.EOF) {
		return &pgwire.Error{Code: "22P04", Message: "unterminated CSV quoted field"}
	}
	return err
}

func (p *copyParser) addCSV(field *strings.Builder, quoted bool) {
	p.add(field, !quoted && field.String() == p.format.Null)
}
