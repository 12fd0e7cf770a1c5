package duck_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

func columnType() *rapid.Generator[columnar.Type] {
	return rapid.Custom(func(t *rapid.T) columnar.Type {
		typ := columnar.Type{Kind: columnar.Kind(rapid.IntRange(int(columnar.Bool), int(columnar.JSONB)).Draw(t, "kind"))}
		switch typ.Kind {
		case columnar.Decimal:
			typ.Precision = uint8(rapid.OneOf(rapid.SampledFrom([]int{1, 4, 5, 9, 10, 18, 19, 38}), rapid.IntRange(1, 38)).Draw(t, "precision"))
			typ.Scale = uint8(rapid.IntRange(0, int(typ.Precision)).Draw(t, "scale"))
		case columnar.Varchar, columnar.Char:
			typ.Length = int32(rapid.IntRange(1, 100).Draw(t, "length"))
		default:
		}
		return typ
	})
}

// vector draws n values; NULLs stand anywhere, also everywhere.
func vector(t *rapid.T, typ columnar.Type, n int) columnar.Vector {
	v := columnar.Vector{Type: typ}
	if rapid.Bool().Draw(t, "nulls") {
		v.Null = make([]bool, n)
		every := rapid.SampledFrom([]int{1, 2, 3, 64, 100, 2048}).Draw(t, "every")
		at := rapid.IntRange(0, every-1).Draw(t, "at")
		for i := range v.Null {
			v.Null[i] = i%every == at
		}
	}
	if isText(typ.Kind) {
		v.Str.Offsets = []uint32{0}
	}
	// A few drawn values, repeated with a period that fits nothing.
	period := rapid.IntRange(1, 13).Draw(t, "period")
	drawn := columnar.Vector{Type: typ, Str: columnar.Strings{Offsets: []uint32{0}}}
	for range period {
		drawValue(t, &drawn)
	}
	for i := range n {
		if v.Null != nil && v.Null[i] {
			appendZero(&v)
		} else {
			appendFrom(&v, &drawn, i%period)
		}
	}
	return v
}

func isText(k columnar.Kind) bool {
	return slices.Contains([]columnar.Kind{columnar.Text, columnar.Varchar, columnar.Char, columnar.Bytea, columnar.JSON, columnar.JSONB}, k)
}

func drawValue(t *rapid.T, v *columnar.Vector) {
	i64 := rapid.OneOf(rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, -math.MaxInt64, math.MinInt64}), rapid.Int64())
	switch v.Type.Kind {
	case columnar.Bool:
		v.Bools = append(v.Bools, uint8(rapid.IntRange(0, 1).Draw(t, "bool")))
	case columnar.Int16:
		v.I16 = append(v.I16, rapid.Int16().Draw(t, "int16"))
	case columnar.Int32, columnar.Date:
		v.I32 = append(v.I32, rapid.OneOf(rapid.SampledFrom([]int32{0, math.MaxInt32, -math.MaxInt32}), rapid.Int32Min(-math.MaxInt32)).Draw(t, "int32"))
	case columnar.Int64:
		v.I64 = append(v.I64, i64.Draw(t, "int64"))
	case columnar.Time:
		v.I64 = append(v.I64, rapid.Int64Range(0, 86_400_000_000).Draw(t, "time"))
	case columnar.Timestamp, columnar.TimestampTZ:
		v.I64 = append(v.I64, rapid.OneOf(rapid.SampledFrom([]int64{0, math.MaxInt64, -math.MaxInt64}),
			rapid.Int64Range(-9_223_372_022_400_000_000, math.MaxInt64)).Draw(t, "timestamp"))
	case columnar.Float32:
		v.F32 = append(v.F32, rapid.OneOf(rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1))}), rapid.Float32()).Draw(t, "float32"))
	case columnar.Float64:
		v.F64 = append(v.F64, rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(-1), 5e-324}), rapid.Float64()).Draw(t, "float64"))
	case columnar.Decimal:
		digits := rapid.StringMatching(fmt.Sprintf(`-?[0-9]{1,%d}`, v.Type.Precision)).Draw(t, "decimal")
		v.I128 = append(v.I128, int128(digits))
	case columnar.UUID:
		v.I128 = append(v.I128, columnar.Int128{Lo: uint64(i64.Draw(t, "lo")), Hi: i64.Draw(t, "hi")})
	case columnar.Interval:
		v.Intervals = append(v.Intervals, columnar.IntervalValue{
			Months: rapid.Int32().Draw(t, "months"), Days: rapid.Int32().Draw(t, "days"), Micros: i64.Draw(t, "micros"),
		})
	default:
		appendText(v, drawText(t, v.Type.Kind))
	}
}

