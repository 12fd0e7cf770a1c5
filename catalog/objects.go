package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ObjectKind is a kind of thing that isn't a table. It stands in keys.
type ObjectKind string

// The kinds of objects.
const (
	SequenceObject ObjectKind = "sequence"
	FunctionObject ObjectKind = "function"
	ViewObject     ObjectKind = "view"
)

// Object is a thing that is kept and told as it was declared. Its JSON is that of entries.
type Object struct {
	ID      int64      `json:"id"`
	Kind    ObjectKind `json:"kind"`
	Schema  string     `json:"schema"`
	Name    string     `json:"name"`
	Comment string     `json:"comment,omitempty"`
	// Sequence, Function and View: the one that Kind says.
	Sequence *Sequence `json:"sequence,omitempty"`
	Function *Function `json:"function,omitempty"`
	View     *View     `json:"view,omitempty"`
}

// Sequence is what CREATE SEQUENCE says. No number is ever drawn from it.
type Sequence struct {
	Type      string `json:"type"` // int2, int4 or int8
	Start     int64  `json:"start"`
	Increment int64  `json:"increment"`
	Min       int64  `json:"min"`
	Max       int64  `json:"max"`
	Cache     int64  `json:"cache"`
	Cycle     bool   `json:"cycle,omitempty"`
}

// Function is what CREATE FUNCTION says. It can't be called.
type Function struct {
	Language string `json:"language"`
	// Arguments are those of input, in order.
	Arguments []Argument `json:"arguments,omitempty"`
	// Returns is the name that pg_type has for the type; Set tells of SETOF.
	Returns    string `json:"returns"`
	Set        bool   `json:"set,omitempty"`
	Body       string `json:"body"`
	Volatility string `json:"volatility"` // pg_proc.provolatile
	Strict     bool   `json:"strict,omitempty"`
	Procedure  bool   `json:"procedure,omitempty"`
}

// Argument of a function.
type Argument struct {
	Name string `json:"name,omitempty"`
	Type string `json:"type"` // pg_type's name
}

// key is what tells objects of a kind and schema apart: functions may share a name.
func (o *Object) key() string {
	if o.Function == nil {
		return o.Name
	}
	types := make([]string, len(o.Function.Arguments))
	for i, a := range o.Function.Arguments {
		types[i] = a.Type
	}
	return o.Name + "(" + strings.Join(types, ",") + ")"
}

// encode is of the format of altered tables for a view of one, so that no program reads it that doesn't know what its names mean,
// and of that of materialized views.
func (o *Object) encode() string {
	format := entryFormat
	if o.View != nil && slices.ContainsFunc(o.View.Reads, func(r Read) bool { return len(r.Columns) > 0 }) {
		format = alteredFormat
	}
	if o.View != nil && o.View.Materialized != nil {
		format = materializedFormat
	}
	return encode(objectEntry{Format: format, Object: *o})
}

func decodeObject(value []byte) (Object, error) {
	e, err := decodeUpTo[objectEntry](value, materializedFormat)
	if err != nil {
		return Object{}, err
	}
	known := e.Kind == SequenceObject && e.Sequence != nil || e.Kind == FunctionObject && e.Function != nil ||
		e.Kind == ViewObject && e.View != nil && e.View.Owner != 0
	if e.ID < firstID || !known {
		return Object{}, errors.New("not an object that this program knows")
	}
	return e.Object, nil
}

