package sqlgw

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// copyFormat says how the rows of a COPY FROM in text or CSV are written.
type copyFormat struct {
	CSV       bool
	Header    bool
	Delimiter byte
	Null      string
	Quote     byte
	Escape    byte
}

// copyField is one column's value as text.
type copyField struct {
	text string
	null bool
}

// copyParser splits the data of a COPY FROM into rows of fields.
//
// A line of nothing but delimiters would take many times its length as fields, so that fields
// beyond the first of those that no column is for are counted, and not kept.
type copyParser struct {
	format copyFormat
	*copyLines
	keep   int // how many fields of a row are kept: one more than there are columns
	fields []copyField
	beyond int // fields of the row that weren't kept
	began  bool
	whole  bool // raw is a line that can be shown

	data []byte // the fields' texts, one after the other
	ends []int  // where each ends in it
}

func newCopyParser(r io.Reader, format copyFormat, columns int) *copyParser {
	return &copyParser{format: format, copyLines: newCopyLines(r, format), keep: columns + 1}
}

// row returns the fields of the next row, valid until the next call; io.EOF at the end.
func (p *copyParser) row() ([]copyField, error) {
	if !p.began {
		p.began = true
		if p.format.Header {
			if err := p.next(); err != nil {
				return nil, err
			}
		}
	}
	return p.record()
}

// header returns the fields of the header, which is then not skipped any more.
func (p *copyParser) header() ([]copyField, error) {
	p.began = true
	if fields, err := p.record(); !errors.Is(err, io.EOF) {
		return fields, err
	}
	return p.split() // without a line it is an empty one
}

func (p *copyParser) record() ([]copyField, error) {
	p.whole = false
	if err := p.next(); err != nil {
		return nil, err
	}
	return p.split()
}

// split makes fields of the line.
func (p *copyParser) split() ([]copyField, error) {
	if !utf8.Valid(p.raw) || bytes.IndexByte(p.raw, 0) >= 0 {
		return nil, badCharacters(string(p.raw))
	}
	p.whole = true
	p.fields, p.ends, p.data, p.beyond = p.fields[:0], p.ends[:0], p.data[:0], 0
	split := p.splitText
	if p.format.CSV {
		split = p.splitCSV
	}
	if err := split(); err != nil {
		return nil, err
	}
	texts, from := string(p.data), 0
	for i, to := range p.ends {
		p.fields[i].text = texts[from:to]
		from = to
	}
	return p.fields, nil
}

// badCharacters is the error of a text that isn't UTF-8 without zeros; nil if it is.
func badCharacters(s string) error {
	return inputError(columnar.ParseText(columnar.Type{Kind: columnar.Text}, s, nil), "")
}

// add the field that data ends in, which began at an offset of it.
func (p *copyParser) add(from int, null bool) {
	if len(p.fields) == p.keep {
		p.data = p.data[:from]
		p.beyond++
		return
	}
	p.fields = append(p.fields, copyField{null: null})
	p.ends = append(p.ends, len(p.data))
}

// splitText splits raw by the rules of the text format: a backslash takes the next
// character, or an escape, for itself; an unescaped Null string is NULL.
func (p *copyParser) splitText() error {
	start, from, numbered := 0, 0, false
	flush := func(end int) error {
		null := string(p.raw[start:end]) == p.format.Null
		if numbered && !null {
			if err := badCharacters(string(p.data[from:])); err != nil {
				return err
			}
		}
		p.add(from, null)
		start, from, numbered = end+1, len(p.data), false
		return nil
	}
	for i := 0; i < len(p.raw); i++ {
		switch c := p.raw[i]; {
		case c == p.format.Delimiter:
			if err := flush(i); err != nil {
				return err
			}
		case c == '\\' && i+1 < len(p.raw):
			var byNumber bool
			i, byNumber = p.unescape(i + 1)
			numbered = numbered || byNumber
		case c == '\\': // at the end, where it stands for nothing
		default:
			p.data = append(p.data, c)
		}
	}
	return flush(len(p.raw))
}

// unescape adds what the escape whose letter is raw[i] stands for. It returns the index of its
// last character, and whether it was a number, which may be of no character.
func (p *copyParser) unescape(i int) (int, bool) {
	c := p.raw[i]
	switch c {
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'v':
		c = '\v'
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return p.digits(i, 3, 8), true
	case 'x':
		if i+1 < len(p.raw) && value(p.raw[i+1]) < 16 {
			return p.digits(i+1, 2, 16), true
		}
	}
	p.data = append(p.data, c)
	return i, false
}

// digits adds the byte of up to n digits of a base from raw[i], and returns the index of the last.
func (p *copyParser) digits(i, n, base int) int {
	v, last := 0, i
	for ; last < min(i+n, len(p.raw)) && value(p.raw[last]) < base; last++ {
		v = v*base + value(p.raw[last])
	}
	p.data = append(p.data, byte(v))
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

// splitCSV splits raw by the rules of CSV: quotes may begin and end anywhere in a field, and only a field
// without any is NULL.
func (p *copyParser) splitCSV() error {
	f, from, start := &p.format, 0, 0
	quoted, inside := false, false
	for i := 0; i < len(p.raw); i++ {
		switch c := p.raw[i]; {
		case inside && c == f.Escape && i+1 < len(p.raw) && (p.raw[i+1] == f.Quote || p.raw[i+1] == f.Escape):
			i++
			p.data = append(p.data, p.raw[i])
		case inside && c == f.Quote:
			inside = false
		case inside:
			p.data = append(p.data, c)
		case c == f.Delimiter:
			p.add(from, !quoted && string(p.raw[start:i]) == f.Null)
			from, start, quoted = len(p.data), i+1, false
		case c == f.Quote:
			inside, quoted = true, true
		default:
			p.data = append(p.data, c)
		}
	}
	if inside {
		return badCopyFormat("unterminated CSV quoted field")
	}
	p.add(from, !quoted && string(p.raw[start:]) == f.Null)
	return nil
}
