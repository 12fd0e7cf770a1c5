package style

import (
	"math"
	"strconv"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

const microsPerSecond = 1_000_000

// Append appends value row of v, which isn't NULL, as PostgreSQL's output functions write it in this style.
func (s *Style) Append(dst []byte, v *columnar.Vector, row int) []byte {
	if s.IsDefault() {
		return columnar.AppendText(dst, v, row)
	}
	switch v.Type.Kind {
	case columnar.Array:
		return s.appendArray(dst, v, row)
	case columnar.Date:
		if s.Dates != ISO {
			return s.appendDate(dst, v.I32[row])
		}
	case columnar.Timestamp:
		if s.Dates != ISO {
			return s.appendTimestamp(dst, v.I64[row], nil)
		}
	case columnar.TimestampTZ:
		return s.appendTimestamp(dst, v.I64[row], &s.Zone)
	case columnar.Interval:
		switch s.Intervals {
		case Verbose:
			return appendVerbose(dst, v.Intervals[row])
		case SQLStandard:
			return appendSQLStandard(dst, v.Intervals[row])
		case ISO8601:
			return appendISO8601(dst, v.Intervals[row])
		case PostgresIntervals:
		}
	case columnar.Float32:
		if s.FloatDigits <= 0 {
			return s.appendFloat(dst, float64(v.F32[row]), 6, 32)
		}
	case columnar.Float64:
		if s.FloatDigits <= 0 {
			return s.appendFloat(dst, v.F64[row], 15, 64)
		}
	case columnar.Bytea:
		if s.EscapeBytea {
			return appendEscaped(dst, v.Str.Value(row))
		}
	default:
	}
	return columnar.AppendText(dst, v, row)
}

// appendArray writes the elements anew.
func (s *Style) appendArray(dst []byte, v *columnar.Vector, row int) []byte {
	switch v.Type.Element {
	case columnar.Date, columnar.Timestamp, columnar.TimestampTZ, columnar.Interval, columnar.Float32, columnar.Float64, columnar.Bytea:
		if elements, err := columnar.Elements(v.Type, string(v.Str.Value(row))); err == nil {
			return columnar.AppendArrayAs(dst, &elements, 0, elements.Len(), s.Append)
		}
	default:
	}
	return columnar.AppendText(dst, v, row)
}

func pad(dst []byte, n, width int) []byte {
	for limit := 10; width > 1; width, limit = width-1, limit*10 {
		if n < limit {
			dst = append(dst, '0')
		}
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// yearOf is the year as it is written, counted before Christ if it is one of those.
func yearOf(t time.Time) int {
	if y := t.Year(); y <= 0 {
		return 1 - y
	}
	return t.Year()
}

func (s *Style) appendDate(dst []byte, days int32) []byte {
	switch days {
	case columnar.DateInfinity:
		return append(dst, "infinity"...)
	case columnar.DateNegInfinity:
		return append(dst, "-infinity"...)
	}
	t := time.Unix(int64(days)*24*60*60, 0).UTC()
	first, second := int(t.Month()), t.Day()
	separator := byte('/')
	switch {
	case s.Dates == German:
		separator = '.'
		first, second = second, first
	case s.Order == DMY:
		first, second = second, first
	}
	if s.Dates == Postgres {
		separator = '-'
	}
	dst = append(pad(dst, first, 2), separator)
	dst = append(pad(dst, second, 2), separator)
	return appendEra(pad(dst, yearOf(t), 4), t.Year() <= 0)
}

func appendEra(dst []byte, before bool) []byte {
	if before {
		return append(dst, " BC"...)
	}
	return dst
}

// appendTimestamp writes a timestamp, with a time zone if there is one.
func (s *Style) appendTimestamp(dst []byte, micros int64, zone *Zone) []byte {
	switch micros {
	case columnar.TimestampInfinity:
		return append(dst, "infinity"...)
	case columnar.TimestampNegInfinity:
		return append(dst, "-infinity"...)
	}
	east, name := 0, ""
	if zone != nil {
		seconds := micros / microsPerSecond
		if micros%microsPerSecond < 0 {
			seconds--
		}
		east, name = zone.offset(seconds)
	}
	// The zone's own clock may be where microseconds can't count.
	t := time.UnixMicro(micros).UTC().Add(time.Duration(east) * time.Second)
	before := t.Year() <= 0
	switch s.Dates {
	case ISO:
		dst = append(pad(dst, yearOf(t), 4), '-')
		dst = append(pad(dst, int(t.Month()), 2), '-')
		dst = appendClock(append(pad(dst, t.Day(), 2), ' '), t)
	case Postgres:
		dst = append(append(dst, t.Weekday().String()[:3]...), ' ')
		month := t.Month().String()[:3]
		if s.Order == DMY {
			dst = append(append(pad(dst, t.Day(), 2), ' '), month...)
		} else {
			dst = pad(append(append(dst, month...), ' '), t.Day(), 2)
		}
		dst = appendClock(append(dst, ' '), t)
		dst = pad(append(dst, ' '), yearOf(t), 4)
	default:
		dst = s.appendDateOf(dst, t)
		dst = appendClock(append(dst, ' '), t)
	}
	switch {
	case zone == nil:
	case s.Dates == ISO:
		dst = appendOffset(dst, east)
	default:
		dst = append(append(dst, ' '), name[:min(len(name), 10)]...)
	}
	return appendEra(dst, before)
}

// appendDateOf writes the date of a timestamp in the forms of numbers.
func (s *Style) appendDateOf(dst []byte, t time.Time) []byte {
	first, second, separator := int(t.Month()), t.Day(), byte('/')
	if s.Dates == German {
		separator = '.'
	}
	if s.Dates == German || s.Order == DMY {
		first, second = second, first
	}
	dst = append(pad(dst, first, 2), separator)
	dst = append(pad(dst, second, 2), separator)
	return pad(dst, yearOf(t), 4)
}

func appendClock(dst []byte, t time.Time) []byte {
	dst = append(pad(dst, t.Hour(), 2), ':')
	dst = append(pad(dst, t.Minute(), 2), ':')
	return appendFraction(pad(dst, t.Second(), 2), int64(t.Nanosecond()/1000))
}

// appendFraction appends a point and the digits of micros without the zeros at the end, or nothing.
func appendFraction(dst []byte, micros int64) []byte {
	if micros == 0 {
		return dst
	}
	dst = pad(append(dst, '.'), int(micros), 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendOffset writes seconds east of UTC.
func appendOffset(dst []byte, east int) []byte {
	sign := byte('+')
	if east < 0 {
		sign = '-'
	}
	text := clock(east)
	if east%60 != 0 && len(text) == 5 {
		text = text[:2] + ":00" + text[2:]
	}
	return append(append(dst, sign), text...)
}

// appendFloat writes as many digits as a number has for sure, and so many fewer.
func (s *Style) appendFloat(dst []byte, f float64, digits, size int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return strconv.AppendFloat(dst, f, 'g', max(1, digits+s.FloatDigits), size)
}

func appendEscaped(dst, value []byte) []byte {
	for _, c := range value {
		switch {
		case c == '\\':
			dst = append(dst, `\\`...)
		case c < 0x20 || c > 0x7e:
			dst = append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
