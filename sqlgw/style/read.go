package style

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// Read appends to a vector of type t what PostgreSQL's input function reads from a text in this style, at a time. What columnar.ParseText reads
// in the same way in every style is left to it, and all of it without a style.
func (s *Style) Read(t columnar.Type, text string, into *columnar.VectorBuilder, at time.Time) error {
	if s == nil {
		return columnar.ParseText(t, text, into)
	}
	switch t.Kind {
	case columnar.Date, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		return s.readTime(t, text, into, at)
	case columnar.Interval:
		return s.readInterval(t, text, into)
	case columnar.Array:
		switch t.Element {
		case columnar.Date, columnar.Time, columnar.Timestamp, columnar.TimestampTZ, columnar.Interval:
			return s.readArray(t, text, into, at)
		default:
		}
	default:
	}
	return columnar.ParseText(t, text, into)
}

// readArray reads each element; the array is kept as it is written in the default style.
func (s *Style) readArray(t columnar.Type, text string, into *columnar.VectorBuilder, at time.Time) error {
	elements, ok := columnar.SplitArray(text)
	if !ok {
		return columnar.ParseText(t, text, into) // for its error
	}
	b := columnar.NewVectorBuilder(t.ElementType())
	for _, e := range elements {
		if e == nil {
			b.AppendNull()
		} else if err := s.Read(b.Type(), *e, b, at); err != nil {
			return err
		}
	}
	v := b.Vector()
	return columnar.ParseText(t, string(columnar.AppendArray(nil, &v, 0, v.Len())), into)
}

func (s *Style) readTime(t columnar.Type, text string, into *columnar.VectorBuilder, at time.Time) error {
	switch {
	case t.Kind == columnar.TimestampTZ && !s.Zone.utc:
		if columnar.ParseZoned(text, into) {
			return nil
		}
	case columnar.ParseText(t, text, into) == nil: // those forms mean the same in every style
		return nil
	}
	d, wrong := s.decode(text, at, t.Kind == columnar.Time)
	if wrong != fine {
		return d.wrong(wrong, t, text)
	}
	canonical, ok := d.canonical(t.Kind)
	if !ok {
		return &columnar.InputError{Code: "22008", Message: rangeName(t.Kind) + ` out of range: "` + text + `"`}
	}
	if err := columnar.ParseText(t, canonical, into); err != nil {
		e, ok := errors.AsType[*columnar.InputError](err)
		if !ok {
			return err
		}
		return &columnar.InputError{Code: e.Code, Message: strings.Replace(e.Message, canonical, text, 1)}
	}
	return nil
}

func rangeName(k columnar.Kind) string {
	if k == columnar.Date {
		return "date"
	}
	return "timestamp"
}

// wrong is PostgreSQL's error.
func (d *decoded) wrong(p problem, t columnar.Type, text string) error {
	e := &columnar.InputError{Code: "22008", Message: fmt.Sprintf(`date/time field value out of range: "%s"`, text)}
	switch p {
	case outOfOrder:
		e.Hint = `Perhaps you need a different "datestyle" setting.`
	case badOffset:
		e.Code, e.Message = "22009", fmt.Sprintf(`time zone displacement out of range: "%s"`, text)
	case badZone:
		e.Code, e.Message = "22023", fmt.Sprintf(`time zone "%s" not recognized`, d.unknown)
	case badFormat:
		e.Code, e.Message = "22007", fmt.Sprintf(`invalid input syntax for type %s: "%s"`, inputName(t.Kind), text)
	default:
	}
	return e
}

func inputName(k columnar.Kind) string {
	switch k {
	case columnar.Date:
		return "date"
	case columnar.Time:
		return "time"
	case columnar.Timestamp:
		return "timestamp"
	default:
		return "timestamp with time zone"
	}
}

// canonical is what was read as columnar.ParseText reads it. False is that it is out of range.
func (d *decoded) canonical(k columnar.Kind) (string, bool) {
	if k == columnar.Time {
		return d.timeOfDay(), true
	}
	switch d.word.meaning {
	case epoch:
		if k == columnar.TimestampTZ {
			return "1970-01-01 00:00:00+00", true
		}
		return "1970-01-01 00:00:00", true
	case infinity:
		if d.word.value < 0 {
			return "-infinity", true
		}
		return "infinity", true
	case now:
		return instant(d.now, k), true
	case today:
		day := d.now.AddDate(0, 0, d.word.value)
		d.year, d.month, d.day = day.Year(), int(day.Month()), day.Day()
	default:
	}
	t := time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC)
	local := t.Unix() + d.micros/microsPerSecond
	east := d.east
	switch {
	case k != columnar.TimestampTZ:
		east = 0
	case d.zone != nil:
		east = d.zone.offsetOfLocal(local)
	case d.has&hasZone == 0:
		east = d.style.Zone.offsetOfLocal(local)
	}
	utc := time.Unix(local-int64(east), d.micros%microsPerSecond*1000).UTC()
	if k == columnar.Date {
		utc = t
	}
	if utc.Year() < -4800 || utc.Year() > 5_900_000 {
		return "", false
	}
	return instant(utc, k), true
}

// instant writes a time of UTC, or of no zone.
func instant(t time.Time, k columnar.Kind) string {
	if k == columnar.TimestampTZ {
		t = t.UTC()
	}
	b := pad(nil, yearOf(t), 4)
	b = pad(append(b, '-'), int(t.Month()), 2)
	b = pad(append(b, '-'), t.Day(), 2)
	if k != columnar.Date {
		b = appendClock(append(b, ' '), t)
	}
	if k == columnar.TimestampTZ {
		b = append(b, "+00"...)
	}
	return string(appendEra(b, t.Year() <= 0))
}

func (d *decoded) timeOfDay() string {
	seconds := int(d.micros / microsPerSecond)
	if d.word.meaning == now {
		return string(appendClock(nil, d.now))
	}
	b := pad(nil, seconds/3600, 2)
	b = pad(append(b, ':'), seconds/60%60, 2)
	b = pad(append(b, ':'), seconds%60, 2)
	return string(appendFraction(b, d.micros%microsPerSecond))
}

// readInterval takes a sign at the beginning for all fields, where the style is the standard's and no other has one.
func (s *Style) readInterval(t columnar.Type, text string, into *columnar.VectorBuilder) error {
	words := strings.Fields(text)
	if s.Intervals != SQLStandard || len(words) == 0 || words[0][0] != '-' {
		return columnar.ParseText(t, text, into)
	}
	for _, w := range words[1:] {
		if w[0] == '-' || w[0] == '+' {
			return columnar.ParseText(t, text, into)
		}
	}
	b := columnar.NewVectorBuilder(t)
	if err := columnar.ParseText(t, text, b); err != nil {
		return err
	}
	built := b.Vector()
	v := &built.Intervals[0]
	v.Months, v.Days, v.Micros = -max(v.Months, -v.Months), -max(v.Days, -v.Days), -max(v.Micros, -v.Micros)
	into.AppendFrom(&built, 0)
	return nil
}
