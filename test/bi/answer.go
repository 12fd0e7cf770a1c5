package bi

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// Answer to what was sent at once.
type Answer struct {
	Params []uint32
	Parts  []*Part
	Status byte
}

// Part is the answer to one statement.
type Part struct {
	names   []string
	types   []uint32
	formats []int16
	rows    [][]string
	Tag     string
	Error   string // SQLSTATE
	message string
}

// How an answer is printed.
type How struct {
	Ordered, Loose bool
	Mask           []string
}

const oidOID = 26

// firstUserOID is where the OIDs begin that differ from server to server.
const firstUserOID = 16000

func (p *Part) columns(m *pgproto3.RowDescription) {
	p.names, p.types, p.formats = nil, nil, nil
	for _, f := range m.Fields {
		p.names, p.types, p.formats = append(p.names, string(f.Name)), append(p.types, f.DataTypeOID), append(p.formats, f.Format)
	}
}

func (p *Part) row(m *pgproto3.DataRow) {
	row := make([]string, len(m.Values))
	for i, v := range m.Values {
		row[i] = shown(v, p.types[i], p.formats[i])
	}
	p.rows = append(p.rows, row)
}

var types = pgtype.NewMap()

// shown is a value as text, whatever its format: a type that pgtype doesn't know stands in digits if it is binary.
func shown(v []byte, oid uint32, format int16) string {
	if v == nil {
		return "NULL"
	}
	text := string(v)
	if format == pgtype.BinaryFormatCode {
		var x any
		t, known := types.TypeForOID(oid)
		if known {
			var err error
			if x, err = t.Codec.DecodeValue(types, oid, format, v); err != nil {
				return fmt.Sprintf("%v: %x", err, v)
			}
		}
		switch x := x.(type) {
		case nil:
			text = "0x" + hex.EncodeToString(v)
		case pgtype.Numeric:
			written, err := x.Value()
			if err != nil {
				return err.Error()
			}
			text = fmt.Sprint(written)
		default:
			text = fmt.Sprint(x)
		}
	}
	if oid == oidOID {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= firstUserOID {
			return "oid"
		}
	}
	return strings.NewReplacer("\\", `\\`, "\n", `\n`, "|", `\|`).Replace(text)
}

// Failed is the SQLSTATE of the first part that failed, with what was said; "" if none did.
func (a *Answer) Failed() (string, string) {
	for _, p := range a.Parts {
		if p.Error != "" {
			return p.Error, p.message
		}
	}
	return "", ""
}

// Print the answer.
func (a *Answer) Print(how How) string {
	var b strings.Builder
	if len(a.Params) > 0 {
		fmt.Fprintf(&b, "parameters %s\n", strings.Trim(fmt.Sprint(a.Params), "[]"))
	}
	for _, p := range a.Parts {
		p.print(&b, how)
	}
	if a.Status != 'I' {
		fmt.Fprintf(&b, "transaction %c\n", a.Status)
	}
	return b.String()
}

func (p *Part) print(b *strings.Builder, how How) {
	if p.Error != "" {
		fmt.Fprintf(b, "error %s\n", p.Error)
		return
	}
	heads := make([]string, len(p.names))
	for i, name := range p.names {
		heads[i] = fmt.Sprintf("%s %d", name, p.types[i])
	}
	if len(heads) > 0 {
		fmt.Fprintf(b, "%s\n", strings.Join(heads, " | "))
	}
	if how.Loose {
		fmt.Fprintf(b, "rows: %t\n", len(p.rows) > 0)
		return
	}
	lines := make([]string, len(p.rows))
	for i, row := range p.rows {
		row = slices.Clone(row)
		for j := range row {
			if slices.Contains(how.Mask, p.names[j]) {
				row[j] = "..."
			}
		}
		lines[i] = strings.Join(row, " | ")
	}
	if !how.Ordered {
		slices.Sort(lines)
	}
	for _, line := range lines {
		fmt.Fprintf(b, "%s\n", line)
	}
	fmt.Fprintf(b, "%s\n", p.Tag)
}