func drawText(t *rapid.T, kind columnar.Kind) []byte {
	switch kind {
	case columnar.Bytea:
		return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytea")
	case columnar.JSON, columnar.JSONB:
		return fmt.Appendf(nil, `{"k": [%d, null, %q]}`, rapid.Int().Draw(t, "json"), strings.Repeat("x", rapid.IntRange(0, 20).Draw(t, "more")))
	default:
		return []byte(rapid.OneOf(
			rapid.SampledFrom([]string{"", "12345678901", "123456789012", "1234567890123", "zwölf ßßßß", "a\x01b", strings.Repeat("long ", 100)}),
			rapid.StringN(0, 30, -1).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })).Draw(t, "text"))
	}
}

func int128(digits string) columnar.Int128 {
	n, _ := new(big.Int).SetString(digits, 10)
	lo := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64))
	return columnar.Int128{Lo: lo.Uint64(), Hi: new(big.Int).Rsh(n, 64).Int64()}
}

func appendText(v *columnar.Vector, b []byte) {
	v.Str.Bytes = append(v.Str.Bytes, b...)
	v.Str.Offsets = append(v.Str.Offsets, uint32(len(v.Str.Bytes)))
}

func appendZero(v *columnar.Vector) {
	zero := columnar.Vector{
		Bools: []uint8{0}, I16: []int16{0}, I32: []int32{0}, I64: []int64{0}, F32: []float32{0}, F64: []float64{0},
		I128: []columnar.Int128{{}}, Intervals: []columnar.IntervalValue{{}}, Str: columnar.Strings{Offsets: []uint32{0, 0}},
	}
	appendFrom(v, &zero, 0)
}

// appendFrom appends value i of from to the slice of v's kind.
func appendFrom(v, from *columnar.Vector, i int) {
	switch v.Type.Kind {
	case columnar.Bool:
		v.Bools = append(v.Bools, from.Bools[i])
	case columnar.Int16:
		v.I16 = append(v.I16, from.I16[i])
	case columnar.Int32, columnar.Date:
		v.I32 = append(v.I32, from.I32[i])
	case columnar.Int64, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		v.I64 = append(v.I64, from.I64[i])
	case columnar.Float32:
		v.F32 = append(v.F32, from.F32[i])
	case columnar.Float64:
		v.F64 = append(v.F64, from.F64[i])
	case columnar.Decimal, columnar.UUID:
		v.I128 = append(v.I128, from.I128[i])
	case columnar.Interval:
		v.Intervals = append(v.Intervals, from.Intervals[i])
	default:
		appendText(v, from.Str.Bytes[from.Str.Offsets[i]:from.Str.Offsets[i+1]])
	}
}

// cells renders a column of batches, bit for bit.
func cells(batches []*columnar.Batch, column int) []string {
	var out []string
	for _, b := range batches {
		v := b.Cols[column]
		for row := range b.Len {
			switch {
			case v.F32 != nil && (v.Null == nil || !v.Null[row]):
				out = append(out, strconv.FormatUint(uint64(math.Float32bits(v.F32[row])), 10))
			case v.F64 != nil && (v.Null == nil || !v.Null[row]):
				out = append(out, strconv.FormatUint(math.Float64bits(v.F64[row]), 10))
			default:
				out = append(out, cell(&v, row))
			}
		}
	}
	return out
}

