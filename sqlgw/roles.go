package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareRoles prepares the statements about roles and privileges; nil if it is another.
func (s *session) prepareRoles(p parse.Statement) *statement {
	var run func(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot) (string, error)
	switch p := p.(type) {
	case *parse.CreateRole:
		run = func(ctx context.Context, _ pgwire.ResultWriter, snap *catalog.Snapshot) (string, error) {
			return "CREATE ROLE", s.createRole(ctx, snap, p)
		}
	case *parse.AlterRole:
		run = func(ctx context.Context, _ pgwire.ResultWriter, snap *catalog.Snapshot) (string, error) {
			return "ALTER ROLE", s.alterRole(ctx, snap, p)
		}
	case *parse.DropRole:
		run = func(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot) (string, error) {
			return "DROP ROLE", s.dropRoles(ctx, w, snap, p)
		}
	case *parse.GrantRole:
		run = func(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot) (string, error) {
			return grantTag("GRANT ROLE", p.Revoke), s.grantRoles(ctx, w, snap, p)
		}
	case *parse.Grant:
		run = func(ctx context.Context, _ pgwire.ResultWriter, snap *catalog.Snapshot) (string, error) {
			return grantTag("GRANT", p.Revoke), s.grant(ctx, snap, p)
		}
	default:
		return nil
	}
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
		if err != nil {
			return err
		}
		tag, err := run(ctx, w, snap)
		if err != nil {
			return roleError(err)
		}
		w.Complete(tag)
		return nil
	})
}

// roleTraits are those of the statements about roles and privileges; they can't be undone.
func roleTraits(p parse.Statement) traits {
	switch p := p.(type) {
	case *parse.CreateRole:
		return traits{command: "CREATE ROLE", writes: true, alone: true}
	case *parse.AlterRole:
		return traits{command: "ALTER ROLE", writes: true, alone: true}
	case *parse.DropRole:
		return traits{command: "DROP ROLE", writes: true, alone: true}
	case *parse.GrantRole:
		return traits{command: grantTag("GRANT ROLE", p.Revoke), writes: true, alone: true}
	case *parse.Grant:
		return traits{command: grantTag("GRANT", p.Revoke), writes: true, alone: true}
	default:
		return traits{}
	}
}

func grantTag(tag string, revoke bool) string {
	if revoke {
		return strings.Replace(tag, "GRANT", "REVOKE", 1)
	}
	return tag
}

// roleError is an error of the catalog about roles, as PostgreSQL says it.
func roleError(err error) error {
	e, ok := errors.AsType[*catalog.Error](err)
	if !ok || e.Kind != "role" {
		return catalogError(err)
	}
	switch e.Code {
	case catalog.ErrExists:
		return sqlError("42710", "role %q already exists", e.Name)
	case catalog.ErrNotFound:
		return sqlError("42704", "role %q does not exist", e.Name)
	case catalog.ErrReserved:
		if e.Name == catalog.Superuser {
			return sqlError("2BP01", "cannot drop role %s because it is required by the database system", e.Name)
		}
		return sqlError("42939", "role name %q is reserved", e.Name)
	case catalog.ErrNotEmpty:
		return &pgwire.Error{Code: "2BP01", Message: fmt.Sprintf("role %q cannot be dropped because some objects depend on it", e.Name), Detail: e.Detail}
	default:
		return catalogError(err)
	}
}

// named is the role that a statement names.
func (s *session) named(snap *catalog.Snapshot, n parse.RoleName) (catalog.Role, error) {
	switch {
	case n.Current:
		return s.actor(snap).Role, nil
	case n.Public:
		return catalog.Role{}, sqlError("42939", "role name %q is reserved", "public")
	}
	r, ok := snap.Role(n.Name)
	if !ok {
		e := sqlError("42704", "role %q does not exist", n.Name)
		return r, e
	}
	return r, nil
}

