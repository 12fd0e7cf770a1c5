package duck

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// The ranges of DuckDB's dates and times. Infinity is the greatest value of its integer
// and minus infinity the negative of it, so the least integer is no value; dates between
// are all good.
const (
	infiniteDate  = math.MaxInt32
	infiniteTime  = math.MaxInt64
	lastTimeOfDay = 24 * 60 * 60 * 1_000_000 // 24:00:00
	firstTime     = -9_223_372_022_400_000_000
)

// checkValues tells whether rows from..from+n of v, whose length was checked, are values
// that DuckDB can hold. It relies on that: from a time of day outside of the day it reads
// memory that isn't its own, and text that isn't UTF-8 breaks its string functions.
func checkValues(v *columnar.Vector, from, n int) error {
	switch v.Type.Kind {
	case columnar.Bool:
		all := uint8(0)
		for _, b := range v.Bools[from : from+n] {
			all |= b
		}
		if all > 1 {
			return errors.New("a boolean is neither 0 nor 1")
		}
	case columnar.Date:
		for _, days := range v.I32[from : from+n] {
			if days < -infiniteDate {
				return fmt.Errorf("the date %d is out of range", days)
			}
		}
	case columnar.Time:
		for _, micros := range v.I64[from : from+n] {
			if uint64(micros) > lastTimeOfDay {
				return fmt.Errorf("the time of day %d is out of range", micros)
			}
		}
	case columnar.Timestamp, columnar.TimestampTZ:
		for _, micros := range v.I64[from : from+n] {
			if micros < firstTime && micros != -infiniteTime {
				return fmt.Errorf("the timestamp %d is out of range", micros)
			}
		}
	case columnar.Decimal:
		bound := powerOfTen(v.Type.Precision)
		for _, value := range v.I128[from : from+n] {
			if !under(value, bound) {
				return fmt.Errorf("a value has more than %d digits", v.Type.Precision)
			}
		}
	case columnar.Text, columnar.Varchar, columnar.Char, columnar.JSON, columnar.JSONB, columnar.Array:
		return checkText(v.Str.Offsets[from:from+n+1], v.Str.Bytes)
	case columnar.Bytea:
		return checkOffsets(v.Str.Offsets[from : from+n+1])
	default: // every value of the others is good
	}
	return nil
}

func checkOffsets(offsets []uint32) error {
	for i := 1; i < len(offsets); i++ {
		if offsets[i-1] > offsets[i] {
			return errors.New("offsets of strings go backwards")
		}
	}
	return nil
}

// checkText tells whether every string is valid UTF-8: all of them together are, and
// none begins inside a character.
func checkText(offsets []uint32, all []byte) error {
	if err := checkOffsets(offsets); err != nil {
		return err
	}
	text := all[offsets[0]:offsets[len(offsets)-1]]
	if !utf8.Valid(text) {
		return errors.New("text isn't valid UTF-8")
	}
	for _, offset := range offsets {
		if at := offset - offsets[0]; int(at) < len(text) && !utf8.RuneStart(text[at]) {
			return errors.New("text begins inside a character")
		}
	}
	return nil
}
