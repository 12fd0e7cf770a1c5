package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSchemaInThePlaceOfAnother isn't the one in which a table may be made: who may do what was asked of the first.
func TestSchemaInThePlaceOfAnother(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	w.brokers.add(t, "logs/a")
	first, err := c.CreateSchema(t.Context(), "s")
	require.NoError(t, err)
	require.NoError(t, c.DropSchema(t.Context(), w.schema("s")))
	second, err := c.CreateSchema(t.Context(), "s")
	require.NoError(t, err)
	for _, on := range []string{"", "logs/"} {
		spec := testSpec("t")
		spec.Schema, spec.SchemaID, spec.OnJournals = "s", first.ID, on
		_, err = c.CreateTable(t.Context(), spec)
		require.Equal(t, &Error{Code: ErrNotFound, Kind: "schema", Name: "s"}, err)
		require.Empty(t, w.clean(c).Tables())
		spec.SchemaID = second.ID
		table, err := c.CreateTable(t.Context(), spec)
		require.NoError(t, err)
		require.NoError(t, c.DropTable(t.Context(), table))
	}
}

// TestWhatWasMadeInItsPlace isn't changed, granted or dropped: who may do that was asked of what had the name before, and
// the other may be another's.
func TestWhatWasMadeInItsPlace(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	ctx := t.Context()
	alice, err := c.CreateRole(ctx, Role{Name: "alice"})
	require.NoError(t, err)
	type made struct {
		schema Schema
		table  Table
		object Object
		role   Role
	}
	makeAll := func() made {
		var m made
		var err error
		m.schema, err = c.CreateSchemaFor(ctx, "s", alice.ID)
		require.NoError(t, err)
		spec := testSpec("t")
		spec.Schema = "s"
		m.table, err = c.CreateTable(ctx, spec)
		require.NoError(t, err)
		m.object, err = c.CreateObject(ctx, m.schema, Object{Kind: SequenceObject, Name: "q", Sequence: &Sequence{Type: "int8"}}, false)
		require.NoError(t, err)
		m.role, err = c.CreateRole(ctx, Role{Name: "r"})
		require.NoError(t, err)
		return m
	}
	dropAll := func(m made) {
		require.NoError(t, c.DropTable(ctx, m.table))
		require.NoError(t, c.DropObject(ctx, m.object))
		require.NoError(t, c.DropSchema(ctx, m.schema))
		require.NoError(t, c.DropRole(ctx, m.role))
	}
	looked := makeAll()
	dropAll(looked)
	now := makeAll()
	before := w.dump()
	grants := []Grant{{Role: alice.ID, Privileges: "raUC"}}
	for kind, do := range map[string]map[string]func() error{
		"table": {
			"drop":   func() error { return c.DropTable(ctx, looked.table) },
			"change": func() error { _, err := c.ChangeTable(ctx, looked.table, Change{Comment: new(string)}); return err },
			"grant":  func() error { return c.Grant(ctx, Thing{Schema: "s", Table: "t", ID: looked.table.ID}, grants, false) },
		},
		"schema": {
			"drop":    func() error { return c.DropSchema(ctx, looked.schema) },
			"comment": func() error { return c.CommentSchema(ctx, looked.schema, "x") },
			"grant":   func() error { return c.Grant(ctx, Thing{Schema: "s", ID: looked.schema.ID}, grants, false) },
			"replace": func() error { _, err := c.CreateObject(ctx, looked.schema, looked.object, true); return err },
		},
		"sequence": {
			"drop":    func() error { return c.DropObject(ctx, looked.object) },
			"comment": func() error { _, err := c.CommentObject(ctx, looked.object, "x"); return err },
		},
		"role": {
			"drop": func() error { return c.DropRole(ctx, looked.role) },
			"alter": func() error {
				return c.AlterRole(ctx, looked.role, func(r *Role) error { r.Password = "x"; return nil })
			},
		},
	} {
		for what, change := range do {
			err := change()
			require.ErrorIs(t, err, ErrNotFound, "%s %s", what, kind)
			require.ErrorContains(t, err, kind, what)
			require.Equal(t, before, w.dump(), "%s %s", what, kind)
		}
	}
	w.clean(c)
	dropAll(now)
}

