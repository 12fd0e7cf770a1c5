package columnar

// The length of YYYY-MM-DD and of HH:MM:SS.
const (
	dateLen  = 10
	clockLen = 8
)

func twoDigits(s string, i int) (int, bool) {
	a, b := s[i]-'0', s[i+1]-'0'
	return int(a)*10 + int(b), a < 10 && b < 10
}

// isoDate reads the YYYY-MM-DD that s begins with, years 0001 to 9999, as days since 1970.
func isoDate(s string) (int64, bool) {
	if len(s) < dateLen || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	century, ok1 := twoDigits(s, 0)
	yearOf, ok2 := twoDigits(s, 2)
	m, ok3 := twoDigits(s, 5)
	dayOf, ok4 := twoDigits(s, 8)
	y := int64(century*100 + yearOf)
	if !ok1 || !ok2 || !ok3 || !ok4 || y == 0 || m == 0 || m > 12 || dayOf == 0 || dayOf > daysInMonth(y, m) {
		return 0, false
	}
	return civilDate{year: y, month: m, day: dayOf}.days(), true
}

// isoClock reads the HH:MM:SS with up to six fraction digits that s begins with, as
// microseconds since midnight, and returns what follows it.
func isoClock(s string) (int64, string, bool) {
	if len(s) < clockLen || s[2] != ':' || s[5] != ':' {
		return 0, s, false
	}
	h, ok1 := twoDigits(s, 0)
	m, ok2 := twoDigits(s, 3)
	sec, ok3 := twoDigits(s, 6)
	if !ok1 || !ok2 || !ok3 || m > 59 || sec > 59 {
		return 0, s, false
	}
	total := int64(h*3600+m*60+sec) * microsPerSecond
	s = s[clockLen:]
	if len(s) > 0 && s[0] == '.' {
		n := 1
		scale := int64(microsPerSecond)
		for ; n < len(s) && s[n]-'0' < 10 && scale > 1; n++ {
			scale /= 10
			total += int64(s[n]-'0') * scale
		}
		if n == 1 || (n < len(s) && isDigit(s[n])) {
			return 0, s, false
		}
		s = s[n:]
	}
	return total, s, total <= microsPerDay
}

// isoTimestamp reads the forms of a timestamp that nearly all writers use:
// YYYY-MM-DDTHH:MM:SS with up to six fraction digits, or with a blank for the T, and
// then Z (which a Timestamp drops), an offset (for a TimestampTZ, which needs one of the
// two) or nothing.
func isoTimestamp(s string, withZone bool) (int64, bool) {
	days, ok := isoDate(s)
	if !ok || len(s) < dateLen+1+clockLen || (s[dateLen] != 'T' && s[dateLen] != ' ') {
		return 0, false
	}
	micros, zone, ok := isoClock(s[dateLen+1:])
	if !ok || micros == microsPerDay {
		return 0, false
	}
	x := days*microsPerDay + micros
	switch {
	case zone == "Z":
		return x, true
	case zone == "":
		return x, !withZone
	case !withZone:
		return 0, false
	}
	east, ok := isoOffset(zone)
	return x - east*microsPerSecond, ok
}

// isoOffset reads +HH, +HHMM or +HH:MM as seconds ahead of UTC.
func isoOffset(s string) (int64, bool) {
	if (len(s) != 3 && len(s) != 5 && (len(s) != 6 || s[3] != ':')) || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	h, ok := twoDigits(s, 1)
	m := 0
	if ok && len(s) > 3 {
		m, ok = twoDigits(s, len(s)-2)
	}
	if !ok || h > 15 || m > 59 {
		return 0, false
	}
	east := int64(h*3600 + m*60)
	if s[0] == '-' {
		east = -east
	}
	return east, true
}
