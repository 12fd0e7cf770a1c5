package columnar

import (
	"math"
	"strconv"
	"strings"
)

// parseDigits is an integer of any number of digits that fits 64 bits; none is zero.
func parseDigits(digits string) (int64, bool) {
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// fractionOf is the digits after a point as a part of one.
func fractionOf(digits string) float64 {
	if digits == "" {
		return 0
	}
	f, err := strconv.ParseFloat("0."+digits, 64)
	if err != nil {
		return 0
	}
	return f
}

// parseISOInterval reads an ISO 8601 duration with designators: P1Y2M3W4DT5H6M7.8S.
// Each number may have a sign and a fraction.
func parseISOInterval(s string) (IntervalValue, intervalError) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return IntervalValue{}, intervalSyntax
	}
	var sum intervalSum
	inTime, found := false, false
	for rest != "" {
		if rest[0] == 'T' {
			if inTime || len(rest) == 1 {
				return IntervalValue{}, intervalSyntax
			}
			inTime = true
			rest = rest[1:]
			continue
		}
		n := 0
		for n < len(rest) && (isDigit(rest[n]) || strings.IndexByte("+-.", rest[n]) >= 0) {
			n++
		}
		if n == 0 || n == len(rest) || !isNumber(rest[:n]) {
			return IntervalValue{}, intervalSyntax
		}
		f, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil || f < math.MinInt64 || f > math.MaxInt64 {
			return IntervalValue{}, intervalField
		}
		u := isoUnit(rest[n], inTime)
		if u == noUnit {
			return IntervalValue{}, intervalSyntax
		}
		whole := math.Trunc(f)
		sum.addUnits(u, int64(whole), f-whole)
		if sum.overflow {
			return IntervalValue{}, intervalField
		}
		found = true
		rest = rest[n+1:]
	}
	if !found {
		return IntervalValue{}, intervalSyntax
	}
	return sum.value()
}

func isoUnit(designator byte, inTime bool) unit {
	switch {
	case !inTime && designator == 'Y':
		return year
	case !inTime && designator == 'M':
		return month
	case !inTime && designator == 'W':
		return week
	case !inTime && designator == 'D':
		return day
	case inTime && designator == 'H':
		return hour
	case inTime && designator == 'M':
		return minute
	case inTime && designator == 'S':
		return second
	default:
		return noUnit
	}
}
