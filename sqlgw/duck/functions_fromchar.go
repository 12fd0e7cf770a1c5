package duck

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

func toDate(in []cells, row int) (any, error) {
	at, err := byTemplate(in, row)
	if err != nil {
		return nil, err
	}
	return at.Format("2006-01-02"), nil
}

func toTimestamp(as *style.Style, in []cells, row int) (any, error) {
	at, err := byTemplate(in, row)
	if err != nil {
		return nil, err
	}
	return as.Zone.Local(at).UTC().Format("2006-01-02 15:04:05.999999-07"), nil
}

// byTemplate reads the first argument by the second.
func byTemplate(in []cells, row int) (time.Time, error) {
	format, err := template(in[1], row)
	if err != nil {
		return time.Time{}, err
	}
	return readByTemplate(string(in[0].append(nil, row)), format)
}

// templateError is PostgreSQL's for a text that doesn't fit its template.
func templateError(format string, args ...any) error {
	return &columnar.InputError{Code: "22007", Message: fmt.Sprintf(format, args...)}
}

// reader reads a text by a template.
type reader struct {
	rest string
	read map[string]int
	half int // 1 before noon, 2 after it
}

// readByTemplate reads a time. What the template doesn't say is that of the year's first day.
func readByTemplate(text, format string) (time.Time, error) {
	r := &reader{rest: text, read: map[string]int{}}
	list := tokens(format)
	for i, t := range list {
		if r.rest == "" {
			break
		}
		if t.pattern == "" {
			r.skip(t.plain)
			continue
		}
		r.rest = strings.TrimLeft(r.rest, " ")
		adjacent := i+1 < len(list) && list[i+1].pattern != ""
		if err := r.pattern(t, adjacent); err != nil {
			return time.Time{}, err
		}
	}
	return r.time(text)
}

// skip passes over what stands between patterns: any separator stands for any other.
func (r *reader) skip(plain string) {
	for _, c := range plain {
		first := []rune(r.rest)
		if len(first) == 0 {
			return
		}
		isSeparator := !unicode.IsLetter(c) && !unicode.IsDigit(c)
		if isSeparator && (unicode.IsLetter(first[0]) || unicode.IsDigit(first[0])) {
			continue // a separator of the template needs none in the text
		}
		r.rest = string(first[1:])
	}
}

// pattern reads what stands for a pattern.
func (r *reader) pattern(t token, adjacent bool) error {
	switch p := strings.ToUpper(t.pattern); p {
	case "MONTH", "MON":
		for m := time.January; m <= time.December; m++ {
			for _, name := range []string{m.String(), m.String()[:3]} {
				if len(r.rest) >= len(name) && strings.EqualFold(r.rest[:len(name)], name) {
					r.read["MM"], r.rest = int(m), r.rest[len(name):]
					return nil
				}
			}
		}
		return templateError("invalid value %q for %q", r.word(), t.pattern)
	case "DAY", "DY":
		r.rest = r.rest[len(r.word()):]
		return nil
	case "AM", "PM", "A.M.", "P.M.":
		word := strings.ToUpper(strings.ReplaceAll(r.rest[:min(len(p), len(r.rest))], ".", ""))
		if word != "AM" && word != "PM" {
			return templateError("invalid value %q for %q", r.word(), t.pattern)
		}
		r.half, r.rest = map[string]int{"AM": 1, "PM": 2}[word], r.rest[len(p):]
		return nil
	case "YYYY", "YY", "MM", "DD", "DDD", "HH24", "HH12", "HH", "MI", "SS", "MS", "US", "SSSS", "SSSSS", "J":
		return r.number(t, p, adjacent)
	}
	return unsupported("template pattern %q is not supported here", t.pattern)
}

// word are the letters, or whatever stands next.
func (r *reader) word() string {
	n := strings.IndexFunc(r.rest, func(c rune) bool { return !unicode.IsLetter(c) })
	switch {
	case n < 0:
		return r.rest
	case n == 0:
		return r.rest[:1]
	}
	return r.rest[:n]
}

// number reads digits: as many as the pattern has, if another pattern follows at once or the pattern is short.
func (r *reader) number(t token, p string, adjacent bool) error {
	width := map[string]int{"HH24": 2, "HH12": 2, "MS": 3, "US": 6, "SSSS": 5, "J": 7}[p]
	if width == 0 {
		width = len(p)
	}
	if p == "YYYY" && !adjacent {
		width = 6
	}
	n := 0
	for n < len(r.rest) && n < width && r.rest[n] >= '0' && r.rest[n] <= '9' {
		n++
	}
	value, err := strconv.Atoi(r.rest[:n])
	if err != nil {
		return templateError("invalid value %q for %q", r.rest[:min(len(r.rest), width)], t.pattern)
	}
	switch {
	case p == "MS" || p == "US": // a fraction
		for range width - n {
			value *= 10
		}
	case p == "YY" && value < 70:
		value += 2000
	case p == "YY" && value < 100:
		value += 1900
	}
	r.read[strings.NewReplacer("YYYY", "YEAR", "YY", "YEAR", "SSSSS", "SSSS", "HH24", "HH").Replace(p)] = value
	if p == "HH12" || p == "HH" {
		r.read["HH"] = value
		if value < 1 || value > 12 {
			return templateError("hour %q is invalid for the 12-hour clock", strconv.Itoa(value))
		}
	}
	r.rest = r.rest[n:]
	return nil
}

// time is what was read.
func (r *reader) time(text string) (time.Time, error) {
	get := func(name string, otherwise int) int {
		if n, ok := r.read[name]; ok {
			return n
		}
		return otherwise
	}
	outOfRange := &columnar.InputError{Code: "22008", Message: fmt.Sprintf("date/time field value out of range: %q", text)}
	year, month, day := get("YEAR", 0), get("MM", 1), get("DD", 1)
	if _, given := r.read["YEAR"]; !given {
		year = 0 // 1 BC, as PostgreSQL says
	}
	hour := get("HH", 0)
	switch {
	case r.half == 2 && hour < 12:
		hour += 12
	case r.half == 1 && hour == 12:
		hour = 0
	}
	if hour > 23 || get("MI", 0) > 59 || get("SS", 0) > 59 || month < 1 || month > 12 || day < 1 {
		return time.Time{}, outOfRange
	}
	micros := get("MS", 0)*1000 + get("US", 0)
	at := time.Date(year, time.Month(month), day, hour, get("MI", 0), get("SS", 0)+get("SSSS", 0), micros*1000, time.UTC)
	if at.Day() != day {
		return time.Time{}, outOfRange
	}
	if days, given := r.read["DDD"]; given {
		at = time.Date(year, 1, days, hour, get("MI", 0), get("SS", 0), micros*1000, time.UTC)
	}
	if year == 0 {
		return time.Time{}, unsupported("a template without a year is not supported")
	}
	return at, nil
}
