package pgcatalog

import "broadsheet.dev/broadsheet/sqlgw/parse"

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
