package duck

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// formatScalars write and read values by PostgreSQL's templates:
//
//	bs_to_char(any, text)              of dates, times, intervals and numbers
//	bs_to_date(text, text)
//	bs_to_timestamp(text, text)
//
// those of timestamps with a time zone in the connection's.
func formatScalars() []scalar {
	text := mapping.TypeVarchar
	return []scalar{
		{name: "bs_to_char_in", args: []mapping.Type{mapping.TypeAny, text, text}, out: columnar.Type{Kind: columnar.Text}, styled: toChar, clock: true},
		{name: "bs_to_date", args: []mapping.Type{text, text}, out: columnar.Type{Kind: columnar.Date}, call: toDate},
		{name: "bs_to_timestamp_in", args: []mapping.Type{text, text, text}, out: columnar.Type{Kind: columnar.TimestampTZ}, styled: toTimestamp, clock: true},
	}
}

// maxTemplate bounds a template, which is gone through for each value while nothing interrupts it.
const maxTemplate = 8 << 10

// template is that of a call.
func template(in cells, row int) (string, error) {
	text := in.append(nil, row)
	if len(text) > maxTemplate {
		return "", &Error{
			Class: ClassUnsupported, SQLSTATE: "54000", Position: -1,
			Message: fmt.Sprintf("a template of %d bytes is too long: it may have up to %d", len(text), maxTemplate),
		}
	}
	return string(text), nil
}

func toChar(as *style.Style, in []cells, row int) (any, error) {
	format, err := template(in[1], row)
	if err != nil {
		return nil, err
	}
	value := string(in[0].append(nil, row))
	switch in[0].kind {
	case columnar.Date, columnar.Timestamp, columnar.TimestampTZ:
		m, finite, err := readMoment(value)
		if err != nil || !finite {
			return nil, err
		}
		if m.zoned = in[0].kind == columnar.TimestampTZ; m.zoned {
			m.inZone(as.Zone)
		}
		return m.format(format)
	case columnar.Time:
		m, err := readClock(value)
		if err != nil {
			return nil, err
		}
		return m.format(format)
	case columnar.Interval:
		m, err := readInterval(value)
		if err != nil {
			return nil, err
		}
		return m.format(format)
	case columnar.Int16, columnar.Int32, columnar.Int64, columnar.Float32, columnar.Float64, columnar.Decimal:
		return numberToChar(value, format)
	default:
		return nil, unsupported("to_char of this type is not supported")
	}
}

// moment is what a template writes: a point in time, or a span.
type moment struct {
	year, month, day, hour, minute, second, micros int
	zoned, span                                    bool
	east                                           int    // of UTC, in seconds
	zone                                           string // what that is called
}

// inZone finds out what the zone is called then.
func (m *moment) inZone(z style.Zone) {
	at := time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second-m.east, 0, time.UTC).In(z.Location())
	m.zone, m.east = at.Zone()
}

// offset is the one of the zone, with minutes if it has any.
func (m *moment) offset() string {
	text := fmt.Sprintf("%+03d", m.east/3600)
	if m.east < 0 && m.east > -3600 {
		text = "-00"
	}
	if minutes := m.east / 60 % 60; minutes != 0 {
		text += fmt.Sprintf(":%02d", max(minutes, -minutes))
	}
	return text
}

func (m *moment) date() time.Time {
	return time.Date(m.year, time.Month(m.month), m.day, 0, 0, 0, 0, time.UTC)
}

// readMoment reads the text of a date or timestamp; infinity isn't finite.
func readMoment(text string) (*moment, bool, error) {
	if strings.Contains(text, "infinity") {
		return nil, false, nil
	}
	before, isBC := strings.CutSuffix(text, " BC")
	date, clock, _ := strings.Cut(before, " ")
	clock, east := cutOffset(clock)
	parts := strings.Split(date, "-")
	if len(parts) != 3 {
		return nil, false, fmt.Errorf("date %q", text)
	}
	m := &moment{}
	if clock != "" {
		var err error
		if m, err = readClock(clock); err != nil {
			return nil, false, err
		}
	}
	m.east = east
	for i, into := range []*int{&m.year, &m.month, &m.day} {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return nil, false, err
		}
		*into = n
	}
	if isBC {
		m.year = 1 - m.year
	}
	return m, true, nil
}

// cutOffset takes the offset off the end of a time, in seconds east of UTC.
func cutOffset(clock string) (string, int) {
	i := strings.LastIndexAny(clock, "+-")
	if i < 0 {
		return clock, 0
	}
	east, scale := 0, 3600
	for part := range strings.SplitSeq(clock[i+1:], ":") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return clock, 0
		}
		east, scale = east+n*scale, scale/60
	}
	if clock[i] == '-' {
		east = -east
	}
	return clock[:i], east
}

