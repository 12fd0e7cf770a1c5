package style

import (
	"strconv"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// span is an interval in the fields of its texts, each with its sign.
type span struct{ years, months, days, hours, minutes, seconds, micros int64 }

func spanOf(v columnar.IntervalValue) span {
	const second, minute, hour = microsPerSecond, 60 * microsPerSecond, 60 * 60 * microsPerSecond
	return span{
		years: int64(v.Months / 12), months: int64(v.Months % 12), days: int64(v.Days),
		hours: v.Micros / hour, minutes: v.Micros % hour / minute, seconds: v.Micros % minute / second, micros: v.Micros % second,
	}
}

func (s span) fields() [7]int64 {
	return [7]int64{s.years, s.months, s.days, s.hours, s.minutes, s.seconds, s.micros}
}

// signs tells whether there are fields below and above zero.
func (s span) signs() (bool, bool) {
	negative, positive := false, false
	for _, f := range s.fields() {
		negative, positive = negative || f < 0, positive || f > 0
	}
	return negative, positive
}

func abs(n int64) int64 { return max(n, -n) }

func number(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// appendSeconds writes seconds without a sign, with two digits if they are to be filled up.
func (s span) appendSeconds(dst []byte, fill bool) []byte {
	if fill {
		dst = pad(dst, int(abs(s.seconds)), 2)
	} else {
		dst = number(dst, abs(s.seconds))
	}
	return appendFraction(dst, abs(s.micros))
}

func appendVerbose(dst []byte, v columnar.IntervalValue) []byte {
	s := spanOf(v)
	dst = append(dst, '@')
	zero, ago := true, false
	part := func(n int64, unit string) {
		switch {
		case n == 0:
			return
		case zero:
			ago = n < 0
			n = abs(n)
		case ago:
			n = -n
		}
		dst = append(number(append(dst, ' '), n), ' ')
		dst = append(dst, unit...)
		if n != 1 {
			dst = append(dst, 's')
		}
		zero = false
	}
	part(s.years, "year")
	part(s.months, "mon")
	part(s.days, "day")
	part(s.hours, "hour")
	part(s.minutes, "min")
	if s.seconds != 0 || s.micros != 0 {
		dst = append(dst, ' ')
		negative := s.seconds < 0 || s.micros < 0
		switch {
		case zero:
			ago = negative
		case negative != ago:
			dst = append(dst, '-')
		}
		dst = append(s.appendSeconds(dst, false), " sec"...)
		if abs(s.seconds) != 1 || s.micros != 0 {
			dst = append(dst, 's')
		}
		zero = false
	}
	if zero {
		dst = append(dst, " 0"...)
	}
	if ago {
		dst = append(dst, " ago"...)
	}
	return dst
}

func appendSQLStandard(dst []byte, v columnar.IntervalValue) []byte {
	s := spanOf(v)
	negative, positive := s.signs()
	hasMonths := s.years != 0 || s.months != 0
	hasTime := v.Micros != 0
	standard := !(negative && positive) && !(hasMonths && (hasTime || s.days != 0)) //nolint:staticcheck // as the standard says it
	switch {
	case !negative && !positive:
		return append(dst, '0')
	case !standard:
		sign := func(below bool) byte {
			if below {
				return '-'
			}
			return '+'
		}
		dst = number(append(dst, sign(v.Months < 0)), abs(s.years))
		dst = append(number(append(dst, '-'), abs(s.months)), ' ')
		dst = append(number(append(dst, sign(s.days < 0)), abs(s.days)), ' ')
		return s.appendTime(append(dst, sign(v.Micros < 0)))
	case negative:
		dst = append(dst, '-')
	}
	switch {
	case hasMonths:
		return number(append(number(dst, abs(s.years)), '-'), abs(s.months))
	case s.days != 0:
		return s.appendTime(append(number(dst, abs(s.days)), ' '))
	default:
		return s.appendTime(dst)
	}
}

// appendTime writes hours, minutes and seconds without a sign.
func (s span) appendTime(dst []byte) []byte {
	dst = append(number(dst, abs(s.hours)), ':')
	dst = append(pad(dst, int(abs(s.minutes)), 2), ':')
	return s.appendSeconds(dst, true)
}

func appendISO8601(dst []byte, v columnar.IntervalValue) []byte {
	s := spanOf(v)
	if v == (columnar.IntervalValue{}) {
		return append(dst, "PT0S"...)
	}
	part := func(n int64, unit byte) {
		if n != 0 {
			dst = append(number(dst, n), unit)
		}
	}
	dst = append(dst, 'P')
	part(s.years, 'Y')
	part(s.months, 'M')
	part(s.days, 'D')
	if v.Micros == 0 {
		return dst
	}
	dst = append(dst, 'T')
	part(s.hours, 'H')
	part(s.minutes, 'M')
	if s.seconds != 0 || s.micros != 0 {
		if s.seconds < 0 || s.micros < 0 {
			dst = append(dst, '-')
		}
		dst = append(s.appendSeconds(dst, false), 'S')
	}
	return dst
}