// TestRoundTrip sends every type through a scan and back, by way of nothing, of a table
// of DuckDB's own, and of a sort.
func TestRoundTrip(t *testing.T) {
	db := open(t, duck.Config{})
	var tb *table
	require.NoError(t, db.RegisterScan("source", func(string) (duck.Scan, error) { return tb.scan(), nil }))
	c := connect(t, db)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		columns := []columnar.Column{column("n", columnar.Int64)}
		for i, typ := range rapid.SliceOfN(columnType(), 1, 4).Draw(t, "types") {
			columns = append(columns, columnar.Column{Name: fmt.Sprint("c", i), Type: typ})
		}
		var batches []*columnar.Batch
		rows := 0
		for _, n := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 63, 64, 65, 2047, 2048, 2049, 5000}), 0, 4).Draw(t, "batches") {
			b := &columnar.Batch{Len: n, Cols: []columnar.Vector{int64s(rows, n)}}
			for _, column := range columns[1:] {
				b.Cols = append(b.Cols, vector(t, column.Type, n))
			}
			batches, rows = append(batches, b), rows+n
		}
		tb = fixed(columns, batches...)
		project := rapid.Permutation(indexes(len(columns))).Draw(t, "project")[:rapid.IntRange(1, len(columns)).Draw(t, "width")]
		names := make([]string, len(project))
		for i, p := range project {
			names[i] = columns[p].Name
		}
		list := strings.Join(names, ", ")
		require.NoError(t, c.Exec(ctx, "CREATE OR REPLACE TEMP TABLE copied AS SELECT * FROM source('')"))
		for _, sql := range []string{
			"SELECT " + list + " FROM source('')",
			"SELECT " + list + " FROM copied",
			"SELECT " + list + " FROM (SELECT * FROM source('') ORDER BY n DESC) ORDER BY n",
		} {
			got, err := query(ctx, c, sql, nil)
			require.NoError(t, err, sql)
			require.Equal(t, rows, count(got))
			for i, p := range project {
				require.Equal(t, cells(batches, p), cells(got, i), "%s: column %s", sql, names[i])
			}
		}
		require.EqualValues(t, rows, mustCount(ctx, t, c, "SELECT count(*) FROM source('')"))
		require.Equal(t, tb.opened.Load(), tb.closed.Load())
	})
}

func mustCount(ctx context.Context, t require.TestingT, c *duck.Conn, sql string) int64 {
	got, err := query(ctx, c, sql, nil)
	require.NoError(t, err)
	return got[0].Cols[0].I64[0]
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// TestBind sends every type through a parameter and back.
func TestBind(t *testing.T) {
	c := connect(t, open(t, duck.Config{}))
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		typ := columnType().Draw(t, "type")
		v := vector(t, typ, 1)
		sql := "SELECT $1"
		if v.Null == nil {
			sql = "SELECT typeof($1), $1"
		}
		got, err := query(ctx, c, sql, &columnar.Batch{Len: 1, Cols: []columnar.Vector{v}})
		require.NoError(t, err)
		last := len(got[0].Cols) - 1
		if v.Null != nil && v.Null[0] {
			require.Equal(t, "NULL", cell(&got[0].Cols[last], 0))
			return
		}
		require.Equal(t, cells([]*columnar.Batch{{Len: 1, Cols: []columnar.Vector{v}}}, 0), cells(got, last))
	})
}

// TestLongScan has more rows than a vector and more strings than fit in place.
func TestLongScan(t *testing.T) {
	db := open(t, duck.Config{})
	const rows, size = 100_000, 7_001
	columns := []columnar.Column{column("n", columnar.Int64), column("s", columnar.Text)}
	text := func(i int) string { return strings.Repeat("ä", i%40) + strconv.Itoa(i) }
	tb := &table{columns: columns, next: func(_ context.Context, project []int, n int) (*columnar.Batch, error) {
		from, to := n*size, min(rows, (n+1)*size)
		if from >= rows {
			return nil, io.EOF
		}
		all := make([]string, to-from)
		for i := range all {
			all[i] = text(from + i)
		}
		return projected(&columnar.Batch{Len: to - from, Cols: []columnar.Vector{int64s(from, to-from), texts(all...)}}, project), nil
	}}
	register(t, db, "long", tb)
	c := connect(t, db)
	got, err := query(t.Context(), c, "SELECT s, n FROM long('t')", nil)
	require.NoError(t, err)
	i := 0
	for _, b := range got {
		for row := range b.Len {
			require.Equal(t, fmt.Sprintf("%q", text(i)), cell(&b.Cols[0], row))
			require.EqualValues(t, i, b.Cols[1].I64[row])
			i++
		}
	}
	require.Equal(t, rows, i)
	require.EqualValues(t, rows, one(t, c, "SELECT count(*) FROM long('t') a JOIN long('t') b ON a.s = b.s AND a.n = b.n"))
	require.EqualValues(t, 2*rows, one(t, c, "WITH l AS (SELECT * FROM long('t')) SELECT count(*) FROM (SELECT * FROM l UNION ALL SELECT * FROM l)"))
	require.EqualValues(t, rows, one(t, c, "SELECT count(DISTINCT s) FROM long('t')"))
}
