package catalog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// View is a query that is kept under a name. What its names mean is fixed when it is made: its relations by their ids,
// its columns by their names and types. Its JSON is that of entries.
type View struct {
	// Query is a SELECT in which every relation has its schema, every column its relation, and no * is left.
	Query string `json:"query"`
	// Reads are the relations that the query names, one for each place, in the order in which parse counts places.
	Reads   []Read       `json:"reads,omitempty"`
	Columns []ViewColumn `json:"columns"`
	// SecurityInvoker: what the view reads is read with the rights of who asks, not of its owner.
	SecurityInvoker bool    `json:"security_invoker,omitempty"`
	Owner           int64   `json:"owner"`
	Grants          []Grant `json:"grants,omitempty"`
	// Materialized is set if the view's rows are kept: its query is one over a table then.
	Materialized *Materialized `json:"materialized,omitempty"`
}

// Materialized is how the rows of a view are kept. The entry says that they are to be: whoever keeps them follows it.
type Materialized struct {
	// Standbys are the processes that follow the one which has the rows, to take over from it.
	Standbys int `json:"standbys"`
	// Skipped are rows of its table that the view does without, in the order in which it was told so.
	Skipped []RowPlace `json:"skipped,omitempty"`
}

// RowPlace is where a row begins.
type RowPlace struct {
	Journal string `json:"journal"`
	Offset  int64  `json:"offset"`
}

// String is the place as users are shown it.
func (p RowPlace) String() string { return p.Journal + "@" + strconv.FormatInt(p.Offset, 10) }

// MaxStandbys and MaxSkipped are the most that a materialized view may have.
const (
	MaxStandbys = 3
	MaxSkipped  = 256
)

// KindName is what statements call the object.
func (o *Object) KindName() string {
	if o.View != nil && o.View.Materialized != nil {
		return "materialized view"
	}
	return string(o.Kind)
}

// Read is a relation that a view reads. Schema and Name are those that it had when the view was made. Those that the
// system makes have no ID.
type Read struct {
	ID     int64  `json:"id,omitempty"`
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Columns are what the view calls columns of a table that have other names since.
	Columns []columnName `json:"columns,omitempty"`
}

// ViewColumn is a column of a view.
type ViewColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // pg_type's name
	TypMod  int32  `json:"typmod"`
	Comment string `json:"comment,omitempty"`
}

// Access is who the view belongs to, and who may read it.
func (v *View) Access() Access { return Access{Owner: v.Owner, Grants: v.Grants} }

// TypeName is what pg_type calls a type of columns.
func TypeName(t columnar.Type) string { return typeName(t) }

// View returns the view of this name.
func (s *Snapshot) View(schemaName, name string) (Object, bool) {
	kv, _ := s.view.Get(s.catalog.keys.object(s.catalog.database, schemaName, ViewObject, name))
	o, ok := kv.Value.(Object)
	return o, ok
}

// TableRead is the table that a view reads, whatever it is called by now. Its columns have the names that the view has for them.
func (s *Snapshot) TableRead(r Read) (Table, bool) {
	if t, ok := s.Table(r.Schema, r.Name); ok && t.ID == r.ID {
		return t.as(r), true
	}
	all := s.Tables()
	if i := slices.IndexFunc(all, func(t Table) bool { return t.ID == r.ID }); i >= 0 {
		return all[i].as(r), true
	}
	return Table{}, false
}

// ViewRead is the view that another reads, whatever it is called by now.
func (s *Snapshot) ViewRead(r Read) (Object, bool) {
	if o, ok := s.View(r.Schema, r.Name); ok && o.ID == r.ID {
		return o, true
	}
	all := s.Objects()
	if i := slices.IndexFunc(all, func(o Object) bool { return o.View != nil && o.ID == r.ID }); i >= 0 {
		return all[i], true
	}
	return Object{}, false
}

// inventory is what a database has, read at once. A change that is committed under compares is made to just that:
// each change writes the version.
type inventory struct {
	state
	version string // its key
	mod     int64  // of the version
	tables  map[string]Table
	objects map[string]Object
	schemas map[string]int64 // their ids
	bad     map[string]error // of entries that can't be read
	mods    map[string]int64
}

