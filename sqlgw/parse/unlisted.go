package parse

import (
	_ "embed" // the lists of names
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// Names that DuckDB and PostgreSQL have, one on a line, sorted: what is on none of them
// doesn't exist, what is on one isn't supported. A test compares DuckDB's with DuckDB.
var (
	//go:embed names/duckdb_functions.txt
	duckDBFunctions string
	//go:embed names/duckdb_settings.txt
	duckDBSettings string
	//go:embed names/postgres_functions.txt
	postgresFunctions string
)

// hasLine tells whether a list of lines has one.
func hasLine(list, line string) bool {
	return line != "" && !strings.Contains(line, "\n") && strings.Contains("\n"+list, "\n"+line+"\n")
}

// isDuckSetting tells whether a name is that of a setting of DuckDB, and of none of PostgreSQL.
func isDuckSetting(name string) bool { return hasLine(duckDBSettings, strings.ToLower(name)) }

// unlistedFunction is the error for a function that queries may not call.
func unlistedFunction(name string, args []*pg.Node) *Error {
	switch {
	case isForbidden(name):
		return forbid("function " + name)
	case hasLine(duckDBFunctions, name), hasLine(postgresFunctions, name):
		return refuse("function " + name)
	}
	return unknownFunction(name, args)
}

// isForbidden tells whether a function would reach files, the network, settings, other queries or
// DuckDB itself, here or in some extension of it, or PostgreSQL's server.
func isForbidden(name string) bool {
	return hasPrefix(name, "read_", "parquet_", "sniff_", "duckdb_", "pragma_", "scan_", "st_read", "iceberg_", "delta_", "sqlite_",
		"postgres_", "mysql_", "http_", "copy_", "pg_read_", "pg_ls_", "pg_stat_file", "pg_file_", "pg_logfile", "pg_rotate",
		"pg_reload", "pg_terminate", "pg_cancel", "lo_", "dblink", "getenv", "getvariable", "icu_") ||
		hasLine(duckDBFunctions, name) && hasPrefix(name, "json_execute", "json_serialize", "json_deserialize", "which_", "enable_", "disable_",
			"verify_", "check_", "force_", "truncate_", "import_", "write_", "add_parquet", "test_", "query", "create_sort_key") ||
		slices.Contains([]string{
			"glob", "checkpoint", "current_setting", "set_config", "setseed", "nextval", "currval", "setval", "seq_scan", "arrow_scan",
			"arrow_scan_dumb", "sql_auto_complete", "storage_info", "metadata_info", "database_size", "database_list", "platform",
			"sleep_ms", "pg_sleep", "all_profiling_output", "user_agent", "extension_versions", "current_query", "error",
			"table_info", "repeat_row", "summary", "from_substrait", "get_substrait", "load_aws_credentials", "export_database",
		}, name)
}

func hasPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// unknownFunction is PostgreSQL's error for a call that fits no function.
func unknownFunction(name string, args []*pg.Node) *Error {
	types := make([]string, len(args))
	for i, arg := range args {
		types[i] = argumentType(arg)
	}
	e := errorf(CodeUndefinedFunction, "function %s(%s) does not exist", name, strings.Join(types, ", "))
	return e.hinted("No function matches the given name and argument types. You might need to add explicit type casts.")
}

// argumentType names the type of an argument where it can be seen.
func argumentType(arg *pg.Node) string {
	switch arg.GetAConst().GetVal().(type) {
	case *pg.A_Const_Ival:
		return "integer"
	case *pg.A_Const_Fval:
		return "numeric"
	case *pg.A_Const_Boolval:
		return "boolean"
	}
	if cast := arg.GetTypeCast(); cast != nil {
		t := typeOf(cast.GetTypeName())
		if t.name == "blob" {
			return "bytea"
		}
		if typ, err := columnar.TypeFromSQL(t.full(), nil); err == nil {
			return typ.SQL()
		}
		return t.name
	}
	return "unknown"
}
