package columnar

import "math"

// What Date, Timestamp and TimestampTZ hold for infinity and -infinity: DuckDB's
// values, not those of PostgreSQL's wire.
const (
	DateInfinity         = math.MaxInt32
	DateNegInfinity      = -math.MaxInt32
	TimestampInfinity    = math.MaxInt64
	TimestampNegInfinity = -math.MaxInt64
)

const (
	microsPerSecond = 1_000_000
	microsPerMinute = 60 * microsPerSecond
	microsPerHour   = 60 * microsPerMinute
	microsPerDay    = 24 * microsPerHour

	// epochDays is 2000-01-01, PostgreSQL's epoch, in days since 1970-01-01.
	epochDays   = 10957
	epochMicros = epochDays * microsPerDay

	// minDate is Julian day 0, 4714-11-24 BC, and maxDate 5874897-12-31: PostgreSQL's range.
	minDate = -2440588
	maxDate = 2145042905
	// minTimestamp is the first microsecond of minDate; maxTimestamp is the last that
	// microseconds since 1970 can count, 294247-01-10 04:00:54.775806.
	minTimestamp = minDate * microsPerDay
	maxTimestamp = math.MaxInt64 - 1
)

// civilDate is a day of the proleptic Gregorian calendar. Year 0 is 1 BC.
type civilDate struct {
	year       int64
	month, day int
}

// days since 1970-01-01. Years are counted from March, so that the leap day is the
// last of its year, in eras of 400 years.
func (c civilDate) days() int64 {
	y, m := c.year, int64(c.month)
	if m <= 2 {
		y--
		m += 12
	}
	era := floorDiv(y, 400)
	yearOfEra := y - era*400
	dayOfYear := (153*(m-3)+2)/5 + int64(c.day) - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146097 + dayOfEra - 719468
}

// civilFromDays is the inverse of days.
func civilFromDays(days int64) civilDate {
	z := days + 719468
	era := floorDiv(z, 146097)
	dayOfEra := z - era*146097
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	mp := (5*dayOfYear + 2) / 153
	c := civilDate{year: yearOfEra + era*400, month: int(mp + 3), day: int(dayOfYear-(153*mp+2)/5) + 1}
	if c.month > 12 {
		c.month -= 12
		c.year++
	}
	return c
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func isLeap(year int64) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysInMonth(year int64, month int) int {
	switch month {
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

// dateTime is what a date or time in text says, each part as far as it was given.
type dateTime struct {
	date    civilDate
	hasTime bool
	micros  int64 // since midnight, up to and with 24:00:00
	hasZone bool
	east    int64 // seconds that the zone is ahead of UTC
}

// timestamp is the microseconds since 1970 of the local time, less its zone if that
// counts.
func (d *dateTime) timestamp(zoned bool) (int64, bool) {
	days := d.date.days()
	if days < minDate-1 || days > maxTimestamp/microsPerDay+1 {
		return 0, false
	}
	micros := d.micros
	if zoned {
		micros -= d.east * microsPerSecond
	}
	// The sum may be over the end of 64 bits by less than three days, and is negative then.
	t := days*microsPerDay + micros
	return t, t >= minTimestamp && t <= maxTimestamp && (days < 0 || t > -2*microsPerDay)
}
