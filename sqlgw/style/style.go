package style

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dates is a form of dates and timestamps.
type Dates uint8

// The forms of DateStyle.
const (
	ISO Dates = iota
	SQL
	Postgres
	German
)

// Order is how the fields of a date of numbers follow each other, where the form leaves it open.
type Order uint8

// The orders of DateStyle.
const (
	MDY Order = iota
	DMY
	YMD
)

// Intervals is a form of intervals.
type Intervals uint8

// The forms of IntervalStyle.
const (
	PostgresIntervals Intervals = iota
	Verbose
	SQLStandard
	ISO8601
)

// The least and the most that extra_float_digits may be.
const (
	MinFloatDigits = -15
	MaxFloatDigits = 3
)

// Style is how texts of values are written and read.
type Style struct {
	Zone        Zone
	Dates       Dates
	Order       Order
	Intervals   Intervals
	FloatDigits int // extra_float_digits
	EscapeBytea bool
}

// Default is the style that columnar.AppendText writes.
func Default() *Style { return &Style{Zone: UTC(), FloatDigits: 1} }

// Clock is the default style in the style's zone.
func (s *Style) Clock() *Style {
	if s == nil {
		return nil
	}
	return &Style{Zone: s.Zone, FloatDigits: 1}
}

// IsDefault tells whether values are written as columnar.AppendText does, as they are without a style.
func (s *Style) IsDefault() bool {
	return s == nil || s.Zone.utc && s.Dates == ISO && s.Intervals == PostgresIntervals && s.FloatDigits > 0 && !s.EscapeBytea
}

func dateNames() []string { return []string{"ISO", "SQL", "Postgres", "German"} }

func orderNames() []string { return []string{"MDY", "DMY", "YMD"} }

func intervalNames() []string {
	return []string{"postgres", "postgres_verbose", "sql_standard", "iso_8601"}
}

// DateStyle is the setting of that name.
func (s *Style) DateStyle() string {
	return dateNames()[s.Dates] + ", " + orderNames()[s.Order]
}

// SetDateStyle takes the words of a value, as PostgreSQL does: a form, an order, or both; what isn't said stays. It tells whether it is one.
func (s *Style) SetDateStyle(value string) bool {
	next, form, order := *s, false, false
	for word := range strings.SplitSeq(value, ",") {
		word = strings.ToLower(strings.Trim(strings.TrimSpace(word), `"`))
		was, wasOrder := next.Dates, next.Order
		hadForm, hadOrder := form, order
		switch {
		case word == "default":
			if !form {
				next.Dates = ISO
			}
			if !order {
				next.Order = MDY
			}
			continue
		case word == "iso":
			next.Dates, form = ISO, true
		case word == "sql":
			next.Dates, form = SQL, true
		case strings.HasPrefix(word, "postgres"):
			next.Dates, form = Postgres, true
		case word == "german":
			next.Dates, form = German, true
			if !order {
				next.Order = DMY
			}
		case word == "ymd":
			next.Order, order = YMD, true
		case word == "dmy" || strings.HasPrefix(word, "euro"):
			next.Order, order = DMY, true
		case word == "mdy" || word == "us" || strings.HasPrefix(word, "noneuro"):
			next.Order, order = MDY, true
		default:
			return false
		}
		if hadForm && form && was != next.Dates || hadOrder && order && wasOrder != next.Order {
			return false // said twice
		}
	}
	*s = next
	return true
}

// IntervalStyle is the setting of that name.
func (s *Style) IntervalStyle() string { return intervalNames()[s.Intervals] }

// SetIntervalStyle tells whether a value is one.
func (s *Style) SetIntervalStyle(value string) bool {
	i := slices.Index(intervalNames(), strings.ToLower(value))
	if i >= 0 {
		s.Intervals = Intervals(i) //nolint:gosec // one of four
	}
	return i >= 0
}

// Key is the style as one text.
func (s *Style) Key() string {
	return fmt.Sprintf("%s|%s|%s|%d|%t", s.Zone.Name, s.DateStyle(), s.IntervalStyle(), s.FloatDigits, s.EscapeBytea)
}

// FromKey is the style of a key.
func FromKey(key string) (*Style, error) {
	s := Default()
	parts := strings.Split(key, "|")
	if len(parts) != 5 || !s.SetDateStyle(parts[1]) || !s.SetIntervalStyle(parts[2]) {
		return nil, fmt.Errorf("style: key %q", key)
	}
	var err error
	if s.Zone, err = LoadZone(parts[0]); err != nil {
		return nil, err
	}
	if s.FloatDigits, err = strconv.Atoi(parts[3]); err != nil {
		return nil, fmt.Errorf("style: key %q: %w", key, err)
	}
	s.EscapeBytea = parts[4] == "true"
	return s, nil
}
