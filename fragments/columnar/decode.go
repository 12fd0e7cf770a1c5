package columnar

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// field is a column as the decoder of lines sees it.
type field struct {
	typ     Type
	name    string
	key     []byte // the column's name as a JSON string with its colon: what a line mostly says
	notNull bool
	missing []byte         // the value of a line without the key, as JSON; empty is NULL
	seen    uint64         // the last line that had the key
	out     *VectorBuilder // nil if the values are only checked
}

// lineDecoder reads lines as rows of a schema. It appends the values of a row to the
// builders of its fields, or nothing if the line doesn't fit.
//
// All of a line is checked in the same way whether its values are wanted or not, so
// that which lines are rows depends on the schema alone.
type lineDecoder struct {
	lexer
	fields []field
	byName map[string]int
	// after[i+1] is the field whose key followed field i's in an earlier line (and
	// after[0] the first one): what to expect, since most lines look alike.
	after []int
	line  uint64 // counts lines, to tell which fields a line has had
	row   int    // rows so far
	// dirty tells that the last line is a row that DuckDB's read_json may read in
	// another way, or not at all. It is only right if proving is set, which costs time.
	dirty   bool
	proving bool
	// grown is the bytes by which values of the batch are longer than they stand in their
	// lines, at most.
	grown   int
	reason  string // why the last line isn't a row
	scratch []byte
	bytes   []byte // of the last bytea
	normal  normalizer
}

// newLineDecoder makes a decoder for the schema. wanted tells for which columns
// values are built.
func newLineDecoder(schema Schema, wanted func(col int) bool) *lineDecoder {
	d := &lineDecoder{
		fields: make([]field, len(schema.Columns)),
		byName: make(map[string]int, len(schema.Columns)),
		after:  make([]int, len(schema.Columns)+1),
	}
	for i, c := range schema.Columns {
		f := field{typ: c.Type, name: c.Name, notNull: c.NotNull, key: append(appendQuoted(nil, []byte(c.LineKey())), ':'), missing: []byte(c.Missing)}
		if wanted(i) {
			f.out = NewVectorBuilder(c.Type)
		}
		d.fields[i] = f
		d.byName[c.LineKey()] = i
		d.after[i] = i
	}
	d.after[len(schema.Columns)] = -1
	return d
}

// decode reads one line, without its newline. If it isn't a row, reason tells why.
func (d *lineDecoder) decode(line []byte) bool {
	d.s = line
	d.line++
	d.dirty = false
	if d.object(skipBlanks(line, 0)) && d.complete() {
		d.row++
		return true
	}
	for i := range d.fields {
		if out := d.fields[i].out; out != nil {
			out.truncate(d.row)
		}
	}
	return false
}

// object reads the line's object, which begins at p.
func (d *lineDecoder) object(p int) bool {
	s := d.s
	if p >= len(s) || s[p] != '{' {
		return d.notAnObject(p)
	}
	p = skipBlanks(s, p+1)
	if p < len(s) && s[p] == '}' {
		return d.atEnd(p + 1)
	}
	previous := 0
	for {
		var col int
		if col, p = d.keyAfter(previous, p); p < 0 {
			return d.invalid()
		}
		if col < 0 {
			if p = d.value(p); p < 0 {
				return d.invalid()
			}
		} else {
			d.after[previous] = col
			previous = col + 1
			if p = d.field(&d.fields[col], p); p < 0 {
				return false
			}
		}
		if p < len(s) && s[p] <= ' ' {
			p = skipBlanks(s, p)
		}
		switch {
		case p < len(s) && s[p] == ',':
			p++
			if p < len(s) && s[p] <= ' ' {
				p = skipBlanks(s, p)
			}
		case p < len(s) && s[p] == '}':
			return d.atEnd(p + 1)
		default:
			d.failAt(p, "a comma or }")
			return d.invalid()
		}
	}
}

