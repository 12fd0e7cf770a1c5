package catalog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/keyspace"
)

const (
	// Superuser is the role that every catalog has, which may do everything.
	Superuser = "postgres"
	// SuperuserID is PostgreSQL's for its first role.
	SuperuserID = 10
	// PublicID stands for everybody, in grants.
	PublicID = 0

	secretSize = 32
)

// Role is a user, or a group of them. Roles are of all databases. What a role may do,
// its members may.
type Role struct {
	ID   int64
	Name string
	// Login tells that it may begin sessions. A Superuser may do everything.
	Login, Superuser, CreateRole, CreateDB bool
	// Password is a verifier's text, "" for none. The catalog doesn't look into it.
	Password string
	// MemberOf are the ids of roles; those that don't exist any more mean nothing.
	MemberOf []int64
}

// roleEntry is the value of a role.
type roleEntry struct {
	Format     int     `json:"format"`
	ID         int64   `json:"id"`
	Name       string  `json:"name"`
	Login      bool    `json:"login,omitempty"`
	Superuser  bool    `json:"superuser,omitempty"`
	CreateRole bool    `json:"create_role,omitempty"`
	CreateDB   bool    `json:"create_db,omitempty"`
	Password   string  `json:"password,omitempty"`
	MemberOf   []int64 `json:"member_of,omitempty"`
}

// secretEntry is the value of the secret.
type secretEntry struct {
	Format int    `json:"format"`
	Secret string `json:"secret"`
}

// firstRole is the superuser of a catalog that says nothing of it.
func firstRole() Role {
	return Role{ID: SuperuserID, Name: Superuser, Login: true, Superuser: true, CreateRole: true, CreateDB: true}
}

func (r Role) encode() string {
	return encode(roleEntry{
		Format: entryFormat, ID: r.ID, Name: r.Name, Login: r.Login, Superuser: r.Superuser, CreateRole: r.CreateRole,
		CreateDB: r.CreateDB, Password: r.Password, MemberOf: r.MemberOf,
	})
}

func decodeRole(value []byte) (Role, error) {
	e, err := decodeEntry[roleEntry](value)
	if err != nil {
		return Role{}, err
	}
	if e.ID < firstID && (e.ID != SuperuserID || e.Name != Superuser) {
		return Role{}, errors.New("not a role")
	}
	return Role{
		ID: e.ID, Name: e.Name, Login: e.Login, Superuser: e.Superuser, CreateRole: e.CreateRole, CreateDB: e.CreateDB,
		Password: e.Password, MemberOf: e.MemberOf,
	}, nil
}

// CreateRole makes a role. Its ID is given.
func (c *Catalog) CreateRole(ctx context.Context, r Role) (Role, error) {
	if err := validateIdentifier("role", r.Name); err != nil {
		return r, err
	}
	if strings.HasPrefix(r.Name, "pg_") || r.Name == "public" || r.Name == "none" {
		return r, &Error{Code: ErrReserved, Kind: "role", Name: r.Name}
	}
	key := c.keys.role(r.Name)
	for {
		s, err := c.read(ctx, key)
		if err != nil {
			return r, fmt.Errorf("catalog: create role %q: %w", r.Name, err)
		}
		if s.kvs[0] != nil || r.Name == Superuser {
			return r, &Error{Code: ErrExists, Kind: "role", Name: r.Name}
		}
		r.ID = s.nextID
		if err := fits("role", r.Name, r.encode()); err != nil {
			return r, err
		}
		ok, err := c.commit(ctx, append(s.compares(), absent(key)), s.take(), clientv3.OpPut(key, r.encode()), c.putVersion())
		if err != nil {
			return r, c.unknown("role", r.Name, err)
		}
		if ok {
			return r, nil
		}
	}
}

// AlterRole changes a role by a function, which may be called more than once and changes neither
// its ID nor its Name. Another role that was made in its place isn't meant. The superuser stays one that may log in.
func (c *Catalog) AlterRole(ctx context.Context, role Role, change func(*Role) error) error {
	key, name := c.keys.role(role.Name), role.Name
	for {
		s, err := c.read(ctx, key)
		if err != nil {
			return fmt.Errorf("catalog: alter role %q: %w", name, err)
		}
		r, compare := firstRole(), absent(key)
		switch {
		case s.kvs[0] != nil:
			compare = unchanged(key, s.kvs[0].GetModRevision())
			if r, err = decodeRole(s.kvs[0].GetValue()); err != nil {
				return &Error{Code: ErrUnreadable, Kind: "role", Name: name, Err: err}
			}
		case name != Superuser:
			return &Error{Code: ErrNotFound, Kind: "role", Name: name}
		}
		if r.ID != role.ID {
			return &Error{Code: ErrNotFound, Kind: "role", Name: name}
		}
		r.MemberOf = slices.Clone(r.MemberOf)
		id := r.ID
		if err := change(&r); err != nil {
			return err
		}
		r.ID, r.Name = id, name
		if id == SuperuserID && (!r.Superuser || !r.Login) {
			return &Error{Code: ErrInvalid, Kind: "role", Name: name, Detail: "the first role stays a superuser that may log in"}
		}
		if err := fits("role", name, r.encode()); err != nil {
			return err
		}
		ok, err := c.commit(ctx, []clientv3.Cmp{compare}, clientv3.OpPut(key, r.encode()), c.putVersion())
		if err != nil {
			return c.unknown("role", name, err)
		}
		if ok {
			return nil
		}
	}
}

