package columnar

import (
	"bytes"
	"math"
	"strconv"
)

// read reads a value that isn't null into its column. It returns the position after
// the value, or -1 with the reason set.
//
// Every form that is read but not "clean" sets dirty: docs/format/rows.md lists both.
func (d *lineDecoder) read(f *field, p int) int {
	if p >= len(d.s) {
		d.failAt(p, "a value")
		d.invalid()
		return -1
	}
	switch c := d.s[p]; f.typ.Kind {
	case Int16, Int32, Int64:
		if c == '-' || isDigit(c) {
			return d.integer(f, p)
		}
	case Float32, Float64:
		if c == '-' || isDigit(c) {
			return d.float(f, p)
		}
	case Decimal:
		if c == '-' || isDigit(c) {
			return d.decimal(f, p)
		}
	case Bool:
		if c == 't' || c == 'f' {
			return d.boolean(f, p)
		}
	case JSON, JSONB:
		return d.json(f, p)
	case Array:
		if c == '[' {
			return d.array(f, p+1)
		}
	default:
	}
	if d.s[p] == '"' {
		return d.quoted(f, p+1)
	}
	return d.mismatch(f, p)
}

// mismatch rejects a value whose JSON type the column doesn't take.
func (d *lineDecoder) mismatch(f *field, p int) int {
	if d.value(p) < 0 {
		d.invalid()
		return -1
	}
	d.reject(f, "is of type "+f.typ.SQL()+", not "+jsonType(d.s[p]))
	return -1
}

func (d *lineDecoder) boolean(f *field, p int) int {
	yes := d.s[p] == 't'
	word := "false"
	if yes {
		word = "true"
	}
	if p = d.literal(p, word); p < 0 {
		d.invalid()
		return -1
	}
	if f.out != nil {
		f.out.AppendBool(yes)
	}
	return p
}

// integer reads a number into a column of integers.
func (d *lineDecoder) integer(f *field, p int) int {
	s := d.s
	start := p
	negative := s[p] == '-'
	if negative {
		p++
	}
	first := p
	var u uint64
	for p < len(s) && s[p]-'0' < 10 {
		u = u*10 + uint64(s[p]-'0')
		p++
	}
	n := p - first
	if n == 0 || n > 18 || (n > 1 && s[first] == '0') || (p < len(s) && (s[p] == '.' || s[p]|0x20 == 'e')) {
		return d.longInteger(f, start)
	}
	x, ok := intOfKind(f.typ.Kind, u, negative)
	if !ok {
		d.rejectValue(f, errRange(f.typ, text(s[start:p])))
		return -1
	}
	if f.out != nil {
		appendInt(f.typ.Kind, x, f.out)
	}
	return p
}

// longInteger reads what integer doesn't.
func (d *lineDecoder) longInteger(f *field, p int) int {
	end := d.number(p)
	if end < 0 {
		d.invalid()
		return -1
	}
	token := text(d.s[p:end])
	x, err := parseInt(f.typ, token)
	switch {
	case err == nil:
		if f.out != nil {
			appendInt(f.typ.Kind, x, f.out)
		}
		return end
	case hasPointOrExponent(token):
		d.reason = `column "` + f.name + `": ` + excerpt(token) + " is not an integer"
	default:
		d.rejectValue(f, err)
	}
	return -1
}

func hasPointOrExponent(number string) bool {
	for i := range len(number) {
		if c := number[i]; c == '.' || c|0x20 == 'e' {
			return true
		}
	}
	return false
}

// numeral is a number of at most 19 digits without an exponent: ±digits / 10^fraction.
type numeral struct {
	negative bool
	digits   uint64
	fraction int
}

// numeral goes over a number. It returns the position after it and whether it is one
// that a numeral holds; for others it returns p itself.
func (d *lineDecoder) numeral(p int) (numeral, int, bool) {
	s := d.s
	start := p
	var n numeral
	if n.negative = s[p] == '-'; n.negative {
		p++
	}
	first := p
	for p < len(s) && s[p]-'0' < 10 {
		n.digits = n.digits*10 + uint64(s[p]-'0')
		p++
	}
	whole := p - first
	if whole == 0 || (whole > 1 && s[first] == '0') {
		return n, start, false
	}
	if p < len(s) && s[p] == '.' {
		p++
		from := p
		for p < len(s) && s[p]-'0' < 10 {
			n.digits = n.digits*10 + uint64(s[p]-'0')
			p++
		}
		n.fraction = p - from
		if n.fraction == 0 {
			return n, start, false
		}
	}
	if whole+n.fraction > 19 || (p < len(s) && s[p]|0x20 == 'e') {
		return n, start, false
	}
	return n, p, true
}

