package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// CreateRole makes a role (CREATE ROLE, USER, GROUP).
type CreateRole struct {
	at
	Name    string
	Options RoleOptions
	InRoles []RoleName // that it becomes a member of
	Members []RoleName // that become members of it
}

// AlterRole changes a role.
type AlterRole struct {
	at
	Role    RoleName
	Options RoleOptions
}

// DropRole removes roles.
type DropRole struct {
	at
	Roles    []RoleName
	IfExists bool
}

// GrantRole makes Members members of Roles, or with Revoke ends that.
type GrantRole struct {
	at
	Roles, Members []RoleName
	Revoke         bool
}

// Grant gives Roles privileges, or with Revoke takes them. Exactly one of Tables, Schemas and
// InSchemas is set.
type Grant struct {
	at
	Privileges []string // in upper case; nil means all that there are
	Tables     []Name
	Schemas    []string
	InSchemas  []string // on all tables in these
	Roles      []RoleName
	Revoke     bool
}

// RoleOptions are what was said of a role.
type RoleOptions struct {
	Login, Superuser, CreateRole, CreateDB Choice
	// Password tells of one: it, or nil for none at all.
	HasPassword bool
	Password    *string
}

// RoleName is whom a statement names: a role, or everybody, or whoever runs it.
type RoleName struct {
	Name            string
	Public, Current bool
	Position        int
}

func (s source) roleName(n *pg.RoleSpec) RoleName {
	r := RoleName{Name: n.GetRolename(), Position: s.at(&Error{}, n.GetLocation()).Position}
	switch n.GetRoletype() {
	case pg.RoleSpecType_ROLESPEC_PUBLIC:
		r.Public = true
	case pg.RoleSpecType_ROLESPEC_CURRENT_ROLE, pg.RoleSpecType_ROLESPEC_CURRENT_USER, pg.RoleSpecType_ROLESPEC_SESSION_USER:
		r.Current = true
	default:
	}
	return r
}

func (s source) roleNames(nodes []*pg.Node) []RoleName {
	out := make([]RoleName, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, s.roleName(n.GetRoleSpec()))
	}
	return out
}

// roleStatement converts the statements about roles and their privileges.
func (s source) roleStatement(node *pg.Node) (Statement, error) {
	switch n := node.GetNode().(type) {
	case *pg.Node_CreateRoleStmt:
		return asStatement(s.createRole(n.CreateRoleStmt))
	case *pg.Node_AlterRoleStmt:
		return s.alterRole(n.AlterRoleStmt)
	case *pg.Node_DropRoleStmt:
		return &DropRole{at: s.position(), Roles: s.roleNames(n.DropRoleStmt.GetRoles()), IfExists: n.DropRoleStmt.GetMissingOk()}, nil
	case *pg.Node_GrantRoleStmt:
		return asStatement(s.grantRole(n.GrantRoleStmt))
	default:
		return asStatement(s.grant(node.GetGrantStmt()))
	}
}

func (s source) createRole(n *pg.CreateRoleStmt) (*CreateRole, error) {
	st := &CreateRole{at: s.position(), Name: n.GetRole()}
	if n.GetStmtType() == pg.RoleStmtType_ROLESTMT_USER {
		st.Options.Login = Yes
	}
	for _, node := range n.GetOptions() {
		def := node.GetDefElem()
		switch def.GetDefname() {
		case "addroleto":
			st.InRoles = append(st.InRoles, s.roleNames(def.GetArg().GetList().GetItems())...)
		case "rolemembers":
			st.Members = append(st.Members, s.roleNames(def.GetArg().GetList().GetItems())...)
		default:
			if err := s.roleOption(&st.Options, def); err != nil {
				return nil, err
			}
		}
	}
	return st, nil
}