// CreateObject makes an object in a schema, and not in another that was made in the schema's place; with replace, in the
// place of one that is there. Its ID is given.
func (c *Catalog) CreateObject(ctx context.Context, in Schema, o Object, replace bool) (Object, error) {
	o.Schema = in.Name
	if err := validateIdentifier(string(o.Kind), o.Name); err != nil {
		return o, err
	}
	key, schemaKey := c.keys.object(c.database, o.Schema, o.Kind, o.key()), c.keys.schema(c.database, o.Schema)
	for {
		s, err := c.read(ctx, schemaKey, key, c.keys.table(c.database, o.Schema, o.Name), c.keys.object(c.database, o.Schema, ViewObject, o.Name))
		if err != nil {
			return o, fmt.Errorf("catalog: create %s %q: %w", o.Kind, o.Name, err)
		}
		if _, err := schemaOf(s.kvs[0], in); err != nil {
			return o, err
		}
		if s.kvs[1] != nil && !replace || (s.kvs[2] != nil || s.kvs[3] != nil) && o.Function == nil {
			return o, &Error{Code: ErrExists, Kind: string(o.Kind), Name: o.Name}
		}
		o.ID = s.nextID
		if s.kvs[1] != nil {
			if old, err := decodeObject(s.kvs[1].GetValue()); err == nil {
				o.ID, o.Comment = old.ID, old.Comment
			}
		}
		value := o.encode()
		if err := fits(string(o.Kind), o.Name, value); err != nil {
			return o, err
		}
		compares := append(s.compares(), unchanged(schemaKey, s.kvs[0].GetModRevision()), unchanged(key, s.kvs[1].GetModRevision()))
		if o.Function == nil {
			compares = append(compares, absent(c.keys.table(c.database, o.Schema, o.Name)), absent(c.keys.object(c.database, o.Schema, ViewObject, o.Name)))
		}
		ok, err := c.commit(ctx, compares, s.take(), clientv3.OpPut(key, value), c.putVersion())
		if err != nil {
			return o, c.unknown(string(o.Kind), o.Name, err)
		}
		if ok {
			return o, nil
		}
	}
}

// CommentObject gives an object its comment.
func (c *Catalog) CommentObject(ctx context.Context, o Object, comment string) (Object, error) {
	key := c.objectKey(&o)
	for {
		s, err := c.read(ctx, key)
		if err != nil {
			return o, fmt.Errorf("catalog: comment on %s %q: %w", o.Kind, o.Name, err)
		}
		found, err := objectOf(s.kvs[0], o)
		if err != nil {
			return o, err
		}
		found.Comment = comment
		value := found.encode()
		if err := fits(string(o.Kind), o.Name, value); err != nil {
			return o, err
		}
		ok, err := c.commit(ctx, []clientv3.Cmp{unchanged(key, s.kvs[0].GetModRevision())}, clientv3.OpPut(key, value), c.putVersion())
		if err != nil {
			return o, c.unknown(string(o.Kind), o.Name, err)
		}
		if ok {
			return found, nil
		}
	}
}

// DropObject removes objects: all of them, or none. Others that were made in their place aren't meant.
func (c *Catalog) DropObject(ctx context.Context, drop ...Object) error {
	if len(drop) == 0 {
		return nil
	}
	if err := dropsFit(string(drop[0].Kind), len(drop), maxPlainDrops); err != nil {
		return err
	}
	keys := make([]string, len(drop))
	ops := []clientv3.Op{c.putVersion()}
	for i := range drop {
		keys[i] = c.objectKey(&drop[i])
		ops = append(ops, clientv3.OpDelete(keys[i]))
	}
	for {
		s, err := c.read(ctx, keys...)
		if err != nil {
			return fmt.Errorf("catalog: drop %s %q: %w", drop[0].Kind, drop[0].Name, err)
		}
		var compares []clientv3.Cmp
		for i, o := range drop {
			if _, err := objectOf(s.kvs[i], o); err != nil {
				return err
			}
			compares = append(compares, unchanged(keys[i], s.kvs[i].GetModRevision()))
		}
		ok, err := c.commit(ctx, compares, ops...)
		if err != nil {
			return c.unknown(string(drop[0].Kind), drop[0].Name, err)
		}
		if ok {
			return nil
		}
	}
}

// objectOf reads the entry of an object, which has to be the one that a caller has looked at.
func objectOf(kv *mvccpb.KeyValue, want Object) (Object, error) {
	if kv == nil {
		return want, &Error{Code: ErrNotFound, Kind: string(want.Kind), Name: want.Name}
	}
	o, err := decodeObject(kv.GetValue())
	if err != nil {
		return want, &Error{Code: ErrUnreadable, Kind: string(want.Kind), Name: want.Name, Err: err}
	}
	if o.ID != want.ID {
		return want, &Error{Code: ErrNotFound, Kind: string(want.Kind), Name: want.Name}
	}
	return o, nil
}

func (c *Catalog) objectKey(o *Object) string {
	return c.keys.object(c.database, o.Schema, o.Kind, o.key())
}

// Change is one that ChangeTable makes to a table's declaration.
type Change struct {
	// Constraints and Indexes are added; one of DropIndexes is removed.
	Constraints []Constraint
	Indexes     []Index
	DropIndex   int64
	// Comment, where it isn't nil, becomes that of the table, or of the column or the index of this id.
	Comment *string
	Column  int64
	Index   int64
}

