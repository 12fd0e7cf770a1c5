package columnar

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestArrays: what text, binary and JSON make of an array is the same array.
func TestArrays(t *testing.T) {
	for _, c := range []struct {
		typ        Type
		text, want string // "" is the text itself
		json       string
	}{
		{Type{Kind: Text}, `{a,"b c",NULL,"NULL","","x\"y\\z"}`, "", `["a","b c",null,"NULL","","x\"y\\z"]`},
		{Type{Kind: Text}, ` { a , b } `, `{a,b}`, `["a","b"]`},
		{Type{Kind: Text}, `{}`, "", `[]`},
		{Type{Kind: Int32}, `{1,-2,null}`, `{1,-2,NULL}`, `[1,-2,null]`},
		{Type{Kind: Int64}, `{9007199254740993}`, "", `["9007199254740993"]`},
		{Type{Kind: Decimal, Precision: 6, Scale: 2}, `{1.5}`, `{1.50}`, `[1.50]`},
		{Type{Kind: Timestamp}, `{"2026-01-02 03:04:05"}`, "", `["2026-01-02T03:04:05"]`},
		{Type{Kind: Bytea}, `{"\\x0102"}`, "", `["\\x0102"]`},
		{Type{Kind: JSONB}, `{"{\"a\": 1}"}`, `{"{\"a\":1}"}`, `[{"a":1}]`},
		{Type{Kind: Bool}, `{t,false}`, `{t,f}`, `[true,false]`},
		{Type{Kind: Varchar, Length: 2}, `{ab,"c  "}`, `{ab,"c "}`, `["ab","c "]`},
	} {
		typ := ArrayOf(c.typ)
		require.NoError(t, typ.Validate())
		want := c.want
		if want == "" {
			want = c.text
		}
		into := NewVectorBuilder(typ)
		require.NoError(t, ParseText(typ, c.text, into), c.text)
		v := into.Vector()
		if c.typ.Kind != JSONB {
			require.Equal(t, want, string(AppendText(nil, &v, 0)))
		}
		binary := AppendBinary(nil, &v, 0)
		require.NoError(t, ParseBinary(typ, binary, into), c.text)
		schema := Schema{Columns: []Column{{Name: "a", Type: typ}}}
		line, err := NewRowWriter(schema, nil).AppendRow(nil, &Batch{Len: 1, Cols: []Vector{v}}, 0)
		require.NoError(t, err, c.text)
		require.Equal(t, `{"a":`+c.json+"}\n", string(line))
		d := newLineDecoder(schema, func(int) bool { return true })
		require.True(t, d.decode(line[:len(line)-1]), d.reason)
		read := d.fields[0].out.Vector()
		require.Equal(t, string(v.Str.Value(0)), string(read.Str.Value(0)))
		v = into.Vector()
		require.Equal(t, string(v.Str.Value(0)), string(v.Str.Value(1)), "binary")
		proof, err := NewProver(schema).Prove(strings.NewReader(string(line)))
		require.NoError(t, err)
		require.Equal(t, int64(1), proof.Rows)
		require.False(t, proof.Clean, "read_json isn't asked for arrays")
	}
}

// TestMalformedArrays are refused, and append nothing.
func TestMalformedArrays(t *testing.T) {
	typ := ArrayOf(Type{Kind: Int32})
	into := NewVectorBuilder(typ)
	for _, s := range []string{"", "1", "{", "}", "{1", "{1,}", "{,1}", "{a}", `{"1}`, "{{1},{2}}", "{1} x"} {
		require.Error(t, ParseText(typ, s, into), s)
	}
	good := NewVectorBuilder(typ)
	require.NoError(t, ParseText(typ, "{1,NULL,3}", good))
	v := good.Vector()
	binary := AppendBinary(nil, &v, 0)
	for n := range binary {
		require.Error(t, ParseBinary(typ, binary[:n], into), n)
	}
	require.Error(t, ParseBinary(typ, append(binary, 0), into))
	require.Error(t, ParseBinary(ArrayOf(Type{Kind: Int64}), binary, NewVectorBuilder(ArrayOf(Type{Kind: Int64}))))
	require.Zero(t, into.Len())
	d := newLineDecoder(Schema{Columns: []Column{{Name: "a", Type: typ}}}, func(int) bool { return true })
	for _, line := range []string{`{"a":[}`, `{"a":[1}`, `{"a":[1,]}`, `{"a":["x"]}`, `{"a":[[1]]}`, `{"a":{}}`, `{"a":1}`} {
		require.False(t, d.decode([]byte(line)), line)
	}
	require.Zero(t, d.fields[0].out.Len())
}

// TestElementsTakeNoMoreThanTheirValues: what a text of many short elements takes is about what the values do.
func TestElementsTakeNoMoreThanTheirValues(t *testing.T) {
	array := ArrayOf(Type{Kind: Int32})
	many := "{" + strings.Repeat("1,", 10_000) + "NULL}"
	v, err := Elements(array, many)
	require.NoError(t, err)
	require.Equal(t, 10_001, v.Len())
	require.True(t, v.IsNull(10_000))
	require.Less(t, testing.AllocsPerRun(5, func() { _, _ = Elements(array, many) }), 100.0)
}

// TestSplitArray: escapes take the next character for itself, in quotes and without them.
func TestSplitArray(t *testing.T) {
	for in, want := range map[string][]string{
		`{}`: nil, ` { } `: nil, `{a}`: {"a"}, `{ a b , c }`: {"a b", "c"}, `{"a"}`: {"a"}, `{""}`: {""}, `{"a,}\"\\"}`: {`a,}"\`},
		`{a\,b,c}`: {"a,b", "c"}, `{\null,null,"null",NULL}`: {"null", "NULL!", "null", "NULL!"}, `{x\"y}`: {`x"y`}, `{ "a" , "b" }`: {"a", "b"},
	} {
		got, ok := SplitArray(in)
		require.True(t, ok, in)
		var texts []string
		for _, x := range got {
			if x == nil {
				texts = append(texts, "NULL!")
			} else {
				texts = append(texts, *x)
			}
		}
		require.Equal(t, want, texts, in)
	}
	for _, in := range []string{``, `{`, `}`, `a`, `{,}`, `{a,}`, `{,a}`, `{"a"b}`, `{a"b"}`, `{"a}`, `{{a}}`, `{a}}`, `{"a\"}`, `{a}b`} {
		_, ok := SplitArray(in)
		require.False(t, ok, in)
	}
}
