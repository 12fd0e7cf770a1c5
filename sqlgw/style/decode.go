package style

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// seen are the fields that a text has.
type seen uint16

const (
	hasYear seen = 1 << iota
	hasMonth
	hasDay
	hasDayOfYear
	hasTime
	hasZone
	hasHalf
	hasEra
	hasWord // now, today, infinity and their kin
	hasWeekday

	hasDate = hasYear | hasMonth | hasDay
)

// problem of a text.
type problem uint8

const (
	fine problem = iota
	badFormat
	outOfRange
	outOfOrder // which another DateStyle may take
	badOffset
	badZone
)

// decoded are the fields of a text.
type decoded struct {
	style *Style
	now   time.Time // in the style's zone

	has              seen
	year, month, day int
	dayOfYear        int
	textMonth        bool
	twoDigits        bool
	before           bool // Christ
	pm               int  // 12 is afternoon, 0 before noon
	micros           int64
	east             int
	zone             *Zone
	word             word
	unknown          string // a zone that isn't one
}

// decode reads a text as PostgreSQL's DecodeDateTime does. Without timeOnly it has to have a whole date.
func (s *Style) decode(text string, at time.Time, timeOnly bool) (*decoded, problem) {
	d := &decoded{style: s, now: at.In(s.Zone.at)}
	list, ok := pieces(text)
	if !ok {
		return d, badFormat
	}
	for i, p := range list {
		last := i == len(list)-1
		var found seen
		var wrong problem
		switch p.kind {
		case datePiece:
			found, wrong = d.date(p.text, timeOnly)
		case timePiece:
			found, wrong = d.time(p.text)
		case offsetPiece:
			found, wrong = d.offset(p.text)
		case numberPiece:
			found, wrong = d.number(p.text, timeOnly)
		default:
			found, wrong = d.say(p.text, last)
		}
		if wrong != fine {
			return d, wrong
		}
		if found&d.has != 0 {
			return d, badFormat
		}
		d.has |= found
	}
	return d, d.check(timeOnly)
}

// check what was read as a whole.
func (d *decoded) check(timeOnly bool) problem {
	if d.has&hasHalf != 0 {
		hour := d.micros / 3_600_000_000
		switch {
		case hour > 12 || d.has&hasTime == 0:
			return outOfRange
		case d.pm == 12 && hour < 12:
			d.micros += 12 * 3_600_000_000
		case d.pm == 0 && hour == 12:
			d.micros -= 12 * 3_600_000_000
		}
	}
	switch {
	case d.has&hasWord != 0:
		if d.word.meaning != today && d.has&^hasWord != 0 || d.has&hasDate != 0 {
			return badFormat
		}
		return fine
	case timeOnly && d.has&hasTime == 0:
		return badFormat
	case timeOnly && d.has&hasDate == 0:
		return fine
	}
	if d.has&hasDayOfYear != 0 {
		d.has |= hasMonth | hasDay
	}
	if d.has&hasDate != hasDate {
		return badFormat
	}
	return d.validate()
}

func (d *decoded) validate() problem {
	switch {
	case d.before && d.year <= 0:
		return outOfRange
	case d.before:
		d.year = 1 - d.year
	case d.twoDigits && d.year < 70:
		d.year += 2000
	case d.twoDigits && d.year < 100:
		d.year += 1900
	case d.year <= 0:
		return outOfRange
	}
	if d.has&hasDayOfYear != 0 {
		t := time.Date(d.year, 1, d.dayOfYear, 0, 0, 0, 0, time.UTC)
		d.year, d.month, d.day = t.Year(), int(t.Month()), t.Day()
	}
	if d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 {
		return outOfOrder
	}
	if time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC).Day() != d.day {
		return outOfRange
	}
	return fine
}

// say reads a word.
func (d *decoded) say(text string, last bool) (seen, problem) {
	w, known := wordOf(text)
	if a, isZone := abbreviations()[text]; isZone && !known {
		if d.has&hasZone != 0 {
			return 0, badFormat
		}
		if a.zone == "" {
			d.east = a.east
		} else if z, err := named(a.zone); err == nil {
			d.zone = &z
		}
		return hasZone, fine
	}
	switch w.meaning {
	case month:
		return d.monthName(w.value)
	case weekday:
		return hasWeekday, fine
	case half:
		d.pm = w.value
		return hasHalf, fine
	case era:
		d.before = w.value == 1
		return hasEra, fine
	case ignore:
		return 0, fine
	case marker:
		if d.has&hasDate != hasDate || last {
			return 0, badFormat
		}
		return 0, fine
	case zulu:
		return hasZone, fine
	case midnight:
		return hasTime | hasZone, fine
	case now, today, epoch, infinity:
		d.word = w
		return hasWord, fine
	case nothing:
	}
	return d.zoneName(text)
}

