package duck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// raisedPrefix begins the message of an error that a statement raises itself, or a function
// of this package: its SQLSTATE follows, then ": " and the message. Only trusted text can
// call DuckDB's error().
const raisedPrefix = "SQLSTATE "

// scalar is a function that gives values PostgreSQL's form, where DuckDB's is another, or that DuckDB hasn't. NULL gives NULL.
type scalar struct {
	name string
	arg  mapping.Type // TypeAny for any
	out  columnar.Type
	// apply appends the value of each row that isn't NULL.
	apply func(in cells, row int, out *columnar.VectorBuilder) error
	// A function of several arguments has args and call in place of arg and apply. What call returns is put as
	// appendAny does.
	args []mapping.Type
	call func(in []cells, row int) (any, error)
	// styled: the last argument is the key of a style, by which the others are written. It is call's style.
	styled func(s *style.Style, in []cells, row int) (any, error)
	clock  bool // the others are written in the default style, but in the time zone of that one
	styles *styles
}

// scalars are what statements may call beside DuckDB's own functions:
//
//	bs_text(any)            what PostgreSQL's cast to text gives, in the connection's style
//	bs_initcap(text)        initcap
//	bs_bytea(text)          what PostgreSQL's cast to bytea gives
//	bs_jsonb(json)          the JSON in the normal form of jsonb
//	bs_jsonb_text(json)     the text of a jsonb
//	bs_jsonb_value(json)    the text of what a jsonb holds, as ->> tells it; NULL of null
func scalars() []scalar {
	text := columnar.Type{Kind: columnar.Text}
	return append([]scalar{
		{name: "bs_text_in", args: []mapping.Type{mapping.TypeAny, mapping.TypeVarchar}, out: text, styled: func(_ *style.Style, in []cells, row int) (any, error) {
			return string(in[0].outermost(row)), nil
		}},
		{name: "bs_initcap", arg: mapping.TypeVarchar, out: text, apply: func(in cells, row int, out *columnar.VectorBuilder) error {
			out.AppendString(initcap(string(in.append(nil, row))))
			return nil
		}},
		{name: "bs_bytea", arg: mapping.TypeVarchar, out: columnar.Type{Kind: columnar.Bytea}, apply: parsed(columnar.Bytea)},
		{name: "bs_jsonb", arg: mapping.TypeVarchar, out: columnar.Type{Kind: columnar.JSONB}, apply: parsed(columnar.JSONB)},
		{name: "bs_jsonb_text", arg: mapping.TypeVarchar, out: text, apply: jsonbText},
		{name: "bs_jsonb_value", arg: mapping.TypeVarchar, out: text, apply: jsonbValue},
	}, slices.Concat(jsonScalars(), formatScalars(), readers())...)
}

// initcap writes the first letter of each word large, and the others small.
func initcap(text string) string {
	inside := false
	return strings.Map(func(c rune) rune {
		was := inside
		inside = unicode.IsLetter(c) || unicode.IsDigit(c)
		if was {
			return unicode.ToLower(c)
		}
		return unicode.ToUpper(c)
	}, text)
}

