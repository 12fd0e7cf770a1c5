package columnar

import (
	"math"
	"strconv"
	"strings"
)

// Dates and times are read in their ISO 8601 forms, with the liberties that
// PostgreSQL takes with them: one or two digits for all but the year, a blank for
// the T, an offset in several spellings, an era. Forms that depend on DateStyle, on
// the clock ("now") or on names of time zones aren't read.

type dateError uint8

const (
	dateOK dateError = iota
	dateSyntax
	dateField // a field is out of range
	dateZone  // the offset is out of range
)

func (e dateError) of(t Type, s string) error {
	switch e {
	case dateField:
		return &InputError{Code: codeDatetimeOverflow, Message: `date/time field value out of range: "` + excerpt(s) + `"`}
	case dateZone:
		return &InputError{Code: codeZoneDisplacement, Message: `time zone displacement out of range: "` + excerpt(s) + `"`}
	default:
		return &InputError{Code: codeInvalidDatetime, Message: "invalid input syntax for type " + t.inputName() + `: "` + excerpt(s) + `"`}
	}
}

func errTimeRange(what, s string) error {
	return &InputError{Code: codeDatetimeOverflow, Message: what + ` out of range: "` + excerpt(s) + `"`}
}

// cursor reads a text from left to right.
type cursor struct{ rest string }

func (c *cursor) peek() byte {
	if c.rest == "" {
		return 0
	}
	return c.rest[0]
}

// take reads the byte b if it comes next.
func (c *cursor) take(b byte) bool {
	if c.rest == "" || c.rest[0] != b {
		return false
	}
	c.rest = c.rest[1:]
	return true
}

// digits reads the digits that come next.
func (c *cursor) digits() string {
	n := 0
	for n < len(c.rest) && isDigit(c.rest[n]) {
		n++
	}
	d := c.rest[:n]
	c.rest = c.rest[n:]
	return d
}

// number reads an integer of at most maxDigits digits.
func (c *cursor) number(maxDigits int) (int64, bool) {
	d := c.digits()
	if d == "" || len(d) > maxDigits {
		return 0, false
	}
	n := int64(0)
	for i := range len(d) {
		n = n*10 + int64(d[i]-'0')
	}
	return n, true
}

func (c *cursor) blanks() bool {
	n := len(c.rest)
	c.rest = strings.TrimLeft(c.rest, " \t\n\v\f\r")
	return len(c.rest) < n
}

// word reads w, in any case, if it comes next and ends there.
func (c *cursor) word(w string) bool {
	if len(c.rest) < len(w) || !strings.EqualFold(c.rest[:len(w)], w) {
		return false
	}
	if len(c.rest) > len(w) && !isSpace(c.rest[len(w)]) {
		return false
	}
	c.rest = c.rest[len(w):]
	return true
}

// parseDateTime reads a date, optionally with a time, a zone and an era.
func parseDateTime(s string) (dateTime, dateError) {
	var d dateTime
	c := cursor{s}
	yearDigits := c.digits()
	if len(yearDigits) < 4 || !c.take('-') {
		return d, dateSyntax
	}
	month, ok1 := c.number(2)
	ok2 := c.take('-')
	day, ok3 := c.number(2)
	if !ok1 || !ok2 || !ok3 {
		return d, dateSyntax
	}
	blank := c.blanks()
	if d.hasTime = (c.peek()|0x20 == 't' || blank) && c.rest != "" && (!blank || isDigit(c.peek())); d.hasTime {
		if !blank {
			c.rest = c.rest[1:]
		}
		if e := d.readTime(&c); e != dateOK {
			return d, e
		}
	}
	before, e := c.era()
	if e != dateOK {
		return d, e
	}
	return d, d.setDate(yearDigits, month, day, before)
}

// readTime reads a time of day and an optional zone.
func (d *dateTime) readTime(c *cursor) dateError {
	micros, e := c.clock()
	if e != dateOK {
		return e
	}
	d.micros = micros
	return d.readZone(c)
}

// era reads an optional AD or BC at the end.
func (c *cursor) era() (bool, dateError) {
	c.blanks()
	before := c.word("BC")
	if !before {
		c.word("AD")
	}
	c.blanks()
	if c.rest != "" {
		return false, dateSyntax
	}
	return before, dateOK
}

func (d *dateTime) setDate(yearDigits string, month, day int64, before bool) dateError {
	year, err := strconv.ParseInt(yearDigits, 10, 32)
	if err != nil || year < 1 {
		return dateField
	}
	if before {
		year = 1 - year
	}
	if month < 1 || month > 12 || day < 1 || day > int64(daysInMonth(year, int(month))) {
		return dateField
	}
	d.date = civilDate{year: year, month: int(month), day: int(day)}
	return dateOK
}

// clock reads HH:MM, HH:MM:SS with an optional fraction, or MM:SS with a fraction,
// as microseconds since midnight.
func (c *cursor) clock() (int64, dateError) {
	h, ok1 := c.number(2)
	ok2 := c.take(':')
	m, ok3 := c.number(2)
	if !ok1 || !ok2 || !ok3 {
		return 0, dateSyntax
	}
	sec := int64(0)
	if c.take(':') {
		var ok bool
		if sec, ok = c.number(2); !ok {
			return 0, dateSyntax
		}
	} else if c.peek() == '.' {
		h, m, sec = 0, h, m
	}
	micros := int64(0)
	if c.take('.') {
		micros = fractionMicros(c.digits())
	}
	total := h*microsPerHour + m*microsPerMinute + sec*microsPerSecond + micros
	if m > 59 || sec > 60 || total > microsPerDay {
		return 0, dateField
	}
	return total, dateOK
}

