package pgcatalog

import (
	"fmt"
	"strings"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// listFunctions list what the system knows, take arrays apart, or put texts together.
func listFunctions() map[string]function {
	return map[string]function{
		"information_schema._pg_expandarray": {min: 1, max: 1, text: "bs_expand($1)"},
		"pg_get_keywords":                    {answer: keywords},
		"pg_timezone_names": {
			text: "CAST(NULL AS VARCHAR)",
			rows: "SELECT CAST('UTC' AS VARCHAR) AS name, CAST('UTC' AS VARCHAR) AS abbrev, CAST('0' AS INTERVAL) AS utc_offset, false AS is_dst",
		},
		"pg_options_to_table": {
			min: 1, max: 1, text: "CAST(NULL AS VARCHAR)",
			rows: "SELECT CAST(NULL AS VARCHAR) AS option_name, CAST(NULL AS VARCHAR) AS option_value WHERE false",
		},
		"format": {min: 1, max: 100, answer: format},
		// Nothing is ever scanned by an index.
		"pg_stat_get_numscans": {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN CAST(0 AS BIGINT) END"},
	}
}

// keywords are those of PostgreSQL's grammar.
func keywords(d *dialect, c parse.Call) (*parse.Template, error) {
	if !c.InFrom {
		return nil, nil
	}
	return d.template("SELECT word, catcode, barelabel, catdesc, baredesc FROM {keywords}")
}

// format puts arguments into a constant text: %s as they are, %I as names, %L as literals.
func format(d *dialect, c parse.Call) (*parse.Template, error) {
	if c.InFrom {
		return nil, nil
	}
	if c.Args[0].Kind != parse.String {
		return nil, notConstant("function format")
	}
	var parts []string
	rest, next := c.Args[0].Text, 2
	for {
		before, after, found := strings.Cut(rest, "%")
		parts = append(parts, literal(before))
		if !found {
			return d.template("(" + strings.Join(parts, " || ") + ")")
		}
		if after == "" {
			return nil, &parse.Error{Code: parse.CodeInvalidParameter, Message: "unterminated format() type specifier"}
		}
		rest = after[1:]
		argument := fmt.Sprintf("CAST($%d AS VARCHAR)", next)
		switch after[0] {
		case '%':
			parts = append(parts, "'%'")
			continue
		case 's':
			parts = append(parts, "COALESCE("+argument+", '')")
		default:
			return nil, &parse.Error{Code: parse.CodeNotSupported, Message: `format() type specifier "` + after[:1] + `" is not supported`}
		}
		if next > len(c.Args) {
			return nil, &parse.Error{Code: parse.CodeInvalidParameter, Message: "too few arguments for format()"}
		}
		next++
	}
}