func (s source) alterRole(n *pg.AlterRoleStmt) (Statement, error) {
	options := n.GetOptions()
	if len(options) == 1 && options[0].GetDefElem().GetDefname() == "rolemembers" { // ALTER GROUP ... ADD USER
		return &GrantRole{
			at: s.position(), Roles: []RoleName{s.roleName(n.GetRole())}, Revoke: n.GetAction() < 0,
			Members: s.roleNames(options[0].GetDefElem().GetArg().GetList().GetItems()),
		}, nil
	}
	st := &AlterRole{at: s.position(), Role: s.roleName(n.GetRole())}
	for _, node := range options {
		if err := s.roleOption(&st.Options, node.GetDefElem()); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// roleOption reads an option of a role. INHERIT is what is so, and those that ask for nothing are
// taken.
func (s source) roleOption(o *RoleOptions, def *pg.DefElem) error {
	yes := def.GetArg().GetBoolean().GetBoolval()
	choice := No
	if yes {
		choice = Yes
	}
	refused := ""
	switch name := def.GetDefname(); name {
	case "canlogin":
		o.Login = choice
	case "superuser":
		o.Superuser = choice
	case "createrole":
		o.CreateRole = choice
	case "createdb":
		o.CreateDB = choice
	case "password":
		o.HasPassword = true
		if def.GetArg() != nil {
			text := def.GetArg().GetString_().GetSval()
			o.Password = &text
		}
	case "inherit":
		if !yes {
			refused = "NOINHERIT"
		}
	case "isreplication", "bypassrls":
		if yes {
			refused = map[string]string{"isreplication": "REPLICATION", "bypassrls": "BYPASSRLS"}[name]
		}
	default:
		words := map[string]string{
			"connectionlimit": "CONNECTION LIMIT", "validUntil": "VALID UNTIL", "adminmembers": "ADMIN", "sysid": "SYSID",
			"addroleto": "IN ROLE", "rolemembers": "ROLE",
		}
		if refused = words[name]; refused == "" {
			refused = strings.ToUpper(name)
		}
	}
	if refused != "" {
		return s.at(refuse(refused), def.GetLocation())
	}
	return nil
}

func (s source) grantRole(n *pg.GrantRoleStmt) (*GrantRole, error) {
	switch {
	case len(n.GetOpt()) > 0:
		return nil, s.at(refuse("ADMIN OPTION"), n.GetOpt()[0].GetDefElem().GetLocation())
	case n.GetGrantor() != nil:
		return nil, s.at(refuse("GRANTED BY"), n.GetGrantor().GetLocation())
	case !n.GetIsGrant() && n.GetBehavior() == pg.DropBehavior_DROP_CASCADE:
		return nil, s.atStart(refuse("CASCADE"))
	}
	st := &GrantRole{at: s.position(), Revoke: !n.GetIsGrant(), Members: s.roleNames(n.GetGranteeRoles())}
	for _, node := range n.GetGrantedRoles() {
		st.Roles = append(st.Roles, RoleName{Name: node.GetAccessPriv().GetPrivName()})
	}
	return st, nil
}

func (s source) grant(n *pg.GrantStmt) (*Grant, error) {
	switch {
	case n.GetGrantOption():
		return nil, s.atStart(refuse("GRANT OPTION"))
	case n.GetGrantor() != nil:
		return nil, s.at(refuse("GRANTED BY"), n.GetGrantor().GetLocation())
	case !n.GetIsGrant() && n.GetBehavior() == pg.DropBehavior_DROP_CASCADE:
		return nil, s.atStart(refuse("CASCADE"))
	}
	st := &Grant{at: s.position(), Revoke: !n.GetIsGrant(), Roles: s.roleNames(n.GetGrantees())}
	known := []string{"SELECT", "INSERT"}
	switch all := n.GetTargtype() == pg.GrantTargetType_ACL_TARGET_ALL_IN_SCHEMA; {
	case n.GetObjtype() == pg.ObjectType_OBJECT_TABLE && all:
		for _, o := range n.GetObjects() {
			st.InSchemas = append(st.InSchemas, o.GetString_().GetSval())
		}
	case n.GetObjtype() == pg.ObjectType_OBJECT_TABLE:
		for _, o := range n.GetObjects() {
			st.Tables = append(st.Tables, s.name(o.GetRangeVar()))
		}
	case n.GetObjtype() == pg.ObjectType_OBJECT_SCHEMA:
		known = []string{"USAGE", "CREATE"}
		for _, o := range n.GetObjects() {
			st.Schemas = append(st.Schemas, o.GetString_().GetSval())
		}
	default:
		kind := strings.ReplaceAll(strings.TrimPrefix(n.GetObjtype().String(), "OBJECT_"), "_", " ")
		return nil, s.atStart(refuse("privileges on a " + strings.ToLower(kind)))
	}
	for _, node := range n.GetPrivileges() {
		p := node.GetAccessPriv()
		if len(p.GetCols()) > 0 {
			return nil, s.atStart(refuse("privileges on columns"))
		}
		name := strings.ToUpper(p.GetPrivName())
		if !slices.Contains(known, name) {
			return nil, s.atStart(refuse("privilege " + name)).hinted("There are " + strings.Join(known, " and ") + ".")
		}
		st.Privileges = append(st.Privileges, name)
	}
	return st, nil
}
