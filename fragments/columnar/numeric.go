package columnar

import (
	"fmt"
	"math"
	"strings"
)

// numberParts is a decimal number taken apart: sign, the digits on both sides of the
// point, exponent.
type numberParts struct {
	negative bool
	whole    string
	fraction string
	exponent int // clamped to ±maxExponent
}

// maxExponent is where exponents of decimal numbers are clamped: no column holds
// such a number, and sums of a few of them don't overflow.
const maxExponent = math.MaxInt32 / 2

// splitNumber takes apart a number of which isNumber holds.
func splitNumber(s string) numberParts {
	var n numberParts
	switch s[0] {
	case '-':
		n.negative = true
		s = s[1:]
	case '+':
		s = s[1:]
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n.exponent = clampedExponent(s[i+1:])
		s = s[:i]
	}
	n.whole, n.fraction, _ = strings.Cut(s, ".")
	return n
}

func clampedExponent(s string) int {
	digits, negative := strings.CutPrefix(s, "-")
	digits = strings.TrimPrefix(digits, "+")
	e := 0
	for i := 0; i < len(digits) && e < maxExponent; i++ {
		e = min(e*10+int(digits[i]-'0'), maxExponent)
	}
	if negative {
		return -e
	}
	return e
}

// digit is digit i of both sides of the point taken as one.
func (n *numberParts) digit(i int) byte {
	if i < len(n.whole) {
		return n.whole[i]
	}
	return n.fraction[i-len(n.whole)]
}

// unscaled is the number as an integer times 10^-scale, rounded half away from zero,
// and whether it has at most precision digits.
func (n *numberParts) unscaled(t Type) (Int128, bool) {
	total := len(n.whole) + len(n.fraction)
	first := 0
	for first < total && n.digit(first) == '0' {
		first++
	}
	if first == total {
		return Int128{}, true
	}
	// keep is how many digits, counted from the first one that isn't zero, stand before
	// the last place of the scale.
	keep := len(n.whole) - first + n.exponent + int(t.Scale)
	if keep < 0 {
		return Int128{}, true
	}
	if keep > int(t.Precision) {
		return Int128{}, false
	}
	var u uint128
	for i := first; i < first+keep; i++ {
		d := byte('0')
		if i < total {
			d = n.digit(i)
		}
		u, _ = u.mulAdd(10, uint64(d-'0'))
	}
	if first+keep < total && n.digit(first+keep) >= '5' {
		u, _ = u.mulAdd(1, 1)
	}
	if u.cmp(powersOfTen[t.Precision]) >= 0 {
		return Int128{}, false
	}
	return u.signed(n.negative), true
}

// parseDecimal reads a number into numeric(p,s): digits beyond the scale are rounded
// half away from zero, digits beyond the precision are refused.
func parseDecimal(t Type, s string) (Int128, error) {
	w := trimSpace(s)
	if !isNumber(w) {
		if _, named := floatByName(w); named && !isSignedNaN(w) {
			return Int128{}, errDecimalSpecial(t, w)
		}
		return Int128{}, errSyntax(t, s)
	}
	n := splitNumber(w)
	if n.exponent >= maxExponent || n.exponent <= -maxExponent {
		return Int128{}, &InputError{Code: codeOutOfRange, Message: "value overflows numeric format"}
	}
	x, ok := n.unscaled(t)
	if !ok {
		return Int128{}, errDecimalOverflow(t)
	}
	return x, nil
}

// isSignedNaN tells apart what PostgreSQL reads as a float but not as a numeric.
func isSignedNaN(s string) bool { return len(s) == 4 && strings.EqualFold(s[1:], "nan") }

func errDecimalOverflow(t Type) error {
	detail := fmt.Sprintf("A field with precision %d, scale %d must round to an absolute value less than ", t.Precision, t.Scale)
	if t.Precision == t.Scale {
		detail += "1."
	} else {
		detail += fmt.Sprintf("10^%d.", t.Precision-t.Scale)
	}
	return &InputError{Code: codeOutOfRange, Message: "numeric field overflow", Detail: detail}
}

// errDecimalSpecial refuses infinity as PostgreSQL does for a numeric with a
// precision, and NaN, which PostgreSQL holds and 128 bits don't.
func errDecimalSpecial(t Type, s string) error {
	what := "an infinite value"
	if strings.EqualFold(s, "nan") {
		what = "NaN"
	}
	return &InputError{
		Code: codeOutOfRange, Message: "numeric field overflow",
		Detail: fmt.Sprintf("A field with precision %d, scale %d cannot hold %s.", t.Precision, t.Scale, what),
	}
}
