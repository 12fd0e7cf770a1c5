package columnar

import (
	"math"
	"math/bits"
	"slices"
	"strings"
)

// Intervals are read in PostgreSQL's own style ("1 year 2 mons -3 days 04:05:06"), in
// the SQL standard's ("1-2", "3 4:05:06") and as ISO 8601 durations ("P1Y2M3DT4H").
// A part of a unit goes to the next smaller ones, with months of 30 days.

type intervalError uint8

const (
	intervalOK intervalError = iota
	intervalSyntax
	intervalField // a field is out of range
	intervalRange // the sum is
)

// unit is a unit of an interval, coarsest last.
type unit uint8

const (
	noUnit unit = iota
	microsecond
	millisecond
	second
	minute
	hour
	day
	week
	month
	year
	decade
	century
	millennium
	ago
)

// unitNames are PostgreSQL's names of the units, cut at ten characters as it does.
var unitNames = map[string]unit{
	"us": microsecond, "usec": microsecond, "usecs": microsecond, "usecond": microsecond, "useconds": microsecond, "microsecon": microsecond,
	"ms": millisecond, "msec": millisecond, "msecs": millisecond, "msecond": millisecond, "mseconds": millisecond, "millisecon": millisecond,
	"s": second, "sec": second, "secs": second, "second": second, "seconds": second,
	"m": minute, "min": minute, "mins": minute, "minute": minute, "minutes": minute,
	"h": hour, "hr": hour, "hrs": hour, "hour": hour, "hours": hour,
	"d": day, "day": day, "days": day,
	"w": week, "week": week, "weeks": week,
	"mon": month, "mons": month, "month": month, "months": month,
	"y": year, "yr": year, "yrs": year, "year": year, "years": year,
	"dec": decade, "decs": decade, "decade": decade, "decades": decade,
	"c": century, "cent": century, "century": century, "centuries": century,
	"mil": millennium, "mils": millennium, "millennia": millennium, "millennium": millennium,
	"ago": ago,
}

// intervalSum adds up the fields of an interval, each kept in 64 bits until the end.
type intervalSum struct {
	years, months, days, micros int64
	overflow                    bool
}

// add adds to a sum of microseconds.
func (s *intervalSum) add(to *int64, n, scale int64) {
	product, ok := mulInt64(n, scale)
	sum := *to + product
	if !ok || (product > 0) != (sum > *to) && product != 0 {
		s.overflow = true
	}
	*to = sum
}

func mulInt64(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(absInt64(a), absInt64(b))
	limit := uint64(math.MaxInt64)
	negative := (a < 0) != (b < 0)
	if negative {
		limit++
	}
	return a * b, hi == 0 && lo <= limit
}

