package sql

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
)

// widthRows is how many rows the widths of a table are made from, at most: the first. Later ones that are wider
// are so.
const widthRows = 1000

// tablePrinter writes tables as psql does: names over a line, then rows, then their number. A text's control
// characters stand as escapes, NULL is nothing.
type tablePrinter struct {
	w     io.Writer
	quiet bool

	names  []string
	right  []bool // of the columns, which are numbers
	widths []int  // nil until the head is written
	held   [][]string
	rows   int64
}

func (p *tablePrinter) begin(fields []pgproto3.FieldDescription) error {
	p.names, p.right, p.widths, p.held, p.rows = nil, nil, nil, nil, 0
	for _, f := range fields {
		p.names = append(p.names, shown(string(f.Name)))
		p.right = append(p.right, isNumber(f.DataTypeOID))
	}
	return nil
}

func (p *tablePrinter) row(values [][]byte) error {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = shown(string(v))
	}
	p.rows++
	if p.widths != nil {
		return p.write(cells)
	}
	if p.held = append(p.held, cells); len(p.held) == widthRows {
		return p.flush()
	}
	return nil
}

// flush writes the head and what was held back, if there is anything.
func (p *tablePrinter) flush() error {
	if len(p.held) == 0 {
		return nil
	}
	return p.head()
}

// head writes the names and the rows that were held back.
func (p *tablePrinter) head() error {
	p.widths = make([]int, len(p.names))
	for _, cells := range append([][]string{p.names}, p.held...) {
		for i, c := range cells {
			p.widths[i] = max(p.widths[i], utf8.RuneCountInString(c))
		}
	}
	names, rules := make([]string, len(p.names)), make([]string, len(p.names))
	for i, name := range p.names {
		space := p.widths[i] - utf8.RuneCountInString(name)
		names[i] = " " + strings.Repeat(" ", space/2) + name + strings.Repeat(" ", space-space/2) + " "
		rules[i] = strings.Repeat("-", p.widths[i]+2)
	}
	if _, err := fmt.Fprintf(p.w, "%s\n%s\n", strings.Join(names, "|"), strings.Join(rules, "+")); err != nil {
		return err
	}
	held := p.held
	p.held = nil
	for _, cells := range held {
		if err := p.write(cells); err != nil {
			return err
		}
	}
	return nil
}

func (p *tablePrinter) write(cells []string) error {
	var line strings.Builder
	for i, c := range cells {
		if i > 0 {
			line.WriteByte('|')
		}
		space := strings.Repeat(" ", max(p.widths[i]-utf8.RuneCountInString(c), 0))
		line.WriteByte(' ')
		if p.right[i] {
			line.WriteString(space)
		}
		line.WriteString(c)
		if i == len(cells)-1 {
			break
		}
		if !p.right[i] {
			line.WriteString(space)
		}
		line.WriteByte(' ')
	}
	line.WriteByte('\n')
	_, err := io.WriteString(p.w, line.String())
	return err
}

func (p *tablePrinter) end(string) error {
	if p.widths == nil {
		if err := p.head(); err != nil {
			return err
		}
	}
	number := fmt.Sprintf("%d rows", p.rows)
	if p.rows == 1 {
		number = "1 row"
	}
	_, err := fmt.Fprintf(p.w, "(%s)\n\n", number)
	return err
}

func (p *tablePrinter) command(tag string) error {
	if p.quiet {
		return nil
	}
	_, err := fmt.Fprintln(p.w, tag)
	return err
}