// monthName takes a number that stood before it for the day.
func (d *decoded) monthName(n int) (seen, problem) {
	was := d.month
	d.month = n
	if d.has&hasMonth != 0 && !d.textMonth && d.has&hasDay == 0 && was >= 1 && was <= 31 {
		d.day, d.textMonth = was, true
		return hasDay, fine
	}
	d.textMonth = true
	return hasMonth, fine
}

func (d *decoded) zoneName(text string) (seen, problem) {
	if d.has&hasZone != 0 {
		return 0, badFormat
	}
	z, err := LoadZone(text)
	if _, numeric := strconv.ParseFloat(text, 64); err != nil || numeric == nil {
		d.unknown = text
		if strings.ContainsAny(text, "/+_") {
			return 0, badZone
		}
		return 0, badFormat
	}
	d.zone = &z
	return hasZone, fine
}

// date reads a date with separators: after a date, it is a zone, or a time with one.
func (d *decoded) date(text string, timeOnly bool) (seen, problem) {
	if d.has&(hasMonth|hasDay) == hasMonth|hasDay || timeOnly && d.has&hasTime != 0 && !isDigit(text[0]) {
		if !isDigit(text[0]) {
			return d.zoneName(text)
		}
		clock, offset, ok := strings.Cut(text, "-")
		if !ok || d.has&hasTime != 0 {
			return 0, badFormat
		}
		found, wrong := d.digits(clock, true)
		if wrong != fine {
			return found, wrong
		}
		more, wrong := d.offset("-" + offset)
		return found | more, wrong
	}
	var found seen
	var rest []string
	for _, part := range strings.FieldsFunc(text, func(c rune) bool { return c < 0x80 && !isDigit(byte(c)) && !isLetter(byte(c)) }) {
		for part != "" { // letters and digits part each other
			n := run(part, isDigit)
			if n > 0 {
				rest, part = append(rest, part[:n]), part[n:]
				continue
			}
			n = run(part, isLetter)
			w, known := wordOf(part[:n])
			if !known || w.meaning != month || found&hasMonth != 0 || d.textMonth {
				return 0, badFormat
			}
			d.month, d.textMonth = w.value, true
			found, part = found|hasMonth, part[n:]
		}
	}
	for _, part := range rest {
		was := d.has
		d.has |= found
		one, wrong := d.field(part)
		d.has = was
		if wrong != fine {
			return 0, wrong
		}
		if one&found != 0 {
			return 0, badFormat
		}
		found |= one
	}
	if found&^(hasDate|hasDayOfYear) != 0 {
		return 0, badFormat
	}
	return found, fine
}

// number reads digits, with a point perhaps.
func (d *decoded) number(text string, timeOnly bool) (seen, problem) {
	whole, _, point := strings.Cut(text, ".")
	if timeOnly {
		return d.digits(text, true)
	}
	switch {
	case point && d.has&hasDate == 0:
		return d.date(text, false)
	case point && len(whole) > 2:
		return d.digits(text, d.has&hasDate == hasDate)
	case len(text) >= 6 && (d.has&hasDate == 0 || d.has&hasTime == 0):
		return d.digits(text, d.has&hasDate == hasDate)
	}
	return d.field(text)
}

