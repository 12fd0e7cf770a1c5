package columnar

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func bigOf(x Int128) *big.Int {
	b := new(big.Int).Lsh(big.NewInt(x.Hi), 64)
	return b.Add(b, new(big.Int).SetUint64(x.Lo))
}

func genUint128() *rapid.Generator[uint128] {
	return rapid.Custom(func(t *rapid.T) uint128 {
		return uint128{
			hi: rapid.Uint64().Draw(t, "hi") >> rapid.IntRange(0, 64).Draw(t, "shift hi"),
			lo: rapid.Uint64().Draw(t, "lo") >> rapid.IntRange(0, 64).Draw(t, "shift lo"),
		}
	})
}

func (u uint128) big() *big.Int {
	b := new(big.Int).Lsh(new(big.Int).SetUint64(u.hi), 64)
	return b.Add(b, new(big.Int).SetUint64(u.lo))
}

func TestUint128(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, v := genUint128().Draw(t, "u"), genUint128().Draw(t, "v")
		m, a := rapid.Uint64().Draw(t, "m"), rapid.Uint64().Draw(t, "a")
		limit := new(big.Int).Lsh(big.NewInt(1), 128)

		want := new(big.Int).Mul(u.big(), new(big.Int).SetUint64(m))
		want.Add(want, new(big.Int).SetUint64(a))
		got, ok := u.mulAdd(m, a)
		require.Equal(t, want.Cmp(limit) < 0, ok)
		require.Zero(t, new(big.Int).Mod(want, limit).Cmp(got.big()))

		want = new(big.Int).Mul(u.big(), v.big())
		got, ok = u.mul(v)
		require.Equal(t, want.Cmp(limit) < 0, ok)
		if ok {
			require.Zero(t, want.Cmp(got.big()))
		}

		require.Equal(t, u.big().Cmp(v.big()), u.cmp(v))
		if d := v; d != (uint128{}) && d.cmp(powersOfTen[MaxPrecision]) <= 0 {
			q, r := u.divMod(d)
			wantQ, wantR := new(big.Int).DivMod(u.big(), d.big(), new(big.Int))
			require.Zero(t, wantQ.Cmp(q.big()), "%v / %v", u, d)
			require.Zero(t, wantR.Cmp(r.big()), "%v %% %v", u, d)
		}
		require.Equal(t, u.big().String(), string(u.appendDigits(nil, 1)))
	})
}

func TestDecimalText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := Type{Kind: Decimal, Precision: uint8(rapid.IntRange(1, MaxPrecision).Draw(t, "precision"))}
		typ.Scale = uint8(rapid.IntRange(0, int(typ.Precision)).Draw(t, "scale"))
		x := genDecimal(t, typ)
		s := string(appendDecimal(nil, x, typ.Scale))
		unscaled, ok := new(big.Int).SetString(strings.Replace(s, ".", "", 1), 10)
		require.True(t, ok, s)
		require.Zero(t, bigOf(x).Cmp(unscaled), s)
		if typ.Scale > 0 {
			require.Len(t, s[strings.IndexByte(s, '.')+1:], int(typ.Scale))
		}
		back, err := parseDecimal(typ, s)
		require.NoError(t, err)
		require.Equal(t, x, back)
	})
}

// TestRescale compares with big.Rat: a value of one scale at another one, rounded half
// away from zero.
func TestRescale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := Type{Kind: Decimal, Precision: MaxPrecision, Scale: uint8(rapid.IntRange(0, MaxPrecision).Draw(t, "from"))}
		to := Type{Kind: Decimal, Precision: uint8(rapid.IntRange(1, MaxPrecision).Draw(t, "precision"))}
		to.Scale = uint8(rapid.IntRange(0, int(to.Precision)).Draw(t, "scale"))
		x := genDecimal(t, from)
		scaled := new(big.Rat).SetFrac(bigOf(x), powersOfTen[from.Scale].big())
		scaled.Mul(scaled, new(big.Rat).SetInt(powersOfTen[to.Scale].big()))
		want, ok := new(big.Int).SetString(scaled.FloatString(0), 10) // rounds half away from zero
		require.True(t, ok)

		got, fits := rescale(x, from.Scale, to)
		require.Equal(t, new(big.Int).Abs(want).Cmp(powersOfTen[to.Precision].big()) < 0, fits)
		if fits {
			require.Zero(t, want.Cmp(bigOf(got)), "%v: %v, not %v", scaled, bigOf(got), want)
		}
	})
}

func TestInt128FromInt64(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Int64().Draw(t, "x")
		require.Zero(t, big.NewInt(x).Cmp(bigOf(Int128FromInt64(x))))
	})
}