// macros are the same in DuckDB's own words: bs_divisor(x) is x unless that is zero. Its
// argument is computed once. bs_array_remove(a, v) is a without v; bs_any(x, a) is x = ANY (a); bs_expand(a) are the elements x of a
// with their numbers n; bs_privilege is a row of aclexplode; bs_size_pretty(n) is pg_size_pretty(n).
func macros() []string {
	return append(styledMacros(), []string{
		"CREATE MACRO bs_divisor(x) AS list_transform([x], lambda bs_d: CASE WHEN bs_d = 0" +
			" THEN error('" + raisedPrefix + "22012: division by zero') ELSE bs_d END)[1]",
		"CREATE MACRO bs_array_remove(a, v) AS list_filter(a, lambda bs_e: bs_e IS DISTINCT FROM v)",
		"CREATE MACRO bs_any(x, a) AS CASE WHEN a IS NULL THEN NULL WHEN len(a) = 0 THEN false WHEN x IS NULL THEN NULL" +
			" WHEN list_contains(a, x) THEN true WHEN len(list_filter(a, lambda bs_e: bs_e IS NULL)) > 0 THEN NULL ELSE false END",
		"CREATE MACRO bs_regexp_substr(t, p, g) AS CASE WHEN regexp_matches(t, p, 's') THEN regexp_extract(t, p, g, 's') END",
		"CREATE MACRO bs_regexp_count(t, p) AS len(regexp_extract_all(t, p))",
		"CREATE MACRO bs_whole(x) AS CAST(x AS DECIMAL(18, 0))",
		"CREATE MACRO bs_micros(x) AS CAST(x AS DECIMAL(22, 6))",
		"CREATE MACRO bs_overlay(t, r, s, n) AS left(t, s - 1) || r || substring(t, s + n)",
		"CREATE MACRO bs_array_to_string(a, s, n) AS array_to_string(list_transform(a, lambda bs_e: coalesce(CAST(bs_e AS VARCHAR), n)), s)",
		"CREATE MACRO bs_string_to_array(t, s, n) AS list_transform(string_to_array(t, s), lambda bs_e: NULLIF(bs_e, n))",
		"CREATE MACRO bs_array_replace(a, x, y) AS list_transform(a, lambda bs_e: CASE WHEN bs_e IS NOT DISTINCT FROM x THEN y ELSE bs_e END)",
		"CREATE MACRO bs_array_positions(a, x) AS list_filter(list_transform(a, lambda bs_e, bs_n:" +
			" CASE WHEN bs_e IS NOT DISTINCT FROM x THEN CAST(bs_n AS INTEGER) END), lambda bs_n: bs_n IS NOT NULL)",
		"CREATE MACRO bs_array_dims(a) AS CAST(CASE WHEN len(a) > 0 THEN '[1:' || len(a) || ']' END AS VARCHAR)",
		"CREATE MACRO bs_array_ndims(a) AS CASE WHEN len(a) > 0 THEN 1 END",
		"CREATE MACRO bs_trim_array(a, n) AS a[1:len(a) - n]",
		"CREATE MACRO bs_privilege(a, b, c, d) AS {'grantor': a, 'grantee': b, 'privilege_type': c, 'is_grantable': d}",
		"CREATE MACRO bs_size_pretty(n) AS list_transform([CAST(n AS HUGEINT)], lambda bs_size: " + sizePretty() + ")[1]",
		"CREATE MACRO bs_expand(a) AS unnest(list_transform(a, lambda bs_x, bs_n: {'x': bs_x, 'n': CAST(bs_n AS INTEGER)}))",
	}...)
}

// sizePretty changes to the next unit at 10 times its size, and rounds halves away from zero.
// What is left of a number after each step is cut before it is halved, as PostgreSQL does.
func sizePretty() string {
	const ten, limit = 10 * 1024, 20*1024 - 1
	var b strings.Builder
	fmt.Fprintf(&b, "CASE WHEN abs(bs_size) < %d THEN CAST(bs_size AS VARCHAR) || ' bytes'", ten)
	divisor := int64(512)
	units := []string{"kB", "MB", "GB", "TB", "PB"}
	for i, unit := range units {
		if i < len(units)-1 {
			fmt.Fprintf(&b, " WHEN abs(bs_size // %d) < %d THEN", divisor, limit)
		} else {
			b.WriteString(" ELSE")
		}
		fmt.Fprintf(&b, " CAST(((bs_size // %d) + sign(bs_size)) // 2 AS VARCHAR) || ' %s'", divisor, unit)
		divisor *= 1024
	}
	return b.String() + " END"
}

// registerScalars makes the functions known to every connection.
func (d *DB) registerScalars(c *Conn) error {
	for _, s := range scalars() {
		if err := d.registerScalar(c, s); err != nil {
			return err
		}
	}
	return nil
}

func (d *DB) registerScalar(c *Conn, s scalar) error {
	f := mapping.CreateScalarFunction()
	defer mapping.DestroyScalarFunction(&f)
	mapping.ScalarFunctionSetName(f, s.name)
	args := s.args
	if args == nil {
		args = []mapping.Type{s.arg}
	}
	for _, t := range args {
		arg := mapping.CreateLogicalType(t)
		mapping.ScalarFunctionAddParameter(f, arg)
		mapping.DestroyLogicalType(&arg)
	}
	out, err := newLogicalType(s.out)
	if err != nil {
		return err
	}
	defer mapping.DestroyLogicalType(&out)
	mapping.ScalarFunctionSetReturnType(f, out)
	s.styles = &d.styles
	setScalarCallbacks(f, d.hold(&s))
	if mapping.RegisterScalarFunction(c.native, f) != mapping.StateSuccess {
		return fmt.Errorf("duck: register function %s: refused", s.name)
	}
	return nil
}

func (*scalar) drop() {}

