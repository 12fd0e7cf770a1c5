package rowcodec_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/views/rowcodec"
)

// types is one type of every kind.
func types() []columnar.Type {
	return []columnar.Type{
		{Kind: columnar.Bool},
		{Kind: columnar.Int16},
		{Kind: columnar.Int32},
		{Kind: columnar.Int64},
		{Kind: columnar.Float32},
		{Kind: columnar.Float64},
		{Kind: columnar.Decimal, Precision: 12, Scale: 2},
		{Kind: columnar.Decimal, Precision: 38},
		{Kind: columnar.Text},
		{Kind: columnar.Bytea},
		{Kind: columnar.Date},
		{Kind: columnar.Time},
		{Kind: columnar.Timestamp},
		{Kind: columnar.TimestampTZ},
		{Kind: columnar.Interval},
		{Kind: columnar.UUID},
		{Kind: columnar.JSON},
		columnar.ArrayOf(columnar.Type{Kind: columnar.Int32}), columnar.ArrayOf(columnar.Type{Kind: columnar.Float64}),
	}
}

// draw a value, of a few that are equal or nearly so, and append it.
func draw(t *rapid.T, typ columnar.Type, into *columnar.VectorBuilder) {
	if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
		into.AppendNull()
		return
	}
	floats := rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(0xfff8000000000001), math.Inf(1), 1, 1.5}), rapid.Float64())
	text := func(of ...string) { into.AppendString(rapid.SampledFrom(of).Draw(t, "text")) }
	wide := rapid.SampledFrom([]columnar.Int128{{}, {Lo: 1}, {Hi: -1, Lo: math.MaxUint64}, {Lo: 127}, {Lo: 128}, {Lo: 1 << 63}, {Hi: 1}, {Hi: -1}, {Hi: -1, Lo: 1 << 63}, {Hi: -1, Lo: math.MaxUint64 - 127}})
	switch typ.Kind {
	case columnar.Bool:
		into.AppendBool(rapid.Bool().Draw(t, "bool"))
	case columnar.Int16:
		into.AppendInt16(rapid.Int16().Draw(t, "int16"))
	case columnar.Int32, columnar.Date:
		into.AppendInt32(rapid.SampledFrom([]int32{0, 1, -1, 63, 64, -64, -65, 2932896, -719162}).Draw(t, "int32"))
	case columnar.Int64, columnar.Timestamp, columnar.TimestampTZ:
		into.AppendInt64(rapid.OneOf(rapid.SampledFrom([]int64{0, 1, -1}), rapid.Int64Range(-1e15, 1e15)).Draw(t, "int64"))
	case columnar.Time:
		into.AppendInt64(rapid.SampledFrom([]int64{0, 1, 86400e6}).Draw(t, "time"))
	case columnar.Float32:
		into.AppendFloat32(float32(floats.Draw(t, "float")))
	case columnar.Float64:
		into.AppendFloat64(floats.Draw(t, "float"))
	case columnar.Decimal:
		if typ.Precision == 38 {
			into.AppendInt128(wide.Draw(t, "decimal"))
			return
		}
		into.AppendInt128(rapid.SampledFrom([]columnar.Int128{{}, {Lo: 100}, {Hi: -1, Lo: math.MaxUint64 - 99}}).Draw(t, "decimal"))
	case columnar.UUID:
		into.AppendInt128(wide.Draw(t, "uuid"))
	case columnar.Interval:
		few := rapid.SampledFrom([]int64{0, 1, -1, 29, 30, -30, 31})
		into.AppendInterval(columnar.IntervalValue{
			Months: int32(few.Draw(t, "months")), Days: int32(few.Draw(t, "days")),
			Micros: few.Draw(t, "days of micros")*86400e6 + few.Draw(t, "micros"),
		})
	case columnar.Bytea:
		into.AppendBytes(rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "bytes"))
	case columnar.JSON:
		text("1", "1.0", `{"a":1}`, `{"a":2}`, "null", `""`)
	case columnar.Array:
		if typ.Element == columnar.Float64 {
			text("{}", "{0}", "{-0}", "{NaN}", "{NULL}", "{0,NULL}", "{NULL,-0}", "{-0,NULL}")
			return
		}
		text("{}", "{1}", "{1,2}", "{12}", "{NULL}", "{NULL,NULL}")
	default:
		text("", "a", "A", "a ", "b", "ß", "1", strings.Repeat("x", 300))
	}
}

func drawBatch(t *rapid.T, of []columnar.Type, rows int) *columnar.Batch {
	b := columnar.NewBatchBuilder(of)
	for range rows {
		for i, typ := range of {
			draw(t, typ, b.Col(i))
		}
	}
	return b.Batch()
}

