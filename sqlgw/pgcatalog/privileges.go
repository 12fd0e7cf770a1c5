package pgcatalog

import (
	"fmt"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

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
			return hasPrivilege(d, c, kind, c.Args[len(c.Args)-last+1:], privileges, f)
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
// privileges. It is NULL where the thing is.
func hasPrivilege(d *dialect, c parse.Call, kind string, args []parse.Literal, known []string, find func(*snapshot, string) (int64, error)) (*parse.Template, error) {
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
	answer, named := "true", int64(0)
	if args[0].Kind == parse.String {
		var err error
		if named, err = find(d.snapshot(), args[0].Text); err != nil {
			return nil, err
		}
	}
	thing := fmt.Sprintf("$%d", len(c.Args)-len(args)+1)
	if a, limited := d.snapshot().asked(c, args); limited {
		privileges := "SELECT"
		if kind == "schema" {
			privileges = "USAGE"
		}
		if last := args[len(args)-1]; last.Kind == parse.String {
			privileges = last.Text
		}
		no := d.snapshot().refused(kind, a, privileges)
		switch {
		case slices.Contains(no, itoa(named)):
			answer = "false"
		case named == 0 && len(no) > 0:
			// A text that stands for a lookup can't be part of a template.
			no = slices.DeleteFunc(no, func(x string) bool { return strings.ContainsAny(x, "{}$") })
			for i := range no {
				no[i] = literal(no[i])
			}
			answer = "CAST(" + thing + " AS VARCHAR) NOT IN (" + strings.Join(no, ", ") + ")"
		}
	}
	return d.template("CASE WHEN " + thing + " IS NOT NULL THEN " + answer + " END")
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
