package sqlgw

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// only accepts the one behaviour that there is, in any of its spellings.
func only(values ...string) func(string) (string, bool) {
	return func(v string) (string, bool) {
		ok := slices.ContainsFunc(values, func(w string) bool { return strings.EqualFold(v, w) })
		return values[0], ok
	}
}

// oneOf accepts any of these words.
func oneOf(values ...string) func(string) (string, bool) {
	return func(v string) (string, bool) {
		v = strings.ToLower(v)
		return v, slices.Contains(values, v)
	}
}

// commitLevel is a value of synchronous_commit, which may be a boolean.
func commitLevel(v string) (string, bool) {
	if b, ok := boolean(v); ok {
		return b, true
	}
	return oneOf("local", "remote_write", "remote_apply")(v)
}

// ofDisk tells whether a value of synchronous_commit asks for the disk: brokers then acknowledge no append that isn't on
// that of every member. Otherwise they do as they were told to by --ack, which may be the same.
func ofDisk(level string) bool { return level != "off" && level != "remote_write" }

func anyText(v string) (string, bool) { return v, true }

// boolean reads a truth value as PostgreSQL does: a word of its list, or so much of one that it
// can be no other's.
func boolean(v string) (string, bool) {
	v = strings.ToLower(strings.TrimSpace(v))
	for _, w := range []struct {
		word string
		min  int
		is   string
	}{
		{"on", 2, "on"},
		{"true", 1, "on"},
		{"yes", 1, "on"},
		{"1", 1, "on"},
		{"off", 2, "off"},
		{"false", 1, "off"},
		{"no", 1, "off"},
		{"0", 1, "off"},
	} {
		if len(v) >= w.min && strings.HasPrefix(w.word, v) {
			return w.is, true
		}
	}
	return "", false
}

// printable is a name that is shown to others: what isn't printable ASCII becomes a question mark.
func printable(v string) (string, bool) {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, v), true
}

// fetchTimeout is a time, or none.
func fetchTimeout(v string) (string, bool) {
	if strings.EqualFold(v, "none") {
		return "none", true
	}
	return duration(v)
}

// clientEncoding finds an encoding by its letters and digits. SQL_ASCII is no conversion: texts are what they are here.
func clientEncoding(v string) (string, bool) {
	letters := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			return c
		}
		return -1
	}, strings.ToLower(v))
	switch letters {
	case "utf8", "unicode":
		return "UTF8", true
	case "sqlascii":
		return "SQL_ASCII", true
	}
	return "", false
}

func messageLevel(v string) (string, bool) {
	levels := []string{"debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"}
	v = strings.ToLower(v)
	return v, slices.Contains(levels, v)
}

// timeUnits are those that PostgreSQL reads and writes, the longest first.
func timeUnits() []timeUnit {
	return []timeUnit{{"d", 86_400_000}, {"h", 3_600_000}, {"min", 60_000}, {"s", 1000}, {"ms", 1}, {"us", 0.001}}
}

type timeUnit struct {
	suffix string
	ms     float64
}

// duration reads a time, and returns it as PostgreSQL shows it: in the longest unit of which
// it is a whole number.
func duration(v string) (string, bool) {
	ms, ok := milliseconds(v)
	if !ok || ms == 0 {
		return "0", ok
	}
	for _, u := range timeUnits() {
		if n := int64(u.ms); n > 0 && ms%n == 0 {
			return strconv.FormatInt(ms/n, 10) + u.suffix, true
		}
	}
	return "", false
}

// milliseconds reads a time as PostgreSQL does: a number that may have a fraction, and a
// unit, milliseconds without one; rounded to a whole number.
func milliseconds(v string) (int64, bool) {
	number := strings.TrimSpace(v)
	digits := strings.TrimRight(number, "abcdefghijklmnopqrstuvwxyz")
	unit := number[len(digits):]
	scale := 1.0
	if unit != "" {
		i := slices.IndexFunc(timeUnits(), func(u timeUnit) bool { return u.suffix == unit })
		if i < 0 {
			return 0, false
		}
		scale = timeUnits()[i].ms
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || math.IsNaN(n) || n < 0 || math.RoundToEven(n*scale) > math.MaxInt32 {
		return 0, false
	}
	return int64(math.RoundToEven(n * scale)), true
}

func searchPath(v string) (string, bool) {
	_, ok := splitPath(v)
	return v, ok
}

// splitPath splits a comma-separated list of identifiers, quoted or not. The empty list is
// one.
func splitPath(v string) ([]string, bool) {
	var names []string
	rest := strings.TrimSpace(v)
	if rest == "" {
		return nil, true
	}
	for {
		var name string
		var ok bool
		if name, rest, ok = pathName(rest); !ok {
			return nil, false
		}
		names = append(names, name)
		if rest == "" {
			return names, true
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, false
		}
		rest = strings.TrimLeft(rest, " \t\r\n")
	}
}

// pathName takes the first identifier off a list. What is left begins with its comma.
func pathName(list string) (string, string, bool) {
	if !strings.HasPrefix(list, `"`) {
		end := strings.IndexAny(list, ", \t\r\n\"'")
		if end < 0 {
			end = len(list)
		}
		return strings.ToLower(list[:end]), strings.TrimSpace(list[end:]), end > 0
	}
	var name strings.Builder
	for rest := list[1:]; ; {
		part, after, closed := strings.Cut(rest, `"`)
		if !closed {
			return "", "", false
		}
		name.WriteString(part)
		if !strings.HasPrefix(after, `"`) {
			return name.String(), strings.TrimSpace(after), true
		}
		name.WriteByte('"')
		rest = after[1:]
	}
}

// quotePath is a name as a search path has it: in quotes unless it is plain.
func quotePath(name string) string {
	plain := name != "" && (name[0] < '0' || name[0] > '9')
	for _, c := range []byte(name) {
		plain = plain && (c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
	}
	if plain {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
