package pgcatalog

import (
	_ "embed" // the table of types
	"fmt"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

//go:embed types.txt
var typesText string

// typ is a row of pg_type.
type typ struct {
	oid                           int64
	name                          string
	length                        int64
	byValue                       bool
	kind, category                string // typtype, typcategory
	preferred                     bool
	element, array                int64
	align, storage                string
	collation, base               int64
	typmod                        int64
	subscript                     string
	input, output, receive        string // names of functions
	send, modifierIn, modifierOut string
	// full is what format_type calls it.
	full string
	// elementType is what an array is of; nil for other types.
	elementType *typ
	// row is the relation whose rows, or arrays of them, it is of; nil for other types.
	row *class
	// baseType is what a domain is made of; nil for other types.
	baseType *typ
	// scan holds its values, and list is DuckDB's type for those that are arrays, which are
	// text in scan.
	scan columnar.Type
	list string
}

// types are all that pg_type lists, in the order of their OIDs but for arrays, which
// come after their elements.
type types struct {
	all    []*typ
	byOID  map[int64]*typ
	byName map[string]*typ
}

func (t *types) add(x *typ) {
	t.all = append(t.all, x)
	t.byOID[x.oid] = x
	t.byName[x.name] = x
}

// readTypes reads the table of types, and makes those of arrays.
func readTypes() (*types, error) {
	out := &types{byOID: map[int64]*typ{}, byName: map[string]*typ{}}
	for number, line := range strings.Split(typesText, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		t, err := readType(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		out.add(t)
		if t.array != 0 {
			out.add(t.arrayType())
		}
	}
	for _, t := range out.all {
		t.scan, t.list = out.representation(t)
		t.baseType = out.byOID[t.base]
	}
	return out, nil
}

func readType(line string) (*typ, error) {
	const fields = 22
	f := strings.SplitN(line, " ", fields)
	if len(f) != fields {
		return nil, fmt.Errorf("%d fields, not %d", len(f), fields)
	}
	t := &typ{
		name: f[1], byValue: f[3] == "t", kind: f[4], category: f[5], preferred: f[6] == "t", align: f[9], storage: f[10], subscript: f[14],
		input: f[15], output: f[16], receive: f[17], send: f[18], modifierIn: f[19], modifierOut: f[20], full: f[21],
	}
	numbers := []*int64{0: &t.oid, 2: &t.length, 7: &t.element, 8: &t.array, 11: &t.collation, 12: &t.base, 13: &t.typmod}
	for i, into := range numbers {
		if into == nil {
			continue
		}
		var err error
		if *into, err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// arrayType is the array of a type.
func (t *typ) arrayType() *typ {
	a := &typ{
		oid: t.array, name: "_" + t.name, length: -1, kind: "b", category: "A", element: t.oid, align: "i", storage: "x", collation: t.collation,
		typmod: -1, subscript: "array_subscript_handler", input: "array_in", output: "array_out", receive: "array_recv", send: "array_send",
		modifierIn: t.modifierIn, modifierOut: t.modifierOut, full: t.full + "[]", elementType: t,
	}
	if t.align == "d" {
		a.align = "d"
	}
	return a
}

// representation is how values of a type are held here.
func (t *types) representation(x *typ) (columnar.Type, string) {
	text := columnar.Type{Kind: columnar.Text}
	if x.element != 0 && (x.elementType != nil || x.category == "A") { // of vectors too
		element, _ := t.representation(t.byOID[x.element])
		return text, element.DuckDB() + "[]"
	}
	if x.base != 0 {
		return t.representation(t.byOID[x.base])
	}
	switch x.name {
	case "oid", "xid", "cid", "regproc", "regprocedure", "regoper", "regoperator", "regcollation", "regclass", "regtype", "regnamespace", "regrole":
		return columnar.Type{Kind: columnar.Int64}, ""
	case "bool", "int2", "int4", "int8", "float4", "float8", "timestamptz", "bytea":
		typ, err := columnar.TypeFromSQL(x.name, nil)
		if err == nil {
			return typ, ""
		}
	}
	return text, ""
}

// listText is DuckDB's text of a list, given the text of an array or a vector.
func listText(text string) string {
	elements, isArray := columnar.SplitArray(text)
	if !isArray {
		return "[" + strings.Join(strings.Fields(text), ", ") + "]"
	}
	words := make([]string, len(elements))
	for i, e := range elements {
		words[i] = "NULL"
		if e != nil {
			words[i] = listWord(*e)
		}
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// listWord is an element of a list as DuckDB reads it in a list's text.
func listWord(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// cell reads a constant of relations.txt.
func (t *typ) cell(text string) (cell, error) {
	if t.list != "" {
		return cell{text: listText(text)}, nil
	}
	if t.name == "regproc" && text == "-" {
		return cell{}, nil
	}
	switch t.scan.Kind {
	case columnar.Bool:
		return truthCell(text == "t"), nil
	case columnar.Int16, columnar.Int32, columnar.Int64, columnar.Float32:
		n, err := strconv.ParseInt(text, 10, 64)
		return cell{number: n}, err
	case columnar.Text:
		return cell{text: text}, nil
	default:
		return cell{}, fmt.Errorf("no constants of type %s", t.name)
	}
}
