package sqlgw

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// settings of one session. A parameter's value is what SET LOCAL said in this transaction, else what SET
// said in this session, else its initial one.
type settings struct {
	table  []setting
	given  map[string]string // custom parameters of the startup packet, by lower-case name
	values *settingValues
	shared bool // values were handed out: they are copied before they change
	sink   pgwire.ParameterSink
	// identity is read by the engine's threads, too.
	identity atomic.Pointer[identity]
	styled   *style.Style // the last one that was asked for
}

// settingValues are what was set, by lower-case name. Those that were handed out never change.
type settingValues struct{ session, local map[string]string }

// chargedSetting is what a value costs beside its texts.
const chargedSetting = 64

func newSettingValues() *settingValues {
	return &settingValues{session: map[string]string{}, local: map[string]string{}}
}

// bytes that they take.
func (v *settingValues) bytes() int {
	n := 0
	for _, m := range []map[string]string{v.session, v.local} {
		for name, value := range m {
			n += chargedSetting + len(name) + len(value)
		}
	}
	return n
}

func newSettings(sink pgwire.ParameterSink) *settings {
	return &settings{table: settingTable(), given: map[string]string{}, sink: sink, values: newSettingValues()}
}

// start takes the parameters of a startup packet.
func (s *settings) start(params map[string]string) error {
	params, err := startParameters(params)
	if err != nil {
		return err
	}
	for name, value := range params {
		if name == "replication" {
			return sqlError("0A000", "replication connections are not supported")
		}
		e, err := s.find(name)
		if err != nil {
			return err
		}
		normal, err := s.normal(e, value)
		if err != nil {
			return err
		}
		if e.initial = normal; e.custom {
			s.given[strings.ToLower(name)] = normal
		}
	}
	return nil
}

// reportAll tells the client of what it is told.
func (s *settings) reportAll() {
	for _, e := range s.table {
		if e.report {
			s.sink.SetParameter(e.name, s.value(e.name))
		}
	}
}

// find a parameter. One with a dot in its name that isn't ours may be made by anyone, as in PostgreSQL.
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
	if prefix, rest, ok := strings.Cut(name, "."); ok && prefix != "" && rest != "" && !strings.EqualFold(prefix, "broadsheet") {
		return &setting{name: name, initial: s.given[strings.ToLower(name)], check: anyText, custom: true}, nil
	}
	return nil, unknownParameter(name)
}

func unknownParameter(name string) *pgwire.Error {
	return &pgwire.Error{Code: "42704", Message: fmt.Sprintf("unrecognized configuration parameter %q", name)}
}

// get a parameter that has a value.
func (s *settings) get(name string) (*setting, string, error) {
	e, err := s.find(name)
	if err != nil {
		return nil, "", err
	}
	v, set := s.said(e.name)
	if set {
		return e, v, nil
	}
	if _, given := s.given[strings.ToLower(e.name)]; e.custom && !given {
		return nil, "", unknownParameter(name)
	}
	return e, e.initial, nil
}

// said is what was set.
func (s *settings) said(name string) (string, bool) {
	key := strings.ToLower(name)
	if v, ok := s.values.local[key]; ok {
		return v, true
	}
	v, ok := s.values.session[key]
	return v, ok
}

// value of a parameter that is known to be there.
func (s *settings) value(name string) string {
	_, v, err := s.get(name)
	if err != nil {
		return ""
	}
	return v
}

// maxCustom bounds the parameters that a session makes, maxSetting the length of a value, and maxSettings the
// bytes of all values together, beyond which no parameter is made.
const (
	maxCustom   = 1000
	maxSetting  = 64 << 10
	maxSettings = 1 << 20
)

// set changes a parameter for the session, or for the transaction if local. A value that wouldn't be
// acted on is refused.
func (s *settings) set(name, value string, local bool) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	normal, err := s.normal(e, value)
	if err != nil {
		return err
	}
	return s.put(e, normal, local)
}

