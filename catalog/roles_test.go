package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

func goldenRole() Role {
	key := strings.Repeat("A", 43) + "="
	return Role{ID: 16399, Name: "alice", Login: true, Password: "SCRAM-SHA-256$4096:c2FsdA==$" + key + ":" + key, MemberOf: []int64{16400}}
}

func goldenSchema() nameEntry {
	return nameEntry{Format: entryFormat, ID: 16401, Name: "sales"}.with(Access{Owner: 16399, Grants: []Grant{
		{Role: 16400, Privileges: SchemaPrivileges}, {Role: PublicID, Privileges: string(Usage)},
	}})
}

func goldenGranted() Table {
	spec := TableSpec{Schema: "sales", Name: "orders", Columns: []Column{{Name: "id", Type: columnar.Type{Kind: columnar.Int64}}}, OnJournals: "acme/orders/", Owner: 16399}
	t := spec.table(16402, nil)
	t.Access.Grants = []Grant{{Role: 16400, Privileges: TablePrivileges}}
	return t
}

// TestRoles are made, changed and dropped; the superuser is always there.
func TestRoles(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	ctx := t.Context()
	require.Equal(t, []Role{firstRole()}, w.snapshot(c).Roles())
	group, err := c.CreateRole(ctx, Role{Name: "Group/1"})
	require.NoError(t, err)
	alice, err := c.CreateRole(ctx, Role{Name: "alice", Login: true, Password: "verifier", MemberOf: []int64{group.ID}})
	require.NoError(t, err)
	require.Less(t, group.ID, alice.ID)
	_, err = c.CreateRole(ctx, Role{Name: "alice"})
	require.ErrorIs(t, err, ErrExists)
	for _, name := range []string{"pg_x", "public", "none"} {
		_, err = c.CreateRole(ctx, Role{Name: name})
		require.ErrorIs(t, err, ErrReserved)
	}
	_, err = c.CreateRole(ctx, Role{Name: Superuser})
	require.ErrorIs(t, err, ErrExists)

	require.NoError(t, c.AlterRole(ctx, firstRole(), func(r *Role) error { r.Password, r.ID, r.Name = "x", 3, "y"; return nil }))
	s := w.snapshot(c)
	first, ok := s.Role(Superuser)
	require.True(t, ok)
	require.Equal(t, int64(SuperuserID), first.ID)
	require.Equal(t, "x", first.Password)
	require.Equal(t, []Role{first, group, alice}, s.Roles())
	require.ErrorIs(t, c.AlterRole(ctx, firstRole(), func(r *Role) error { r.Superuser = false; return nil }), ErrInvalid)
	require.ErrorIs(t, c.AlterRole(ctx, Role{Name: "nobody"}, func(*Role) error { return nil }), ErrNotFound)

	require.ErrorIs(t, c.DropRole(ctx, firstRole()), ErrReserved)
	require.ErrorIs(t, c.DropRole(ctx, Role{Name: "nobody"}), ErrNotFound)
	require.NoError(t, c.DropRole(ctx, group))
	again, err := c.CreateRole(ctx, Role{Name: "Group/1"})
	require.NoError(t, err)
	actor, ok := w.snapshot(c).Actor("alice")
	require.True(t, ok)
	require.False(t, actor.Is(again.ID), "a role of the same name is another one")
	_, ok = w.snapshot(c).Actor("nobody")
	require.False(t, ok)
}