// The integers that a double holds exactly, and the powers of ten that it does.
const maxExactInt = 1 << 53

var exactPowers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// float reads a number into a column of floats. A quotient of two exact doubles is
// rounded once and so is right; all other numbers go to strconv.
func (d *lineDecoder) float(f *field, p int) int {
	if f.typ.Kind == Float64 {
		n, end, ok := d.numeral(p)
		if ok && n.digits <= maxExactInt && (n.digits != 0 || !n.negative) {
			x := float64(n.digits) / exactPowers[n.fraction]
			if n.negative {
				x = -x
			}
			if f.out != nil {
				f.out.AppendFloat64(x)
			}
			return end
		}
	}
	end := d.number(p)
	if end < 0 {
		d.invalid()
		return -1
	}
	token := text(d.s[p:end])
	x, ok := finite(f.typ.Kind, token)
	if !ok {
		d.rejectValue(f, errRange(f.typ, token))
		return -1
	}
	switch {
	case x == 0 && math.Signbit(x):
		d.dirty = d.dirty || token != "-0.0"
	case d.proving && f.typ.Kind == Float32:
		// DuckDB rounds to a double first.
		double, err := strconv.ParseFloat(token, 64)
		d.dirty = d.dirty || err != nil || float32(double) != float32(x)
	}
	appendFloatTo(f.typ.Kind, x, f.out)
	return end
}

// exactDecimal is the first unscaled value that doubles, by which DuckDB reads numbers
// with a fraction, may get wrong; exactDecimalScale the largest scale for which they don't.
const (
	exactDecimal      = 1e15
	exactDecimalScale = 22
)

// decimal reads a number into a column of numerics.
func (d *lineDecoder) decimal(f *field, p int) int {
	scale := int(f.typ.Scale)
	n, end, ok := d.numeral(p)
	if ok && n.fraction <= scale {
		u, fits := uint128{lo: n.digits}.mul(powersOfTen[scale-n.fraction])
		if !fits || u.cmp(powersOfTen[f.typ.Precision]) >= 0 {
			d.rejectValue(f, errDecimalOverflow(f.typ))
			return -1
		}
		if n.fraction > 0 && (u.hi != 0 || u.lo >= exactDecimal || scale > exactDecimalScale) {
			d.dirty = true
		}
		if f.out != nil {
			f.out.AppendInt128(u.signed(n.negative))
		}
		return end
	}
	if end = d.number(p); end < 0 {
		d.invalid()
		return -1
	}
	token := text(d.s[p:end])
	x, err := parseDecimal(f.typ, token)
	if err != nil {
		d.rejectValue(f, err)
		return -1
	}
	d.dirty = d.dirty || hasPointOrExponent(token)
	if f.out != nil {
		f.out.AppendInt128(x)
	}
	return end
}

// json reads any value into a column of JSON.
func (d *lineDecoder) json(f *field, p int) int {
	d.shape = 0
	end := d.value(p)
	if end < 0 {
		d.invalid()
		return -1
	}
	raw := d.s[p:end]
	if f.typ.Kind == JSON {
		if d.proving && d.shape&(hasEscape|hasReal) != 0 {
			d.dirty = d.dirty || !survivesDuckDB(raw)
		}
		if err := appendJSON(f.typ, raw, d.shape, f.out); err != nil {
			d.rejectValue(f, err)
			return -1
		}
		return end
	}
	return d.jsonb(f, raw, end)
}

// jsonb reads a value into a column of JSONB, which is clean if it is what it would be
// normalised to.
func (d *lineDecoder) jsonb(f *field, raw []byte, end int) int {
	before := 0
	if f.out != nil {
		before = len(f.out.v.Str.Bytes)
	}
	if err := d.normal.appendValue(raw, d.shape, f.out); err != nil {
		d.rejectValue(f, err)
		return -1
	}
	if f.out != nil {
		d.grown += max(0, len(f.out.v.Str.Bytes)-before-len(raw))
	}
	if d.proving && (d.shape != 0 || raw[0] == '{' || raw[0] == '[') {
		normal := d.normal.spare
		if f.out != nil {
			normal = f.out.v.Str.Bytes[before:]
		}
		d.scratch = appendCompact(d.scratch[:0], raw)
		d.dirty = d.dirty || !bytes.Equal(normal, d.scratch) || !survivesDuckDB(normal)
	}
	return end
}