// reset gives a parameter its first value, or all of them with the name "".
func (s *settings) reset(name string, local bool) error {
	if name != "" {
		e, err := s.find(name)
		if err != nil {
			return err
		}
		if e.check == nil {
			return fixedParameter(e)
		}
		return s.put(e, e.initial, local)
	}
	kept := newSettingValues()
	for _, name := range []string{settingRole, settingAuthority, settingSuperuser} {
		if v, ok := s.said(name); ok {
			kept.session[name] = v
		}
	}
	s.restore(kept)
	return nil
}

func (s *settings) put(e *setting, value string, local bool) error {
	key := strings.ToLower(e.name)
	if err := s.admit(e, key, value, local); err != nil {
		return err
	}
	was := s.value(e.name)
	s.own()
	if local {
		s.values.local[key] = value
	} else {
		s.values.session[key] = value
		delete(s.values.local, key)
	}
	s.noteIdentity()
	if e.report && was != value {
		s.sink.SetParameter(e.name, value)
	}
	return nil
}

// admit tells whether there is room for a value.
func (s *settings) admit(e *setting, key, value string, local bool) error {
	if most := cmp.Or(e.most, maxSetting); len(value) > most {
		return sqlError("53400", "parameter %q may be set to %d bytes at most", e.name, most)
	}
	if !e.custom {
		return nil // there are as many as the table has
	}
	of := s.values.session
	if local {
		of = s.values.local
	}
	was, again := of[key]
	n, size := len(s.values.session)+len(s.values.local), s.values.bytes()+chargedSetting+len(key)+len(value)
	if again {
		n, size = n-1, size-chargedSetting-len(key)-len(was)
	}
	if n >= maxCustom || size > maxSettings {
		return sqlError("53400", "a session may set %d parameters, of %d bytes together", maxCustom, maxSettings)
	}
	return nil
}

// own makes the values the session's alone, so that they can be changed.
func (s *settings) own() {
	if s.shared {
		s.values = &settingValues{session: maps.Clone(s.values.session), local: maps.Clone(s.values.local)}
		s.shared = false
	}
}

// saved is what is set now, for restore. It is the same as before if nothing was set since.
func (s *settings) saved() *settingValues {
	s.shared = true
	return s.values
}

// restore what was set before.
func (s *settings) restore(v *settingValues) { s.change(func() { s.values, s.shared = v, true }) }

// change values, and report those that are told.
func (s *settings) change(do func()) {
	was := map[string]string{}
	for _, e := range s.table {
		if e.report {
			was[e.name] = s.value(e.name)
		}
	}
	do()
	s.noteIdentity()
	for _, e := range s.table {
		if v := s.value(e.name); e.report && v != was[e.name] {
			s.sink.SetParameter(e.name, v)
		}
	}
}

// endLocal forgets what SET LOCAL said.
func (s *settings) endLocal() {
	if len(s.values.local) > 0 {
		s.change(func() {
			s.own()
			clear(s.values.local)
		})
	}
}

// schemas are those of the search path, in order.
func (s *settings) schemas() []string {
	names, _ := splitPath(s.value("search_path"))
	return slices.DeleteFunc(names, func(n string) bool { return n == "$user" })
}

// timeout of a statement; zero is none.
func (s *settings) timeout() time.Duration { return s.time("statement_timeout") }

// time is the value of a parameter that is one.
func (s *settings) time(name string) time.Duration {
	ms, _ := milliseconds(s.value(name))
	return time.Duration(ms) * time.Millisecond
}

// on tells whether a parameter is.
func (s *settings) on(name string) bool { return s.value(name) == "on" }

// custom are the parameters that the client made, which have a dot in their names.
func (s *settings) custom() map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{s.given, s.values.session, s.values.local} {
		for name, value := range m {
			if e, err := s.find(name); err == nil && e.custom {
				out[name] = value
			}
		}
	}
	return out
}