// fractionMicros rounds the digits after a point to microseconds, ties to even as
// PostgreSQL's rint does.
func fractionMicros(digits string) int64 {
	if len(digits) <= 6 {
		n := int64(0)
		for i := range 6 {
			n *= 10
			if i < len(digits) {
				n += int64(digits[i] - '0')
			}
		}
		return n
	}
	f, err := strconv.ParseFloat("0."+digits, 64)
	if err != nil {
		return 0
	}
	return int64(math.RoundToEven(f * microsPerSecond))
}

// readZone reads an optional zone: Z, UTC, GMT or an offset as +HH, +HHMM, +HH:MM or
// +HH:MM:SS.
func (d *dateTime) readZone(c *cursor) dateError {
	c.blanks()
	if c.word("Z") || c.word("UTC") || c.word("GMT") {
		d.hasZone = true
		return dateOK
	}
	sign := int64(1)
	switch {
	case c.take('-'):
		sign = -1
	case c.take('+'):
	default:
		return dateOK
	}
	digits := c.digits()
	if digits == "" || len(digits) > 4 {
		return dateSyntax
	}
	h, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return dateSyntax
	}
	var m, sec int64
	ok := true
	switch {
	case c.take(':'):
		if m, ok = c.number(2); ok && c.take(':') {
			sec, ok = c.number(2)
		}
	case len(digits) > 2:
		h, m = h/100, h%100
	}
	switch {
	case !ok:
		return dateSyntax
	case h > 15 || m > 59 || sec > 59:
		return dateZone
	}
	d.hasZone = true
	d.east = sign * (h*3600 + m*60 + sec)
	return dateOK
}

// specialDate is a date that is written as a word.
type specialDate uint8

const (
	noDate specialDate = iota
	infinity
	negInfinity
	epoch
)

func specialDateOf(s string) specialDate {
	switch strings.ToLower(s) {
	case "infinity":
		return infinity
	case "-infinity":
		return negInfinity
	case "epoch":
		return epoch
	default:
		return noDate
	}
}

// parseDate reads a date. A time of day after it is read and dropped, as PostgreSQL does.
func parseDate(t Type, s string) (int32, error) {
	if days, ok := isoDate(s); ok && len(s) == dateLen {
		return int32(days), nil
	}
	w := trimSpace(s)
	d, e := parseDateTime(w)
	if e == dateSyntax {
		switch specialDateOf(w) {
		case infinity:
			return DateInfinity, nil
		case negInfinity:
			return DateNegInfinity, nil
		case epoch:
			return 0, nil
		case noDate:
		}
	}
	if e != dateOK {
		return 0, e.of(t, s)
	}
	days := d.date.days()
	if days < minDate || days > maxDate {
		return 0, errTimeRange("date", s)
	}
	return int32(days), nil
}

// parseTime reads a time of day. A zone after it is read and dropped, as PostgreSQL does.
func parseTime(t Type, s string) (int64, error) {
	if micros, rest, ok := isoClock(s); ok && rest == "" {
		return micros, nil
	}
	c := cursor{trimSpace(s)}
	var d dateTime
	e := d.readTime(&c)
	if e == dateOK && c.rest != "" {
		e = dateSyntax
	}
	if e != dateOK {
		return 0, e.of(t, s)
	}
	return d.micros, nil
}

// parseTimestamp reads a timestamp. For Timestamp a zone is read and dropped, as
// PostgreSQL does; for TimestampTZ a missing zone is UTC, since what a row says
// can't depend on who reads it.
func parseTimestamp(t Type, s string) (int64, error) {
	if x, ok := isoTimestamp(s, t.Kind == TimestampTZ); ok {
		return x, nil
	}
	w := trimSpace(s)
	d, e := parseDateTime(w)
	if e == dateSyntax {
		switch specialDateOf(w) {
		case infinity:
			return TimestampInfinity, nil
		case negInfinity:
			return TimestampNegInfinity, nil
		case epoch:
			return 0, nil
		case noDate:
		}
	}
	if e != dateOK {
		return 0, e.of(t, s)
	}
	x, ok := d.timestamp(t.Kind == TimestampTZ)
	if !ok {
		return 0, errTimeRange("timestamp", s)
	}
	return x, nil
}

// ParseZoned appends a timestamptz whose text says its zone, as ParseText does. It tells whether that is what s is; if
// not, nothing is appended.
func ParseZoned(s string, into *VectorBuilder) bool {
	x, ok := isoTimestamp(s, true)
	if !ok {
		d, e := parseDateTime(trimSpace(s))
		if e != dateOK || !d.hasZone {
			return false
		}
		if x, ok = d.timestamp(true); !ok {
			return false
		}
	}
	if into != nil {
		into.AppendInt64(x)
	}
	return true
}
