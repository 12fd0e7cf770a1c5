package sqlgw

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/internal/embedetcd/etcdtest"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// noJournals are brokers that have none, and make what is asked for.
type noJournals struct{}

func (noJournals) Apply(context.Context, []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error) {
	return &protocol.ApplyResponse{}, nil
}

func (noJournals) List(context.Context, *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
	return nil, nil
}

// testCatalog runs a catalog of its own until the test ends.
func testCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{
		Etcd: etcdtest.New(t).Client(t), Prefix: "/bs", Journals: noJournals{}, Stores: []string{"file:///"}, CreateTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	g := task.New(context.Background(), "test")
	g.Go("catalog", c.Run)
	t.Cleanup(func() {
		g.Cancel()
		require.NoError(t, g.Wait())
	})
	return c
}

func testSnapshot(t *testing.T, c *catalog.Catalog) *catalog.Snapshot {
	t.Helper()
	snap, err := c.Snapshot(t.Context())
	require.NoError(t, err)
	return snap
}

// TestSchemaThatIsNotThere is nobody's: what is allowed in a snapshot is done later, when there may be one of its name.
func TestSchemaThatIsNotThere(t *testing.T) {
	c := testCatalog(t)
	_, err := c.CreateRole(t.Context(), catalog.Role{Name: "alice", Login: true})
	require.NoError(t, err)
	snap := testSnapshot(t, c)
	s := &session{gateway: &Gateway{cfg: Config{Catalog: c}}, settings: newSettings(noParameters{}), user: "alice"}
	want := &pgwire.Error{Code: "3F000", Message: `schema "gone" does not exist`}
	require.Equal(t, want, s.createTableIn(snap, &catalog.TableSpec{Schema: "gone", Name: "t"}))
	for _, replace := range []bool{false, true} {
		_, err = s.createObjectIn(snap, "gone", replace)
		require.Equal(t, want, err)
	}
	public := catalog.Access{Owner: catalog.SuperuserID, Grants: []catalog.Grant{{Role: catalog.PublicID, Privileges: catalog.TablePrivileges}}}
	table := catalog.Table{Schema: "gone", Name: "t", Access: public}
	require.Equal(t, &pgwire.Error{Code: "42P01", Message: `relation "gone.t" does not exist`},
		s.permit(snap, table, catalog.Select, parse.Name{Schema: "gone", Name: "t"}))
}

// TestSchemaOwner may drop what others have in the schema, as in PostgreSQL, and that is all.
func TestSchemaOwner(t *testing.T) {
	c := testCatalog(t)
	ctx := t.Context()
	alice, err := c.CreateRole(ctx, catalog.Role{Name: "alice", Login: true})
	require.NoError(t, err)
	bob, err := c.CreateRole(ctx, catalog.Role{Name: "bob", Login: true})
	require.NoError(t, err)
	schema, err := c.CreateSchemaFor(ctx, "hers", alice.ID)
	require.NoError(t, err)
	_, err = c.CreateTable(ctx, catalog.TableSpec{
		Schema: "hers", SchemaID: schema.ID, Name: "his", Owner: bob.ID, Columns: []catalog.Column{{Name: "id", Type: columnar.Type{Kind: columnar.Int64}}},
		Indexes: []catalog.Index{{Name: "i", Method: "btree", Columns: []int64{1}}},
	})
	require.NoError(t, err)
	snap := testSnapshot(t, c)
	his := parse.Name{Schema: "hers", Name: "his"}
	as := func(user string) *session {
		s := (&Gateway{cfg: Config{Catalog: c}}).testSession()
		s.user = user
		return s
	}
	s := as("alice")
	no, denied := &pgwire.Error{Code: "42501", Message: "must be owner of table his"}, &pgwire.Error{Code: "42501", Message: "permission denied for table his"}
	everybody := []parse.RoleName{{Public: true}}
	require.Equal(t, denied, s.grant(ctx, snap, &parse.Grant{Tables: []parse.Name{his}, Roles: everybody}))
	require.Equal(t, denied, s.grant(ctx, snap, &parse.Grant{InSchemas: []string{"hers"}, Roles: everybody}))
	require.Equal(t, no, s.comment(ctx, nil, &parse.Comment{Kind: "table", Object: his}))
	require.Equal(t, no, s.comment(ctx, nil, &parse.Comment{Kind: "index", Object: parse.Name{Schema: "hers", Name: "i"}}))
	require.Equal(t, no, s.createIndex(ctx, nil, &parse.CreateIndex{Table: his, Columns: []string{"id"}}))
	require.Equal(t, no, s.alterTable(ctx, nil, &parse.AlterTable{Table: his}))
	require.NoError(t, as("bob").grant(ctx, snap, &parse.Grant{Tables: []parse.Name{his}, Roles: everybody}))

	table, ok := snap.Table("hers", "his")
	require.True(t, ok)
	for _, may := range []string{"alice", "bob", "postgres"} {
		require.NoError(t, as(may).mayDrop(snap, table), may)
		_, err := as(may).indexToDrop(snap, "index", parse.Name{Schema: "hers", Name: "i"})
		require.NoError(t, err, may)
	}
	require.Equal(t, no, as("carl").mayDrop(snap, table))
}

