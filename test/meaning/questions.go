package meaning

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Question is a statement with what is answered.
type Question struct {
	SQL string
	// Answer has a line of the columns' types and one for each row, or one of the SQLSTATE.
	Answer []string
	// remark are the lines of comments before it.
	remark []string
}

// File of questions.
type File struct {
	path      string
	Questions []Question
}

// answered stands before the lines of an answer.
const answered = "    "

// Files reads those of a directory, in the order of their names.
func Files(dir string) ([]*File, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var out []*File
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		out = append(out, &File{path: path, Questions: read(string(text))})
	}
	return out, nil
}

// read takes a file apart: a line is a question, what is indented below it the answer.
func read(text string) []Question {
	var out []Question
	var remark []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		switch answer, ok := strings.CutPrefix(line, answered); {
		case ok && len(out) > 0:
			last := &out[len(out)-1]
			last.Answer = append(last.Answer, answer)
		case line == "" || line[0] == '#':
			remark = append(remark, line)
		default:
			out = append(out, Question{SQL: line, remark: remark})
			remark = nil
		}
	}
	return out
}

// Write writes the file with its answers.
func (f *File) Write() error {
	var b strings.Builder
	for _, q := range f.Questions {
		for _, line := range append(slices.Clone(q.remark), q.SQL) {
			b.WriteString(line + "\n")
		}
		for _, line := range q.Answer {
			b.WriteString(answered + line + "\n")
		}
	}
	return os.WriteFile(f.path, []byte(b.String()), 0o600)
}

// Ask is what a server answers to a statement.
func Ask(ctx context.Context, conn *pgconn.PgConn, sql string) ([]string, error) {
	types := pgtype.NewMap()
	results, err := conn.Exec(ctx, sql).ReadAll()
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return []string{"error " + e.Code}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	var out []string
	for _, r := range results {
		out = append(out, columns(types, r.FieldDescriptions))
		for _, row := range r.Rows {
			out = append(out, cells(row))
		}
	}
	return out, nil
}

func columns(types *pgtype.Map, fields []pgconn.FieldDescription) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = strconv.FormatUint(uint64(f.DataTypeOID), 10)
		if t, ok := types.TypeForOID(f.DataTypeOID); ok {
			names[i] = t.Name
		}
	}
	return "(" + strings.Join(names, ", ") + ")"
}

func cells(row [][]byte) string {
	out := make([]string, len(row))
	for i, value := range row {
		out[i] = "NULL"
		if value != nil {
			out[i] = strings.ReplaceAll(string(value), "\n", `\n`)
		}
	}
	return strings.Join(out, " | ")
}

// Differences are statements by what differs in their answers, and the headings in order.
type Differences struct {
	Headings []string
	Of       map[string]string
}

// ReadDifferences reads a list: headings, each with statements that are indented.
func ReadDifferences(path string) (*Differences, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := &Differences{Of: map[string]string{}}
	for line := range strings.SplitSeq(string(text), "\n") {
		switch sql, ok := strings.CutPrefix(line, "  "); {
		case line == "" || line[0] == '#':
		case !ok:
			d.Headings = append(d.Headings, line)
		case len(d.Headings) == 0:
			return nil, fmt.Errorf("%s: %q stands under no heading", path, sql)
		default:
			d.Of[sql] = d.Headings[len(d.Headings)-1]
		}
	}
	return d, nil
}

// Table are the first cells of the rows of the table below a heading of a page.
func Table(page, heading string) []string {
	_, section, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		return nil
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var out []string
	for line := range strings.SplitSeq(section, "\n") {
		if cells := strings.Split(line, " | "); len(cells) > 1 && strings.HasPrefix(line, "| ") {
			out = append(out, strings.TrimPrefix(cells[0], "| "))
		}
	}
	return out
}