func (c *Catalog) inventory(ctx context.Context) (*inventory, error) {
	r, err := c.etcd.Txn(ctx).Then(
		clientv3.OpGet(c.keys.counter()), clientv3.OpGet(c.keys.version()),
		clientv3.OpGet(c.keys.tables(c.database), clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.objects(c.database), clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.schemas(c.database), clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return nil, err
	}
	inv := &inventory{
		state: state{keys: c.keys}, version: c.keys.version(),
		tables: map[string]Table{}, objects: map[string]Object{}, schemas: map[string]int64{}, bad: map[string]error{}, mods: map[string]int64{},
	}
	for i, answer := range r.Responses {
		for _, kv := range answer.GetResponseRange().GetKvs() {
			key := string(kv.GetKey())
			inv.mods[key] = kv.GetModRevision()
			v, err := c.keys.decode(key, kv.GetValue())
			switch v := v.(type) {
			case Table:
				inv.tables[key] = v
			case Object:
				inv.objects[key] = v
			case schema:
				inv.schemas[key] = v.ID
			}
			if err != nil {
				inv.bad[key] = err
				delete(inv.tables, key)
				delete(inv.objects, key)
			}
			if i == 0 {
				e, err := decodeEntry[counterEntry](kv.GetValue())
				if err != nil {
					return nil, fmt.Errorf("the counter of ids: %w", err)
				}
				inv.nextID, inv.counter = max(e.Next, firstID), kv.GetModRevision()
			}
		}
	}
	inv.mod = inv.mods[inv.version]
	return inv, nil
}

// compares holds that nothing was changed since.
func (v *inventory) compares() []clientv3.Cmp {
	return append(v.state.compares(), unchanged(v.version, v.mod))
}

// has tells whether there is an entry, whether or not it can be read.
func (v *inventory) has(key string) bool { return v.mods[key] != 0 }

// nameTaken tells whether a relation of any kind has a name.
func (c *Catalog) nameTaken(inv *inventory, schemaName, name string) bool {
	if slices.ContainsFunc(c.relationKeys(schemaName, name), inv.has) {
		return true
	}
	for _, t := range inv.tables {
		if t.Schema == schemaName && slices.ContainsFunc(t.Indexes, func(x Index) bool { return x.Name == name }) {
			return true
		}
	}
	return false
}

// relationKeys are the keys of the relations that could have a name: tables, sequences and views share a name space.
func (c *Catalog) relationKeys(schemaName, name string) []string {
	return []string{
		c.keys.table(c.database, schemaName, name),
		c.keys.object(c.database, schemaName, SequenceObject, name),
		c.keys.object(c.database, schemaName, ViewObject, name),
	}
}

// nobody holds that no relation has a name.
func (c *Catalog) nobody(schemaName, name string) []clientv3.Cmp {
	var out []clientv3.Cmp
	for _, key := range c.relationKeys(schemaName, name) {
		out = append(out, absent(key))
	}
	return out
}

// isThere tells whether what a view is to read is still there.
func (v *inventory) isThere(r Read) bool {
	for _, t := range v.tables {
		if t.ID == r.ID {
			return true
		}
	}
	return r.ID == 0 || v.viewByID(r.ID) != nil
}

func (v *inventory) viewByID(id int64) *Object {
	for _, o := range v.objects {
		if o.View != nil && o.ID == id {
			return &o
		}
	}
	return nil
}

// reads tells whether a view reads another one, by itself or through others.
func (v *inventory) reads(o *Object, id int64) bool {
	seen := map[int64]bool{}
	for left := []*Object{o}; len(left) > 0; {
		x := left[len(left)-1]
		left = left[:len(left)-1]
		for _, r := range x.View.Reads {
			if r.ID == id {
				return true
			}
			if below := v.viewByID(r.ID); below != nil && !seen[r.ID] {
				seen[r.ID] = true
				left = append(left, below)
			}
		}
	}
	return false
}

// RecursiveView is the Kind of the error of a view that would read itself.
const RecursiveView = "recursive view"

// CreateView makes a view. With replace, which tells whether a view that is there may become the new one, it may take its
// place: it keeps its id, its owner, what was granted on it and its comments. The ID is given. Another schema that was made in
// the schema's place isn't meant.
func (c *Catalog) CreateView(ctx context.Context, in Schema, o Object, replace func(old Object) error) (Object, error) {
	o.Kind, o.Schema = ViewObject, in.Name
	if err := o.validateView(); err != nil {
		return o, err
	}
	key := c.objectKey(&o)
	for {
		inv, err := c.inventory(ctx)
		if err != nil {
			return o, fmt.Errorf("catalog: create view %q.%q: %w", o.Schema, o.Name, err)
		}
		if inv.schemas[c.keys.schema(c.database, in.Name)] != in.ID {
			return o, &Error{Code: ErrNotFound, Kind: "schema", Name: in.Name}
		}
		made, err := c.newView(inv, o, replace)
		if err != nil {
			return o, err
		}
		value, err := made.encodeView()
		if err != nil {
			return o, err
		}
		ok, err := c.commit(ctx, inv.compares(), inv.takeUpTo(max(made.ID, inv.nextID-1)), clientv3.OpPut(key, value), c.putVersion())
		if err != nil {
			return o, c.unknown("view", o.Name, err)
		}
		if ok {
			return made, nil
		}
	}
}

// newView is the view as it is to be among what there is.
func (c *Catalog) newView(inv *inventory, o Object, replace func(old Object) error) (Object, error) {
	key, view := c.objectKey(&o), *o.View
	o.ID = inv.nextID
	if old, ok := inv.objects[key]; ok && replace != nil && old.View.Materialized == nil && view.Materialized == nil {
		if err := replace(old); err != nil {
			return o, err
		}
		o.ID, o.Comment, view.Owner, view.Grants = old.ID, old.Comment, old.View.Owner, old.View.Grants
		view.Columns = slices.Clone(view.Columns)
		for i, was := range old.View.Columns {
			if i < len(view.Columns) {
				view.Columns[i].Comment = was.Comment
			}
		}
	} else if c.nameTaken(inv, o.Schema, o.Name) {
		return o, &Error{Code: ErrExists, Kind: "view", Name: o.Name}
	}
	o.View = &view
	for _, r := range view.Reads {
		if !inv.isThere(r) {
			return o, &Error{Code: ErrNotFound, Kind: "relation", Name: r.Name}
		}
		if view.Materialized != nil && inv.viewByID(r.ID) != nil {
			return o, &Error{Code: ErrUnsupported, Kind: o.KindName(), Name: o.Name, Detail: fmt.Sprintf("of view %q", r.Name)}
		}
	}
	if inv.reads(&o, o.ID) {
		return o, &Error{Code: ErrInvalid, Kind: RecursiveView, Name: o.Name, Detail: "it would read itself"}
	}
	return o, nil
}

func (o *Object) validateView() error {
	if err := validateIdentifier("view", o.Name); err != nil {
		return err
	}
	if len(o.View.Columns) == 0 {
		return &Error{Code: ErrInvalid, Kind: "view", Name: o.Name, Detail: "it has no columns"}
	}
	for _, x := range o.View.Columns {
		if err := validateIdentifier("column", x.Name); err != nil {
			return err
		}
	}
	m := o.View.Materialized
	switch {
	case m == nil:
	case m.Standbys < 0 || m.Standbys > MaxStandbys:
		return &Error{Code: ErrInvalid, Kind: o.KindName(), Name: o.Name, Detail: fmt.Sprintf("it has %d standbys, 0 to %d work", m.Standbys, MaxStandbys)}
	case len(m.Skipped) > MaxSkipped:
		return &Error{
			Code: ErrInvalid, Kind: o.KindName(), Name: o.Name, Detail: fmt.Sprintf("it skips %d rows, at most %d work", len(m.Skipped), MaxSkipped),
			Hint: "Make a view whose query leaves such rows out, or gives them NULL.",
		}
	case slices.ContainsFunc(m.Skipped, func(p RowPlace) bool { return p.Journal == "" || p.Offset < 0 }):
		return &Error{Code: ErrInvalid, Kind: o.KindName(), Name: o.Name, Detail: "it skips what has no place"}
	case len(o.View.Reads) != 1 || o.View.Reads[0].ID == 0:
		return &Error{Code: ErrInvalid, Kind: o.KindName(), Name: o.Name, Detail: "it reads anything but one table"}
	case o.View.SecurityInvoker:
		return &Error{Code: ErrInvalid, Kind: o.KindName(), Name: o.Name, Detail: "its rows are the same whoever asks"}
	}
	return nil
}

func (o *Object) encodeView() (string, error) {
	value := o.encode()
	if len(value) > maxEntry {
		return "", &Error{Code: ErrInvalid, Kind: "view", Name: o.Name, Detail: fmt.Sprintf("its definition has %d bytes, at most %d work", len(value), maxEntry)}
	}
	return value, nil
}

// ChangeView lets change make a view another: its schema and name may be among what it changes. The view that it is given is its own.
func (c *Catalog) ChangeView(ctx context.Context, o Object, change func(*Object) error) (Object, error) {
	key := c.objectKey(&o)
	for {
		inv, err := c.inventory(ctx)
		if err != nil {
			return o, fmt.Errorf("catalog: change view %q.%q: %w", o.Schema, o.Name, err)
		}
		now, ok := inv.objects[key]
		if !ok || now.ID != o.ID || now.View == nil {
			return o, &Error{Code: ErrNotFound, Kind: "view", Name: o.Name}
		}
		view := *now.View
		view.Columns, view.Grants = slices.Clone(view.Columns), slices.Clone(view.Grants)
		if view.Materialized != nil {
			kept := *view.Materialized
			kept.Skipped = slices.Clone(kept.Skipped)
			view.Materialized = &kept
		}
		now.View = &view
		if err := change(&now); err != nil {
			return o, err
		}
		if err := now.validateView(); err != nil {
			return o, err
		}
		ops, err := c.putView(inv, key, &now)
		if err != nil {
			return o, err
		}
		done, err := c.commit(ctx, inv.compares(), append(ops, c.putVersion())...)
		if err != nil {
			return o, c.unknown("view", o.Name, err)
		}
		if done {
			return now, nil
		}
	}
}

// putView puts a view that was under a key where it is to be now.
func (c *Catalog) putView(inv *inventory, key string, o *Object) ([]clientv3.Op, error) {
	value, err := o.encodeView()
	if err != nil {
		return nil, err
	}
	to := c.objectKey(o)
	if to == key {
		return []clientv3.Op{clientv3.OpPut(key, value)}, nil
	}
	if !inv.has(c.keys.schema(c.database, o.Schema)) {
		return nil, &Error{Code: ErrNotFound, Kind: "schema", Name: o.Schema}
	}
	if c.nameTaken(inv, o.Schema, o.Name) {
		return nil, &Error{Code: ErrExists, Kind: "view", Name: o.Name}
	}
	return []clientv3.Op{clientv3.OpDelete(key), clientv3.OpPut(to, value)}, nil
}

// Dependent is a view that reads something.
type Dependent struct {
	View Object
	// On is what it reads: Kind is table, view or materialized view.
	Kind string
	On   Read
}

// DependentsError says that what was to be dropped is read by views. errors.Is finds ErrNotEmpty in it.
type DependentsError struct{ Dependents []Dependent }

// Error names the views.
func (e *DependentsError) Error() string {
	var names []string
	for _, d := range e.Dependents {
		names = append(names, fmt.Sprintf("%s %q depends on %s %q", d.View.KindName(), d.View.Name, d.Kind, d.On.Name))
	}
	return "catalog: other objects depend on it: " + strings.Join(names, ", ")
}

// Unwrap returns the code.
func (e *DependentsError) Unwrap() error { return ErrNotEmpty }
