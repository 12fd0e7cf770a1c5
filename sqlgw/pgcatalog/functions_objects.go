package pgcatalog

import (
	"fmt"
	"strings"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

const (
	noText = "CAST(NULL AS VARCHAR)"
	noOID  = "CAST(NULL AS BIGINT)"
)

// lookedUp is what a lookup says of $1, a name or an OID. Operands stand in a query of their own,
// without FROM, in this and all templates that have names: so a name of the user's in an operand
// never meets one of them.
func lookedUp(result, lookup string) string {
	return "(SELECT " + result + " FROM (SELECT CAST($1 AS VARCHAR)) AS bs_call (bs_asked) JOIN {" + lookup + "} ON bs_key = bs_asked)"
}

// objectFunctions tell of relations, types and schemas.
func (c *Catalog) objectFunctions() map[string]function {
	return map[string]function{
		"format_type": {min: 2, max: 2, text: formatType},
		// What isn't an expression in SQL here is NULL, so that it is its own text.
		"pg_get_expr":                  {min: 2, max: 3, text: "CAST($1 AS VARCHAR)"},
		"pg_table_is_visible":          {min: 1, max: 1, text: lookedUp("bs_visible", "classes")},
		"pg_type_is_visible":           {min: 1, max: 1, text: lookedUp("bs_visible", "types")},
		"pg_collation_is_visible":      {min: 1, max: 1, text: "CASE WHEN $1 IN (100, 950, 951) THEN true END"},
		"pg_statistics_obj_is_visible": {min: 1, max: 1, text: "CAST(NULL AS BOOLEAN)"},
		"to_regclass":                  {min: 1, max: 1, answer: toReg("to_regclass", (*snapshot).namedClass)},
		"to_regtype":                   {min: 1, max: 1, answer: toReg("to_regtype", (*snapshot).namedType)},
		"to_regnamespace":              {min: 1, max: 1, answer: toReg("to_regnamespace", (*snapshot).namedSchema)},
		"to_regrole":                   {min: 1, max: 1, answer: toReg("to_regrole", (*snapshot).namedRole)},
		// Nothing is ever a part of a partitioned table.
		"pg_partition_ancestors": {
			min: 1, max: 1, named: (*snapshot).namedClass, text: "unnest(CAST(ARRAY[] AS BIGINT[]))", rows: "SELECT CAST(NULL AS BIGINT) AS relid WHERE false",
		},
		"pg_partition_tree": {
			min: 1, max: 1, named: (*snapshot).namedClass, text: "unnest(CAST(ARRAY[] AS BIGINT[]))",
			rows: "SELECT CAST(NULL AS BIGINT) AS relid, CAST(NULL AS BIGINT) AS parentrelid, false AS isleaf, CAST(0 AS INTEGER) AS level WHERE false",
		},
		"pg_partition_root": {min: 1, max: 1, named: (*snapshot).namedClass, text: noOID},
		// There is one form of it: with few brackets.
		"pg_get_viewdef":                     {min: 1, max: 2, named: (*snapshot).namedClass, text: lookedUp("bs_definition", "views")},
		"pg_get_constraintdef":               {min: 1, max: 2, answer: constraintDefinition},
		"pg_get_indexdef":                    {min: 1, max: 3, answer: indexDefinition},
		"pg_get_functiondef":                 {min: 1, max: 1, named: (*snapshot).namedProc, text: lookedUp("NULLIF(bs_definition, '')", "procs")},
		"pg_get_function_result":             {min: 1, max: 1, named: (*snapshot).namedProc, text: lookedUp("bs_result", "procs")},
		"pg_get_function_arguments":          {min: 1, max: 1, named: (*snapshot).namedProc, text: lookedUp("bs_arguments", "procs")},
		"pg_get_function_identity_arguments": {min: 1, max: 1, named: (*snapshot).namedProc, text: lookedUp("bs_arguments", "procs")},
		"pg_function_is_visible":             {min: 1, max: 1, named: (*snapshot).namedProc, text: lookedUp("true", "procs")},
		"pg_opclass_is_visible":              {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"pg_opfamily_is_visible":             {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"pg_operator_is_visible":             {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"pg_conversion_is_visible":           {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"pg_ts_config_is_visible":            {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"pg_ts_dict_is_visible":              {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"pg_ts_parser_is_visible":            {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"pg_ts_template_is_visible":          {min: 1, max: 1, text: "CASE WHEN $1 IS NOT NULL THEN true END"},
		"obj_description":                    {min: 1, max: 2, answer: objectDescription},
		"col_description":                    {min: 2, max: 2, text: columnDescription},
		// There are no publications that anything could be in.
		"pg_relation_is_publishable": {min: 1, max: 1, named: (*snapshot).namedClass, text: "CASE WHEN $1 IS NOT NULL THEN false END"},
	}
}

// formatType: numbers of modifiers are those of PostgreSQL's atttypmod.
const formatType = `(SELECT CASE
	WHEN bs_asked IS NULL THEN NULL
	WHEN bs_asked = 0 THEN '-'
	WHEN bs_key IS NULL THEN '???'
	WHEN bs_modified = '' OR bs_typmod IS NULL THEN bs_type || bs_rest
	WHEN bs_modified = 'precision' AND bs_typmod >= 0 THEN bs_type || '(' || CAST(bs_typmod AS VARCHAR) || ')' || bs_rest
	WHEN bs_modified = 'length' AND bs_typmod > 4 THEN bs_type || '(' || CAST(bs_typmod - 4 AS VARCHAR) || ')' || bs_rest
	WHEN bs_modified = 'numeric' AND bs_typmod >= 4
	THEN bs_type || '(' || CAST((bs_typmod - 4) >> 16 & 65535 AS VARCHAR) || ',' || CAST((bs_typmod - 4) & 2047 AS VARCHAR) || ')' || bs_rest
	WHEN bs_modified = 'length' AND bs_typmod >= 0 THEN bs_type || bs_rest
	ELSE bs_typmodless || bs_rest END
	FROM (SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT)) AS bs_call (bs_asked, bs_typmod)
	LEFT JOIN {types} ON bs_key = CAST(bs_asked AS VARCHAR))`

// toReg answers for to_regclass and its like, which are NULL where a cast fails.
func toReg(function string, find func(*snapshot, string) (int64, error)) func(*dialect, parse.Call) (*parse.Template, error) {
	return func(d *dialect, c parse.Call) (*parse.Template, error) {
		switch c.Args[0].Kind {
		case parse.Null:
			return d.template(noOID)
		case parse.String:
			oid, err := find(d.snapshot(), c.Args[0].Text)
			if err != nil {
				return d.template(noOID) // which is how the function says it
			}
			return oidTemplate(oid)
		default:
			return nil, notConstant("function " + function)
		}
	}
}

func oidTemplate(oid int64) (*parse.Template, error) {
	return parse.NewTemplate(fmt.Sprintf("CAST(%d AS BIGINT)", oid))
}

// notConstant refuses what is only answered for constants.
func notConstant(what string) error {
	return &parse.Error{Code: parse.CodeNotSupported, Message: what + " of anything but a constant is not supported"}
}

// absentFunctions tell of things that there are none of: comments, indexes, constraints,
// triggers, rules, statistics and so on.
func absentFunctions() map[string]function {
	list := map[string]function{}
	for _, f := range []struct {
		min, max int
		names    string
	}{
		{1, 2, "pg_get_triggerdef pg_get_ruledef"},
		{2, 2, "shobj_description pg_get_serial_sequence"},
		{1, 1, "pg_get_function_sqlbody pg_get_statisticsobjdef pg_get_statisticsobjdef_columns pg_get_partkeydef pg_get_partition_constraintdef"},
	} {
		for name := range strings.FieldsSeq(f.names) {
			list[name] = function{min: f.min, max: f.max, text: noText}
		}
	}
	return list
}

// sizeFunctions tell how much tables hold: the bytes of the journals.
func sizeFunctions() map[string]function {
	size := lookedUp("bs_bytes", "sizes")
	all := "(SELECT CAST(sum(bs_bytes) AS BIGINT) FROM {sizes} WHERE bs_key = CAST(bs_oid AS VARCHAR))"
	return map[string]function{
		"pg_table_size":          {min: 1, max: 1, text: size, named: (*snapshot).namedClass, relation: true},
		"pg_total_relation_size": {min: 1, max: 1, text: size, named: (*snapshot).namedClass, relation: true},
		"pg_relation_size":       {min: 1, max: 2, text: size, named: (*snapshot).namedClass, relation: true},
		"pg_indexes_size":        {min: 1, max: 1, text: lookedUp("CAST(0 AS BIGINT)", "classes"), named: (*snapshot).namedClass},
		"pg_database_size": {
			min: 1, max: 1, named: (*snapshot).namedDatabase,
			text: "CASE WHEN $1 IS NOT NULL THEN " + all + " END",
		},
		"pg_tablespace_size": {
			min: 1, max: 1, named: (*snapshot).namedTablespace,
			text: fmt.Sprintf("CASE $1 WHEN %d THEN %s WHEN %d THEN CAST(0 AS BIGINT) END", oidDefaultTablespace, all, oidGlobalTablespace),
		},
		"pg_size_pretty": {min: 1, max: 1, text: "bs_size_pretty($1)"},
	}
}

// definitionOf is the column of a lookup that has a definition: with fewer brackets if argument i is true.
func definitionOf(c parse.Call, i int) string {
	if len(c.Args) > i && c.Args[i].Kind == parse.Bool && c.Args[i].Text == "true" {
		return "bs_pretty"
	}
	return "bs_definition"
}

func constraintDefinition(d *dialect, c parse.Call) (*parse.Template, error) {
	return d.template(lookedUp(definitionOf(c, 1), "constraints"))
}

// indexDefinition is of an index, or of one of its columns.
func indexDefinition(d *dialect, c parse.Call) (*parse.Template, error) {
	column := "0"
	if len(c.Args) > 1 {
		column = "$2"
	}
	return d.template("(SELECT " + definitionOf(c, 2) + " FROM (SELECT CAST($1 AS VARCHAR) || ':' || CAST(" + column + " AS VARCHAR)) AS bs_call (bs_asked)" +
		" JOIN {indexes} ON bs_key = bs_asked)")
}

// objectDescription is the comment of an object, perhaps of a kind only.
func objectDescription(d *dialect, c parse.Call) (*parse.Template, error) {
	kind := "bs_class"
	if len(c.Args) > 1 {
		kind = "CAST($2 AS VARCHAR)"
	}
	return d.template("(SELECT max(bs_comment) FROM (SELECT CAST($1 AS VARCHAR) || ':0'" + kindColumn(len(c.Args) > 1, kind) +
		" JOIN {comments} ON bs_key = bs_asked" + kindCondition(len(c.Args) > 1) + ")")
}

func kindColumn(asked bool, kind string) string {
	if asked {
		return ", " + kind + ") AS bs_call (bs_asked, bs_kind)"
	}
	return ") AS bs_call (bs_asked)"
}

func kindCondition(asked bool) string {
	if asked {
		return " AND bs_class = bs_kind"
	}
	return ""
}

const columnDescription = "(SELECT bs_comment FROM (SELECT CAST($1 AS VARCHAR) || ':' || CAST($2 AS VARCHAR), CAST($2 AS BIGINT)) AS bs_call (bs_asked, bs_part)" +
	" JOIN {comments} ON bs_key = bs_asked AND bs_part > 0)"