// TestRoleThatWouldBeItsOwnMember isn't made.
func TestRoleThatWouldBeItsOwnMember(t *testing.T) {
	c := testCatalog(t)
	ctx := t.Context()
	a, err := c.CreateRole(ctx, catalog.Role{Name: "a"})
	require.NoError(t, err)
	_, err = c.CreateRole(ctx, catalog.Role{Name: "b", MemberOf: []int64{a.ID}})
	require.NoError(t, err)
	s := &session{gateway: &Gateway{cfg: Config{Catalog: c}}, settings: newSettings(noParameters{}), user: catalog.Superuser}
	create := func(in, member string) error {
		return s.createRole(ctx, testSnapshot(t, c), &parse.CreateRole{Name: "r", InRoles: []parse.RoleName{{Name: in}}, Members: []parse.RoleName{{Name: member}}})
	}
	for _, in := range []string{"a", "b"} {
		require.Equal(t, &pgwire.Error{Code: "0LP01", Message: `role "r" is a member of role "a"`}, create(in, "a"), in)
		_, ok := testSnapshot(t, c).Role("r")
		require.False(t, ok)
	}
	require.NoError(t, create("a", "b"))
}

// TestNobodyBecomesSuperuserThroughAnother: who may manage roles manages none of those through which one would become a superuser.
func TestNobodyBecomesSuperuserThroughAnother(t *testing.T) {
	c := testCatalog(t)
	ctx := t.Context()
	dba, err := c.CreateRole(ctx, catalog.Role{Name: "dba", Login: true, MemberOf: []int64{catalog.SuperuserID}})
	require.NoError(t, err)
	_, err = c.CreateRole(ctx, catalog.Role{Name: "through", MemberOf: []int64{dba.ID}})
	require.NoError(t, err)
	_, err = c.CreateRole(ctx, catalog.Role{Name: "plain"})
	require.NoError(t, err)
	_, err = c.CreateRole(ctx, catalog.Role{Name: "manager", CreateRole: true, Login: true})
	require.NoError(t, err)
	as := func(who string) *session {
		return &session{gateway: &Gateway{cfg: Config{Catalog: c}}, settings: newSettings(noParameters{}), user: who}
	}
	named := func(name string) []parse.RoleName { return []parse.RoleName{{Name: name}} }
	password := "x"
	for role, want := range map[string]string{"postgres": "42501", "dba": "42501", "through": "42501", "plain": ""} {
		for what, err := range map[string]error{
			"grant":  as("manager").grantRoles(ctx, nil, testSnapshot(t, c), &parse.GrantRole{Roles: named(role), Members: named("manager")}),
			"create": as("manager").createRole(ctx, testSnapshot(t, c), &parse.CreateRole{Name: "new", InRoles: named(role)}),
			"alter": as("manager").alterRole(ctx, testSnapshot(t, c), &parse.AlterRole{
				Role: named(role)[0], Options: parse.RoleOptions{HasPassword: true, Password: &password},
			}),
		} {
			if want == "" {
				require.NoError(t, err, what+" "+role)
			} else {
				requireCode(t, want, err)
			}
		}
	}
	own := &parse.AlterRole{Role: named("dba")[0], Options: parse.RoleOptions{HasPassword: true, Password: &password}}
	require.NoError(t, as("dba").alterRole(ctx, testSnapshot(t, c), own))
}

// TestFirstPassword is asked for only while the role has none.
func TestFirstPassword(t *testing.T) {
	u := Users{Catalog: testCatalog(t)}
	gone := func() (string, error) { return "", os.ErrNotExist }
	_, err := u.SetFirstPassword(t.Context(), gone)
	require.ErrorIs(t, err, os.ErrNotExist)
	set, err := u.SetFirstPassword(t.Context(), func() (string, error) { return "x", nil })
	require.NoError(t, err)
	require.True(t, set)
	set, err = u.SetFirstPassword(t.Context(), gone)
	require.NoError(t, err)
	require.False(t, set)
}