// TestGrants are kept with what they are on, and say what members of roles may do.
func TestGrants(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	ctx := t.Context()
	group, err := c.CreateRole(ctx, Role{Name: "group"})
	require.NoError(t, err)
	alice, err := c.CreateRole(ctx, Role{Name: "alice", MemberOf: []int64{group.ID}})
	require.NoError(t, err)
	_, err = c.CreateRole(ctx, Role{Name: "root", Superuser: true})
	require.NoError(t, err)
	spec := testSpec("t")
	spec.Owner = alice.ID
	_, err = c.CreateTable(ctx, spec)
	require.NoError(t, err)
	others, err := c.CreateTable(ctx, testSpec("of the superuser"))
	require.NoError(t, err)
	may := func(who, table string) string {
		s := w.snapshot(c)
		a, ok := s.Actor(who)
		require.True(t, ok)
		x, ok := s.Table(PublicSchema, table)
		require.True(t, ok)
		return strings.Map(func(p rune) rune {
			if a.May(x.Access, Privilege(p)) {
				return p
			}
			return -1
		}, TablePrivileges)
	}
	require.Equal(t, []string{"ar", "", "ar", "ar"}, []string{may("alice", "t"), may("group", "t"), may("root", "t"), may(Superuser, "t")})
	on := Thing{Schema: PublicSchema, Table: "of the superuser", ID: others.ID}
	require.Empty(t, may("alice", on.Table))
	require.NoError(t, c.Grant(ctx, on, []Grant{{Role: group.ID, Privileges: "r"}}, false))
	require.NoError(t, c.Grant(ctx, on, []Grant{{Role: PublicID, Privileges: "a"}}, false))
	require.Equal(t, "ar", may("alice", on.Table))
	require.ErrorIs(t, c.DropRole(ctx, group), ErrNotEmpty)
	require.ErrorIs(t, c.DropRole(ctx, alice), ErrNotEmpty)
	require.NoError(t, c.Grant(ctx, on, []Grant{{Role: group.ID, Privileges: "ar"}}, true))
	require.Equal(t, "a", may("alice", on.Table))
	require.NoError(t, c.DropRole(ctx, group))

	usage := func() bool {
		s := w.snapshot(c)
		a, _ := s.Actor("alice")
		public, _ := s.Schema(PublicSchema)
		require.False(t, a.May(public.Access, Create))
		return a.May(public.Access, Usage)
	}
	require.True(t, usage())
	require.NoError(t, c.Grant(ctx, Thing{Schema: PublicSchema, ID: w.schema(PublicSchema).ID}, []Grant{{Role: PublicID, Privileges: "U"}}, true))
	require.False(t, usage())
	require.ErrorIs(t, c.Grant(ctx, Thing{Schema: "nowhere"}, nil, false), ErrNotFound)
	require.ErrorIs(t, c.Grant(ctx, Thing{Schema: PublicSchema, Table: "nothing"}, nil, false), ErrNotFound)

	made, err := c.CreateSchemaFor(ctx, "hers", alice.ID)
	require.NoError(t, err)
	s, ok := w.snapshot(c).Schema("hers")
	require.True(t, ok)
	require.Equal(t, made, s)
	_, err = c.ChangeTable(ctx, w.table(PublicSchema, "t"), Change{})
	require.NoError(t, err)
	require.Equal(t, "ar", may("alice", "t"), "a change keeps the owner")
}

// TestSecret is the same for all processes, and for ever.
func TestSecret(t *testing.T) {
	w := newWorld(t)
	one, err := w.open().Secret(t.Context())
	require.NoError(t, err)
	two, err := w.open().Secret(t.Context())
	require.NoError(t, err)
	require.Len(t, one, secretSize)
	require.Equal(t, one, two)
}

// TestGrantsAddUp: privileges are sets of letters, whatever is granted and revoked.
func TestGrantsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Access
		model := map[int64]map[rune]bool{1: {}, 2: {}}
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			g := Grant{Role: rapid.Int64Range(1, 2).Draw(t, "role"), Privileges: rapid.SampledFrom([]string{"", "a", "r", "ra", "ar"}).Draw(t, "privileges")}
			revoke := rapid.Bool().Draw(t, "revoke")
			a.grant(g, TablePrivileges, revoke)
			for _, p := range g.Privileges {
				model[g.Role][p] = !revoke
			}
		}
		for role, want := range model {
			for _, p := range TablePrivileges {
				require.Equal(t, want[p], Actor{is: map[int64]bool{role: true}}.May(a, Privilege(p)))
			}
		}
		for _, g := range a.Grants {
			require.NotEmpty(t, g.Privileges)
		}
	})
}