func (s *session) allNamed(snap *catalog.Snapshot, names []parse.RoleName) ([]catalog.Role, error) {
	out := make([]catalog.Role, 0, len(names))
	for _, n := range names {
		r, err := s.named(snap, n)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// mayManage tells whether the session may make, change and drop roles, and superusers.
func (s *session) mayManage(snap *catalog.Snapshot, doing string, superuser bool) error {
	a := s.actor(snap).Role
	switch {
	case a.Superuser:
		return nil
	case superuser:
		return sqlError("42501", "must be superuser to %s superusers", doing)
	case !a.CreateRole:
		return sqlError("42501", "permission denied to %s role", doing)
	}
	return nil
}

// apply changes a role as options say. A choice that wasn't made changes nothing.
func applyOptions(r *catalog.Role, o parse.RoleOptions, verifier string) {
	for _, x := range []struct {
		to *bool
		is parse.Choice
	}{{&r.Login, o.Login}, {&r.Superuser, o.Superuser}, {&r.CreateRole, o.CreateRole}, {&r.CreateDB, o.CreateDB}} {
		if x.is != parse.Unset {
			*x.to = x.is == parse.Yes
		}
	}
	if o.HasPassword {
		r.Password = verifier
	}
}

// verifier of the password in options; "" for none. As in PostgreSQL an empty one is none.
func (s *session) verifier(o parse.RoleOptions) (string, error) {
	if o.Password == nil || *o.Password == "" {
		return "", nil
	}
	v, err := verifierOf(*o.Password)
	if err != nil {
		return "", sqlError("22023", "the password can't be used: %v", err)
	}
	return v, nil
}

func (s *session) createRole(ctx context.Context, snap *catalog.Snapshot, p *parse.CreateRole) error {
	if err := s.mayManage(snap, "create", p.Options.Superuser == parse.Yes); err != nil {
		return err
	}
	in, err := s.allNamed(snap, p.InRoles)
	if err != nil {
		return err
	}
	members, err := s.allNamed(snap, p.Members)
	if err != nil {
		return err
	}
	r := catalog.Role{Name: p.Name}
	for _, x := range in {
		if err := s.mayGrantRole(snap, x); err != nil {
			return err
		}
		for _, m := range members {
			if above, ok := snap.Actor(x.Name); ok && above.Is(m.ID) { // itself among them
				return sqlError("0LP01", "role %q is a member of role %q", r.Name, m.Name)
			}
		}
		r.MemberOf = append(r.MemberOf, x.ID)
	}
	verifier, err := s.verifier(p.Options)
	if err != nil {
		return err
	}
	applyOptions(&r, p.Options, verifier)
	if r, err = s.gateway.cfg.Catalog.CreateRole(ctx, r); err != nil {
		return err
	}
	for _, m := range members {
		if err := s.gateway.cfg.Catalog.AlterRole(ctx, m, func(x *catalog.Role) error {
			x.MemberOf = append(x.MemberOf, r.ID)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// alterRole. Everybody may change the own password.
func (s *session) alterRole(ctx context.Context, snap *catalog.Snapshot, p *parse.AlterRole) error {
	r, err := s.named(snap, p.Role)
	if err != nil {
		return err
	}
	onlyPassword := p.Options == parse.RoleOptions{HasPassword: p.Options.HasPassword, Password: p.Options.Password}
	if own := s.actor(snap).Role.ID == r.ID; !own || !onlyPassword {
		if err := s.mayManage(snap, "alter", leadsToSuperuser(snap, r) || p.Options.Superuser != parse.Unset); err != nil {
			return err
		}
	}
	verifier, err := s.verifier(p.Options)
	if err != nil {
		return err
	}
	return s.gateway.cfg.Catalog.AlterRole(ctx, r, func(x *catalog.Role) error {
		if x.Superuser && !r.Superuser { // meanwhile
			if err := s.mayManage(snap, "alter", true); err != nil {
				return err
			}
		}
		applyOptions(x, p.Options, verifier)
		return nil
	})
}

func (s *session) dropRoles(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot, p *parse.DropRole) error {
	var roles []catalog.Role
	for _, n := range p.Roles { // all are there, or none is dropped
		r, err := s.named(snap, n)
		if err != nil && p.IfExists && !n.Public {
			s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: fmt.Sprintf("role %q does not exist, skipping", n.Name)})
			continue
		}
		if err != nil {
			return err
		}
		if err := s.mayManage(snap, "drop", r.Superuser); err != nil {
			return err
		}
		if r.ID == s.actor(snap).Role.ID {
			return sqlError("55006", "current user cannot be dropped")
		}
		if !slices.ContainsFunc(roles, func(x catalog.Role) bool { return x.ID == r.ID }) { // DROP ROLE r, r
			roles = append(roles, r)
		}
	}
	if len(roles) == 0 {
		return nil
	}
	return s.gateway.cfg.Catalog.DropRole(ctx, roles...)
}

// leadsToSuperuser tells whether who is a role may become a superuser: by itself, or as a member of one, perhaps through others.
func leadsToSuperuser(snap *catalog.Snapshot, r catalog.Role) bool {
	a, _ := snap.Actor(r.Name)
	return slices.ContainsFunc(snap.Roles(), func(x catalog.Role) bool { return x.Superuser && a.Is(x.ID) })
}

// mayGrantRole tells whether the session may make others members of a role.
func (s *session) mayGrantRole(snap *catalog.Snapshot, r catalog.Role) error {
	a := s.actor(snap).Role
	if a.Superuser || a.CreateRole && !leadsToSuperuser(snap, r) {
		return nil
	}
	return sqlError("42501", "must have admin option on role %q", r.Name)
}

func (s *session) grantRoles(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot, p *parse.GrantRole) error {
	roles, err := s.allNamed(snap, p.Roles)
	if err != nil {
		return err
	}
	members, err := s.allNamed(snap, p.Members)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if err := s.mayGrantRole(snap, r); err != nil {
			return err
		}
		for _, m := range members {
			if p.Revoke {
				continue
			}
			if above, ok := snap.Actor(r.Name); ok && above.Is(m.ID) { // itself among them
				return sqlError("0LP01", "role %q is a member of role %q", r.Name, m.Name)
			}
		}
	}
	for _, m := range members {
		err := s.gateway.cfg.Catalog.AlterRole(ctx, m, func(x *catalog.Role) error {
			for _, r := range roles {
				had := slices.Contains(x.MemberOf, r.ID)
				x.MemberOf = slices.DeleteFunc(x.MemberOf, func(id int64) bool { return id == r.ID })
				if !p.Revoke {
					x.MemberOf = append(x.MemberOf, r.ID)
				}
				if had != p.Revoke {
					s.notice(w, grantNotice(m.Name, r.Name, p.Revoke))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// grantNotice tells of what was so already.
func grantNotice(member, role string, revoke bool) *pgwire.Error {
	if revoke {
		return &pgwire.Error{Severity: "WARNING", Code: "01000", Message: fmt.Sprintf("role %q is not a member of role %q", member, role)}
	}
	return &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: fmt.Sprintf("role %q is already a member of role %q", member, role)}
}

// grant changes what roles may do with tables and schemas. Only their owners may say so.
func (s *session) grant(ctx context.Context, snap *catalog.Snapshot, p *parse.Grant) error {
	letters := map[string]string{"SELECT": string(catalog.Select), "INSERT": string(catalog.Insert), "USAGE": string(catalog.Usage), "CREATE": string(catalog.Create)}
	var privileges strings.Builder
	for _, name := range p.Privileges {
		privileges.WriteString(letters[name])
	}
	if p.Privileges == nil {
		privileges.WriteString(catalog.TablePrivileges + catalog.SchemaPrivileges)
	}
	var grants []catalog.Grant
	for _, n := range p.Roles {
		g := catalog.Grant{Role: catalog.PublicID, Privileges: privileges.String()}
		if !n.Public {
			r, err := s.named(snap, n)
			if err != nil {
				return err
			}
			g.Role = r.ID
		}
		grants = append(grants, g)
	}
	things, err := s.things(snap, p)
	if err != nil {
		return err
	}
	for _, t := range things {
		if err := s.gateway.cfg.Catalog.Grant(ctx, t, grants, p.Revoke); err != nil {
			return err
		}
	}
	return nil
}

// things are what privileges are granted on. All are there and the session's, or nothing is changed.
func (s *session) things(snap *catalog.Snapshot, p *parse.Grant) ([]catalog.Thing, error) {
	var out []catalog.Thing
	for _, name := range append(slices.Clone(p.Schemas), p.InSchemas...) {
		if _, ok := snap.Schema(name); !ok {
			return nil, noSchema(name)
		}
	}
	for _, name := range p.Schemas {
		schema, err := s.ownSchema(snap, name)
		if err != nil {
			return nil, denied("schema", name)
		}
		out = append(out, catalog.Thing{Schema: name, ID: schema.ID})
	}
	var tables []catalog.Table
	for _, n := range p.Tables {
		if o, ok := s.view(snap, n); ok {
			if s.ownView(snap, o) != nil {
				return nil, denied(o.KindName(), o.Name)
			}
			out = append(out, catalog.Thing{Schema: o.Schema, View: o.Name, ID: o.ID})
			continue
		}
		t, err := s.table(snap, n)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	for _, t := range snap.Tables() {
		if slices.Contains(p.InSchemas, t.Schema) {
			tables = append(tables, t)
		}
	}
	for _, o := range snap.Objects() {
		if o.View == nil || !slices.Contains(p.InSchemas, o.Schema) {
			continue
		}
		if s.ownView(snap, o) != nil {
			return nil, denied(o.KindName(), o.Name)
		}
		out = append(out, catalog.Thing{Schema: o.Schema, View: o.Name, ID: o.ID})
	}
	for _, t := range tables {
		if s.own(snap, t) != nil {
			return nil, denied("table", t.Name)
		}
		out = append(out, catalog.Thing{Schema: t.Schema, Table: t.Name, ID: t.ID})
	}
	return out, nil
}
