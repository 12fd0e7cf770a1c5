package columnar

import (
	"math"
	"strings"

	"pgregory.net/rapid"
)

// allTypes is one type of every kind, and more where the modifiers matter.
func allTypes() []Type {
	return []Type{
		{Kind: Bool},
		{Kind: Int16},
		{Kind: Int32},
		{Kind: Int64},
		{Kind: Float32},
		{Kind: Float64},
		{Kind: Decimal, Precision: 1},
		{Kind: Decimal, Precision: 12, Scale: 2},
		{Kind: Decimal, Precision: 18, Scale: 9},
		{Kind: Decimal, Precision: 38},
		{Kind: Decimal, Precision: 38, Scale: 10},
		{Kind: Decimal, Precision: 38, Scale: 38},
		{Kind: Text},
		{Kind: Varchar},
		{Kind: Varchar, Length: 5},
		{Kind: Char, Length: 4},
		{Kind: Char},
		{Kind: Bytea},
		{Kind: Date},
		{Kind: Time},
		{Kind: Timestamp},
		{Kind: TimestampTZ},
		{Kind: Interval},
		{Kind: UUID},
		{Kind: JSON},
		{Kind: JSONB},
	}
}

// genValue draws a value of the type, with a liking for its extremes, and appends it.
func genValue(t *rapid.T, typ Type, into *VectorBuilder) {
	switch typ.Kind {
	case Bool:
		into.AppendBool(rapid.Bool().Draw(t, "bool"))
	case Int16:
		into.AppendInt16(rapid.Int16().Draw(t, "int16"))
	case Int32:
		into.AppendInt32(rapid.Int32().Draw(t, "int32"))
	case Int64:
		into.AppendInt64(rapid.Int64().Draw(t, "int64"))
	case Float32:
		into.AppendFloat32(float32(genFloat(t, 32)))
	case Float64:
		into.AppendFloat64(genFloat(t, 64))
	case Decimal:
		into.AppendInt128(genDecimal(t, typ))
	case UUID:
		into.AppendInt128(Int128{Lo: rapid.Uint64().Draw(t, "lo"), Hi: rapid.Int64().Draw(t, "hi")})
	case Text, Varchar, Char:
		genText(t, typ, into)
	case Bytea:
		into.AppendBytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes"))
	case Date:
		into.AppendInt32(rapid.OneOf(
			rapid.SampledFrom([]int32{DateInfinity, DateNegInfinity, minDate, maxDate, 0, -1, -719162, -719163, 2932896, 2932897}),
			rapid.Int32Range(-719162, 2932896), rapid.Int32Range(minDate, maxDate)).Draw(t, "date"))
	case Time:
		into.AppendInt64(rapid.OneOf(rapid.SampledFrom([]int64{0, microsPerDay}), rapid.Int64Range(0, microsPerDay)).Draw(t, "time"))
	case Timestamp, TimestampTZ:
		into.AppendInt64(rapid.OneOf(
			rapid.SampledFrom([]int64{TimestampInfinity, TimestampNegInfinity, minTimestamp, maxTimestamp, 0, -1}),
			rapid.Int64Range(-62135596800e6, 253402300799e6), rapid.Int64Range(minTimestamp, maxTimestamp)).Draw(t, "timestamp"))
	case Interval:
		into.AppendInterval(IntervalValue{
			Months: rapid.Int32().Draw(t, "months"), Days: rapid.Int32().Draw(t, "days"),
			Micros: rapid.Int64Range(-math.MaxInt64, math.MaxInt64).Draw(t, "micros"),
		})
	case JSON, JSONB:
		if err := ParseText(typ, genJSON(t, 3), into); err != nil {
			t.Fatalf("generated JSON: %v", err)
		}
	default:
		t.Fatalf("no generator for %v", typ)
	}
}

// genFloat spreads the bits that rapid draws, which likes small numbers.
func genFloat(t *rapid.T, size int) float64 {
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.Float64frombits(quietNaN), 1e23, 1e22, 0.0001, 0.1, 1e15, 1e14, 9007199254740993, 5e-324, math.MaxFloat64}
	if size == 32 {
		special = append(special[:13:13], math.MaxFloat32, math.SmallestNonzeroFloat32, 7.038531e-26, 16777216, 1e6, 999999, 0.0001)
		return rapid.OneOf(rapid.SampledFrom(special), rapid.Map(rapid.Uint32(), func(u uint32) float64 {
			if f := math.Float32frombits(u * 0x9E3779B1); f == f {
				return float64(f)
			}
			return 1.5
		})).Draw(t, "float32")
	}
	return rapid.OneOf(rapid.SampledFrom(special), rapid.Map(rapid.Uint64(), func(u uint64) float64 {
		if f := math.Float64frombits(u * 0x9E3779B97F4A7C15); f == f {
			return f
		}
		return 1.5
	}), rapid.Map(rapid.Int64Range(-1e9, 1e9), func(i int64) float64 { return float64(i) / 100 })).Draw(t, "float64")
}

// genDecimal draws as many digits as the precision, or fewer.
func genDecimal(t *rapid.T, typ Type) Int128 {
	n := rapid.IntRange(0, int(typ.Precision)).Draw(t, "digits")
	var u uint128
	for range n {
		u, _ = u.mulAdd(10, rapid.Uint64Range(0, 9).Draw(t, "digit"))
	}
	if rapid.IntRange(0, 9).Draw(t, "extreme") == 0 {
		u = powersOfTen[typ.Precision].sub(uint128{lo: 1})
	}
	return u.signed(rapid.Bool().Draw(t, "negative"))
}

func genText(t *rapid.T, typ Type, into *VectorBuilder) {
	r := rapid.OneOf(rapid.SampledFrom([]rune("a \"\\\x01\n\r\t/\u007f\u2028é日😀\ufffd\uffff")), rapid.Rune())
	limit := 30
	if typ.Length > 0 {
		limit = int(typ.Length)
	}
	s := strings.ReplaceAll(rapid.StringOfN(r, 0, limit, -1).Draw(t, "text"), "\x00", "")
	if err := ParseText(typ, s, into); err != nil {
		t.Fatalf("generated text: %v", err)
	}
}

// genJSON draws JSON text of at most so many levels.
func genJSON(t *rapid.T, depth int) string {
	scalar := rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?`),
		rapid.SampledFrom([]string{
			"true", "false", "null", "-0", "1.50", " 100 ", "1e3", `"a"`, `"b"`, `""`, `"bb"`, `"\u0061"`,
			`"\n\"\\\/"`, `"\u001f"`, `"\ud83d\ude00"`, `"é😀 "`,
		}))
	if depth == 0 || rapid.Bool().Draw(t, "is scalar") {
		return scalar.Draw(t, "scalar")
	}
	var parts []string
	object := rapid.Bool().Draw(t, "is object")
	for range rapid.IntRange(0, 4).Draw(t, "parts") {
		part := genJSON(t, depth-1)
		if object {
			part = rapid.SampledFrom([]string{`"a"`, `"b" `, `"bb"`, `"\u0061"`, ` ""`}).Draw(t, "key") + ": " + part
		}
		parts = append(parts, part)
	}
	if object {
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "[" + strings.Join(parts, ",") + " ]"
}
