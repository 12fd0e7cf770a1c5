package parse

import (
	"maps"

	pg "github.com/pganalyze/pg_query_go/v6"
)

type functionKind uint8

const (
	scalarFunction functionKind = iota
	aggregateFunction
	windowFunction
	setFunction
)

// function is one that queries may call: PostgreSQL's name for it is the key of the
// list, duck is DuckDB's.
type function struct {
	duck        string
	kind        functionKind
	min, max    int // arguments; max -1 is any number
	withinGroup bool
	// plain: DuckDB's is a macro, which can't have FILTER, DISTINCT, ORDER BY and OVER.
	plain bool
	// returns is the type of the result, where DuckDB's isn't PostgreSQL's: pg_type's name for it,
	// or argumentsType.
	returns string
	// table: DuckDB has a table function for it.
	table bool
	// columns are the names of what it gives in FROM; none or "" is the function's own, or the alias.
	columns []string
	// rewrite changes a call that already has DuckDB's name, or returns what stands for it.
	rewrite func(*pg.FuncCall) (*pg.Node, *Error)
	// bound refuses or bounds a set that could be too large to be held at once. It isn't asked
	// in FROM if the arguments name no columns: then the set is made as it is read.
	bound func(c *pg.FuncCall) *Error
}

// functionList is every function that queries may call. Nothing else reaches DuckDB.
// Each has been compared with PostgreSQL; where DuckDB's differs, rewrite mends it.
var functionList = func() map[string]*function {
	list := map[string]*function{}
	for _, group := range []map[string]*function{
		mathFunctions(), textFunctions(), timeFunctions(), arrayFunctions(), jsonFunctions(),
		aggregateFunctions(), windowFunctions(),
	} {
		maps.Copy(list, group)
	}
	return list
}()

func lookupFunction(name string) *function { return functionList[name] }

// same are functions that have the same name in DuckDB, and take lo to hi arguments.
func same(list map[string]*function, lo, hi int, names ...string) {
	for _, name := range names {
		list[name] = &function{duck: name, min: lo, max: hi}
	}
}

// renamed is a function that DuckDB has by another name.
func renamed(duck string, lo, hi int) *function { return &function{duck: duck, min: lo, max: hi} }

