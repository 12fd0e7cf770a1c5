package formats

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// columns of SQL types, named a, b and so on.
func columns(t require.TestingT, types ...string) []columnar.Column {
	var out []columnar.Column
	for i, name := range types {
		name, notNull := strings.CutSuffix(name, " not null")
		typ, err := columnar.TypeFromSQL(name, nil)
		require.NoError(t, err)
		out = append(out, columnar.Column{Name: string(rune('a' + i)), Type: typ, NotNull: notNull})
	}
	return out
}

func schemaOf(t require.TestingT, s Spec, columns []columnar.Column) columnar.Schema {
	f, err := s.Open()
	require.NoError(t, err)
	return columnar.Schema{Columns: columns, Format: f}
}

func csvSpec(t require.TestingT, options ...string) Spec {
	values := map[string]string{"format": CSV}
	for i := 0; i < len(options); i += 2 {
		values[options[i]] = options[i+1]
	}
	s, err := Parse(values)
	require.NoError(t, err)
	return s
}

// read content: rows with their values between bars, NULL as NULL, and reasons of rejects after "!".
func read(t require.TestingT, schema columnar.Schema, content string) []string {
	var out []string
	s := columnar.NewScanner(strings.NewReader(content), columnar.ScanOptions{End: -1, Schema: schema})
	for {
		b, rejects, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		for row := range b.Len {
			var cells []string
			for i := range b.Cols {
				if b.Cols[i].IsNull(row) {
					cells = append(cells, "NULL")
				} else {
					cells = append(cells, string(columnar.AppendText(nil, &b.Cols[i], row)))
				}
			}
			out = append(out, strings.Join(cells, "|"))
		}
		for _, r := range rejects {
			out = append(out, "!"+r.Reason)
		}
	}
}

