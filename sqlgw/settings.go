package sqlgw

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/pgwire"
)

// serverVersion is the PostgreSQL whose behaviour clients may expect.
const serverVersion = "15.0"

// setting is one run-time parameter: what it is, and which values are acted on.
type setting struct {
	name    string // as PostgreSQL spells it
	initial string
	// report: clients are told of its value at the start and at each change.
	report bool
	// check returns the value in its normal form, or false if it isn't acted on. Nil
	// means that the setting can't be changed.
	check func(string) (string, bool)
	hint  string // which values are
}

// only accepts the one behaviour that there is, in any of its spellings.
func only(values ...string) func(string) (string, bool) {
	return func(v string) (string, bool) {
		ok := slices.ContainsFunc(values, func(w string) bool { return strings.EqualFold(v, w) })
		return values[0], ok
	}
}

func anyText(v string) (string, bool) { return v, true }

// settingTable lists every parameter that can be shown, in order of its name.
func settingTable() []setting {
	const off, on = "off", "on"
	offOnly := only(off, "false", "no", "0")
	return []setting{
		{name: "application_name", report: true, check: anyText},
		{name: "bytea_output", initial: "hex", check: only("hex"), hint: "hex"},
		{name: "client_encoding", initial: "UTF8", report: true, check: only("UTF8", "utf-8", "unicode"), hint: "UTF8"},
		{name: "client_min_messages", initial: "notice", check: messageLevel, hint: "debug5 to error"},
		{name: "DateStyle", initial: "ISO, MDY", report: true, check: only("ISO, MDY", "iso", "iso,mdy", "iso, us"), hint: "ISO, MDY"},
		{name: "default_transaction_isolation", initial: "read committed", check: only("read committed"), hint: "read committed"},
		{name: "default_transaction_read_only", initial: off, report: true, check: offOnly, hint: off},
		{name: "extra_float_digits", initial: "1", check: floatDigits, hint: "1, 2 or 3: floats are always written so that they read back"},
		{name: "idle_in_transaction_session_timeout", initial: "0", check: only("0"), hint: "0"},
		{name: "in_hot_standby", initial: off, report: true},
		{name: "integer_datetimes", initial: on, report: true},
		{name: "IntervalStyle", initial: "postgres", report: true, check: only("postgres"), hint: "postgres"},
		{name: "is_superuser", initial: on, report: true},
		{name: "lock_timeout", initial: "0", check: only("0"), hint: "0"},
		{name: "max_identifier_length", initial: "63"},
		{name: "search_path", initial: `"$user", public`, check: searchPath, hint: "a list of schemas"},
		{name: "server_encoding", initial: "UTF8", report: true},
		{name: "server_version", initial: serverVersion, report: true},
		{name: "server_version_num", initial: "150000"},
		{name: "session_authorization", initial: superuser, report: true},
		{name: "standard_conforming_strings", initial: on, report: true, check: only(on, "true", "yes", "1"), hint: on},
		{name: "statement_timeout", initial: "0", check: duration, hint: "milliseconds, or a number with a unit such as '5s'"},
		{name: "TimeZone", initial: "UTC", report: true, check: only("UTC", "GMT", "Etc/UTC", "Z", "0"), hint: "UTC"},
		{name: "transaction_isolation", initial: "read committed", check: only("read committed"), hint: "read committed"},
		{name: "transaction_read_only", initial: off, check: offOnly, hint: off},
	}
}

// settings of one session.
type settings struct {
	table  []setting
	values map[string]string // by lower-case name
	sink   pgwire.ParameterSink
}

func newSettings(sink pgwire.ParameterSink) *settings {
	s := &settings{table: settingTable(), values: map[string]string{}, sink: sink}
	for _, e := range s.table {
		s.values[strings.ToLower(e.name)] = e.initial
	}
	return s
}

// start takes the parameters of a startup packet.
func (s *settings) start(params map[string]string) error {
	for name, value := range params {
		if name == "options" {
			return hinted(sqlError("0A000", "command-line options in the startup packet are not supported"),
				"Use SET once you are connected.")
		}
		if name == "replication" {
			return sqlError("0A000", "replication connections are not supported")
		}
		e, err := s.find(name)
		if err != nil {
			return err
		}
		if err := s.set(e.name, value); err != nil {
			return err
		}
		e.initial = s.values[strings.ToLower(e.name)]
	}
	return nil
}

// reportAll tells the client what it is told at the start.
func (s *settings) reportAll() {
	for _, e := range s.table {
		if e.report {
			s.sink.SetParameter(e.name, s.values[strings.ToLower(e.name)])
		}
	}
}

func (s *settings) find(name string) (*setting, error) {
	switch strings.ToLower(name) { // as the grammar names what has a syntax of its own
	case "timezone", "time zone":
		name = "TimeZone"
	}
	for i := range s.table {
		if strings.EqualFold(s.table[i].name, name) {
			return &s.table[i], nil
		}
	}
	return nil, &pgwire.Error{Code: "42704", Message: fmt.Sprintf("unrecognized configuration parameter %q", name)}
}

func (s *settings) get(name string) (*setting, string, error) {
	e, err := s.find(name)
	if err != nil {
		return nil, "", err
	}
	return e, s.values[strings.ToLower(e.name)], nil
}

// value of a parameter that is known to be there.
func (s *settings) value(name string) string { return s.values[strings.ToLower(name)] }

// set changes a parameter. A value that wouldn't be acted on is refused.
func (s *settings) set(name, value string) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	if e.check == nil {
		return fixedParameter(e)
	}
	normal, ok := e.check(value)
	if !ok {
		return &pgwire.Error{
			Code: "22023", Message: fmt.Sprintf("invalid value for parameter %q: %q", e.name, value),
			Hint: "Available values: " + e.hint + ".",
		}
	}
	s.put(e, normal)
	return nil
}

func fixedParameter(e *setting) *pgwire.Error {
	return sqlError("55P02", "parameter %q cannot be changed", e.name)
}

// reset gives a parameter its first value, or all of them with the name "".
func (s *settings) reset(name string) error {
	if name != "" {
		e, err := s.find(name)
		if err != nil {
			return err
		}
		if e.check == nil {
			return fixedParameter(e)
		}
		s.put(e, e.initial)
		return nil
	}
	for i := range s.table {
		if s.table[i].check != nil {
			s.put(&s.table[i], s.table[i].initial)
		}
	}
	return nil
}

func (s *settings) put(e *setting, value string) {
	key := strings.ToLower(e.name)
	if s.values[key] == value {
		return
	}
	s.values[key] = value
	if e.report {
		s.sink.SetParameter(e.name, value)
	}
}

// schemas are those of the search path, in order.
func (s *settings) schemas() []string {
	names, _ := splitPath(s.value("search_path"))
	return slices.DeleteFunc(names, func(n string) bool { return n == "$user" })
}

// timeout of a statement; zero is none.
func (s *settings) timeout() time.Duration {
	ms, _ := milliseconds(s.value("statement_timeout"))
	return time.Duration(ms) * time.Millisecond
}

func floatDigits(v string) (string, bool) {
	n, err := strconv.Atoi(v)
	return strconv.Itoa(n), err == nil && n >= 1 && n <= 3
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
