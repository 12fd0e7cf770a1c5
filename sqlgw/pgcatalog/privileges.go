package pgcatalog

import (
	"fmt"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// Everybody is the role that everything belongs to, so whoever asks for a privilege has it, as
// long as the thing and the privilege exist.

// privilegeFunctions are has_table_privilege and its like: of a user or without one, by name
// or by OID.
func privilegeFunctions() map[string]function {
	type find = func(*snapshot, string) (int64, error)
	table := []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}
	column := []string{"SELECT", "INSERT", "UPDATE", "REFERENCES"}
	usage := []string{"USAGE"}
	list := map[string]function{}
	add := func(kind string, last int, privileges []string, f find) {
		list["has_"+kind+"_privilege"] = function{min: last - 1, max: last, answer: func(d *dialect, c parse.Call) (*parse.Template, error) {
			return hasPrivilege(d, c, c.Args[len(c.Args)-last+1:], privileges, f)
		}}
	}
	add("table", 3, table, (*snapshot).namedClass)
	add("any_column", 3, column, (*snapshot).namedClass)
	add("column", 4, column, (*snapshot).namedClass)
	add("schema", 3, []string{"CREATE", "USAGE"}, (*snapshot).namedSchema)
	add("database", 3, []string{"CREATE", "CONNECT", "TEMPORARY", "TEMP"}, (*snapshot).namedDatabase)
	add("tablespace", 3, []string{"CREATE"}, (*snapshot).namedTablespace)
	add("type", 3, usage, (*snapshot).namedType)
	return list
}

// hasPrivilege answers for a call whose arguments, without the user, are the thing, perhaps more, and the
// privileges. It is true where the thing is not NULL.
func hasPrivilege(d *dialect, c parse.Call, args []parse.Literal, known []string, find func(*snapshot, string) (int64, error)) (*parse.Template, error) {
	if len(c.Args) > len(args) && c.Args[0].Kind == parse.String && c.Args[0].Text != "public" {
		if _, err := d.snapshot().namedRole(c.Args[0].Text); err != nil {
			return nil, err
		}
	}
	if asked := args[len(args)-1]; asked.Kind == parse.String {
		for privilege := range strings.SplitSeq(asked.Text, ",") {
			privilege = strings.ToUpper(strings.TrimSpace(privilege))
			if !slices.Contains(known, strings.TrimSuffix(privilege, " WITH GRANT OPTION")) {
				return nil, &parse.Error{Code: parse.CodeInvalidParameter, Message: fmt.Sprintf("unrecognized privilege type: %q", asked.Text)}
			}
		}
	}
	if args[0].Kind == parse.String {
		if _, err := find(d.snapshot(), args[0].Text); err != nil {
			return nil, err
		}
	}
	return d.template(fmt.Sprintf("CASE WHEN $%d IS NOT NULL THEN true END", len(c.Args)-len(args)+1))
}

func (s *snapshot) namedDatabase(text string) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	if text == s.catalog.cfg.Database {
		return oidDatabase, nil
	}
	return 0, &parse.Error{Code: "3D000", Message: fmt.Sprintf("database %q does not exist", text)}
}

func (s *snapshot) namedTablespace(text string) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	switch text {
	case "pg_default":
		return oidDefaultTablespace, nil
	case "pg_global":
		return oidGlobalTablespace, nil
	}
	return 0, &parse.Error{Code: parse.CodeUndefinedObject, Message: fmt.Sprintf("tablespace %q does not exist", text)}
}
