package columnar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// defaultBatchRows is a multiple of DuckDB's vector of 2048 rows.
const defaultBatchRows = 8192

// The bytes after which a batch or a list of rejects is handed out although it could
// take more, so that its memory is bounded.
const (
	maxBatchBytes   = 32 << 20
	maxRejectsBytes = 1 << 20
)

// ScanOptions tell what to read.
type ScanOptions struct {
	// Journal is noted in batches and rejects.
	Journal string
	// Begin is the offset of the reader's first byte, which must begin a line. End is the
	// offset after the last byte to read, which the reader must reach; if it is
	// negative, the range ends where the reader does.
	Begin, End int64
	Schema     Schema
	// Project lists the columns of Schema that a batch is to have, in its order; nil
	// means all. It doesn't change which lines are rows.
	Project []int
	// MaxLine is the longest line in bytes that may be a row; 0 means MaxLine. Anything
	// else gives other rejects than a Prover's proof counts: it is for tests.
	MaxLine int
	// BatchRows is how many rows a batch has at most; 0 means 8192.
	BatchRows int
	// Ends asks for the ends of rows, beside their offsets; and for the clocks of messages.
	Ends bool
}

// Validate checks what a Scanner relies on.
func (o *ScanOptions) Validate() error {
	if o.MaxLine < 0 || o.MaxLine > MaxLine {
		return fmt.Errorf("MaxLine %d is not between 0 and %d", o.MaxLine, MaxLine)
	}
	if o.End >= 0 && o.End < o.Begin {
		return fmt.Errorf("the range ends at %d, before its begin at %d", o.End, o.Begin)
	}
	if o.BatchRows < 0 {
		return fmt.Errorf("BatchRows %d is negative", o.BatchRows)
	}
	for _, c := range o.Project {
		if c < 0 || c >= len(o.Schema.Columns) {
			return fmt.Errorf("column %d is not one of the %d of the schema", c, len(o.Schema.Columns))
		}
	}
	return o.Schema.Validate()
}

// Reject is a whole line, or frame, that isn't a row of the schema.
type Reject struct {
	Journal string
	Offset  int64  // of the line's first byte
	Bytes   []byte // the line without its newline, or its first 16 KiB; where rows are frames, the frame or what stands for one
	Length  int64  // of the line, without its newline; of the frame with its header
	Reason  string // why it isn't a row
}

// Scanner reads a range of a journal as rows: see NewScanner.
type Scanner struct {
	options ScanOptions
	lines   lineReader
	decoder *lineDecoder
	acks    acks
	format  *formatDecoder // in the place of decoder, if the schema has one
	project []int
	size    int // rows to make room for: what the last batch had
	err     error
}

// NewScanner reads the content of a journal from r, whose first byte is the one at
// Begin, as rows of a schema. Options that Validate refuses make Next fail.
func NewScanner(r io.Reader, options ScanOptions) *Scanner {
	s := &Scanner{options: options, project: options.Project}
	if s.err = options.Validate(); s.err != nil {
		return s
	}
	if s.options.BatchRows == 0 {
		s.options.BatchRows = defaultBatchRows
	}
	if s.options.MaxLine == 0 {
		s.options.MaxLine = MaxLine
	}
	if s.project == nil {
		s.project = make([]int, len(options.Schema.Columns))
		for i := range s.project {
			s.project[i] = i
		}
	}
	if options.Schema.Format != nil {
		s.format, s.err = newFormatDecoder(options.Schema, s.project)
	} else {
		wanted := make(map[int]bool, len(s.project))
		for _, c := range s.project {
			wanted[c] = true
		}
		s.decoder = newLineDecoder(options.Schema, func(c int) bool { return wanted[c] })
	}
	s.acks = options.Schema.acks()
	s.lines = lineReader{r: r, left: -1, maxLine: s.options.MaxLine, offset: options.Begin}
	if options.End >= 0 {
		s.lines.left = options.End - options.Begin
	}
	return s
}

// Offset is the offset after the last whole line that was read. At io.EOF, what is left
// of the range from there on is a line without its newline.
func (s *Scanner) Offset() int64 { return s.lines.offset }

// Next returns the next rows and the rejects among them; the batch may have no rows, and
// belongs to the caller. At the end of the range it returns io.EOF and nothing else. An
// error of the reader is returned, again and again, after the rows before it.
func (s *Scanner) Next() (*Batch, []Reject, error) {
	if s.err != nil {
		return nil, nil, s.err
	}
	offsets := make([]int64, 0, min(max(s.size, 16), s.options.BatchRows))
	var ends []int64
	var clocks []message.Clock
	var rejects []Reject
	rejected, taken := 0, 0
	s.begin(cap(offsets))
	for len(offsets) < s.options.BatchRows && rejected < maxRejectsBytes && s.taking(taken) < maxBatchBytes {
		n, row, reason, err := s.next()
		if err != nil {
			s.err = err
			break
		}
		switch {
		case reason != "":
			rejects = append(rejects, Reject{
				Journal: s.options.Journal, Offset: n.offset, Reason: reason, Length: n.length,
				Bytes: bytes.Clone(n.bytes[:min(len(n.bytes), maxRejectBytes)]),
			})
			rejected += len(rejects[len(rejects)-1].Bytes) + len(reason) + rejectSize
		case row:
			offsets = append(offsets, n.offset)
			if s.options.Ends {
				ends = append(ends, s.lines.offset)
			}
			if s.options.Ends && s.acks.find != nil {
				clocks = append(clocks, s.acks.find(n.bytes).Clock())
			}
			taken += len(n.bytes)
		}
	}
	if len(offsets) == 0 && len(rejects) == 0 && s.err != nil {
		return nil, nil, s.err
	}
	s.size = len(offsets)
	b := s.batch(offsets)
	b.Ends, b.Clocks = ends, clocks
	return b, rejects, nil
}

