package sqlgw

import (
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// copyTarget is what a COPY FROM writes to: columns of a table, in the order of its data.
type copyTarget struct {
	table catalog.Table
	cols  []int // indexes of the columns
}

func (t copyTarget) column(i int) catalog.Column { return t.table.Columns[t.cols[i]] }

// forced tells of each column whether an option names it.
func (t copyTarget) forced(option string, names []string) ([]bool, error) {
	out := make([]bool, len(t.cols))
	indexes, err := columnIndexes(t.table, names)
	if err != nil || len(names) == 0 {
		return out, err
	}
	for i, c := range indexes {
		at := slices.Index(t.cols, c)
		if at < 0 {
			return nil, sqlError("42P10", "%s column %q not referenced by COPY", option, names[i])
		}
		out[at] = true
	}
	return out, nil
}

// textRows are the rows of a COPY FROM in text or CSV.
type textRows struct {
	copyTarget
	format                copyFormat
	style                 *style.Style // of the values
	begun                 time.Time    // which now is
	parser                *copyParser
	match                 bool   // the header's names have to be the columns'
	neverNull, quotedNull []bool // the columns of FORCE_NOT_NULL and FORCE_NULL
}

func newTextRows(t copyTarget, o *parse.CopyOptions, as *style.Style) (*textRows, error) {
	r := &textRows{copyTarget: t, style: as, begun: time.Now(), match: o.Header == parse.HeaderMatch}
	r.format = copyFormat{
		CSV: o.Format == parse.CopyCSV, Header: o.Header != parse.HeaderNone, Delimiter: o.Delimiter,
		Null: o.Null, Quote: o.Quote, Escape: o.Escape,
	}
	var err error
	if r.neverNull, err = t.forced("FORCE_NOT_NULL", o.ForceNotNull); err != nil {
		return nil, err
	}
	r.quotedNull, err = t.forced("FORCE_NULL", o.ForceNull)
	return r, err
}

func (r *textRows) from(data io.Reader) { r.parser = newCopyParser(data, r.format, len(r.cols)) }

// next appends the next row's values, and returns how many bytes they have; io.EOF at the end.
func (r *textRows) next(into []*columnar.VectorBuilder) (int, error) {
	if r.match && !r.parser.began {
		if err := r.checkHeader(); err != nil {
			return 0, err
		}
	}
	fields, err := r.parser.row()
	if err != nil {
		return 0, err
	}
	if len(fields) > len(r.cols) {
		return 0, badCopyFormat("extra data after last expected column")
	}
	bytes := 0
	for i := range r.cols {
		if i == len(fields) {
			return 0, badCopyFormat("missing data for column %q", r.column(i).Name)
		}
		bytes += len(fields[i].text)
		if err := r.value(i, fields[i], into[i]); err != nil {
			return 0, err
		}
	}
	return bytes, nil
}

func (r *textRows) value(i int, f copyField, into *columnar.VectorBuilder) error {
	switch {
	case f.null && r.neverNull[i]:
		f.text, f.null = r.format.Null, false
	case r.quotedNull[i] && f.text == r.format.Null:
		f.null = true
	}
	if f.null {
		into.AppendNull()
		return nil
	}
	col := r.column(i)
	if err := r.style.Read(col.Type, f.text, into, r.begun); err != nil {
		return inputError(err, fmt.Sprintf("%s, column %s: \"%s\"", r.line(), col.Name, excerpted(f.text)))
	}
	return nil
}

// checkHeader reads the header, whose names have to be the columns' in order.
func (r *textRows) checkHeader() error {
	names, err := r.parser.header()
	if err != nil {
		return err
	}
	if got := len(names) + r.parser.beyond; got != len(r.cols) {
		return badCopyFormat("wrong number of fields in header line: got %d, expected %d", got, len(r.cols))
	}
	for i, n := range names {
		switch want := r.column(i).Name; {
		case n.null:
			return badCopyFormat("column name mismatch in header line field %d: got null value (\"%s\"), expected %q", i+1, r.format.Null, want)
		case n.text != want:
			return badCopyFormat("column name mismatch in header line field %d: got \"%s\", expected %q", i+1, n.text, want)
		}
	}
	return nil
}

// place is where an error was found.
func (r *textRows) place() string {
	if !r.parser.whole {
		return r.line()
	}
	return r.line() + ": \"" + excerpted(string(r.parser.raw)) + "\""
}

func (r *textRows) line() string { return fmt.Sprintf("COPY %s, line %d", r.table.Name, r.parser.line) }

// excerpted is the beginning of a text, as PostgreSQL shows it where a COPY failed.
func excerpted(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
