package sql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// printer writes results, one after the other.
type printer interface {
	begin(fields []pgproto3.FieldDescription) error
	row(values [][]byte) error
	// flush writes what it holds back, as no more may come for long.
	flush() error
	end(tag string) error
	// command is of a statement without rows.
	command(tag string) error
}

// formats are the values of --output, the default first.
func formats() []string { return []string{"table", "csv", "json"} }

func newPrinter(format string, w io.Writer, quiet bool) printer {
	switch format {
	case "csv":
		return &csvPrinter{w: w}
	case "json":
		return &jsonPrinter{w: w}
	default:
		return &tablePrinter{w: w, quiet: quiet}
	}
}

// csvPrinter writes a header and rows as PostgreSQL's COPY ... (FORMAT csv, HEADER): NULL is nothing between commas, an
// empty text is "".
type csvPrinter struct{ w io.Writer }

func (p *csvPrinter) begin(fields []pgproto3.FieldDescription) error {
	names := make([][]byte, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return p.row(names)
}

func (p *csvPrinter) row(values [][]byte) error {
	var line []byte
	for i, v := range values {
		if i > 0 {
			line = append(line, ',')
		}
		if v != nil && (len(v) == 0 || bytes.ContainsAny(v, ",\"\r\n") || string(v) == `\.`) {
			line = append(append(append(line, '"'), bytes.ReplaceAll(v, []byte(`"`), []byte(`""`))...), '"')
		} else {
			line = append(line, v...)
		}
	}
	_, err := p.w.Write(append(line, '\n'))
	return err
}

func (p *csvPrinter) flush() error         { return nil }
func (p *csvPrinter) end(string) error     { return nil }
func (p *csvPrinter) command(string) error { return nil }

// jsonPrinter writes each row as an object on a line of its own. Numbers, booleans and JSON are what they are; all
// else is a string in the form of PostgreSQL.
type jsonPrinter struct {
	w     io.Writer
	names []string // as JSON
	oids  []uint32
}

func (p *jsonPrinter) begin(fields []pgproto3.FieldDescription) error {
	p.names, p.oids = p.names[:0], p.oids[:0]
	for i, name := range distinct(fields) {
		text, err := json.Marshal(name)
		if err != nil {
			return fmt.Errorf("sql: column %q: %w", name, err)
		}
		p.names, p.oids = append(p.names, string(text)), append(p.oids, fields[i].DataTypeOID)
	}
	return nil
}

// distinct names of columns: the second that is called a is a_2.
func distinct(fields []pgproto3.FieldDescription) []string {
	taken := map[string]bool{}
	for _, f := range fields {
		taken[string(f.Name)] = true
	}
	out, seen := make([]string, len(fields)), map[string]int{}
	for i, f := range fields {
		name := string(f.Name)
		if seen[name]++; seen[name] > 1 {
			for n := seen[name]; taken[name]; n++ {
				name = string(f.Name) + "_" + strconv.Itoa(n)
			}
			taken[name] = true
		}
		out[i] = name
	}
	return out
}

func (p *jsonPrinter) row(values [][]byte) error {
	var line bytes.Buffer
	line.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			line.WriteByte(',')
		}
		line.WriteString(p.names[i] + ":")
		text, err := jsonValue(p.oids[i], v)
		if err != nil {
			return fmt.Errorf("sql: column %s: %w", p.names[i], err)
		}
		line.Write(text)
	}
	line.WriteString("}\n")
	_, err := p.w.Write(line.Bytes())
	return err
}

// jsonValue of a value's text.
func jsonValue(oid uint32, v []byte) ([]byte, error) {
	switch {
	case v == nil:
		return []byte("null"), nil
	case oid == pgtype.BoolOID:
		return strconv.AppendBool(nil, string(v) == "t"), nil
	case isNumber(oid) && json.Valid(v): // NaN and the infinities aren't.
		return v, nil
	case oid == pgtype.JSONOID || oid == pgtype.JSONBOID:
		var line bytes.Buffer // Its own lines would break ours.
		if err := json.Compact(&line, v); err == nil {
			return line.Bytes(), nil
		}
	}
	return json.Marshal(string(v))
}

// isNumber reports whether a type is one of numbers.
func isNumber(oid uint32) bool {
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID, pgtype.OIDOID:
		return true
	}
	return false
}

func (p *jsonPrinter) flush() error         { return nil }
func (p *jsonPrinter) end(string) error     { return nil }
func (p *jsonPrinter) command(string) error { return nil }

// shown is a text whose control characters are escapes.
func shown(s string) string {
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case isControl(r):
			_, _ = fmt.Fprintf(&b, `\x%02X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isControl reports whether a terminal may do other than to show a character; that of bad UTF-8 isn't one.
func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
