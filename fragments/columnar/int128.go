package columnar

import (
	"math/bits"
	"strconv"
)

// uint128 is the magnitude of an Int128 while it is calculated with.
type uint128 struct{ hi, lo uint64 }

// powersOfTen holds 10^0 to 10^38, all that fit an Int128.
var powersOfTen = func() [MaxPrecision + 1]uint128 {
	var p [MaxPrecision + 1]uint128
	p[0] = uint128{lo: 1}
	for i := 1; i < len(p); i++ {
		p[i], _ = p[i-1].mulAdd(10, 0)
	}
	return p
}()

// mulAdd is u*m + a, and whether it fits 128 bits.
func (u uint128) mulAdd(m, a uint64) (uint128, bool) {
	over, hi := bits.Mul64(u.hi, m)
	carry, lo := bits.Mul64(u.lo, m)
	lo, c := bits.Add64(lo, a, 0)
	hi, c = bits.Add64(hi, carry, c)
	return uint128{hi: hi, lo: lo}, over == 0 && c == 0
}

// mul is u*v, and whether it fits 128 bits.
func (u uint128) mul(v uint128) (uint128, bool) {
	if u.hi != 0 && v.hi != 0 {
		return uint128{}, false
	}
	over1, cross1 := bits.Mul64(u.hi, v.lo)
	over2, cross2 := bits.Mul64(u.lo, v.hi)
	hi, lo := bits.Mul64(u.lo, v.lo)
	hi, c1 := bits.Add64(hi, cross1, 0)
	hi, c2 := bits.Add64(hi, cross2, 0)
	return uint128{hi: hi, lo: lo}, over1|over2|c1|c2 == 0
}

// divMod64 is u/d and u%d.
func (u uint128) divMod64(d uint64) (uint128, uint64) {
	hi, r := u.hi/d, u.hi%d
	lo, r := bits.Div64(r, u.lo, d)
	return uint128{hi: hi, lo: lo}, r
}

// divMod is u/d and u%d for a d of at most 10^38.
func (u uint128) divMod(d uint128) (uint128, uint128) {
	if d.hi == 0 {
		q, r := u.divMod64(d.lo)
		return q, uint128{lo: r}
	}
	// The quotient fits 64 bits: shift and subtract from the highest bit that d can reach.
	var q uint64
	shift := bits.LeadingZeros64(d.hi) - bits.LeadingZeros64(u.hi)
	if shift < 0 {
		return uint128{}, u
	}
	part := d.shiftLeft(uint(shift))
	for ; shift >= 0; shift-- {
		q <<= 1
		if u.cmp(part) >= 0 {
			u = u.sub(part)
			q |= 1
		}
		part = part.shiftRight1()
	}
	return uint128{lo: q}, u
}

func (u uint128) shiftLeft(n uint) uint128 {
	if n == 0 {
		return u
	}
	return uint128{hi: u.hi<<n | u.lo>>(64-n), lo: u.lo << n}
}

func (u uint128) shiftRight1() uint128 { return uint128{hi: u.hi >> 1, lo: u.lo>>1 | u.hi<<63} }

func (u uint128) sub(v uint128) uint128 {
	lo, borrow := bits.Sub64(u.lo, v.lo, 0)
	hi, _ := bits.Sub64(u.hi, v.hi, borrow)
	return uint128{hi: hi, lo: lo}
}

func (u uint128) cmp(v uint128) int {
	switch {
	case u == v:
		return 0
	case u.hi < v.hi || (u.hi == v.hi && u.lo < v.lo):
		return -1
	default:
		return 1
	}
}

// signed is u, or -u; u must be below 2^127.
func (u uint128) signed(negative bool) Int128 {
	if negative {
		u = uint128{}.sub(u)
	}
	return Int128{Lo: u.lo, Hi: int64(u.hi)}
}

// magnitude is |x| and whether x is negative.
func (x Int128) magnitude() (uint128, bool) {
	u := uint128{hi: uint64(x.Hi), lo: x.Lo}
	if x.Hi < 0 {
		return uint128{}.sub(u), true
	}
	return u, false
}

// Int128FromInt64 widens x.
func Int128FromInt64(x int64) Int128 { return Int128{Lo: uint64(x), Hi: x >> 63} }

// appendDigits appends u in decimal, with leading zeros up to width digits.
func (u uint128) appendDigits(dst []byte, width int) []byte {
	if u.hi == 0 && width <= 1 {
		return strconv.AppendUint(dst, u.lo, 10)
	}
	var buf [40]byte
	i := len(buf)
	for u.hi != 0 {
		var r uint64
		u, r = u.divMod64(1e19)
		for range 19 {
			i--
			buf[i] = byte('0' + r%10)
			r /= 10
		}
	}
	for r := u.lo; r > 0; r /= 10 {
		i--
		buf[i] = byte('0' + r%10)
	}
	for len(buf)-i < width {
		i--
		buf[i] = '0'
	}
	return append(dst, buf[i:]...)
}

// appendDecimal appends x / 10^scale with exactly scale fraction digits, as
// PostgreSQL prints a numeric of that scale.
func appendDecimal(dst []byte, x Int128, scale uint8) []byte {
	u, negative := x.magnitude()
	if negative {
		dst = append(dst, '-')
	}
	if scale == 0 {
		return u.appendDigits(dst, 1)
	}
	dst = u.appendDigits(dst, int(scale)+1)
	point := len(dst) - int(scale)
	dst = append(dst, 0)
	copy(dst[point+1:], dst[point:])
	dst[point] = '.'
	return dst
}

// rescale turns an unscaled value of one scale into that of another, rounding
// half away from zero as PostgreSQL does, and tells whether it then has at most
// precision digits.
func rescale(x Int128, from uint8, to Type) (Int128, bool) {
	u, negative := x.magnitude()
	ok := true
	switch {
	case from < to.Scale:
		u, ok = u.mul(powersOfTen[to.Scale-from])
	case from > to.Scale:
		d := powersOfTen[from-to.Scale]
		q, r := u.divMod(d)
		if r.cmp(d.sub(r)) >= 0 {
			q, _ = q.mulAdd(1, 1)
		}
		u = q
	}
	if !ok || u.cmp(powersOfTen[to.Precision]) >= 0 {
		return Int128{}, false
	}
	return u.signed(negative), true
}
