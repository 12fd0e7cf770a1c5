package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Privilege is one of those that can be granted, by the letter that PostgreSQL's ACLs have for it.
type Privilege byte

// The privileges: Select and Insert are of tables, Usage and Create of schemas.
const (
	Select Privilege = 'r'
	Insert Privilege = 'a'
	Usage  Privilege = 'U'
	Create Privilege = 'C'
)

// Privileges of a table, and of a schema, in the order of ACLs.
const (
	TablePrivileges  = "ar"
	SchemaPrivileges = "UC"
)

// Grant is what a role may do with a thing; PublicID is everybody. Its JSON is that of entries.
type Grant struct {
	Role       int64  `json:"role"`
	Privileges string `json:"privileges"` // letters
}

// Access is who a thing belongs to, and who may do what with it. Its owner may do everything.
type Access struct {
	Owner  int64 // of a role; never 0
	Grants []Grant
}

// accessEntry is the part of an entry that is about access. What isn't there is as it was before there
// were roles: everything belongs to the superuser, and everybody may use the schema public.
type accessEntry struct {
	Owner  int64    `json:"owner,omitempty"`
	Grants *[]Grant `json:"grants,omitempty"`
}

func (e accessEntry) access(defaults ...Grant) Access {
	a := Access{Owner: e.Owner, Grants: defaults}
	if a.Owner == 0 {
		a.Owner = SuperuserID
	}
	if e.Grants != nil {
		a.Grants = *e.Grants
	}
	return a
}

func (a Access) entry(defaults ...Grant) accessEntry {
	e := accessEntry{Owner: a.Owner}
	if a.Owner == SuperuserID {
		e.Owner = 0
	}
	if !slices.Equal(a.Grants, defaults) {
		grants := append([]Grant{}, a.Grants...)
		e.Grants = &grants
	}
	return e
}

// access of a schema.
func (e nameEntry) access() Access {
	if e.Name == PublicSchema {
		return e.accessEntry.access(Grant{Role: PublicID, Privileges: string(Usage)})
	}
	return e.accessEntry.access()
}

// with gives a schema another access.
func (e nameEntry) with(a Access) nameEntry {
	e.accessEntry = a.entry()
	if e.Name == PublicSchema {
		e.accessEntry = a.entry(Grant{Role: PublicID, Privileges: string(Usage)})
	}
	return e
}

// grant adds, or takes away, what a grant says, in PostgreSQL's order of letters.
func (a *Access) grant(g Grant, all string, revoke bool) {
	a.Grants = slices.Clone(a.Grants)
	i := slices.IndexFunc(a.Grants, func(x Grant) bool { return x.Role == g.Role })
	if i < 0 {
		i = len(a.Grants)
		a.Grants = append(a.Grants, Grant{Role: g.Role})
	}
	var has []byte
	for _, p := range []byte(all) {
		if was, named := strings.IndexByte(a.Grants[i].Privileges, p) >= 0, strings.IndexByte(g.Privileges, p) >= 0; named && !revoke || was && !named {
			has = append(has, p)
		}
	}
	if a.Grants[i].Privileges = string(has); len(has) == 0 {
		a.Grants = slices.Delete(a.Grants, i, i+1)
	}
}

// Thing is what privileges are granted on: a table, a view, or with neither a schema. ID is its own: another of its name
// isn't meant.
type Thing struct {
	Schema, Table, View string
	ID                  int64
}

func (t Thing) kind() (string, string) {
	switch {
	case t.Table != "":
		return "table", t.Table
	case t.View != "":
		return "view", t.View
	}
	return "schema", t.Schema
}