func (s *Scanner) begin(rows int) {
	if s.format != nil {
		s.format.begin(rows)
		return
	}
	s.decoder.begin(rows)
}

// taking is how many bytes a batch takes whose rows have so many where they stand.
func (s *Scanner) taking(size int) int {
	if s.format != nil {
		return max(size, s.format.bytes())
	}
	return size + s.decoder.grown
}

// next reads a record: it is a row, or there is a reason why it isn't, or it is blank.
func (s *Scanner) next() (line, bool, string, error) {
	if s.format == nil || !s.options.Schema.Format.Frames() {
		n, err := s.lines.next()
		if err != nil {
			return n, false, "", err
		}
		row, reason := s.read(&n)
		return n, row, reason, nil
	}
	n, reason, err := s.lines.nextFrame()
	if err != nil || reason != "" {
		return n, false, reason, err
	}
	v := s.format.decode(n.bytes[frameHeader:])
	if v.Misframed {
		s.lines.reframe(&n)
	}
	return n, v == Verdict{}, v.Reason, nil
}

// rejectSize is about what a Reject takes beside its bytes.
const rejectSize = 96

// read decodes a line: it is a row, or there is a reason why it isn't, or it is blank or acknowledges others.
func (s *Scanner) read(n *line) (bool, string) {
	if n.length > int64(s.options.MaxLine) {
		return false, errLineTooLong(s.options.MaxLine)
	}
	if s.format != nil {
		v := s.format.decode(n.bytes)
		return v == Verdict{}, v.Reason
	}
	if skipBlanks(n.bytes, 0) == len(n.bytes) || s.acks.has(n.bytes) {
		return false, ""
	}
	if s.decoder.decode(n.bytes) {
		return true, ""
	}
	return false, s.decoder.reason
}

func errLineTooLong(limit int) string {
	return "the line is longer than " + strconv.Itoa(limit) + " bytes"
}

func (s *Scanner) batch(offsets []int64) *Batch {
	b := &Batch{Len: len(offsets), Cols: make([]Vector, len(s.project)), Journal: s.options.Journal, Offsets: offsets}
	for i, c := range s.project {
		if s.format != nil {
			b.Cols[i] = s.format.out[c].Vector()
			continue
		}
		b.Cols[i] = s.decoder.fields[c].out.Vector()
	}
	return b
}

// begin starts a batch with room for so many rows.
func (d *lineDecoder) begin(rows int) {
	d.row, d.grown = 0, 0
	for i := range d.fields {
		f := &d.fields[i]
		if f.out == nil {
			continue
		}
		size := len(f.out.v.Str.Bytes)
		f.out = NewVectorBuilder(f.typ)
		f.out.reserve(rows)
		if size > 0 {
			f.out.v.Str.Bytes = make([]byte, 0, size+size/8)
		}
	}
}

// Validate checks that the columns have types that exist, names and keys that differ, and values for lines without them that can be read.
func (s Schema) Validate() error {
	names, keys := make(map[string]bool, len(s.Columns)), make(map[string]bool, len(s.Columns))
	for i, c := range s.Columns {
		if err := checkCharacters(c.Key); err != nil {
			return fmt.Errorf("the key of column %d: %w", i, err)
		}
		if err := c.Type.Validate(); err != nil {
			return fmt.Errorf("column %d %q: %w", i, c.Name, err)
		}
		if err := checkCharacters(c.Name); err != nil {
			return fmt.Errorf("the name of column %d: %w", i, err)
		}
		if c.Name == "" {
			return fmt.Errorf("column %d: %w", i, errNoName)
		}
		if names[c.Name] {
			return fmt.Errorf("column %d: there is another %q", i, c.Name)
		}
		if keys[c.LineKey()] {
			return fmt.Errorf("column %d: there is another of the key %q", i, c.LineKey())
		}
		names[c.Name], keys[c.LineKey()] = true, true
		if err := c.checkMissing(); err != nil {
			return fmt.Errorf("column %d %q: %w", i, c.Name, err)
		}
	}
	if s.Messages == "" {
		return nil
	}
	_, err := committed.ParsePointer(s.Messages)
	return err
}

// checkMissing tells whether the value of lines without the column is one of it.
func (c Column) checkMissing() error {
	if c.Missing == "" || !c.Type.Kind.Valid() {
		return nil
	}
	d := newLineDecoder(Schema{Columns: []Column{{Name: "c", Type: c.Type, NotNull: true}}}, func(int) bool { return false })
	d.s = []byte(c.Missing)
	if end := d.read(&d.fields[0], 0); end < 0 || !d.atEnd(end) {
		return fmt.Errorf("its value where it is missing: %s", d.reason)
	}
	return nil
}

var errNoName = errors.New("it has no name")