// readClock reads hours, minutes and seconds.
func readClock(text string) (*moment, error) {
	m := &moment{}
	text, negative := strings.CutPrefix(text, "-")
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return nil, fmt.Errorf("time %q", text)
	}
	seconds, fraction, _ := strings.Cut(parts[2], ".")
	fraction = (fraction + "000000")[:6]
	for i, part := range []string{parts[0], parts[1], seconds, fraction} {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, err
		}
		if negative {
			n = -n
		}
		*[]*int{&m.hour, &m.minute, &m.second, &m.micros}[i] = n
	}
	return m, nil
}

// readInterval reads an interval as PostgreSQL prints it.
func readInterval(text string) (*moment, error) {
	m := &moment{}
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		if strings.Contains(words[i], ":") {
			clock, err := readClock(words[i])
			if err != nil {
				return nil, err
			}
			m.hour, m.minute, m.second, m.micros = clock.hour, clock.minute, clock.second, clock.micros
			continue
		}
		n, err := strconv.Atoi(words[i])
		if err != nil || i+1 == len(words) {
			return nil, fmt.Errorf("interval %q", text)
		}
		i++
		switch strings.TrimSuffix(words[i], "s") {
		case "year":
			m.year = n
		case "mon":
			m.month = n
		case "day":
			m.day = n
		}
	}
	m.span = true
	return m, nil
}

// token is a piece of a template: a pattern with what stands around it, or plain text.
type token struct {
	pattern string
	plain   string
	fill    bool   // FM: nothing is filled up
	suffix  string // th or TH
}

// timePatterns are those of dates and times; of two that fit, the longer one is meant.
func timePatterns() []string {
	return strings.Fields("SSSSS Y,YYY HH24 HH12 SSSS YYYY IYYY MONTH Month month A.M. P.M. a.m. p.m. B.C. A.D. b.c. a.d. IDDD YYY IYY MON Mon mon DAY Day day DDD TZH TZM" +
		" FF1 FF2 FF3 FF4 FF5 FF6 HH MI SS MS US AM PM am pm BC AD bc ad YY IY MM DD DY Dy dy ID WW IW CC RM rm TZ tz OF Y I D W Q J")
}

// tokens takes a template apart.
func tokens(format string) []token {
	patterns := timePatterns()
	var out []token
	for format != "" {
		if quoted, ok := strings.CutPrefix(format, `"`); ok {
			text, rest, _ := strings.Cut(quoted, `"`)
			out, format = append(out, token{plain: text}), rest
			continue
		}
		t, rest := token{}, format
		if after, ok := strings.CutPrefix(rest, "FM"); ok {
			t.fill, rest = true, after
		}
		for _, p := range patterns {
			if strings.HasPrefix(rest, p) {
				t.pattern, rest = p, rest[len(p):]
				break
			}
		}
		if t.pattern == "" {
			if t.fill { // before nothing that it could be about
				format = rest
				continue
			}
			out, format = append(out, token{plain: format[:1]}), format[1:]
			continue
		}
		if len(rest) > 1 && strings.EqualFold(rest[:2], "th") {
			t.suffix, rest = rest[:2], rest[2:]
		}
		out, format = append(out, t), rest
	}
	return out
}

// format writes a moment by a template.
func (m *moment) format(format string) (any, error) {
	var b strings.Builder
	for _, t := range tokens(format) {
		if t.pattern == "" {
			b.WriteString(t.plain)
			continue
		}
		text, isNumber, ok := m.pattern(t)
		if !ok {
			return nil, unsupported("to_char template %q is not supported", t.pattern)
		}
		b.WriteString(text)
		if isNumber {
			b.WriteString(ordinal(text, t.suffix))
		}
	}
	return b.String(), nil
}

// ordinal is the ending of a number, in the case of the suffix.
func ordinal(number, suffix string) string {
	if suffix == "" {
		return ""
	}
	ending := "th"
	if n := len(number); n < 2 || number[n-2] != '1' {
		ending = map[byte]string{'1': "st", '2': "nd", '3': "rd"}[number[n-1]]
		if ending == "" {
			ending = "th"
		}
	}
	if suffix == "TH" {
		return strings.ToUpper(ending)
	}
	return ending
}

// pattern is what a pattern stands for, and whether it is a number.
func (m *moment) pattern(t token) (string, bool, bool) {
	number := func(n, width int) (string, bool, bool) {
		if t.fill {
			width = 0
		}
		if n < 0 {
			return "-" + fmt.Sprintf("%0*d", width, -n), true, true
		}
		return fmt.Sprintf("%0*d", width, n), true, true
	}
	if text, ok := m.word(t); ok {
		return text, false, true
	}
	switch p := t.pattern; p {
	case "HH24":
		return number(m.hour, 2)
	case "HH", "HH12":
		if m.span {
			return number(m.hour%12, 2)
		}
		return number((m.hour+11)%12+1, 2)
	case "MI":
		return number(m.minute, 2)
	case "SS":
		return number(m.second, 2)
	case "MS", "FF3":
		return fmt.Sprintf("%03d", m.micros/1000), true, true
	case "US", "FF6":
		return fmt.Sprintf("%06d", m.micros), true, true
	case "FF1", "FF2", "FF4", "FF5":
		return fmt.Sprintf("%06d", m.micros)[:p[2]-'0'], true, true
	case "SSSS", "SSSSS":
		return number(m.hour*3600+m.minute*60+m.second, 0)
	case "YYYY", "YYY", "YY", "Y", "Y,YYY":
		return m.yearPattern(t, m.year)
	case "MM":
		return number(m.month, 2)
	case "DD":
		return number(m.day, 2)
	}
	if m.span {
		return "", false, false
	}
	return m.calendar(t, number)
}

