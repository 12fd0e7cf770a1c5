package views

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// batch is what a transaction has consumed: lines, as they stand in their journals.
type batch struct {
	most     int // bytes
	bytes    int
	lines    int
	contents []*content // of each journal that was met, whether it has anything or not
	last     *content
}

// content is what a batch has of a journal.
type content struct {
	journal string
	text    []byte
	spans   []span
}

// span of a content's text stands together in the journal.
type span struct {
	at     int
	offset int64
}

// keptText is how large a content's buffer may be that is used again.
const keptText = 4 << 20

// maxLines is how many lines a batch has, if they come one by one: each may be a group, which takes some hundred bytes however short the line is.
const maxLines = 1 << 18

// room tells whether the batch takes a text. An empty one takes any.
func (b *batch) room(text []byte) bool {
	return b.bytes == 0 || b.bytes+len(text) <= b.most && b.lines < maxLines
}

// add a text that stands at an offset.
func (b *batch) add(journal string, offset int64, text []byte) {
	c := b.of(journal)
	if n := len(c.spans); n == 0 || c.spans[n-1].offset+int64(len(c.text)-c.spans[n-1].at) != offset {
		c.spans = append(c.spans, span{len(c.text), offset})
	}
	c.text = append(c.text, text...)
	b.bytes += len(text)
	b.lines += bytes.Count(text, []byte{'\n'})
}

// addWithout adds a text of whole lines that stands at an offset, but for those that begin at some offsets, which ascend. It tells how many
// lines those are.
func (b *batch) addWithout(skip []int64, journal string, offset int64, text []byte) int {
	left := 0
	next, _ := slices.BinarySearch(skip, offset)
	for _, at := range skip[next:] {
		if at >= offset+int64(len(text)) {
			break
		}
		i := int(at - offset)
		if i < 0 || i > 0 && text[i-1] != '\n' {
			continue // no line begins there
		}
		if i > 0 {
			b.add(journal, offset, text[:i])
		}
		i += bytes.IndexByte(text[i:], '\n') + 1
		offset, text = offset+int64(i), text[i:]
		left++
	}
	if len(text) > 0 {
		b.add(journal, offset, text)
	}
	return left
}

func (b *batch) of(journal string) *content {
	if b.last == nil || b.last.journal != journal {
		i := slices.IndexFunc(b.contents, func(c *content) bool { return c.journal == journal })
		if i < 0 {
			i = len(b.contents)
			b.contents = append(b.contents, &content{journal: journal})
		}
		b.last = b.contents[i]
	}
	return b.last
}

// single tells where the line of a batch is that has no other.
func (b *batch) single() (string, int64, bool) {
	for _, c := range b.contents {
		if len(c.text) == b.bytes && b.lines == 1 {
			return c.journal, c.offset(0), true
		}
	}
	return "", 0, false
}

// reset empties the batch.
func (b *batch) reset() {
	b.bytes, b.lines = 0, 0
	for _, c := range b.contents {
		c.spans = c.spans[:0]
		if c.text = c.text[:0]; cap(c.text) > keptText {
			c.text = nil
		}
	}
}

// offset in the journal of a place in the text.
func (c *content) offset(at int64) int64 {
	i := sort.Search(len(c.spans), func(i int) bool { return int64(c.spans[i].at) > at }) - 1
	return c.spans[i].offset + at - int64(c.spans[i].at)
}

// scanner of the rows. Offsets are places in the text.
func (c *content) scanner(schema columnar.Schema, project []int) *columnar.Scanner {
	return columnar.NewScanner(bytes.NewReader(c.text), columnar.ScanOptions{
		Journal: c.journal, End: int64(len(c.text)), Schema: schema, Project: project,
	})
}

// decoded is what became of a batch's lines.
type decoded struct {
	rows, rejects atomic.Int64
	took          atomic.Int64 // nanoseconds
}

// sources of a batch's rows, one for each journal.
func (b *batch) sources(schema columnar.Schema, project []int, told *decoded) []duck.Source {
	var out []duck.Source
	for _, c := range b.contents {
		if len(c.text) > 0 {
			out = append(out, &contentSource{scanner: c.scanner(schema, project), told: told})
		}
	}
	return out
}

// contentSource yields the rows of a content.
type contentSource struct {
	scanner *columnar.Scanner
	told    *decoded
}

// Next returns rows, or io.EOF.
func (s *contentSource) Next(context.Context) (*columnar.Batch, error) {
	began := time.Now()
	defer func() { s.told.took.Add(int64(time.Since(began))) }()
	for {
		b, rejects, err := s.scanner.Next()
		if err != nil {
			return nil, err
		}
		s.told.rows.Add(int64(b.Len))
		s.told.rejects.Add(int64(len(rejects)))
		if b.Len > 0 {
			return b, nil
		}
	}
}

// Close has nothing to close.
func (*contentSource) Close() error { return nil }

// held are the batch's rows in memory, for who looks for one of them.
func (b *batch) held(schema columnar.Schema) ([]*columnar.Batch, error) {
	var out []*columnar.Batch
	for _, c := range b.contents {
		if len(c.text) == 0 {
			continue
		}
		s := c.scanner(schema, nil)
		for {
			rows, _, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if rows.Len == 0 {
				continue
			}
			for i, at := range rows.Offsets {
				rows.Offsets[i] = c.offset(at)
			}
			out = append(out, rows)
		}
	}
	return out, nil
}
