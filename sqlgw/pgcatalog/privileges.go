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
	add("function", 3, []string{"EXECUTE"}, (*snapshot).namedProcedure)
	add("sequence", 3, []string{"USAGE", "SELECT", "UPDATE"}, (*snapshot).namedClass)
	add("role", 3, []string{"USAGE", "MEMBER"}, (*snapshot).namedRole)
	list["pg_has_role"] = list["has_role_privilege"]
	delete(list, "has_role_privilege")
	return list
}

// hasPrivilege answers for a call whose arguments, without the user, are the thing, perhaps more, and the
// privileges. It is NULL where one of them is.
func hasPrivilege(d *dialect, c parse.Call, kind string, args []parse.Literal, known []string, find func(*snapshot, string) (int64, error)) (*parse.Template, error) {
	s := d.snapshot()
	a, limited, err := s.asked(c, args)
	if err != nil {
		return nil, err
	}
	privileges := args[len(args)-1]
	if privileges.Kind == parse.String {
		if err := knownPrivileges(privileges.Text, known); err != nil {
			return nil, err
		}
	}
	named := int64(0)
	if args[0].Kind == parse.String {
		if named, err = find(s, args[0].Text); err != nil {
			return nil, err
		}
	}
	if c.Args[0].Kind == parse.Null || privileges.Kind == parse.Null {
		return parse.NewTemplate("CAST(NULL AS BOOLEAN)")
	}
	thing, answer := fmt.Sprintf("$%d", len(c.Args)-len(args)+1), "true"
	switch {
	case !limited || a.Role.Superuser:
	case privileges.Kind != parse.String:
		return nil, notKnown(c, "a privilege", "Write it as a constant.")
	default:
		answer = allowedOf(thing, named, s.refused(kind, a, privileges.Text))
	}
	return d.template("CASE WHEN " + thing + " IS NOT NULL THEN " + answer + " END")
}

// knownPrivileges refuses privileges that things of a kind don't have.
func knownPrivileges(asked string, known []string) error {
	for privilege := range strings.SplitSeq(asked, ",") {
		privilege = strings.ToUpper(strings.TrimSpace(privilege))
		if !slices.Contains(known, strings.TrimSuffix(privilege, " WITH GRANT OPTION")) {
			return &parse.Error{Code: parse.CodeInvalidParameter, Message: fmt.Sprintf("unrecognized privilege type: %q", asked)}
		}
	}
	return nil
}

// allowedOf is a condition that a thing, whose OID is known unless named is 0, is none of those that are refused.
func allowedOf(thing string, named int64, refused []string) string {
	switch {
	case slices.Contains(refused, itoa(named)):
		return "false"
	case named != 0 || len(refused) == 0:
		return "true"
	}
	// A text that stands for a lookup can't be part of a template.
	refused = slices.DeleteFunc(refused, func(x string) bool { return strings.ContainsAny(x, "{}$") })
	for i := range refused {
		refused[i] = literal(refused[i])
	}
	return "CAST(" + thing + " AS VARCHAR) NOT IN (" + strings.Join(refused, ", ") + ")"
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
