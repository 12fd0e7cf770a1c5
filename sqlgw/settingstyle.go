package sqlgw

import (
	"errors"
	"strconv"

	"broadsheet.dev/broadsheet/sqlgw/style"
)

const (
	hintDateStyle = "ISO, SQL, Postgres, German, with MDY, DMY or YMD"
	hintTimeZone  = "names of the IANA's zones, whole hours east of UTC from -12 to 14, and abbreviations with hours west of it, as UTC+3"
)

// timeZone is PostgreSQL's name for a zone.
func timeZone(value string) (string, bool) {
	z, err := style.LoadZone(value)
	return z.Name, err == nil
}

// normal is a value in its normal form. What a DateStyle doesn't say stays as it is.
func (s *settings) normal(e *setting, value string) (string, error) {
	normal, err := e.normal(value)
	if err != nil {
		if unknown, ok := errors.AsType[*style.UnknownZone](zoneError(e, value)); ok && unknown.Hint != "" {
			return "", hinted(sqlError("22023", "invalid value for parameter %q: %.100q", e.name, value), unknown.Hint)
		}
		return "", err
	}
	if e.name == "DateStyle" {
		as := style.Default()
		as.SetDateStyle(s.value(e.name))
		if !as.SetDateStyle(value) {
			return "", hinted(sqlError("22023", "invalid value for parameter %q: %.100q", e.name, value), "Available values: "+hintDateStyle+".")
		}
		normal = as.DateStyle()
	}
	return normal, nil
}

// zoneError is why a value isn't a time zone, if it should be one.
func zoneError(e *setting, value string) error {
	if e.name != "TimeZone" {
		return nil
	}
	_, err := style.LoadZone(value)
	return err
}

// style is how the session's texts of values are written and read; without settings, the default one.
func (s *settings) style() *style.Style {
	if s == nil {
		return style.Default()
	}
	next := style.Style{EscapeBytea: s.value("bytea_output") == "escape"}
	next.SetDateStyle(s.value("DateStyle"))
	next.SetIntervalStyle(s.value("IntervalStyle"))
	next.FloatDigits, _ = strconv.Atoi(s.value("extra_float_digits"))
	zone := s.value("TimeZone")
	if s.styled != nil && s.styled.Zone.Name == zone {
		next.Zone = s.styled.Zone
		if next == *s.styled {
			return s.styled
		}
	} else if found, err := style.LoadZone(zone); err == nil {
		next.Zone = found
	} else {
		next.Zone = style.UTC()
	}
	s.styled = &next
	return s.styled
}
