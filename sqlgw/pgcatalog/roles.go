package pgcatalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
)

// roles are all of the cluster; there is always the superuser.
func (s *snapshot) roles() []catalog.Role {
	if s.state.Roles != nil {
		return s.state.Roles()
	}
	return []catalog.Role{{ID: oidOwner, Name: s.catalog.cfg.Owner, Login: true, Superuser: true, CreateRole: true, CreateDB: true}}
}

// roleID is 0 for a role that there isn't.
func (s *snapshot) roleID(name string) int64 {
	for _, r := range s.roles() {
		if r.Name == name {
			return r.ID
		}
	}
	return 0
}

// roleName tells the names of roles by their ids.
func (s *snapshot) roleName() func(id int64) string {
	names := map[int64]string{}
	for _, r := range s.roles() {
		names[r.ID] = r.Name
	}
	return func(id int64) string { return cmp.Or(names[id], fmt.Sprintf("unknown (OID=%d)", id)) }
}

// owner of a relation: what is neither a table nor a view is its schema's owner's, and an index its table's.
func (c *class) owner() int64 {
	switch {
	case c.table != nil:
		return cmp.Or(c.table.Access.Owner, oidOwner)
	case c.of != nil:
		return cmp.Or(c.of.Access.Owner, oidOwner)
	case c.view != nil:
		return c.view.View.Owner
	}
	return cmp.Or(c.schemaOwner, oidOwner)
}

// is tells whether the session's user is a role, or a member of it.
func (s *snapshot) is() func(role int64) bool {
	if s.state.Actor != nil {
		if a, ok := s.state.Actor(""); ok && !a.Role.Superuser {
			return a.Is
		}
	}
	return func(int64) bool { return true }
}

// user is the session's role.
func (s *snapshot) user() string {
	if s.state.Actor != nil {
		if a, ok := s.state.Actor(""); ok {
			return a.Role.Name
		}
	}
	return s.catalog.cfg.Owner
}

func (x schema) owner() int64 { return cmp.Or(x.ownerOID, oidOwner) }

func roleRows(_ context.Context, s *snapshot, w *writer) error {
	for _, r := range s.roles() {
		w.number("oid", r.ID)
		w.text("rolname", r.Name)
		w.truth("rolsuper", r.Superuser)
		w.truth("rolcreaterole", r.CreateRole)
		w.truth("rolcreatedb", r.CreateDB)
		w.truth("rolcanlogin", r.Login)
		w.truth("rolreplication", r.ID == oidOwner)
		w.truth("rolbypassrls", r.ID == oidOwner)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// userRows are those of pg_user: roles that may log in.
func userRows(_ context.Context, s *snapshot, w *writer) error {
	for _, r := range s.roles() {
		if !r.Login {
			continue
		}
		w.number("usesysid", r.ID)
		w.text("usename", r.Name)
		w.truth("usesuper", r.Superuser)
		w.truth("usecreatedb", r.CreateDB)
		w.truth("userepl", r.ID == oidOwner)
		w.truth("usebypassrls", r.ID == oidOwner)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// memberRows are those of pg_auth_members.
func memberRows(_ context.Context, s *snapshot, w *writer) error {
	for _, r := range s.roles() {
		for _, of := range r.MemberOf {
			if !slices.ContainsFunc(s.roles(), func(x catalog.Role) bool { return x.ID == of }) {
				continue // it was dropped
			}
			w.number("roleid", of)
			w.number("member", r.ID)
			w.number("grantor", oidOwner)
			w.truth("admin_option", false)
			if err := w.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// enabledRoleRows are the roles that the session's user is.
func enabledRoleRows(_ context.Context, s *snapshot, w *writer) error {
	is := s.is()
	for _, r := range s.roles() {
		if !is(r.ID) {
			continue
		}
		w.text("role_name", r.Name)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func lookupRoleRows(_ context.Context, s *snapshot, w *writer) error {
	for _, r := range s.roles() {
		name := s.catalog.quoteIdent(r.Name)
		err := w.rowsOf([]string{itoa(r.ID), name, aclName(r.Name)}, func() {
			w.text("bs_role", name)
			w.text("bs_acl", aclName(r.Name))
			w.number("bs_oid", r.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