// maxPlainDrops is how many things go in one transaction of which each takes an operation and a compare.
const maxPlainDrops = 100

// DropRole removes roles that own nothing, and to which nothing is granted: all of them, or none. Others that were made in their
// place aren't meant.
func (c *Catalog) DropRole(ctx context.Context, drop ...Role) error {
	if err := dropsFit("role", len(drop), maxPlainDrops); err != nil {
		return err
	}
	reads := []clientv3.Op{
		clientv3.OpGet(c.keys.root+"/schemas/", clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.root+"/tables/", clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.root+"/objects/", clientv3.WithPrefix()),
	}
	ops := []clientv3.Op{c.putVersion()}
	for _, x := range drop {
		if x.Name == Superuser {
			return &Error{Code: ErrReserved, Kind: "role", Name: x.Name, Detail: "it is required by the database system"}
		}
		reads, ops = append(reads, clientv3.OpGet(c.keys.role(x.Name))), append(ops, clientv3.OpDelete(c.keys.role(x.Name)))
	}
	for {
		r, err := c.etcd.Txn(ctx).Then(reads...).Commit()
		if err != nil {
			return fmt.Errorf("catalog: drop role %q: %w", drop[0].Name, err)
		}
		var compares []clientv3.Cmp
		for i, x := range drop {
			kv := first(r.Responses[3+i])
			if err := c.unused(x, kv, r.Responses[:3]); err != nil {
				return err
			}
			compares = append(compares, unchanged(c.keys.role(x.Name), kv.GetModRevision()))
		}
		ok, err := c.commit(ctx, compares, ops...)
		if err != nil {
			return c.unknown("role", drop[0].Name, err)
		}
		if ok {
			return nil
		}
	}
}

// unused tells whether the entry of a role is that of the one which is meant, and no other entry depends on it.
func (c *Catalog) unused(want Role, kv *mvccpb.KeyValue, others []*etcdserverpb.ResponseOp) error {
	if kv == nil {
		return &Error{Code: ErrNotFound, Kind: "role", Name: want.Name}
	}
	role, err := decodeRole(kv.GetValue())
	if err != nil {
		return &Error{Code: ErrUnreadable, Kind: "role", Name: want.Name, Err: err}
	}
	if role.ID != want.ID {
		return &Error{Code: ErrNotFound, Kind: "role", Name: want.Name}
	}
	for _, answer := range others {
		for _, kv := range answer.GetResponseRange().GetKvs() {
			v, err := c.keys.decode(string(kv.GetKey()), kv.GetValue())
			if err != nil { // who it belongs to isn't known
				return &Error{Code: ErrUnreadable, Kind: "entry", Name: string(kv.GetKey()), Err: err}
			}
			if detail := dependsOn(v, role.ID); detail != "" {
				return &Error{Code: ErrNotEmpty, Kind: "role", Name: want.Name, Detail: detail}
			}
		}
	}
	return nil
}

// dependsOn tells how an entry depends on a role, as PostgreSQL says it. A grant that is made meanwhile
// names an id that never comes back.
func dependsOn(entry any, role int64) string {
	var a Access
	var what string
	switch x := entry.(type) {
	case Table:
		a, what = x.Access, "table "+x.Name
	case schema:
		a, what = nameEntry(x).access(), "schema "+x.Name
	case Object:
		if x.View == nil {
			return ""
		}
		a, what = x.View.Access(), "view "+x.Name
	default:
		return ""
	}
	switch {
	case a.Owner == role:
		return "owner of " + what
	case slices.ContainsFunc(a.Grants, func(g Grant) bool { return g.Role == role }):
		return "privileges for " + what
	}
	return ""
}

// Secret is one that all processes of the catalog share, and nobody else knows. It is made when it is
// first asked for.
func (c *Catalog) Secret(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, secretSize)
	_, _ = rand.Read(fresh) // never fails: crypto/rand ends the program instead
	key := c.keys.secret()
	r, err := c.etcd.Txn(ctx).If(absent(key)).
		Then(clientv3.OpPut(key, encode(secretEntry{Format: entryFormat, Secret: hex.EncodeToString(fresh)}))).
		Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return nil, fmt.Errorf("catalog: read the secret: %w", err)
	}
	if r.Succeeded {
		return fresh, nil
	}
	e, err := decodeEntry[secretEntry](r.Responses[0].GetResponseRange().GetKvs()[0].GetValue())
	if err != nil {
		return nil, fmt.Errorf("catalog: the secret: %w", err)
	}
	secret, err := hex.DecodeString(e.Secret)
	if err != nil || len(secret) != secretSize {
		return nil, errors.New("catalog: the secret isn't one")
	}
	return secret, nil
}

// Role returns the role of this name.
func (s *Snapshot) Role(name string) (Role, bool) {
	kv, found := s.view.Get(s.catalog.keys.role(name))
	if r, ok := kv.Value.(Role); ok {
		return r, true
	}
	return firstRole(), !found && name == Superuser
}

// Roles are all roles, in the order of their ids.
func (s *Snapshot) Roles() []Role {
	var out []Role
	s.view.Ascend(s.catalog.keys.roles(), func(kv keyspace.KeyValue) bool {
		if r, ok := kv.Value.(Role); ok {
			out = append(out, r)
		}
		return true
	})
	if _, found := s.view.Get(s.catalog.keys.role(Superuser)); !found {
		out = append(out, firstRole())
	}
	slices.SortFunc(out, func(a, b Role) int { return int(a.ID - b.ID) })
	return out
}