func TestCSV(t *testing.T) {
	for name, c := range map[string]struct {
		options []string
		types   []string
		content string
		want    []string
	}{
		"plain":             {types: []string{"int", "text"}, content: "1,x\n2,\n3,\"\"\n", want: []string{"1|x", "2|NULL", "3|"}},
		"carriage returns":  {types: []string{"int", "text"}, content: "1,x\r\n\r\n2,\"y\r\"\r\n", want: []string{"1|x", "2|y\r"}},
		"quotes":            {types: []string{"text", "text"}, content: "\"a\"\"b\",\"c,d\"\na\"b,\"c,d\n", want: []string{`a"b|c,d`, "ab,c|d"}},
		"an open quote":     {types: []string{"int", "text"}, content: "1,\"torn\n2,x\n", want: []string{"2|x", "!unterminated CSV quoted field"}},
		"too many":          {types: []string{"int", "text"}, content: "1,x,\n", want: []string{"!extra data after last expected column"}},
		"too few":           {types: []string{"int", "text", "int"}, content: "1,x\n2\n", want: []string{"1|x|NULL", "2|NULL|NULL"}},
		"not null":          {types: []string{"int", "text not null"}, content: "1\n1,\n1,\"\"\n", want: []string{"1|", `!column "b" is NULL but NOT NULL`, `!column "b" is NULL but NOT NULL`}},
		"bad values":        {types: []string{"int", "bool"}, content: "x,t\n1,2\n1,yes\n", want: []string{"1|t", `!column "a": invalid input syntax for type integer: "x"`, `!column "b": invalid input syntax for type boolean: "2"`}},
		"bad bytes":         {types: []string{"int"}, content: "\xff\n\x00\n7\n", want: []string{"7", `!invalid byte sequence for encoding "UTF8": 0xff`, `!invalid byte sequence for encoding "UTF8": 0x00`}},
		"one column":        {types: []string{"text"}, content: "\n\"\"\nx\n", want: []string{"NULL", "", "x"}},
		"header":            {options: []string{"header", "true"}, types: []string{"int", "text"}, content: "a,b\n1,x\n\"a\",b\n2,y\na\n", want: []string{"1|x", "2|y", `!column "a": invalid input syntax for type integer: "a"`}},
		"no header":         {types: []string{"int", "text"}, content: "a,b\n", want: []string{`!column "a": invalid input syntax for type integer: "a"`}},
		"other characters":  {options: []string{"delimiter", ";", "quote", "'", "escape", `\`, "null", "nil"}, types: []string{"text", "text"}, content: "'it\\'s;';nil\n'nil';\n", want: []string{"it's;|NULL", "nil|"}},
		"types":             {types: []string{"numeric(6,2)", "timestamptz", "bytea", "int[]", "json"}, content: `1.555,2024-02-29 12:00:00+02,\x00ff,"{1,NULL}","{""a"": 1}"` + "\n", want: []string{`1.56|2024-02-29 10:00:00+00|\x00ff|{1,NULL}|{"a":1}`}},
		"a row of the next": {types: []string{"int", "text"}, content: "1,\"a\n", want: []string{"!unterminated CSV quoted field"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.ElementsMatch(t, c.want, read(t, schemaOf(t, csvSpec(t, c.options...), columns(t, c.types...)), c.content))
		})
	}
}

// TestAlteredColumns: a column that was added has its value in lines from before, and one that was renamed the header of before.
func TestAlteredColumns(t *testing.T) {
	cols := columns(t, "int", "text", "int not null")
	cols[0].Key, cols[1].Missing, cols[2].Missing = "id", `"none"`, "7"
	require.Equal(t, []string{"1|none|7", "2|NULL|7", "3||8"}, read(t, schemaOf(t, csvSpec(t, "header", "on"), cols), "id,b,c\n1\n2,\na,b,c\n3,\"\",8\n"))
	cols[1].Missing = "1"
	require.Error(t, csvSpec(t).Check(cols))
}

func TestRaw(t *testing.T) {
	text := schemaOf(t, Spec{Name: Raw}, columns(t, "text"))
	require.Equal(t, []string{"a", "", "\r", ` {"x`, `!column "a": invalid byte sequence for encoding "UTF8": 0xff`}, read(t, text, "a\n\n\r\n {\"x\n\xff\ntorn"))
	require.Equal(t, []string{`\x61`, `\x`, `\xff00`}, read(t, schemaOf(t, Spec{Name: Raw}, columns(t, "bytea")), "a\n\n\xff\x00\ntorn"))
	for _, bad := range [][]string{{"int"}, {"text", "text"}, {}} {
		require.Error(t, Spec{Name: Raw}.Check(columns(t, bad...)), bad)
	}
}

// everyType is of types whose values drawn makes.
func everyType() []string {
	return []string{
		"bool", "smallint", "int", "bigint", "real", "double precision", "numeric(12,2)", "numeric(38,0)", "text", "varchar(5)", "char(4)", "bytea",
		"date", "time", "timestamp", "timestamptz", "interval", "uuid", "json", "jsonb", "text[]", "int[]", "bytea[]",
	}
}

// drawn makes a vector of one value of a type, or NULL.
func drawn(t *rapid.T, typ columnar.Type) columnar.Vector {
	into := columnar.NewVectorBuilder(typ)
	if rapid.IntRange(0, 5).Draw(t, "null") == 0 || !drawInto(t, typ, into) {
		into.AppendNull()
	}
	return into.Vector()
}

func drawInto(t *rapid.T, typ columnar.Type, into *columnar.VectorBuilder) bool {
	text := rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("ab ,;\"'\\\n\r{}\té")), rapid.Rune()))
	switch typ.Kind {
	case columnar.Text, columnar.Varchar, columnar.Char:
		return columnar.ParseText(typ, text.Draw(t, "text"), into) == nil
	case columnar.Decimal:
		return columnar.ParseText(typ, rapid.StringMatching(`-?[0-9]{1,10}(\.[0-9]{1,3})?`).Draw(t, "number"), into) == nil
	case columnar.JSON, columnar.JSONB:
		return columnar.ParseText(typ, rapid.SampledFrom([]string{`{"a": [1, "x\n\"y,"], "b": null}`, `[]`, `"\u0001é"`, "1.50", "null", `{"":{}}`}).Draw(t, "json"), into) == nil
	case columnar.Array:
		elements := columnar.NewVectorBuilder(typ.ElementType())
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			if rapid.Bool().Draw(t, "null") || !drawInto(t, typ.ElementType(), elements) {
				elements.AppendNull()
			}
		}
		v := elements.Vector()
		into.AppendBytes(columnar.AppendArray(nil, &v, 0, v.Len()))
		return true
	case columnar.Bytea:
		into.AppendBytes(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes"))
		return true
	case columnar.Bool:
		into.AppendBool(rapid.Bool().Draw(t, "bool"))
		return true
	default:
	}
	size := map[columnar.Kind]int{columnar.Int16: 2, columnar.Int32: 4, columnar.Float32: 4, columnar.Date: 4, columnar.Interval: 16, columnar.UUID: 16}[typ.Kind]
	if size == 0 {
		size = 8
	}
	value := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "binary")
	if isNaN(typ, value) { // of which text has but one
		return columnar.ParseText(typ, "NaN", into) == nil
	}
	return columnar.ParseBinary(typ, value, into) == nil
}

