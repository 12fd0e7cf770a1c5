package duck_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// TestMeaning finds that DuckDB takes the values of a scan, and of parameters, for what
// they are, which a round trip alone doesn't show.
func TestMeaning(t *testing.T) {
	text := func(kind columnar.Kind, s string) columnar.Vector {
		v := texts(s)
		v.Type.Kind = kind
		return v
	}
	kind := func(k columnar.Kind) columnar.Type { return columnar.Type{Kind: k} }
	decimal := func(precision, scale uint8, digits string) columnar.Vector {
		return columnar.Vector{
			Type: columnar.Type{Kind: columnar.Decimal, Precision: precision, Scale: scale},
			I128: []columnar.Int128{int128(digits)},
		}
	}
	db := open(t, duck.Config{})
	c := connect(t, db)
	for i, test := range []struct {
		v         columnar.Vector
		typ, text string
	}{
		{columnar.Vector{Type: kind(columnar.Bool), Bools: []uint8{1}}, "BOOLEAN", "true"},
		{columnar.Vector{Type: kind(columnar.Int16), I16: []int16{-2}}, "SMALLINT", "-2"},
		{columnar.Vector{Type: kind(columnar.Int32), I32: []int32{-3}}, "INTEGER", "-3"},
		{int64s(4, 1), "BIGINT", "4"},
		{columnar.Vector{Type: kind(columnar.Float32), F32: []float32{1.5}}, "FLOAT", "1.5"},
		{columnar.Vector{Type: kind(columnar.Float64), F64: []float64{-2.5}}, "DOUBLE", "-2.5"},
		{decimal(4, 1, "-9999"), "DECIMAL(4,1)", "-999.9"},
		{decimal(9, 2, "999999999"), "DECIMAL(9,2)", "9999999.99"},
		{decimal(18, 0, "-999999999999999999"), "DECIMAL(18,0)", "-999999999999999999"},
		{decimal(19, 19, "1"), "DECIMAL(19,19)", ".0000000000000000001"},
		{decimal(38, 10, "99999999999999999999999999999999999999"), "DECIMAL(38,10)", "9999999999999999999999999999.9999999999"},
		{columnar.Vector{Type: kind(columnar.Date), I32: []int32{-1}}, "DATE", "1969-12-31"},
		{columnar.Vector{Type: kind(columnar.Time), I64: []int64{86_400_000_000}}, "TIME", "24:00:00"},
		{columnar.Vector{Type: kind(columnar.Timestamp), I64: []int64{-1}}, "TIMESTAMP", "1969-12-31 23:59:59.999999"},
		{columnar.Vector{Type: kind(columnar.TimestampTZ), I64: []int64{1}}, "TIMESTAMP WITH TIME ZONE", "1970-01-01 00:00:00.000001+00"},
		{columnar.Vector{Type: kind(columnar.Interval), Intervals: []columnar.IntervalValue{{Months: 14, Days: -3, Micros: 1_000_000}}}, "INTERVAL", "1 year 2 months -3 days 00:00:01"},
		{columnar.Vector{Type: kind(columnar.UUID), I128: []columnar.Int128{{Hi: -0x5f1143665563b108, Lo: 0xbb6d6bb9bd380a11}}}, "UUID", "a0eebc99-aa9c-4ef8-bb6d-6bb9bd380a11"},
		{texts("zwölf"), "VARCHAR", "zwölf"},
		{text(columnar.Bytea, "\x00ab\xff"), "BLOB", `\x00ab\xFF`},
		{text(columnar.JSON, `{"k":[1]}`), "JSON", `{"k":[1]}`},
		{text(columnar.JSONB, `{"k": [2]}`), "JSON", `{"k": [2]}`},
	} {
		name := "meaning" + string(rune('a'+i))
		register(t, db, name, oneColumn(test.v, 1))
		got, err := query(t.Context(), c, "SELECT typeof(c), c::VARCHAR FROM "+name+"('t')", nil)
		require.NoError(t, err)
		require.Equal(t, []string{test.typ, test.text}, []string{string(got[0].Cols[0].Str.Value(0)), string(got[0].Cols[1].Str.Value(0))})
		got, err = query(t.Context(), c, "SELECT $1::VARCHAR", &columnar.Batch{Len: 1, Cols: []columnar.Vector{test.v}})
		require.NoError(t, err)
		require.Equal(t, test.text, string(got[0].Cols[0].Str.Value(0)))
	}
	register(t, db, "json", oneColumn(text(columnar.JSON, `{"k":[1,"x"]}`), 1))
	require.Equal(t, "\"x\"\n", lines(t.Context(), c, "SELECT (c->'k')->>1 FROM json('t')"))
}