// run computes the function for a chunk of arguments.
func (s *scalar) run(chunk mapping.DataChunk, out mapping.Vector) error {
	n := int(mapping.DataChunkGetSize(chunk))
	in := make([]cells, max(len(s.args), 1))
	call, as, err := s.styledCall(chunk, n)
	if err != nil {
		return err
	}
	for i := range in {
		if in[i], err = as.readCells(mapping.DataChunkGetVector(chunk, mapping.IdxT(i)), n); err != nil {
			return err
		}
	}
	b := columnar.NewVectorBuilder(s.out)
	for row := range n {
		if slices.ContainsFunc(in, func(c cells) bool { return c.isNull(row) }) {
			b.AppendNull()
			continue
		}
		if err := s.one(call, in, row, b); err != nil {
			return err
		}
	}
	v := b.Vector()
	return vectorWriter{vector: out, n: n}.write(&v)
}

// styledCall is the call in the style that a chunk's arguments say, the same for all rows.
func (s *scalar) styledCall(chunk mapping.DataChunk, n int) (func([]cells, int) (any, error), reading, error) {
	if s.styled == nil || n == 0 {
		return s.call, reading{}, nil
	}
	keys, err := reading{}.readCells(mapping.DataChunkGetVector(chunk, mapping.IdxT(len(s.args)-1)), 1)
	if err != nil {
		return nil, reading{}, err
	}
	as, err := s.styles.of(string(keys.append(nil, 0)))
	if err != nil {
		return nil, reading{}, err
	}
	arguments := as
	if s.clock {
		arguments = as.Clock()
	}
	return func(in []cells, row int) (any, error) { return s.styled(as, in, row) }, reading{arguments}, nil
}

// one computes the value of a row.
func (s *scalar) one(call func([]cells, int) (any, error), in []cells, row int, out *columnar.VectorBuilder) error {
	if call == nil {
		return s.apply(in[0], row, out)
	}
	value, err := call(in, row)
	if err != nil {
		return err
	}
	return appendAny(out, value)
}

// appendAny appends a value: nil is NULL, texts are read as the type's input function does, and what is of JSON is written.
func appendAny(out *columnar.VectorBuilder, value any) error {
	switch v := value.(type) {
	case bool:
		if out.Type().Kind == columnar.Bool {
			out.AppendBool(v)
			return nil
		}
	case int64:
		out.AppendInt32(int32(v))
		return nil
	case string:
		if out.Type().Kind == columnar.Text || out.Type().Kind == columnar.Array {
			out.AppendString(v)
			return nil
		}
		return columnar.ParseText(out.Type(), v, out)
	case []byte:
		return columnar.ParseText(out.Type(), string(v), out)
	case nil:
		if out.Type().Kind != columnar.JSONB {
			out.AppendNull()
			return nil
		}
	}
	text, err := jsonText(value)
	if err != nil {
		return err
	}
	return columnar.ParseText(out.Type(), string(text), out)
}

// raised is the message of an error of a function.
func raised(err error) string {
	state, message := "XX000", err.Error()
	if e, ok := errors.AsType[*columnar.InputError](err); ok {
		state, message = e.Code, e.Message
	} else if e, ok := errors.AsType[*Error](err); ok {
		state = e.SQLSTATE
	}
	return raisedPrefix + state + ": " + message
}

// parsed reads a text as the type's input function does.
func parsed(kind columnar.Kind) func(cells, int, *columnar.VectorBuilder) error {
	return func(in cells, row int, out *columnar.VectorBuilder) error {
		return columnar.ParseText(columnar.Type{Kind: kind}, string(in.append(nil, row)), out)
	}
}

// jsonb is a vector of one value.
func jsonb(in cells, row int) (columnar.Vector, error) {
	b := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.JSONB})
	err := columnar.ParseText(b.Type(), string(in.append(nil, row)), b)
	return b.Vector(), err
}

func jsonbText(in cells, row int, out *columnar.VectorBuilder) error {
	v, err := jsonb(in, row)
	if err != nil {
		return err
	}
	out.AppendBytes(columnar.AppendText(nil, &v, 0))
	return nil
}

func jsonbValue(in cells, row int, out *columnar.VectorBuilder) error {
	v, err := jsonb(in, row)
	if err != nil {
		return err
	}
	switch text := v.Str.Value(0); {
	case string(text) == "null":
		out.AppendNull()
	case text[0] == '"':
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		out.AppendString(s)
	default:
		out.AppendBytes(columnar.AppendText(nil, &v, 0))
	}
	return nil
}

