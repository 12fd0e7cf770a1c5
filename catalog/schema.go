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

// DropSchema removes a schema that has no tables, none that are being made, and no functions or sequences. Another that was made in its place
// isn't meant.
func (c *Catalog) DropSchema(ctx context.Context, drop Schema) error {
	key, name := c.keys.schema(c.database, drop.Name), drop.Name
	for {
		r, err := c.etcd.Txn(ctx).Then(
			clientv3.OpGet(key),
			clientv3.OpGet(c.keys.tablesOf(c.database, name), clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(c.keys.creatingOf(c.database, name), clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(c.keys.objectsOf(c.database, name), clientv3.WithPrefix(), clientv3.WithCountOnly()),
		).Commit()
		if err != nil {
			return fmt.Errorf("catalog: drop schema %q: %w", name, err)
		}
		entry := first(r.Responses[0])
		if _, err := schemaOf(entry, drop); err != nil {
			return err
		}
		tables, making := r.Responses[1].GetResponseRange().GetCount(), r.Responses[2].GetResponseRange().GetCount()
		switch {
		case tables > 0:
			return &Error{Code: ErrNotEmpty, Kind: "schema", Name: name, Detail: fmt.Sprintf("it has %d tables", tables)}
		case r.Responses[3].GetResponseRange().GetCount() > 0:
			return &Error{Code: ErrNotEmpty, Kind: "schema", Name: name, Detail: "it has functions or sequences"}
		case making > 0:
			return &Error{Code: ErrNotEmpty, Kind: "schema", Name: name, Detail: "a table is being made in it", Hint: "Try again in a minute."}
		default:
			// A compare over a prefix holds if it holds for every key below it: with
			// create revision 0, if there is none.
			ok, err := c.commit(ctx, []clientv3.Cmp{
				unchanged(key, entry.GetModRevision()),
				absent(c.keys.tablesOf(c.database, name)).WithPrefix(),
				absent(c.keys.creatingOf(c.database, name)).WithPrefix(),
				absent(c.keys.objectsOf(c.database, name)).WithPrefix(),
			}, clientv3.OpDelete(key), c.putVersion())
			if err != nil {
				return c.unknown("schema", name, err)
			}
			if ok {
				return nil
			}
		}
	}
}