// field is one number of a date, which is taken for what is missing, by the order of fields.
func (d *decoded) field(text string) (seen, problem) {
	whole, _, point := strings.Cut(text, ".")
	n, err := strconv.Atoi(whole)
	if err != nil || n > math.MaxInt32 {
		return 0, outOfRange
	}
	if point {
		if len(whole) > 2 {
			return d.digits(text, true)
		}
		return 0, badFormat
	}
	width, order := len(text), d.style.Order
	year := func() (seen, problem) {
		d.year, d.twoDigits = n, width <= 2
		return hasYear, fine
	}
	if width == 3 && d.has&hasDate == hasYear && n >= 1 && n <= 366 {
		d.dayOfYear = n
		return hasDayOfYear | hasMonth | hasDay, fine
	}
	switch d.has & hasDate {
	case 0:
		switch {
		case width >= 3 || order == YMD:
			return year()
		case order == DMY:
			d.day = n
			return hasDay, fine
		}
		d.month = n
		return hasMonth, fine
	case hasYear, hasDay:
		d.month = n
		return hasMonth, fine
	case hasMonth:
		if d.textMonth && (width >= 3 || order == YMD) {
			return year()
		}
		d.day = n
		return hasDay, fine
	case hasYear | hasMonth:
		if d.textMonth && width >= 3 && d.twoDigits { // what was taken for the year is the day
			d.day = d.year
			d.year, d.twoDigits = n, false
			return hasDay, fine
		}
		d.day = n
		return hasDay, fine
	case hasMonth | hasDay:
		return year()
	case hasDate:
		return d.digits(text, true)
	default:
		return 0, badFormat
	}
}

// digits reads a date, or with dated a time, whose fields aren't parted.
func (d *decoded) digits(text string, dated bool) (seen, problem) {
	whole, fraction, point := strings.Cut(text, ".")
	n := len(whole)
	at := func(from, to int) int {
		k, err := strconv.Atoi(whole[from:to])
		if err != nil {
			return -1
		}
		return k
	}
	if !point && !dated && n >= 6 {
		if n > 10 {
			return 0, outOfRange
		}
		d.year, d.month, d.day, d.twoDigits = at(0, n-4), at(n-4, n-2), at(n-2, n), n == 6
		return hasDate, fine
	}
	if d.has&hasTime != 0 || n != 4 && n != 6 {
		return 0, badFormat
	}
	seconds := 0
	if n == 6 {
		seconds = at(4, 6)
	}
	return d.setTime(at(0, 2), at(2, 4), seconds, fraction)
}

// time reads hours and minutes, with seconds perhaps, parted by colons.
func (d *decoded) time(text string) (seen, problem) {
	clock, fraction, point := strings.Cut(text, ".")
	parts := strings.Split(clock, ":")
	if strings.Contains(fraction, ":") || strings.Contains(fraction, ".") || len(parts) > 3 {
		return 0, badFormat
	}
	var n [3]int
	for i, part := range parts {
		k, err := strconv.Atoi(part)
		if err != nil {
			if part != "" && strings.Trim(part, "0123456789") == "" {
				return 0, outOfRange
			}
			return 0, badFormat
		}
		n[i] = k
	}
	if point && len(parts) == 2 { // minutes and seconds
		n[0], n[1], n[2] = 0, n[0], n[1]
	}
	return d.setTime(n[0], n[1], n[2], fraction)
}

func (d *decoded) setTime(hour, minute, second int, fraction string) (seen, problem) {
	micros := int64(0)
	if fraction != "" {
		f, err := strconv.ParseFloat("0."+fraction, 64)
		if err != nil {
			return 0, badFormat
		}
		micros = int64(math.RoundToEven(f * microsPerSecond))
	}
	d.micros = (int64(hour)*3600+int64(minute)*60+int64(second))*microsPerSecond + micros
	if hour < 0 || minute < 0 || minute > 59 || second < 0 || second > 60 || d.micros > 24*3600*microsPerSecond {
		return 0, outOfRange
	}
	return hasTime, fine
}

// offset reads hours east of UTC with minutes and seconds, parted by colons or, of minutes, not.
func (d *decoded) offset(text string) (seen, problem) {
	if d.has&hasZone != 0 {
		return 0, badFormat
	}
	parts := strings.Split(text[1:], ":")
	if len(parts) > 3 {
		return 0, badFormat
	}
	var n [3]int
	for i, part := range parts {
		k, err := strconv.Atoi(part)
		if err != nil {
			return 0, badFormat
		}
		n[i] = k
	}
	if len(parts) == 1 && len(parts[0]) > 2 {
		n[0], n[1] = n[0]/100, n[0]%100
	}
	if n[0] > 15 || n[1] < 0 || n[1] > 59 || n[2] < 0 || n[2] > 59 {
		return 0, badOffset
	}
	d.east = n[0]*3600 + n[1]*60 + n[2]
	if text[0] == '-' {
		d.east = -d.east
	}
	return hasZone, fine
}