// cells prints the values of a vector as PostgreSQL's output functions do.
type cells struct {
	null   []bool
	append func(dst []byte, row int) []byte
	// truth: booleans, which a cast to text spells out.
	truth []uint8
	array bool
	kind  columnar.Kind // 0 of lists and rows
}

func (c cells) isNull(row int) bool { return c.null != nil && c.null[row] }

// outermost prints a value that stands in nothing else.
func (c cells) outermost(row int) []byte {
	switch {
	case c.truth == nil:
		return c.append(nil, row)
	case c.truth[row] != 0:
		return []byte("true")
	default:
		return []byte("false")
	}
}

// reading is how values become cells: as they are written in a style, nil is the default one.
type reading struct{ style *style.Style }

// readCells reads the first n values of a vector.
func (r reading) readCells(vector mapping.Vector, n int) (cells, error) {
	lt := mapping.VectorGetColumnType(vector)
	defer mapping.DestroyLogicalType(&lt)
	switch mapping.GetTypeId(lt) {
	case mapping.TypeList:
		return r.readLists(vector, n)
	case mapping.TypeStruct:
		return r.readStructs(vector, int(mapping.StructTypeChildCount(lt)), n)
	}
	l := layoutOf(lt)
	if l.typ.Kind == 0 {
		e := unsupported("cannot cast type %s to text", typeName(lt))
		e.SQLSTATE = "42846"
		return cells{}, e
	}
	v, err := l.copyVector(vector, n)
	if err != nil {
		return cells{}, err
	}
	return cells{
		null: v.Null, truth: v.Bools, kind: l.typ.Kind,
		append: func(dst []byte, row int) []byte { return r.style.Append(dst, &v, row) },
	}, nil
}

// listEntry is a duckdb_list_entry: where a list's elements are in the vector of all.
type listEntry struct{ offset, length uint64 }

func (r reading) readLists(vector mapping.Vector, n int) (cells, error) {
	elements, err := r.readCells(mapping.ListVectorGetChild(vector), int(mapping.ListVectorGetSize(vector)))
	if err != nil {
		return cells{}, err
	}
	entries := copyFixed[listEntry](mapping.VectorGetData(vector), nil, n)
	return cells{
		null: copyNulls(mapping.VectorGetValidity(vector), n), array: true,
		append: func(dst []byte, row int) []byte {
			dst = append(dst, '{')
			for i := range int(entries[row].length) {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = elements.appendElement(dst, int(entries[row].offset)+i)
			}
			return append(dst, '}')
		},
	}, nil
}

// appendElement prints a value inside an array, in quotes where it needs them.
func (c cells) appendElement(dst []byte, row int) []byte {
	if c.isNull(row) {
		return append(dst, "NULL"...)
	}
	if c.array {
		return c.append(dst, row)
	}
	value := c.append(nil, row)
	return appendInside(dst, value, len(value) == 0 || strings.EqualFold(string(value), "null"), `{},"\`+blanks, `\`)
}

// blanks are what PostgreSQL takes for such inside of arrays and rows.
const blanks = " \t\n\r\v\f"

// appendInside prints a value inside of another, in quotes if it must be or has one of some
// characters. In quotes, mark stands before a quote, and a backslash is twice.
func appendInside(dst, value []byte, must bool, special, mark string) []byte {
	if !must && !bytes.ContainsAny(value, special) {
		return append(dst, value...)
	}
	dst = append(dst, '"')
	for _, c := range value {
		switch c {
		case '"':
			dst = append(dst, mark...)
		case '\\':
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

func (r reading) readStructs(vector mapping.Vector, fields, n int) (cells, error) {
	columns := make([]cells, fields)
	for i := range columns {
		var err error
		if columns[i], err = r.readCells(mapping.StructVectorGetChild(vector, mapping.IdxT(i)), n); err != nil {
			return cells{}, err
		}
	}
	return cells{
		null: copyNulls(mapping.VectorGetValidity(vector), n),
		append: func(dst []byte, row int) []byte {
			dst = append(dst, '(')
			for i, c := range columns {
				if i > 0 {
					dst = append(dst, ',')
				}
				if !c.isNull(row) {
					value := c.append(nil, row)
					dst = appendInside(dst, value, len(value) == 0, `(),"\`+blanks, `"`)
				}
			}
			return append(dst, ')')
		},
	}, nil
}