func absInt64(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// add32 adds to a sum that is held in 32 bits.
func (s *intervalSum) add32(to *int64, n, scale int64) {
	s.add(to, n, scale)
	if *to != int64(int32(*to)) {
		s.overflow = true
	}
}

// addMicros adds a part of a unit of scale microseconds.
func (s *intervalSum) addMicros(fraction float64, scale int64) {
	if fraction == 0 {
		return
	}
	f := fraction * float64(scale)
	whole := int64(f)
	switch f -= float64(whole); {
	case f > 0.5:
		whole++
	case f < -0.5:
		whole--
	}
	s.add(&s.micros, whole, 1)
}

// addDays adds a part of a unit of scale days.
func (s *intervalSum) addDays(fraction float64, scale int64) {
	if fraction == 0 {
		return
	}
	f := fraction * float64(scale)
	whole := int64(f)
	s.add32(&s.days, whole, 1)
	s.addMicros(f-float64(whole), microsPerDay)
}

// addUnits adds n and a fraction of a unit.
func (s *intervalSum) addUnits(u unit, n int64, fraction float64) bool {
	switch u {
	case microsecond:
		s.add(&s.micros, n, 1)
		s.addMicros(fraction, 1)
	case millisecond:
		s.add(&s.micros, n, 1000)
		s.addMicros(fraction, 1000)
	case second:
		s.add(&s.micros, n, microsPerSecond)
		s.addMicros(fraction, microsPerSecond)
	case minute:
		s.add(&s.micros, n, microsPerMinute)
		s.addMicros(fraction, microsPerMinute)
	case hour:
		s.add(&s.micros, n, microsPerHour)
		s.addMicros(fraction, microsPerHour)
	case day:
		s.add32(&s.days, n, 1)
		s.addMicros(fraction, microsPerDay)
	case week:
		s.add32(&s.days, n, 7)
		s.addDays(fraction, 7)
	case month:
		s.add32(&s.months, n, 1)
		s.addDays(fraction, 30)
	case year, decade, century, millennium:
		years := map[unit]int64{year: 1, decade: 10, century: 100, millennium: 1000}[u]
		s.add32(&s.years, n, years)
		s.add32(&s.months, int64(math.RoundToEven(fraction*float64(12*years))), 1)
	default:
		return false
	}
	return true
}

func (s *intervalSum) negate() {
	if s.micros == math.MinInt64 {
		s.overflow = true
	}
	s.years, s.months, s.days, s.micros = -s.years, -s.months, -s.days, -s.micros
}

// value is the sum as it is stored.
func (s *intervalSum) value() (IntervalValue, intervalError) {
	months := 12*s.years + s.months
	v := IntervalValue{Months: int32(months), Days: int32(s.days), Micros: s.micros}
	switch {
	case s.overflow:
		return IntervalValue{}, intervalField
	case int64(v.Months) != months || int64(v.Days) != s.days || s.micros == math.MinInt64:
		return IntervalValue{}, intervalRange
	default:
		return v, intervalOK
	}
}

// parseInterval reads an interval.
func parseInterval(t Type, s string) (IntervalValue, error) {
	v, e := parsePostgresInterval(s)
	if e == intervalSyntax {
		v, e = parseISOInterval(s)
	}
	switch e {
	case intervalSyntax:
		return v, &InputError{Code: codeInvalidDatetime, Message: "invalid input syntax for type " + t.inputName() + `: "` + excerpt(s) + `"`}
	case intervalField:
		return v, &InputError{Code: codeIntervalOverflow, Message: `interval field value out of range: "` + excerpt(s) + `"`}
	case intervalRange:
		return v, &InputError{Code: codeDatetimeOverflow, Message: "interval out of range"}
	default:
		return v, nil
	}
}

// intervalToken is a word of an interval: a time of day, a number or a unit.
type intervalToken struct {
	text   string
	isUnit bool
}

// intervalTokens splits the words; a number and its unit may stand together.
func intervalTokens(s string) ([]intervalToken, bool) {
	var tokens []intervalToken
	c := cursor{s}
	for {
		c.rest = strings.TrimLeft(c.rest, " \t\n\v\f\r@,")
		if c.rest == "" {
			return tokens, true
		}
		token := intervalToken{text: c.signedNumber()}
		if token.text == "" {
			token = intervalToken{text: strings.ToLower(c.letters()), isUnit: true}
		}
		if token.text == "" || (token.isUnit && isDigit(c.peek())) {
			return nil, false
		}
		tokens = append(tokens, token)
	}
}

// signedNumber reads a number or a time of day, whose sign may stand apart, without the
// blanks behind the sign. It is empty if there is none.
func (c *cursor) signedNumber() string {
	sign, rest := "", c.rest
	if rest[0] == '+' || rest[0] == '-' {
		sign, rest = rest[:1], strings.TrimLeft(rest[1:], " \t\n\v\f\r")
	}
	n := 0
	for n < len(rest) && (isDigit(rest[n]) || rest[n] == ':' || rest[n] == '.' || (rest[n] == '-' && n > 0)) {
		n++
	}
	if n == 0 {
		return ""
	}
	c.rest = rest[n:]
	return sign + rest[:n]
}

func (c *cursor) letters() string {
	n := 0
	for n < len(c.rest) && c.rest[n]|0x20 >= 'a' && c.rest[n]|0x20 <= 'z' {
		n++
	}
	w := c.rest[:n]
	c.rest = c.rest[n:]
	return w
}

// seenUnits is a set of the units that an interval has named, to refuse a second mention.
type seenUnits uint32

func (s *seenUnits) note(u unit, withParts bool) bool {
	bit := seenUnits(1) << u
	if u == second && withParts {
		bit |= 1<<microsecond | 1<<millisecond
	}
	again := *s&bit != 0
	*s |= bit
	return !again
}

// parsePostgresInterval reads the words from the last to the first, so that each
// number meets its unit before itself. A number without a unit counts seconds, or
// days before a time of day.
func parsePostgresInterval(s string) (IntervalValue, intervalError) {
	tokens, ok := intervalTokens(s)
	if !ok || len(tokens) == 0 {
		return IntervalValue{}, intervalSyntax
	}
	var sum intervalSum
	var seen seenUnits
	next, before := noUnit, false
	for _, t := range slices.Backward(tokens) {
		if t.isUnit {
			next = unitNames[t.text[:min(len(t.text), 10)]]
			if next == noUnit {
				return IntervalValue{}, intervalSyntax
			}
			before = before || next == ago
			continue
		}
		var e intervalError
		if strings.Contains(t.text, ":") {
			e = sum.addClock(t.text, &seen)
			next = day
		} else {
			e = sum.addNumber(t.text, &next, &seen)
		}
		if e != intervalOK {
			return IntervalValue{}, e
		}
		if sum.overflow {
			return IntervalValue{}, intervalField
		}
	}
	if seen == 0 {
		return IntervalValue{}, intervalSyntax
	}
	if before {
		sum.negate()
	}
	return sum.value()
}

// addClock adds [-]HH:MM[:SS[.fraction]], or MM:SS with a fraction. There is no upper
// limit to the hours but that of the sum.
func (s *intervalSum) addClock(w string, seen *seenUnits) intervalError {
	sign := int64(1)
	if w[0] == '-' || w[0] == '+' {
		if w[0] == '-' {
			sign = -1
		}
		w = w[1:]
	}
	c := cursor{w}
	h, ok1 := c.number(18)
	ok2 := c.take(':')
	m, ok3 := c.number(9)
	if !ok1 || !ok2 || !ok3 {
		return intervalSyntax
	}
	sec := int64(0)
	if c.take(':') {
		if sec, ok1 = c.number(9); !ok1 {
			return intervalSyntax
		}
	} else if c.peek() == '.' {
		h, m, sec = 0, h, m
	}
	micros := int64(0)
	if c.take('.') {
		micros = fractionMicros(c.digits())
	}
	if c.rest != "" {
		return intervalSyntax
	}
	if m > 59 || sec > 60 {
		return intervalField
	}
	for _, u := range []unit{hour, minute, second} {
		if !seen.note(u, true) {
			return intervalSyntax
		}
	}
	s.add(&s.micros, sign*h, microsPerHour)
	s.add(&s.micros, sign*(m*microsPerMinute+sec*microsPerSecond+micros), 1)
	return intervalOK
}

// addNumber adds a number of the unit that came after it, or years and months as "1-2".
func (s *intervalSum) addNumber(w string, next *unit, seen *seenUnits) intervalError {
	if *next == noUnit {
		*next = second
	}
	negative := w[0] == '-'
	c := cursor{strings.TrimLeft(w, "+-")}
	digits := c.digits()
	n, ok := parseDigits(digits)
	if !ok {
		return intervalField
	}
	fraction := 0.0
	switch {
	case c.take('-'):
		months, ok := c.number(9)
		if !ok || c.rest != "" || digits == "" {
			return intervalSyntax
		}
		if months > 11 {
			return intervalField
		}
		*next = month
		total, ok := mulInt64(n, 12)
		if !ok || total > math.MaxInt64-months {
			return intervalField
		}
		n = total + months
	case c.take('.'):
		part := c.digits()
		if c.rest != "" || (digits == "" && part == "") {
			return intervalSyntax
		}
		fraction = fractionOf(part)
	case c.rest != "":
		return intervalSyntax
	}
	if negative {
		n, fraction = -n, -fraction
	}
	if !seen.note(*next, fraction != 0) || !s.addUnits(*next, n, fraction) {
		return intervalSyntax
	}
	return intervalOK
}