// ChangeTable changes what is declared of a table. What its rows are stays as it is. Another table that was made in its
// place isn't meant.
func (c *Catalog) ChangeTable(ctx context.Context, table Table, change Change) (Table, error) {
	key, name := c.tableKey(table), table.Name
	taken := c.namesOf(table.Schema, change)
	for {
		s, err := c.read(ctx, append([]string{key}, taken...)...)
		if err != nil {
			return Table{}, fmt.Errorf("catalog: change table %q.%q: %w", table.Schema, name, err)
		}
		for _, kv := range s.kvs[1:] {
			if kv != nil {
				return Table{}, &Error{Code: ErrExists, Kind: "index", Name: indexNamed(change)}
			}
		}
		t, err := tableOf(s.kvs[0], table)
		if err != nil {
			return Table{}, err
		}
		last := s.nextID - 1
		if err := t.apply(change, func() int64 { last++; return last }); err != nil {
			return Table{}, err
		}
		if err := t.fits(); err != nil {
			return Table{}, err
		}
		compares := append(s.compares(), unchanged(key, s.kvs[0].GetModRevision()))
		for _, other := range taken {
			compares = append(compares, absent(other))
		}
		ok, err := c.commit(ctx, compares, s.takeUpTo(last), clientv3.OpPut(key, t.encode()), c.putVersion())
		if err != nil {
			return Table{}, c.unknown("table", name, err)
		}
		if ok {
			return t, nil
		}
	}
}

// namesOf are the keys of relations that would have the names of indexes that a change gives.
func (c *Catalog) namesOf(schemaName string, change Change) []string {
	var out []string
	for _, x := range change.Indexes {
		if x.Name != "" {
			out = append(out, c.relationKeys(schemaName, x.Name)...)
		}
	}
	return out
}

// indexNamed is the first name of an index that a change gives.
func indexNamed(change Change) string {
	for _, x := range change.Indexes {
		if x.Name != "" {
			return x.Name
		}
	}
	return ""
}

// apply makes a change to a table that is this caller's own.
func (t *Table) apply(change Change, next func() int64) error {
	for _, x := range change.Constraints {
		if x.Name != "" && t.freeName(x.Name) != x.Name {
			return &Error{Code: ErrExists, Kind: "constraint", Name: x.Name}
		}
		if x.Kind == PrimaryKey && slices.ContainsFunc(t.Constraints, func(y Constraint) bool { return y.Kind == PrimaryKey }) {
			return &Error{Code: ErrInvalid, Kind: "primary key", Name: t.Name, Detail: "the table has one"}
		}
		t.addConstraint(x, next)
	}
	for _, x := range change.Indexes {
		if x.Name != "" && t.freeName(x.Name) != x.Name {
			return &Error{Code: ErrExists, Kind: "index", Name: x.Name}
		}
		t.addIndex(x, next)
	}
	t.Indexes = slices.DeleteFunc(t.Indexes, func(x Index) bool { return x.ID == change.DropIndex })
	switch {
	case change.Comment == nil:
	case change.Column != 0:
		for i := range t.Columns {
			if t.Columns[i].ID == change.Column {
				t.Columns[i].Comment = *change.Comment
			}
		}
	case change.Index != 0:
		for i := range t.Indexes {
			if t.Indexes[i].ID == change.Index {
				t.Indexes[i].Comment = *change.Comment
			}
		}
	default:
		t.Comment = *change.Comment
	}
	return nil
}

// CommentSchema gives a schema its comment. Another that was made in its place isn't meant.
func (c *Catalog) CommentSchema(ctx context.Context, on Schema, comment string) error {
	key, name := c.keys.schema(c.database, on.Name), on.Name
	for {
		s, err := c.read(ctx, key)
		if err != nil {
			return fmt.Errorf("catalog: comment on schema %q: %w", name, err)
		}
		e, err := schemaOf(s.kvs[0], on)
		if err != nil {
			return err
		}
		e.Comment = comment
		value := encode(e)
		if err := fits("schema", name, value); err != nil {
			return err
		}
		ok, err := c.commit(ctx, []clientv3.Cmp{unchanged(key, s.kvs[0].GetModRevision())}, clientv3.OpPut(key, value), c.putVersion())
		if err != nil {
			return c.unknown("schema", name, err)
		}
		if ok {
			return nil
		}
	}
}
