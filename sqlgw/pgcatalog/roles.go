package pgcatalog

import (
	"cmp"
	"context"
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

// owner of a relation.
func (c *class) owner() int64 {
	if c.table == nil || c.table.Access.Owner == 0 {
		return oidOwner
	}
	return c.table.Access.Owner
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

func lookupRoleRows(_ context.Context, s *snapshot, w *writer) error {
	for _, r := range s.roles() {
		name := s.catalog.quoteIdent(r.Name)
		if err := w.rowsOf([]string{itoa(r.ID), name}, func() { w.text("bs_role", name) }); err != nil {
			return err
		}
	}
	return nil
}