// keyAfter reads the key at p and its colon, to the value, and returns the column of
// that name or -1. previous tells which key was before it.
func (d *lineDecoder) keyAfter(previous, p int) (int, int) {
	expected := d.after[previous]
	if expected < 0 || p >= len(d.s) || !bytes.HasPrefix(d.s[p:], d.fields[expected].key) {
		return d.lookUp(p)
	}
	p += len(d.fields[expected].key)
	if p < len(d.s) && d.s[p] <= ' ' {
		p = skipBlanks(d.s, p)
	}
	return expected, p
}

// lookUp reads any key and its colon, and returns the column of that name or -1.
func (d *lineDecoder) lookUp(p int) (int, int) {
	if p >= len(d.s) || d.s[p] != '"' {
		return -1, d.failAt(p, "a key")
	}
	d.shape = 0
	end := d.str(p + 1)
	if end < 0 {
		return -1, -1
	}
	name := d.s[p+1 : end]
	if d.shape&hasEscape != 0 {
		d.scratch = appendUnescaped(d.scratch[:0], name)
		name = d.scratch
	}
	col, ok := d.byName[string(name)]
	if !ok {
		col = -1
	}
	p = skipBlanks(d.s, end+1)
	if p >= len(d.s) || d.s[p] != ':' {
		return -1, d.failAt(p, "a colon")
	}
	return col, skipBlanks(d.s, p+1)
}

// field reads a value of a column. It returns the position after it, or -1 with the
// reason set.
func (d *lineDecoder) field(f *field, p int) int {
	if f.seen == d.line {
		d.reject(f, "appears twice")
		return -1
	}
	f.seen = d.line
	if p < len(d.s) && d.s[p] == 'n' {
		if p = d.literal(p, "null"); p < 0 {
			d.invalid()
			return -1
		}
		return d.null(f, p)
	}
	return d.read(f, p)
}

// null appends NULL.
func (d *lineDecoder) null(f *field, p int) int {
	if f.notNull {
		d.reject(f, "is NULL but NOT NULL")
		return -1
	}
	if f.out != nil {
		f.out.AppendNull()
	}
	return p
}

// complete gives the columns that the line doesn't have the values that are told, or NULL.
func (d *lineDecoder) complete() bool {
	for i := range d.fields {
		f := &d.fields[i]
		switch {
		case f.seen == d.line:
		case len(f.missing) > 0:
			if !d.fillMissing(f) {
				return false
			}
		case d.null(f, 0) < 0:
			return false
		}
	}
	return true
}

// fillMissing gives a column the value of lines that don't have it, which DuckDB's read_json doesn't know.
func (d *lineDecoder) fillMissing(f *field) bool {
	line := d.s
	d.s = f.missing
	end := d.read(f, 0)
	d.s = line
	d.grown += len(f.missing)
	d.dirty = true
	return end >= 0
}

// atEnd tells whether nothing but blanks stands from p on.
func (d *lineDecoder) atEnd(p int) bool {
	if p < len(d.s) {
		if p = skipBlanks(d.s, p); p < len(d.s) {
			d.failAt(p, "the end of the line")
			return d.invalid()
		}
	}
	return true
}

// invalid makes the lexer's error the reason.
func (d *lineDecoder) invalid() bool {
	d.reason = fmt.Sprintf("not valid JSON at byte %d: %s", d.errPos, d.errWhat)
	return false
}

// notAnObject rejects a line that doesn't begin as one.
func (d *lineDecoder) notAnObject(p int) bool {
	end := d.value(p)
	if end < 0 || !d.atEnd(end) {
		return d.invalid()
	}
	d.reason = "a row is a JSON object, not " + jsonType(d.s[p])
	return false
}

// reject makes the reason a sentence about a column.
func (d *lineDecoder) reject(f *field, what string) {
	d.reason = `column "` + f.name + `" ` + what
}

// rejectValue makes the reason what an input function said about a column's value.
func (d *lineDecoder) rejectValue(f *field, err error) {
	d.reason = valueReason(f.name, err)
}

// valueReason is why a column doesn't take a value.
func valueReason(column string, err error) string {
	reason := `column "` + column + `": ` + err.Error()
	if e, ok := errors.AsType[*InputError](err); ok && e.Detail != "" {
		reason += ": " + strings.TrimSuffix(e.Detail, ".")
	}
	return reason
}

// jsonType names the type of the value that begins with c.
func jsonType(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
