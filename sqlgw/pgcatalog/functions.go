package pgcatalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// function of PostgreSQL's. One of text and answer says what stands for a call.
type function struct {
	min, max int // arguments
	// text of a template, in which {name} stands for a lookup; constant is the text of one without
	// lookups, in which braces mean nothing.
	text, constant string
	// named finds what the first argument names where it is a constant text; nil if it has to be
	// an OID.
	named func(*snapshot, string) (int64, error)
	// returns is the type of the value, where DuckDB has no such type.
	returns string
	// relation: the answer is about that relation only.
	relation bool
	// rows is the text of the template of a call in FROM, where that is another one.
	rows string
	// answer makes a template for one call; nil, nil leaves the call to parse.
	answer func(*dialect, parse.Call) (*parse.Template, error)

	fixed, set *parse.Template // of text without lookups, and of rows
}

// prepareFunctions parses the templates that are the same for every statement, and tries the
// others.
func (c *Catalog) prepareFunctions() (map[string]function, error) {
	all := map[string]function{}
	for _, group := range []map[string]function{
		c.sessionFunctions(), c.objectFunctions(), absentFunctions(), sizeFunctions(), c.textFunctions(), privilegeFunctions(), listFunctions(), aclFunctions(),
	} {
		maps.Copy(all, group)
	}
	try := &dialect{catalog: c, read: func(*Relation) string { return "bs_try" }, from: map[string]string{}}
	for name, f := range all {
		var err error
		switch {
		case f.constant != "":
			f.fixed, err = parse.NewTemplate(f.constant)
		case f.text != "":
			f.fixed, err = try.template(f.text)
		}
		if f.rows != "" && err == nil {
			f.set, err = parse.NewTemplate(f.rows)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if strings.Contains(f.text, "{") {
			f.fixed = nil
		}
		f.returns = returned(name)
		all[name] = f
	}
	return all, nil
}

// returned is the type that a function returns, "" if DuckDB has it.
func returned(function string) string {
	switch function {
	case "current_database", "current_catalog", "current_schema", "current_user", "session_user", "user", "current_role",
		"pg_get_userbyid", "getdatabaseencoding", "pg_client_encoding", "pg_encoding_to_char":
		return "name"
	case "pg_my_temp_schema":
		return "oid"
	case "pg_partition_root":
		return "regclass"
	case "current_schemas":
		return "_name"
	case "to_regclass", "to_regtype", "to_regnamespace", "to_regrole":
		return strings.TrimPrefix(function, "to_")
	}
	return ""
}

// sessionFunctions tell of the session.
func (c *Catalog) sessionFunctions() map[string]function {
	database := "CAST(" + literal(c.cfg.Database) + " AS VARCHAR)"
	list := map[string]function{
		"current_database": {constant: database}, "current_catalog": {constant: database},
		"version":                 {text: "CAST(" + literal(c.cfg.Version) + " AS VARCHAR)"},
		"pg_backend_pid":          {answer: func(d *dialect, _ parse.Call) (*parse.Template, error) { return d.template(itoa(int64(d.state.PID))) }},
		"current_schema":          {answer: currentSchema},
		"current_schemas":         {min: 1, max: 1, answer: currentSchemas},
		"current_setting":         {min: 1, max: 2, answer: currentSetting},
		"pg_get_userbyid":         {min: 1, max: 1, text: "coalesce(" + lookedUp("bs_role", "roles") + ", 'unknown (OID=' || CAST($1 AS VARCHAR) || ')')"},
		"getdatabaseencoding":     {text: "CAST('UTF8' AS VARCHAR)"},
		"pg_client_encoding":      {text: "CAST('UTF8' AS VARCHAR)"},
		"pg_encoding_to_char":     {min: 1, max: 1, text: encodingNames()},
		"pg_char_to_encoding":     {min: 1, max: 1, text: encodingNumbers()},
		"pg_is_in_recovery":       {text: "false"},
		"pg_my_temp_schema":       {text: "CAST(0 AS BIGINT)"},
		"pg_is_other_temp_schema": {min: 1, max: 1, text: "false"},
		"pg_tablespace_location":  {min: 1, max: 1, text: "CAST('' AS VARCHAR)"},
		// 8 is INSERT: rows are never changed or removed.
		"pg_relation_is_updatable": {min: 2, max: 2, named: (*snapshot).namedClass, text: lookedUp("CASE WHEN bs_table THEN 8 ELSE 0 END", "classes")},
	}
	list["session_user"] = function{answer: func(d *dialect, _ parse.Call) (*parse.Template, error) {
		return parse.NewTemplate("CAST(" + literal(cmp.Or(d.state.SessionUser, d.snapshot().user())) + " AS VARCHAR)")
	}}
	for _, name := range []string{"current_user", "user", "current_role"} {
		list[name] = function{answer: func(d *dialect, _ parse.Call) (*parse.Template, error) {
			return parse.NewTemplate("CAST(" + literal(d.snapshot().user()) + " AS VARCHAR)")
		}}
	}
	return list
}

// encodings are PostgreSQL's, by their numbers.
func encodings() []string {
	return []string{
		"SQL_ASCII", "EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004", "UTF8", "MULE_INTERNAL", "LATIN1", "LATIN2", "LATIN3",
		"LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9", "LATIN10", "WIN1256", "WIN1258", "WIN866", "WIN874", "KOI8R",
		"WIN1251", "WIN1252", "ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "WIN1250", "WIN1253", "WIN1254", "WIN1255",
		"WIN1257", "KOI8U", "SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004",
	}
}

func encodingNames() string {
	var b strings.Builder
	b.WriteString("(SELECT CASE WHEN bs_asked IS NULL THEN NULL")
	for i, name := range encodings() {
		fmt.Fprintf(&b, " WHEN bs_asked = %d THEN '%s'", i, name)
	}
	return b.String() + " ELSE '' END FROM (SELECT CAST($1 AS BIGINT)) AS bs_call (bs_asked))"
}

// encodingNumbers compares names without what isn't a letter or digit, as PostgreSQL does.
func encodingNumbers() string {
	var b strings.Builder
	b.WriteString("(SELECT CASE WHEN bs_asked IS NULL THEN NULL")
	for i, name := range encodings() {
		fmt.Fprintf(&b, " WHEN bs_asked = '%s' THEN %d", strings.ToLower(strings.ReplaceAll(name, "_", "")), i)
	}
	return b.String() + " WHEN bs_asked = 'unicode' THEN 6 ELSE -1 END" +
		" FROM (SELECT regexp_replace(lower(CAST($1 AS VARCHAR)), '[^a-z0-9]', '', 'g')) AS bs_call (bs_asked))"
}

// existing are the schemas of the search path that exist, PostgreSQL's own among them if
// implicit or named.
func (d *dialect) existing(implicit bool) []string {
	s := d.snapshot()
	path := d.state.Path
	if implicit {
		path = s.searched()
	}
	var out []string
	for _, name := range path {
		if s.schemaOID(name) != 0 && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func currentSchema(d *dialect, _ parse.Call) (*parse.Template, error) {
	path := d.existing(false)
	if len(path) == 0 {
		return parse.NewTemplate(noText)
	}
	return parse.NewTemplate("CAST(" + literal(path[0]) + " AS VARCHAR)")
}

func currentSchemas(d *dialect, c parse.Call) (*parse.Template, error) {
	lists := [2]string{}
	for i := range lists {
		names := d.existing(i == 1)
		for j := range names {
			names[j] = literal(names[j])
		}
		lists[i] = "CAST(ARRAY[" + strings.Join(names, ", ") + "] AS VARCHAR[])"
	}
	if c.InFrom {
		return nil, nil // as a row, it would be a list
	}
	return parse.NewTemplate("CASE WHEN $1 THEN " + lists[1] + " WHEN NOT $1 THEN " + lists[0] + " END")
}

// currentSetting: that of a constant is a constant.
func currentSetting(d *dialect, c parse.Call) (*parse.Template, error) {
	if c.Args[0].Kind != parse.String {
		return d.template("(SELECT bs_setting FROM (SELECT lower(CAST($1 AS VARCHAR))) AS bs_call (bs_asked) JOIN {settings} ON bs_key = bs_asked)")
	}
	name := c.Args[0].Text
	for _, s := range d.state.settings() {
		if strings.EqualFold(s.Name, name) {
			return parse.NewTemplate("CAST(" + literal(s.Value) + " AS VARCHAR)")
		}
	}
	if len(c.Args) == 2 && c.Args[1].Kind == parse.Bool && c.Args[1].Text == "true" {
		return parse.NewTemplate(noText)
	}
	return nil, &parse.Error{Code: parse.CodeUndefinedObject, Message: fmt.Sprintf("unrecognized configuration parameter %q", name)}
}
