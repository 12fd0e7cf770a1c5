package sqlgw

import (
	_ "embed" // the descriptions
	"fmt"
	"slices"
	"strings"
	"sync"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/style"
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
	hint  string // which values are; empty for a truth value
	most  int    // bytes of a value, if that isn't maxSetting
	// custom: a client made it.
	custom bool
}

// normal is a value in its normal form.
func (e *setting) normal(value string) (string, error) {
	if e.check == nil {
		return "", fixedParameter(e)
	}
	normal, ok := e.check(value)
	switch {
	case ok:
		return normal, nil
	case e.hint == "":
		return "", sqlError("22023", "parameter %q requires a Boolean value", e.name)
	default:
		return "", &pgwire.Error{
			Code: "22023", Message: fmt.Sprintf("invalid value for parameter %q: %.100q", e.name, value),
			Hint: "Available values: " + e.hint + ".",
		}
	}
}

func fixedParameter(e *setting) *pgwire.Error {
	return sqlError("55P02", "parameter %q cannot be changed", e.name)
}

const (
	hintTime      = "milliseconds, or a number with a unit such as '5s'"
	hintIsolation = "serializable, repeatable read, read committed, read uncommitted"
)

//go:embed settingdescriptions.txt
var settingsDescribed string

// settingDescriptions are what SHOW ALL says of each parameter.
var settingDescriptions = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(settingsDescribed) {
		name, about, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = about
	}
	return out
})

// settingTable lists every parameter that can be shown, in order of its name. Where only some
// of PostgreSQL's values are acted on, the others are refused; where there is nothing that a value could
// change (there are no locks, no policies, no functions of users, no synchronized scans), all are taken.
func settingTable() []setting {
	const off, on = "off", "on"
	isolation := oneOf("serializable", "repeatable read", "read committed", "read uncommitted")
	list := append(plannerSettings(), []setting{
		{name: "application_name", report: true, check: printable},
		{name: "block_size", initial: "8192"},
		{name: "broadsheet.fetch_timeout", initial: "none", check: fetchTimeout, hint: "none, or " + hintTime},
		{name: settingFreshness, initial: "strict", check: checkFreshness, hint: hintFreshness},
		{name: settingLastCut},
		{name: settingMaxRows, initial: "0", check: rowBound, hint: "a number of rows; 0 is no bound"},
		{name: settingMinCut, check: checkMinCut, hint: "a cut, as SHOW " + settingLastCut + " prints it, or the empty string", most: clock.MaxCutText},
		{name: "bytea_output", initial: "hex", check: oneOf("hex", "escape"), hint: "hex, escape"},
		{name: "check_function_bodies", initial: on, check: boolean},
		{name: "client_encoding", initial: "UTF8", report: true, check: clientEncoding, hint: "UTF8, SQL_ASCII"},
		{name: "client_min_messages", initial: "notice", check: messageLevel, hint: "debug5 to error"},
		{name: "DateStyle", initial: "ISO, MDY", report: true, check: anyText, hint: hintDateStyle},
		{name: "default_table_access_method", initial: "journal", check: only("journal", "heap"), hint: "journal"},
		{name: "default_tablespace", check: only("", "pg_default"), hint: "the empty string"},
		{name: "default_transaction_deferrable", initial: off, check: boolean},
		{name: "default_transaction_isolation", initial: "read committed", check: isolation, hint: hintIsolation},
		{name: "default_transaction_read_only", initial: off, report: true, check: boolean},
		{name: "escape_string_warning", initial: on, check: boolean},
		{name: "extra_float_digits", initial: "1", check: integer(style.MinFloatDigits, style.MaxFloatDigits), hint: "-15 to 3"},
		{name: "idle_in_transaction_session_timeout", initial: "0", check: duration, hint: hintTime},
		{name: "idle_session_timeout", initial: "0", check: duration, hint: hintTime},
		{name: "in_hot_standby", initial: off, report: true},
		{name: "integer_datetimes", initial: on, report: true},
		{name: "IntervalStyle", initial: "postgres", report: true, check: oneOf("postgres", "postgres_verbose", "sql_standard", "iso_8601"), hint: "postgres, postgres_verbose, sql_standard, iso_8601"},
		{name: "is_superuser", initial: on, report: true},
		{name: "lc_collate", initial: "C"},
		{name: "lc_ctype", initial: "C"},
		{name: "lc_messages", initial: "C", check: only("C", "POSIX", "en_US.UTF-8"), hint: "C"},
		{name: "lc_monetary", initial: "C", check: only("C", "POSIX"), hint: "C"},
		{name: "lc_numeric", initial: "C", check: only("C", "POSIX"), hint: "C"},
		{name: "lc_time", initial: "C", check: only("C", "POSIX"), hint: "C"},
		{name: "lock_timeout", initial: "0", check: duration, hint: hintTime},
		{name: "max_function_args", initial: "100"},
		{name: "max_identifier_length", initial: "63"},
		{name: "max_index_keys", initial: "32"},
		{name: "password_encryption", initial: "scram-sha-256", check: only("scram-sha-256"), hint: "scram-sha-256"}, // psql's \password asks
		{name: "quote_all_identifiers", initial: off, check: only(off, "false", "no", "0"), hint: off},
		{name: "role", initial: "none", check: only("none"), hint: "none"},
		{name: "row_security", initial: on, check: boolean},
		{name: "search_path", initial: `"$user", public`, check: searchPath, hint: "a list of schemas"},
		{name: "server_encoding", initial: "UTF8", report: true},
		{name: "server_version", initial: serverVersion, report: true},
		{name: "server_version_num", initial: "150000"},
		{name: "session_authorization", initial: superuser, report: true},
		{name: "standard_conforming_strings", initial: on, report: true, check: only(on, "true", "yes", "1"), hint: on},
		{name: "statement_timeout", initial: "0", check: duration, hint: hintTime},
		{name: "synchronize_seqscans", initial: on, check: boolean},
		{name: "synchronous_commit", initial: on, check: commitLevel, hint: "on, off, local, remote_write, remote_apply"},
		{name: "TimeZone", initial: "UTC", report: true, check: timeZone, hint: hintTimeZone},
		{name: "transaction_deferrable", initial: off, check: boolean},
		{name: "transaction_isolation", initial: "read committed", check: isolation, hint: hintIsolation},
		{name: "transaction_read_only", initial: off, check: boolean},
		{name: "transform_null_equals", initial: off, check: only(off, "false", "no", "0"), hint: off},
		{name: "xmloption", initial: "content", check: oneOf("content", "document"), hint: "content, document"},
	}...)
	slices.SortFunc(list, func(a, b setting) int { return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	return list
}
