package catalog

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Schema is a name space of tables.
type Schema struct {
	ID   int64 // the oid
	Name string
	// Comment is that of COMMENT ON.
	Comment string
	// Access is who owns the schema, and who may do what with it.
	Access Access
}

// schemaOf reads the entry of a schema, which has to be the one that a caller has looked at.
func schemaOf(kv *mvccpb.KeyValue, want Schema) (nameEntry, error) {
	if kv == nil {
		return nameEntry{}, &Error{Code: ErrNotFound, Kind: "schema", Name: want.Name}
	}
	e, err := decodeEntry[nameEntry](kv.GetValue())
	if err != nil {
		return e, &Error{Code: ErrUnreadable, Kind: "schema", Name: want.Name, Err: err}
	}
	if e.ID != want.ID {
		return e, &Error{Code: ErrNotFound, Kind: "schema", Name: want.Name}
	}
	return e, nil
}

// reservedSchema tells whether PostgreSQL or we keep a schema name for the system.
func reservedSchema(name string) bool {
	return strings.HasPrefix(name, "pg_") || name == "information_schema" || name == "bs_catalog"
}

// CreateSchema makes an empty schema, which belongs to the superuser.
func (c *Catalog) CreateSchema(ctx context.Context, name string) (Schema, error) {
	return c.CreateSchemaFor(ctx, name, SuperuserID)
}

// CreateSchemaFor makes an empty schema that belongs to a role.
func (c *Catalog) CreateSchemaFor(ctx context.Context, name string, owner int64) (Schema, error) {
	if err := validateIdentifier("schema", name); err != nil {
		return Schema{}, err
	}
	if reservedSchema(name) {
		return Schema{}, &Error{Code: ErrReserved, Kind: "schema", Name: name, Detail: "the name is kept for the system's schemas"}
	}
	key := c.keys.schema(c.database, name)
	for {
		s, err := c.read(ctx, key)
		if err != nil {
			return Schema{}, fmt.Errorf("catalog: create schema %q: %w", name, err)
		}
		if s.kvs[0] != nil {
			return Schema{}, &Error{Code: ErrExists, Kind: "schema", Name: name}
		}
		made := nameEntry{Format: entryFormat, ID: s.nextID, Name: name}.with(Access{Owner: owner})
		ok, err := c.commit(ctx, append(s.compares(), absent(key)),
			s.take(), clientv3.OpPut(key, encode(made)), c.putVersion())
		if err != nil {
			return Schema{}, c.unknown("schema", name, err)
		}
		if ok {
			return Schema{ID: made.ID, Name: name, Access: made.access()}, nil
		}
	}
}

// maxSchemaDrops is how many schemas go in one transaction, which has four compares for each.
const maxSchemaDrops = 30

// DropSchema removes schemas that have no tables, none that are being made, and no functions, sequences or views: all of them, or
// none. Others that were made in their place aren't meant.
func (c *Catalog) DropSchema(ctx context.Context, drop ...Schema) error {
	if err := dropsFit("schema", len(drop), maxSchemaDrops); err != nil {
		return err
	}
	for {
		var compares []clientv3.Cmp
		ops := []clientv3.Op{c.putVersion()}
		for _, x := range drop {
			mod, err := c.emptySchema(ctx, x)
			if err != nil {
				return err
			}
			key := c.keys.schema(c.database, x.Name)
			// A compare over a prefix holds if it holds for every key below it: with
			// create revision 0, if there is none.
			compares = append(compares,
				unchanged(key, mod),
				absent(c.keys.tablesOf(c.database, x.Name)).WithPrefix(),
				absent(c.keys.creatingOf(c.database, x.Name)).WithPrefix(),
				absent(c.keys.objectsOf(c.database, x.Name)).WithPrefix(),
			)
			ops = append(ops, clientv3.OpDelete(key))
		}
		ok, err := c.commit(ctx, compares, ops...)
		if err != nil {
			return c.unknown("schema", drop[0].Name, err)
		}
		if ok {
			return nil
		}
	}
}

// emptySchema finds a schema, which has to be empty, and returns the mod revision of its entry.
func (c *Catalog) emptySchema(ctx context.Context, want Schema) (int64, error) {
	name := want.Name
	r, err := c.etcd.Txn(ctx).Then(
		clientv3.OpGet(c.keys.schema(c.database, name)),
		clientv3.OpGet(c.keys.tablesOf(c.database, name), clientv3.WithPrefix(), clientv3.WithCountOnly()),
		clientv3.OpGet(c.keys.creatingOf(c.database, name), clientv3.WithPrefix(), clientv3.WithCountOnly()),
		clientv3.OpGet(c.keys.objectsOf(c.database, name), clientv3.WithPrefix(), clientv3.WithCountOnly()),
	).Commit()
	if err != nil {
		return 0, fmt.Errorf("catalog: drop schema %q: %w", name, err)
	}
	entry := first(r.Responses[0])
	if _, err := schemaOf(entry, want); err != nil {
		return 0, err
	}
	count := func(i int) int64 { return r.Responses[i].GetResponseRange().GetCount() }
	e := &Error{Code: ErrNotEmpty, Kind: "schema", Name: name}
	switch {
	case count(1) > 0:
		e.Detail = fmt.Sprintf("it has %d tables", count(1))
	case count(3) > 0:
		e.Detail = "it has views, functions or sequences"
	case count(2) > 0:
		e.Detail, e.Hint = "a table is being made in it", "Try again in a minute."
	default:
		return entry.GetModRevision(), nil
	}
	return 0, e
}

// dropsFit tells whether so many things of a kind can be dropped at once.
func dropsFit(kind string, n, most int) error {
	if n <= most {
		return nil
	}
	return &Error{
		Code: ErrUnsupported, Kind: kind, Detail: fmt.Sprintf("to drop %d at once", n),
		Hint: fmt.Sprintf("At most %d can be dropped at once.", most),
	}
}
