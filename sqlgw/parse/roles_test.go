package parse

import (
	"fmt"
	"strings"
)

// showRole prints a statement about roles.
func showRole(kind string, st Statement) string {
	switch s := st.(type) {
	case *CreateRole:
		return fmt.Sprintf("%s %q %s in=%s members=%s", kind, s.Name, showRoleOptions(s.Options), showRoles(s.InRoles), showRoles(s.Members))
	case *AlterRole:
		return fmt.Sprintf("%s %s %s", kind, showRoles([]RoleName{s.Role}), showRoleOptions(s.Options))
	case *DropRole:
		return fmt.Sprintf("%s %s ifExists=%v", kind, showRoles(s.Roles), s.IfExists)
	case *GrantRole:
		return fmt.Sprintf("%s %s members=%s revoke=%v", kind, showRoles(s.Roles), showRoles(s.Members), s.Revoke)
	case *Grant:
		return fmt.Sprintf("%s %q tables=%v schemas=%q in=%q roles=%s revoke=%v", kind, s.Privileges, s.Tables, s.Schemas, s.InSchemas, showRoles(s.Roles), s.Revoke)
	default:
		return kind
	}
}

func showRoles(names []RoleName) string {
	out := make([]string, len(names))
	for i, n := range names {
		switch {
		case n.Public:
			out[i] = "everybody"
		case n.Current:
			out[i] = "the session's"
		default:
			out[i] = fmt.Sprintf("%q", n.Name)
		}
	}
	return "[" + strings.Join(out, " ") + "]"
}

func showRoleOptions(o RoleOptions) string {
	password := ""
	switch {
	case o.Password != nil:
		password = fmt.Sprintf(" password=%q", *o.Password)
	case o.HasPassword:
		password = " no password"
	}
	return fmt.Sprintf("login=%d superuser=%d createrole=%d createdb=%d%s", o.Login, o.Superuser, o.CreateRole, o.CreateDB, password)
}
