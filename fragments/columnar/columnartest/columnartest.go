// Package columnartest holds the table of JSON forms that rows are read from, and
// generators of such forms, for the tests of all who read rows.
//
// # What
//
// Values gives, for every SQL type, the forms of docs/format/rows.md that are worth a
// test: what a Scanner reads from each, or why it rejects the line, and whether
// DuckDB's read_json must read the same. Lines gives whole lines in the same way.
// Token and Line draw random forms, right and wrong ones.
//
// # Invariants
//
//   - A case that is clean is read alike by a Scanner and by DuckDB's read_json.
//
// # Goroutines
//
// None.
//
// # Testing
//
// The tests of fragments/columnar check each case against the Scanner and the Prover;
// those of sqlgw/duck check the clean ones against DuckDB.
package columnartest

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

//go:embed rows/*.txt
var files embed.FS

// Verdict is what becomes of a form.
type Verdict string

// The verdicts: a row that DuckDB reads too, a row that only a Scanner reads, a reject,
// and a line that is blank.
const (
	Clean  Verdict = "clean"
	Row    Verdict = "row"
	Reject Verdict = "reject"
	Blank  Verdict = "blank"
)

// Case is a form and what becomes of it. In a file it is one line with tabs between its
// fields: type, form, verdict, and what Want holds.
type Case struct {
	// Where the case stands: its file and line.
	Where string
	// Type of the column "c" of a schema of that one column.
	Type columnar.Type
	// Line of a journal, without its newline.
	Line string
	// Form is the case's second field as it stands in the file.
	Form    string
	Verdict Verdict
	// Null tells that the row's value is NULL. Otherwise Want is PostgreSQL's text of it,
	// or the reason of the reject.
	Null bool
	Want string
}

// Schema is the case's schema.
func (c *Case) Schema() columnar.Schema {
	return columnar.Schema{Columns: []columnar.Column{{Name: "c", Type: c.Type}}}
}

// Values returns the cases of values: each Line is an object with the key "c" alone.
func Values() ([]Case, error) {
	return load("rows/values_*.txt", func(form string) (string, error) { return `{"c":` + form + `}`, nil })
}

// Lines returns the cases of whole lines, whose forms are quoted as Go strings.
func Lines() ([]Case, error) { return load("rows/lines.txt", strconv.Unquote) }

func load(pattern string, line func(form string) (string, error)) ([]Case, error) {
	names, err := fs.Glob(files, pattern)
	if err != nil {
		return nil, fmt.Errorf("the table of rows: %w", err)
	}
	var cases []Case
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("the table of rows: %w", err)
		}
		for i, l := range strings.Split(string(content), "\n") {
			if l == "" || strings.HasPrefix(l, "#") {
				continue
			}
			c, err := parse(l, line)
			c.Where = name + ":" + strconv.Itoa(i+1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Where, err)
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

func parse(l string, line func(form string) (string, error)) (Case, error) {
	f := strings.Split(l, "\t")
	if len(f) < 2 {
		return Case{}, fmt.Errorf("%d fields", len(f))
	}
	c := Case{Form: f[1]}
	var err error
	if c.Type, err = columnar.TypeFromSQL(f[0], nil); err != nil {
		return c, fmt.Errorf("its type: %w", err)
	}
	if c.Line, err = line(c.Form); err != nil {
		return c, fmt.Errorf("its line: %w", err)
	}
	if len(f) > 2 {
		c.Verdict = Verdict(f[2])
	}
	if len(f) < 4 {
		return c, nil
	}
	switch {
	case c.Verdict == Reject:
		c.Want = f[3]
	case f[3] == "NULL":
		c.Null = true
	default:
		if c.Want, err = strconv.Unquote(f[3]); err != nil {
			return c, fmt.Errorf("its value: %w", err)
		}
	}
	return c, nil
}