func isNaN(typ columnar.Type, value []byte) bool {
	switch typ.Kind {
	case columnar.Float32:
		return math.IsNaN(float64(math.Float32frombits(binary.BigEndian.Uint32(value))))
	case columnar.Float64:
		return math.IsNaN(math.Float64frombits(binary.BigEndian.Uint64(value)))
	default:
		return false
	}
}

// TestLinesAreReadBack: rows of all types that CSV is written of are read back exactly, NULL and the empty text among them; the only ones that
// are refused have a line break, or are the header.
func TestLinesAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfN(rapid.SampledFrom(everyType()), 1, 5).Draw(t, "types")
		options := []string{
			"delimiter", rapid.SampledFrom([]string{",", ";", "\t", "a", `\`}).Draw(t, "delimiter"),
			"quote", rapid.SampledFrom([]string{`"`, "'", "{"}).Draw(t, "quote"),
			"null", rapid.SampledFrom([]string{"", "", "b", "nil", " "}).Draw(t, "null"),
			"header", rapid.SampledFrom([]string{"on", "off"}).Draw(t, "header"),
		}
		if rapid.Bool().Draw(t, "escapes") {
			options = append(options, "escape", rapid.SampledFrom([]string{`\`, `"`, ",", "b"}).Draw(t, "escape"))
		}
		spec := csvSpec(t, options...)
		if rapid.IntRange(0, 4).Draw(t, "raw") == 0 {
			spec, types = Spec{Name: Raw}, []string{rapid.SampledFrom([]string{"text", "bytea"}).Draw(t, "type")}
		}
		schema := schemaOf(t, spec, columns(t, types...))
		b := &columnar.Batch{Len: 1}
		broken, isNull := false, false
		for _, c := range schema.Columns {
			v := drawn(t, c.Type)
			b.Cols = append(b.Cols, v)
			isNull = isNull || v.IsNull(0)
			text := columnar.AppendText(nil, &v, 0)
			broken = broken || bytes.IndexByte(text, '\n') >= 0 || spec.Name == Raw && c.Type.Kind == columnar.Bytea && bytes.IndexByte(v.Str.Value(0), '\n') >= 0
		}
		line, err := columnar.NewRowWriter(schema, nil).AppendRow([]byte{}, b, 0)
		if broken || spec.Name == Raw && isNull {
			require.Error(t, err)
			require.Empty(t, line)
			return
		}
		if err != nil {
			require.ErrorContains(t, err, "header")
			return
		}
		s := columnar.NewScanner(bytes.NewReader(line), columnar.ScanOptions{End: -1, Schema: schema})
		back, rejects, err := s.Next()
		require.NoError(t, err, "%q", line)
		require.Empty(t, rejects, "%q", line)
		require.Equal(t, 1, back.Len)
		for i := range b.Cols {
			require.Equal(t, b.Cols[i].IsNull(0), back.Cols[i].IsNull(0), "%q", line)
			require.Equal(t, string(columnar.AppendBinary(nil, &b.Cols[i], 0)), string(columnar.AppendBinary(nil, &back.Cols[i], 0)), "%q", line)
		}
	})
}

// TestWritingConverts: values of other types are converted as they are for JSON, or refused.
func TestWritingConverts(t *testing.T) {
	schema := schemaOf(t, csvSpec(t), columns(t, "varchar(3)", "numeric(8,1)", "jsonb", "text[]"))
	given := func(types ...string) *columnar.Batch {
		b := &columnar.Batch{Len: 1}
		for i, c := range columns(t, types...) {
			into := columnar.NewVectorBuilder(c.Type)
			require.NoError(t, columnar.ParseText(c.Type, []string{"ab   ", "2.25", `{"b":1,"a":2}`, "{x}"}[i], into))
			b.Cols = append(b.Cols, into.Vector())
		}
		return b
	}
	line, err := columnar.NewRowWriter(schema, nil).AppendRow(nil, given("text", "numeric(9,2)", "json", "varchar[]"), 0)
	require.NoError(t, err)
	require.Equal(t, "ab ,2.3,\"{\"\"a\"\": 2, \"\"b\"\": 1}\",{x}\n", string(line))
	_, err = columnar.NewRowWriter(schema, nil).AppendRow(nil, given("text", "text", "json", "varchar[]"), 0)
	require.ErrorContains(t, err, `column "b" is of type numeric(8,1)`)
	line, err = columnar.NewRowWriter(schema, []int{1}).AppendRow(nil, &columnar.Batch{Len: 1, Cols: given("text", "numeric(9,2)").Cols[1:]}, 0)
	require.NoError(t, err)
	require.Equal(t, ",2.3,,\n", string(line))
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		values map[string]string
		option string
	}{
		{map[string]string{"format": "avro"}, "format"},
		{map[string]string{"delimiter": ","}, "delimiter"},
		{map[string]string{"format": "raw", "header": "true"}, "header"},
		{map[string]string{"format": "csv", "message": "m"}, "message"},
		{map[string]string{"format": "csv", "delimiter": "::"}, "delimiter"},
		{map[string]string{"format": "csv", "delimiter": "é"}, "delimiter"},
		{map[string]string{"format": "csv", "delimiter": "\n"}, "delimiter"},
		{map[string]string{"format": "csv", "delimiter": `"`}, "delimiter"},
		{map[string]string{"format": "csv", "quote": ""}, "quote"},
		{map[string]string{"format": "csv", "escape": "\x00"}, "escape"},
		{map[string]string{"format": "csv", "null": "a,b"}, "null"},
		{map[string]string{"format": "csv", "null": "a\n"}, "null"},
		{map[string]string{"format": "csv", "null": strings.Repeat("x", 2000)}, "null"},
		{map[string]string{"format": "csv", "header": "maybe"}, "header"},
		{map[string]string{"format": "protobuf"}, "message"},
		{map[string]string{"format": "protobuf", "message": "m"}, "descriptor"},
		{map[string]string{"format": "protobuf", "message": "m", "descriptor": `\xzz`}, "descriptor"},
		{map[string]string{"format": "protobuf", "message": "m", "descriptor": "!"}, "descriptor"},
		{map[string]string{"format": "protobuf", "message": "m", "descriptor": `\x00`}, "descriptor"},
		{map[string]string{"format": "protobuf", "message": "m", "descriptor": `\x` + strings.Repeat("00", maxDescriptor+1)}, "descriptor"},
	} {
		_, err := Parse(c.values)
		var e *OptionError
		require.ErrorAs(t, err, &e, c.values)
		require.Equal(t, c.option, e.Option, e)
	}
	s, err := Parse(nil)
	require.NoError(t, err)
	require.True(t, s.IsJSON())
	require.NoError(t, s.Check(nil))
	_, err = Spec{Name: "new"}.Open()
	require.Error(t, err)
}

// FuzzCSV: any line is a row, a reject or blank, and rows are read back from what is written of them.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("1,\"a\"\"b\",\\x00\n2,torn \"\n\n"), `"`)
	f.Add([]byte("x,y\n\r\n,,\n"), "'")
	f.Fuzz(func(t *testing.T, content []byte, quote string) {
		spec := csvSpec(t)
		spec.Quote = quote
		if spec.checkCSV() != nil {
			spec.Quote = `"`
		}
		schema := schemaOf(t, spec, columns(t, "int", "text", "bytea"))
		s := columnar.NewScanner(bytes.NewReader(content), columnar.ScanOptions{End: -1, Schema: schema})
		for {
			b, _, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			require.NoError(t, err)
			for row := range b.Len {
				line, err := columnar.NewRowWriter(schema, nil).AppendRow(nil, b, row)
				require.NoError(t, err)
				want := read(t, schema, string(line))
				require.Len(t, want, 1)
				require.False(t, strings.HasPrefix(want[0], "!"), want)
			}
		}
	})
}