// TestRows holds that rows of all types are read as they were written, one after another in chunks, and have one form.
func TestRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := types()
		of := rapid.SliceOfN(rapid.SampledFrom(all), 0, 20).Draw(t, "types")
		n := rapid.IntRange(0, 4).Draw(t, "rows")
		b := drawBatch(t, of, n)
		var chunk []byte
		for row := range n {
			chunk = rowcodec.AppendChunk(chunk, rowcodec.AppendRow(nil, b, row))
		}
		d, err := rowcodec.NewDecoder(of)
		require.NoError(t, err)
		into := d.NewBuilder()
		var row []byte
		rest := chunk
		for len(rest) > 0 {
			row, rest, err = rowcodec.Next(rest)
			require.NoError(t, err)
			require.NoError(t, d.Append(into, row))
		}
		got := into.Batch()
		var again []byte
		for row := range n {
			require.Len(t, got.Cols, len(of))
			for c := range of {
				require.Equal(t, b.Cols[c].IsNull(row), got.Cols[c].IsNull(row))
				require.Equal(t, columnar.AppendText(nil, &b.Cols[c], row), columnar.AppendText(nil, &got.Cols[c], row))
			}
			again = rowcodec.AppendChunk(again, rowcodec.AppendRow(nil, got, row))
		}
		if len(of) > 0 { // a row of no columns isn't counted by a batch
			require.Equal(t, chunk, again)
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 2, 2})
	f.Add(bytes.Repeat([]byte{1}, 60))
	f.Fuzz(func(t *testing.T, row []byte) {
		d, err := rowcodec.NewDecoder(types())
		require.NoError(t, err)
		into := d.NewBuilder()
		if err := d.Append(into, row); err != nil {
			require.Zero(t, into.Len())
			return
		}
		require.Equal(t, row, rowcodec.AppendRow(nil, into.Batch(), 0), "a row has one form")
		if one, rest, err := rowcodec.Next(row); err == nil {
			require.True(t, bytes.HasPrefix(row, rowcodec.AppendChunk(nil, one)))
			require.True(t, bytes.HasSuffix(row, rest))
		}
	})
}

// TestBadRows holds that what isn't a row is an error that leaves nothing behind.
func TestBadRows(t *testing.T) {
	d, err := rowcodec.NewDecoder([]columnar.Type{{Kind: columnar.Int16}, {Kind: columnar.Text}, {Kind: columnar.Decimal, Precision: 5}, {Kind: columnar.Bool}})
	require.NoError(t, err)
	into := d.NewBuilder()
	good := []byte{0, 2, 1, 'a', 1, 5, 1}
	require.NoError(t, d.Append(into, good))
	for name, row := range map[string][]byte{
		"nothing":                nil,
		"a bit too many":         {0x10, 2, 1, 'a', 1, 5, 1},
		"the end lacks":          good[:6],
		"more than a row":        append(bytes.Clone(good), 0),
		"out of range":           {0, 0x80, 0x80, 0x80, 1, 1, 'a', 1, 5, 1},
		"a number that's padded": {0, 0x82, 0, 1, 'a', 1, 5, 1},
		"a text that's too long": {0, 2, 100, 'a', 1, 5, 1},
		"a wide one that's long": {0, 2, 1, 'a', 2, 0, 5, 1},
		"of 17 bytes":            append([]byte{0, 2, 1, 'a', 17}, make([]byte, 18)...),
		"no truth":               {0, 2, 1, 'a', 1, 5, 2},
	} {
		require.Error(t, d.Append(into, row), name)
		require.Equal(t, 1, into.Len(), name)
	}
	_, err = rowcodec.NewDecoder([]columnar.Type{{Kind: columnar.Decimal}})
	require.Error(t, err)
	_, _, err = rowcodec.Next([]byte{5, 1})
	require.ErrorIs(t, err, rowcodec.ErrChunk)
}

// TestFormatDocument reads the rows and keys of docs/format/views.md.
func TestFormatDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/format/views.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(page), "| type | value | row | key |\n|---|---|---|---|\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n\n")
	n := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		name, rest, _ := strings.Cut(cells[0], "(")
		var mods []int32
		if rest != "" {
			mods = []int32{12, 2}
			require.Equal(t, "12,2)", rest)
		}
		typ, err := columnar.TypeFromSQL(name, mods)
		require.NoError(t, err, line)
		b := columnar.NewBatchBuilder([]columnar.Type{typ})
		if cells[1] == "NULL" {
			b.Col(0).AppendNull()
		} else {
			require.NoError(t, columnar.ParseText(typ, cells[1], b.Col(0)), line)
		}
		require.Equal(t, cells[2], hex.EncodeToString(rowcodec.AppendRow(nil, b.Batch(), 0)), line)
		require.Equal(t, cells[3], hex.EncodeToString(rowcodec.AppendKey(nil, b.Batch(), 1, 0)), line)
		n++
	}
	require.Greater(t, n, 15)
}