// TestSequencesAndTablesShareNames, whichever comes first.
func TestSequencesAndTablesShareNames(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	w.brokers.add(t, "logs/a")
	sequence := func(name string) error {
		_, err := c.CreateObject(t.Context(), w.schema(PublicSchema), Object{Kind: SequenceObject, Name: name, Sequence: &Sequence{Type: "int8"}}, false)
		return err
	}
	require.NoError(t, sequence("x"))
	for _, on := range []string{"", "logs/"} {
		spec := testSpec("x")
		spec.OnJournals = on
		_, err := c.CreateTable(t.Context(), spec)
		require.Equal(t, &Error{Code: ErrExists, Kind: "table", Name: "x"}, err)
	}
	_, err := c.CreateTable(t.Context(), testSpec("t"))
	require.NoError(t, err)
	require.Equal(t, &Error{Code: ErrExists, Kind: "sequence", Name: "t"}, sequence("t"))

	// A sequence that is made while a table is.
	slow := w.open(func(config *Config) {
		config.Journals = &hookedJournals{Journals: w.brokers, before: func(call string, n int) error {
			if call == "Apply" && n == 1 {
				return sequence("y")
			}
			return nil
		}}
	})
	_, err = slow.CreateTable(t.Context(), testSpec("y"))
	require.Equal(t, &Error{Code: ErrExists, Kind: "table", Name: "y"}, err)
	require.Len(t, w.clean(c).Tables(), 1)
}

// TestEntriesThatAreTooLarge are refused by the name of what they are of, before etcd is asked.
func TestEntriesThatAreTooLarge(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	ctx := t.Context()
	table, err := c.CreateTable(ctx, testSpec("t"))
	require.NoError(t, err)
	public := w.schema(PublicSchema)
	object, err := c.CreateObject(ctx, public, Object{Kind: SequenceObject, Name: "q", Sequence: &Sequence{Type: "int8"}}, false)
	require.NoError(t, err)
	role, err := c.CreateRole(ctx, Role{Name: "r"})
	require.NoError(t, err)
	almost := strings.Repeat("x", maxEntry-2000)
	table, err = c.ChangeTable(ctx, table, Change{Comment: &almost})
	require.NoError(t, err)
	before := w.dump()
	long := strings.Repeat("x", maxEntry)
	many := make([]int64, maxEntry/5)
	grants := make([]Grant, 100)
	for i := range many {
		many[i] = firstID
	}
	for i := range grants {
		grants[i] = Grant{Role: int64(firstID + i), Privileges: "rU"}
	}
	for what, do := range map[string]func() error{
		`sequence "q"`: func() error { _, err := c.CommentObject(ctx, object, long); return err },
		`sequence "new"`: func() error {
			_, err := c.CreateObject(ctx, public, Object{Kind: SequenceObject, Name: "new", Comment: long, Sequence: &Sequence{Type: "int8"}}, false)
			return err
		},
		`schema "public"`: func() error { return c.CommentSchema(ctx, public, long) },
		`table "t"`: func() error {
			return c.Grant(ctx, Thing{Schema: PublicSchema, Table: "t", ID: table.ID}, grants, false)
		},
		`role "new"`: func() error { _, err := c.CreateRole(ctx, Role{Name: "new", MemberOf: many}); return err },
		`role "r"`:   func() error { return c.AlterRole(ctx, role, func(r *Role) error { r.MemberOf = many; return nil }) },
	} {
		err := do()
		require.ErrorIs(t, err, ErrInvalid, what)
		require.ErrorContains(t, err, what)
		require.ErrorContains(t, err, "at most 1048576 work", what)
		require.Equal(t, before, w.dump(), what)
	}
}

// TestRoleOfAnEntryThatCannotBeRead stays: the entry may say that it is its owner.
func TestRoleOfAnEntryThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	role, err := c.CreateRole(t.Context(), Role{Name: "r"})
	require.NoError(t, err)
	for _, key := range []string{c.keys.table(DefaultDatabase, PublicSchema, "newer"), c.keys.schema(DefaultDatabase, "newer")} {
		_, err = w.client.Put(t.Context(), key, `{"format":2}`)
		require.NoError(t, err)
		err = c.DropRole(t.Context(), role)
		require.ErrorIs(t, err, ErrUnreadable)
		require.ErrorContains(t, err, key)
		_, err = w.client.Delete(t.Context(), key)
		require.NoError(t, err)
	}
	require.NoError(t, c.DropRole(t.Context(), role))
}