// Grant gives privileges on a thing, or with revoke takes them.
func (c *Catalog) Grant(ctx context.Context, on Thing, grants []Grant, revoke bool) error {
	kind, name := on.kind()
	key := c.keys.schema(c.database, on.Schema)
	if on.Table != "" {
		key = c.keys.table(c.database, on.Schema, on.Table)
	}
	if on.View != "" {
		key = c.keys.object(c.database, on.Schema, ViewObject, on.View)
	}
	for {
		s, err := c.read(ctx, key)
		if err != nil {
			return fmt.Errorf("catalog: change the privileges of %s %q: %w", kind, name, err)
		}
		value, err := granted(on, s.kvs[0], grants, revoke)
		if err != nil {
			return err
		}
		if err := fits(kind, name, value); err != nil {
			return err
		}
		ok, err := c.commit(ctx, []clientv3.Cmp{unchanged(key, s.kvs[0].GetModRevision())}, clientv3.OpPut(key, value), c.putVersion())
		if err != nil {
			return c.unknown(kind, name, err)
		}
		if ok {
			return nil
		}
	}
}

// granted is the entry of a thing whose privileges are changed.
func granted(on Thing, kv *mvccpb.KeyValue, grants []Grant, revoke bool) (string, error) {
	if on.View != "" {
		return grantedView(on, kv, grants, revoke)
	}
	if on.Table == "" {
		e, err := schemaOf(kv, Schema{ID: on.ID, Name: on.Schema})
		if err != nil {
			return "", err
		}
		a := e.access()
		for _, g := range grants {
			a.grant(g, SchemaPrivileges, revoke)
		}
		return encode(e.with(a)), nil
	}
	t, err := tableOf(kv, Table{ID: on.ID, Schema: on.Schema, Name: on.Table})
	if err != nil {
		return "", err
	}
	for _, g := range grants {
		t.Access.grant(g, TablePrivileges, revoke)
	}
	return t.encode(), nil
}

func grantedView(on Thing, kv *mvccpb.KeyValue, grants []Grant, revoke bool) (string, error) {
	if kv == nil {
		return "", &Error{Code: ErrNotFound, Kind: "view", Name: on.View}
	}
	o, err := decodeObject(kv.GetValue())
	if err != nil {
		return "", &Error{Code: ErrUnreadable, Kind: "view", Name: on.View, Err: err}
	}
	if o.View == nil || o.ID != on.ID {
		return "", &Error{Code: ErrNotFound, Kind: "view", Name: on.View}
	}
	a := o.View.Access()
	for _, g := range grants {
		a.grant(g, TablePrivileges, revoke)
	}
	o.View.Grants = a.Grants
	return o.encode(), nil
}

// Actor is a role with all that it is a member of: who does something.
type Actor struct {
	Role Role
	is   map[int64]bool
}

// Actor returns what a role may do; false if there is none of this name.
func (s *Snapshot) Actor(name string) (Actor, bool) {
	r, ok := s.Role(name)
	if !ok {
		return Actor{}, false
	}
	if len(r.MemberOf) == 0 {
		return Actor{Role: r, is: map[int64]bool{r.ID: true}}, true
	}
	byID := make(map[int64]Role)
	for _, x := range s.Roles() {
		byID[x.ID] = x
	}
	a := Actor{Role: r, is: make(map[int64]bool)}
	for left := []int64{r.ID}; len(left) > 0; {
		id := left[len(left)-1]
		left = left[:len(left)-1]
		if x, exists := byID[id]; exists && !a.is[id] {
			a.is[id] = true
			left = append(left, x.MemberOf...)
		}
	}
	return a, true
}

// Is tells whether the actor is a role, or a member of it, by itself or through others.
func (a Actor) Is(role int64) bool { return a.is[role] }

// Owns tells whether a thing is the actor's. Everything is a superuser's.
func (a Actor) Owns(x Access) bool { return a.Role.Superuser || a.is[x.Owner] }

// May tells whether the actor has a privilege on a thing.
func (a Actor) May(x Access, p Privilege) bool {
	return a.Owns(x) || slices.ContainsFunc(x.Grants, func(g Grant) bool {
		return (g.Role == PublicID || a.is[g.Role]) && strings.IndexByte(g.Privileges, byte(p)) >= 0
	})
}