// yearPattern writes the last digits of a year, counted before Christ if it is one of those.
func (m *moment) yearPattern(t token, year int) (string, bool, bool) {
	if year <= 0 && !m.span {
		year = 1 - year
	}
	if t.pattern == "Y,YYY" {
		return fmt.Sprintf("%d,%03d", year/1000, year%1000), true, true
	}
	width := len(t.pattern)
	if width < 4 {
		year %= []int{1, 10, 100, 1000}[width]
	}
	if t.fill {
		width = 0
	}
	return fmt.Sprintf("%0*d", width, year), true, true
}

// calendar are the patterns that need a calendar.
func (m *moment) calendar(t token, number func(n, width int) (string, bool, bool)) (string, bool, bool) {
	d := m.date()
	isoYear, isoWeek := d.ISOWeek()
	isoDay := (int(d.Weekday())+6)%7 + 1
	switch t.pattern {
	case "DDD":
		return number(d.YearDay(), 3)
	case "IDDD":
		return number((isoWeek-1)*7+isoDay, 3)
	case "D":
		return number(int(d.Weekday())+1, 1)
	case "ID":
		return number(isoDay, 1)
	case "W":
		return number((m.day-1)/7+1, 1)
	case "WW":
		return number((d.YearDay()-1)/7+1, 2)
	case "IW":
		return number(isoWeek, 2)
	case "IYYY", "IYY", "IY", "I":
		return m.yearPattern(token{pattern: "YYYY"[:len(t.pattern)], fill: t.fill}, isoYear)
	case "CC":
		if m.year <= 0 {
			return number(-(-m.year/100 + 1), 2)
		}
		return number((m.year+99)/100, 2)
	case "Q":
		return number((m.month-1)/3+1, 1)
	case "J":
		const julianOfUnix = 2440588
		return number(julianOfUnix+int(d.Unix()/86400), 0)
	case "TZH":
		return map[bool]string{true: m.offset()[:3]}[m.zoned], false, true
	case "TZM":
		return map[bool]string{true: fmt.Sprintf("%02d", max(m.east, -m.east)/60%60)}[m.zoned], false, true
	}
	return "", false, false
}

// word are the patterns that stand for words, in the case of the pattern, and filled up with blanks.
func (m *moment) word(t token) (string, bool) {
	word, width := "", 0
	switch lower := strings.ToLower(t.pattern); lower {
	case "am", "pm", "a.m.", "p.m.":
		word = "am"
		if m.hour%24 >= 12 {
			word = "pm"
		}
		if len(lower) > 2 {
			word = word[:1] + "." + word[1:] + "."
		}
	case "bc", "ad", "b.c.", "a.d.":
		word = "ad"
		if m.year <= 0 {
			word = "bc"
		}
		if len(lower) > 2 {
			word = word[:1] + "." + word[1:] + "."
		}
	case "tz", "of":
		word = map[string]string{"of": m.offset()}[lower]
		if m.zoned && lower == "tz" {
			word = m.zone
		}
	case "month", "mon", "day", "dy", "rm":
		return m.name(t, lower)
	default:
		return "", false
	}
	return inCase(word, t, width), true
}

// name is that of a month or day.
func (m *moment) name(t token, lower string) (string, bool) {
	if m.span && lower != "rm" {
		return "", true
	}
	width := 9
	var word string
	switch lower {
	case "month":
		word = time.Month(m.month).String()
	case "mon":
		word, width = time.Month(m.month).String()[:3], 0
	case "day":
		word = m.date().Weekday().String()
	case "dy":
		word, width = m.date().Weekday().String()[:3], 0
	case "rm":
		width = 4
		if m.month > 0 {
			word = strings.Fields("I II III IV V VI VII VIII IX X XI XII")[(m.month-1)%12]
		}
	}
	return inCase(word, t, width), true
}

// inCase writes a word as the pattern is written.
func inCase(word string, t token, width int) string {
	switch {
	case t.pattern == strings.ToUpper(t.pattern):
		word = strings.ToUpper(word)
	case t.pattern == strings.ToLower(t.pattern):
		word = strings.ToLower(word)
	}
	if t.fill {
		return word
	}
	return fmt.Sprintf("%-*s", width, word)
}