func mathFunctions() map[string]*function {
	list := map[string]*function{
		"pow": renamed("power", 2, 2),
		"div": {duck: "trunc", min: 2, max: 2, rewrite: func(c *pg.FuncCall) (*pg.Node, *Error) {
			return callNode("trunc", operatorNode("//", c.GetArgs()[0], divisor(c.GetArgs()[1]))), nil
		}},
		"mod": {duck: "mod", min: 2, max: 2, rewrite: func(c *pg.FuncCall) (*pg.Node, *Error) {
			c.Args[1] = divisor(c.GetArgs()[1])
			return nil, nil
		}},
	}
	same(list, 0, 0, "pi", "random")
	same(list, 1, 1, "abs", "ceil", "ceiling", "floor", "sign", "sqrt", "cbrt", "exp", "ln", "log10", "factorial",
		"degrees", "radians", "sin", "cos", "tan", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh")
	same(list, 1, 2, "round", "trunc", "log")
	same(list, 2, 2, "power", "gcd", "lcm", "atan2")
	return list
}

func textFunctions() map[string]*function {
	list := map[string]*function{
		"btrim":                 renamed("trim", 1, 2),
		"length":                int4(renamed("length", 1, 1)),
		"char_length":           int4(renamed("length", 1, 1)),
		"character_length":      int4(renamed("length", 1, 1)),
		"position":              int4(renamed("strpos", 2, 2)),
		"strpos":                int4(renamed("strpos", 2, 2)),
		"octet_length":          int4(renamed("strlen", 1, 1)),
		"regexp_like":           {duck: "regexp_matches", min: 2, max: 3, rewrite: regexpCall(2)},
		"to_hex":                {duck: "to_hex", min: 1, max: 1, rewrite: wrapIn("lower")},
		"lpad":                  {duck: "lpad", min: 2, max: 3, rewrite: padWithBlanks},
		"rpad":                  {duck: "rpad", min: 2, max: 3, rewrite: padWithBlanks},
		"substring":             {duck: "substring", min: 2, max: 3, rewrite: substringCall},
		"substr":                {duck: "substring", min: 2, max: 3, rewrite: substringCall},
		"encode":                {duck: "hex", min: 2, max: 2, rewrite: encodeCall},
		"chr":                   {duck: "chr", min: 1, max: 1, rewrite: chrCall},
		"decode":                {duck: "from_hex", min: 2, max: 2, rewrite: decodeCall},
		"regexp_replace":        {duck: "regexp_replace", min: 3, max: 4, rewrite: regexpReplaceCall},
		"regexp_split_to_array": {duck: "regexp_split_to_array", min: 2, max: 3, rewrite: regexpCall(2)},
		"string_to_array":       {duck: "string_to_array", min: 2, max: 3, rewrite: splitCall},
		"initcap":               renamed("bs_initcap", 1, 1),
		"bit_length":            int4(renamed("bit_length", 1, 1)),
		"overlay":               {duck: "bs_overlay", min: 3, max: 4, rewrite: overlayCall},
		"regexp_count":          int4(renamed("bs_regexp_count", 2, 2)),
		"regexp_substr":         {duck: "bs_regexp_substr", min: 2, max: 2, rewrite: wholeMatch},
		"regexp_split_to_table": {duck: "regexp_split_to_array", kind: setFunction, min: 2, max: 2, rewrite: wrapIn("unnest")},
		"string_to_table":       {duck: "string_to_array", kind: setFunction, min: 2, max: 2, rewrite: wrapIn("unnest")},
	}
	same(list, 0, 0, "gen_random_uuid")
	same(list, 1, 1, "lower", "upper", "reverse", "ascii", "md5")
	same(list, 1, 2, "ltrim", "rtrim")
	same(list, 1, -1, "concat")
	same(list, 2, -1, "concat_ws")
	same(list, 2, 2, "left", "right", "repeat", "starts_with")
	same(list, 3, 3, "replace", "translate", "split_part")
	return list
}

func timeFunctions() map[string]*function {
	list := map[string]*function{
		"statement_timestamp": renamed("now", 0, 0),
		"date_bin":            renamed("time_bucket", 3, 3),
		"to_char":             renamed("bs_to_char", 2, 2),
		"to_date":             renamed("bs_to_date", 2, 2),
		"to_timestamp":        {duck: "to_timestamp", min: 1, max: 2, rewrite: toTimestampCall},
		"extract":             {duck: "date_part", min: 2, max: 2, rewrite: extractCall},
		"date_part":           {duck: "date_part", min: 2, max: 2, rewrite: datePartCall},
		"timezone":            {duck: "timezone", min: 2, max: 2, rewrite: timezoneCall},
	}
	same(list, 0, 0, "now", "transaction_timestamp")
	for _, name := range []string{"now", "transaction_timestamp", "statement_timestamp", "to_timestamp"} {
		list[name].returns = timestampTZ
	}
	same(list, 1, 1, "isfinite")
	same(list, 1, 2, "age")
	same(list, 2, 2, "date_trunc")
	same(list, 3, 3, "make_date", "make_time")
	same(list, 6, 6, "make_timestamp")
	return list
}

func arrayFunctions() map[string]*function {
	list := map[string]*function{
		"cardinality":         int4(renamed("len", 1, 1)),
		"array_length":        int4(&function{duck: "len", min: 2, max: 2, rewrite: arrayLengthCall}),
		"array_upper":         int4(&function{duck: "len", min: 2, max: 2, rewrite: arrayLengthCall}),
		"array_lower":         int4(&function{duck: "len", min: 2, max: 2, rewrite: arrayLowerCall}),
		"array_remove":        {duck: "bs_array_remove", min: 2, max: 2, returns: argumentsType},
		"array_position":      int4(renamed("array_position", 2, 2)),
		"array_to_string":     {duck: "array_to_string", min: 2, max: 3, rewrite: shownNulls},
		"array_replace":       {duck: "bs_array_replace", min: 3, max: 3, returns: argumentsType},
		"array_positions":     renamed("bs_array_positions", 2, 2),
		"array_dims":          typed(renamed("bs_array_dims", 1, 1), "text"),
		"array_ndims":         renamed("bs_array_ndims", 1, 1),
		"trim_array":          {duck: "bs_trim_array", min: 2, max: 2, returns: argumentsType},
		"unnest":              {duck: "unnest", kind: setFunction, min: 1, max: 1, table: true},
		"generate_series":     {duck: "generate_series", kind: setFunction, min: 2, max: 3, table: true, rewrite: wrapIn("unnest"), bound: boundSeries},
		"generate_subscripts": {duck: "generate_subscripts", kind: setFunction, min: 2, max: 2},
	}
	same(list, 2, 2, "array_append", "array_prepend", "array_cat")
	return list
}

// int4 is a function that returns integer, where DuckDB's returns bigint.
func int4(f *function) *function {
	return returning(f, "int4", func(made *pg.Node) *pg.Node { return castTo(made, "int4") })
}

// returning is a function that returns a type, made by what wraps the call.
func returning(f *function, typ string, wrap func(*pg.Node) *pg.Node) *function {
	inner := f.rewrite
	f.returns = typ
	f.rewrite = func(c *pg.FuncCall) (*pg.Node, *Error) {
		made := &pg.Node{Node: &pg.Node_FuncCall{FuncCall: c}}
		if inner != nil {
			changed, err := inner(c)
			if err != nil {
				return nil, err
			}
			if changed != nil {
				made = changed
			}
		}
		return wrap(made), nil
	}
	return f
}

func aggregateFunctions() map[string]*function {
	list := map[string]*function{"count": {duck: "count", min: 0, max: 1}, "every": renamed("bool_and", 1, 1)}
	same(list, 1, 1, "sum", "avg", "min", "max", "bool_and", "bool_or", "array_agg", "any_value",
		"stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "bit_and", "bit_or", "bit_xor")
	same(list, 2, 2, "string_agg", "corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_count",
		"regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy")
	list["string_agg"].rewrite = withoutDelimiter
	arrays := func() *function { return &function{duck: "array_agg", min: 1, max: 1, rewrite: wrapIn("to_json")} }
	list["json_agg"], list["jsonb_agg"] = arrays(), normalized(arrays())
	objects := func() *function { return &function{duck: "json_group_object", min: 2, max: 2, plain: true} }
	list["json_object_agg"], list["jsonb_object_agg"] = objects(), normalized(objects())
	for _, name := range []string{"min", "max", "any_value"} {
		list[name].returns = argumentsType
	}
	list["array_agg"].returns = arrayOfArgument
	list["mode"] = &function{duck: "mode", withinGroup: true}
	list["percentile_cont"] = &function{duck: "percentile_cont", min: 1, max: 1, withinGroup: true}
	list["percentile_disc"] = &function{duck: "percentile_disc", min: 1, max: 1, withinGroup: true}
	for _, f := range list {
		f.kind = aggregateFunction
	}
	return list
}

func windowFunctions() map[string]*function {
	list := map[string]*function{}
	same(list, 0, 0, "row_number", "rank", "dense_rank", "percent_rank", "cume_dist")
	list["ntile"] = int4(renamed("ntile", 1, 1))
	same(list, 1, 1, "first_value", "last_value")
	same(list, 1, 3, "lag", "lead")
	same(list, 2, 2, "nth_value")
	for _, name := range []string{"first_value", "last_value", "lag", "lead", "nth_value"} {
		list[name].returns = argumentsType
	}
	for _, f := range list {
		f.kind = windowFunction
	}
	return list
}
