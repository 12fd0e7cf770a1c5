package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Alteration is a table that is being changed, and what there is around it. Its methods keep what has to hold of each change by
// itself; AlterTable checks the whole, and makes it at once or not at all.
type Alteration struct {
	// Table is as it will be. Its slices are the alteration's own.
	Table Table
	// Views are those that read the table by themselves, Tables all others of the database. They are told, not changed.
	Views  []Object
	Tables []Table
	// DropViews go with it: what they and those that read them need is the caller's to find.
	DropViews []Object

	was     Table
	all     []Object // views of the database
	stores  []string // of tables that name none
	next    func() int64
	renamed []columnName // what columns were called before, to be kept by views
}

// columnName is what a view calls a column of a table that it reads: its name when the view was made.
type columnName struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// DroppedColumn is one that a table had.
type DroppedColumn struct {
	ID  int64  `json:"id"`
	Key string `json:"key"` // what lines call it
}

// own makes slices that may be changed.
func (t Table) own() Table {
	t.Columns, t.Dropped = slices.Clone(t.Columns), slices.Clone(t.Dropped)
	t.Constraints, t.Indexes = slices.Clone(t.Constraints), slices.Clone(t.Indexes)
	return t
}

// column finds a column by its id.
func (a *Alteration) column(id int64) *Column {
	for i := range a.Table.Columns {
		if a.Table.Columns[i].ID == id {
			return &a.Table.Columns[i]
		}
	}
	return nil
}

// Column returns the column of a name.
func (a *Alteration) Column(name string) (Column, bool) {
	i := slices.IndexFunc(a.Table.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return a.Table.Columns[i], true
}

// AddColumn adds a column, whose ID and Key are given. Missing is its value in the lines that there are.
//
// Lines of a table that makes its journals, which call something else what the column is called, aren't meant: neither a column
// that was dropped nor one that was renamed. Of a table over other journals they are: there the column is what lines say.
func (a *Alteration) AddColumn(c Column) error {
	t := &a.Table
	if err := t.keyed("ADD COLUMN"); err != nil {
		return err
	}
	if err := t.newName(c.Name); err != nil {
		return err
	}
	if len(t.Columns)+len(t.Dropped) >= maxColumns {
		return &Error{Code: ErrInvalid, Kind: "table", Name: t.Name, Detail: fmt.Sprintf("it has had %d columns, at most %d work", maxColumns, maxColumns)}
	}
	c.ID, c.Key = t.nextColumn(), ""
	if t.hasKey(c.Name) {
		if !t.Owned {
			return &Error{
				Code: ErrUnsupported, Kind: "column", Name: c.Name, Detail: "another column of the table is what the lines of its journals have under this name",
				Hint: "Give it another name, or rename that column back first.",
			}
		}
		c.Key = fmt.Sprintf("%s.%d", c.Name, c.ID)
		for t.hasKey(c.Key) {
			c.Key += "."
		}
	}
	t.Columns = append(t.Columns, c)
	return nil
}

// keyed tells whether rows have their columns by keys, so that there may be others.
func (t *Table) keyed(what string) error {
	if t.Rows.IsJSON() {
		return nil
	}
	return &Error{
		Code: ErrUnsupported, Kind: "format", Name: t.Rows.Name, Detail: what + " of a table whose rows aren't lines of JSON",
		Hint: "CREATE TABLE ... ON JOURNALS makes another table over the same journals.",
	}
}

// newName tells whether a column of the table may be called so.
func (t *Table) newName(name string) error {
	if err := validateIdentifier("column", name); err != nil {
		return err
	}
	if reservedColumns[name] {
		return &Error{Code: ErrExists, Kind: "column", Name: name, Detail: "every table has a metadata column of this name"}
	}
	if t.Transactional && name == metaKey {
		return errMetaColumn()
	}
	for _, c := range t.Columns {
		if c.Name == name {
			return &Error{Code: ErrExists, Kind: "column", Name: name}
		}
		if strings.EqualFold(c.Name, name) {
			return &Error{Code: ErrUnsupported, Kind: "column", Name: name, Detail: fmt.Sprintf("it differs from %q in case only", c.Name)}
		}
	}
	return nil
}

// nextColumn is the least id that no column of the table ever had.
func (t *Table) nextColumn() int64 {
	last := int64(0)
	for _, c := range t.Columns {
		last = max(last, c.ID)
	}
	for _, c := range t.Dropped {
		last = max(last, c.ID)
	}
	return last + 1
}

// hasKey tells whether a key is a column's, or, of a table that wrote its lines, was one's. Keys that differ in case only are one.
func (t *Table) hasKey(key string) bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.lineKey(), key) }) ||
		t.Owned && slices.ContainsFunc(t.Dropped, func(c DroppedColumn) bool { return strings.EqualFold(c.Key, key) })
}

func (c *Column) lineKey() string { return cmp.Or(c.Key, c.Name) }

// RenameColumn gives a column another name. Lines keep what they call it, and views what they do.
func (a *Alteration) RenameColumn(id int64, name string) error {
	c := a.column(id)
	if c == nil || c.Name == name {
		return &Error{Code: ErrExists, Kind: "column", Name: name}
	}
	if err := a.Table.keyed("RENAME COLUMN"); err != nil {
		return err
	}
	if err := a.Table.newName(name); err != nil {
		return err
	}
	if !slices.ContainsFunc(a.renamed, func(x columnName) bool { return x.ID == id }) {
		a.renamed = append(a.renamed, columnName{ID: id, Name: c.Name})
	}
	if a.Table.Options.PartitionBy == c.Name {
		a.Table.Options.PartitionBy = name
	}
	if c.Key, c.Name = c.lineKey(), name; c.Key == name {
		c.Key = ""
	}
	return nil
}

// DropColumn hides a column, with the constraints and indexes that have it. Lines keep it. What else needs it is the caller's to find.
func (a *Alteration) DropColumn(id int64) error {
	t := &a.Table
	c := a.column(id)
	if c == nil {
		return &Error{Code: ErrNotFound, Kind: "column", Name: "?"}
	}
	if err := t.keyed("DROP COLUMN"); err != nil {
		return err
	}
	switch {
	case len(t.Columns) == 1:
		return &Error{
			Code: ErrUnsupported, Kind: "column", Name: c.Name, Detail: "it is the only one of the table, and a table has at least one",
			Hint: "Add another column first.",
		}
	case t.Rows.ByPosition():
		return &Error{
			Code: ErrUnsupported, Kind: "column", Name: c.Name, Detail: "rows have their values by position, this one's too",
			Hint: "Make a view without it.",
		}
	case t.Options.PartitionBy == c.Name:
		return &Error{Code: ErrInvalid, Kind: PartitionColumn, Name: c.Name, Detail: "the table is partitioned by it"}
	}
	has := func(columns []int64) bool { return slices.Contains(columns, id) }
	t.Dropped = append(t.Dropped, DroppedColumn{ID: id, Key: c.lineKey()})
	t.Columns = slices.DeleteFunc(t.Columns, func(c Column) bool { return c.ID == id })
	t.Constraints = slices.DeleteFunc(t.Constraints, func(x Constraint) bool { return has(x.Columns) })
	t.Indexes = slices.DeleteFunc(t.Indexes, func(x Index) bool { return has(x.Columns) })
	return nil
}

// PartitionColumn is the Kind of the error of a column by which a table is partitioned.
const PartitionColumn = "partition column"

// Update lets change make a column another, but for its id, name, key and type.
func (a *Alteration) Update(id int64, change func(*Column)) {
	if c := a.column(id); c != nil {
		was := *c
		change(c)
		c.ID, c.Name, c.Key, c.Type = was.ID, was.Name, was.Key, was.Type
	}
}

// AddConstraint declares a constraint.
func (a *Alteration) AddConstraint(x Constraint) error {
	return a.Table.apply(Change{Constraints: []Constraint{x}}, a.next)
}

// DropConstraint takes a constraint back, with its index.
func (a *Alteration) DropConstraint(x Constraint) {
	t := &a.Table
	t.Constraints = slices.DeleteFunc(t.Constraints, func(y Constraint) bool { return y.ID == x.ID })
	t.Indexes = slices.DeleteFunc(t.Indexes, func(y Index) bool { return x.Index != 0 && y.ID == x.Index })
}

// RenameConstraint gives a constraint, and its index, another name.
func (a *Alteration) RenameConstraint(x Constraint, name string) error {
	t := &a.Table
	if err := validateIdentifier("constraint", name); err != nil {
		return err
	}
	if t.freeName(name) != name {
		return &Error{Code: ErrExists, Kind: "constraint", Name: name}
	}
	for i := range t.Constraints {
		if t.Constraints[i].ID == x.ID {
			t.Constraints[i].Name = name
		}
	}
	for i := range t.Indexes {
		if x.Index != 0 && t.Indexes[i].ID == x.Index {
			t.Indexes[i].Name = name
		}
	}
	return nil
}

// RenameIndex gives an index another name, with the constraint that has it.
func (a *Alteration) RenameIndex(id int64, name string) error {
	for _, x := range a.Table.Constraints {
		if x.Index == id {
			return a.RenameConstraint(x, name)
		}
	}
	if err := validateIdentifier("index", name); err != nil {
		return err
	}
	for i := range a.Table.Indexes {
		if a.Table.Indexes[i].ID != id {
			continue
		}
		if a.Table.freeName(name) != name {
			return &Error{Code: ErrExists, Kind: "index", Name: name}
		}
		a.Table.Indexes[i].Name = name
		return nil
	}
	return &Error{Code: ErrNotFound, Kind: "index", Name: name}
}

// SetOptions changes options from their SQL names and the text of their values; those of reset become their defaults. What can't be
// changed once journals are there is refused by its name.
func (a *Alteration) SetOptions(set Options, names, reset []string) error {
	t := &a.Table
	for _, name := range append(slices.Clone(names), reset...) {
		if err := t.changeable(name); err != nil {
			return err
		}
	}
	o := t.Options
	for _, name := range reset {
		copyOption(&o, Options{}, name)
	}
	for _, name := range names {
		copyOption(&o, set, name)
	}
	o = o.withDefaults(a.stores)
	for _, s := range t.Options.Stores {
		if !slices.Contains(o.Stores, s) {
			return &Error{
				Code: ErrUnsupported, Kind: "option", Name: "stores", Detail: "rows of the table may be in a store that would not be its any more",
				Hint: "Name all stores that the table has; fragments are written to the first.",
			}
		}
	}
	t.Options = o
	columns := map[string]bool{}
	for _, c := range t.Columns {
		columns[c.Name] = true
	}
	return t.Options.validate(columns)
}

// changeable tells whether an option of a table may be changed.
func (t *Table) changeable(name string) error {
	_, known := setters[name]
	e := &Error{Code: ErrUnsupported, Kind: "option", Name: name}
	switch {
	case !known:
		_, err := ParseOptions(map[string]string{name: ""})
		return err
	case !t.Owned:
		e.Detail, e.Hint = "the table is laid over existing journals", "Set it in the specifications of the journals."
	case name == "journals" || name == "partition_by":
		e.Detail = "which journal rows are in can't be changed"
		e.Hint = "CREATE TABLE makes another table, and INSERT ... SELECT fills it."
	case name == "reads" || name == "uuid" || name == "transactional":
		e.Detail = "what lines are can't be changed"
		e.Hint = "CREATE TABLE makes another table, and INSERT ... SELECT fills it."
	default:
		return nil
	}
	return e
}

// copyOption gives an option the value that it has in from.
func copyOption(to *Options, from Options, name string) {
	switch name {
	case "codec":
		to.Codec = from.Codec
	case "replication":
		to.Replication = from.Replication
	case "retention":
		to.Retention = from.Retention
	case "fragment_length":
		to.FragmentLength = from.FragmentLength
	case "flush_interval":
		to.FlushInterval = from.FlushInterval
	case "refresh_interval":
		to.RefreshInterval = from.RefreshInterval
	case "stores":
		to.Stores = from.Stores
	}
}

// ViewsOf are the views that read any of some relations, by themselves or through others, in the order in which they
// are to be dropped.
func (a *Alteration) ViewsOf(views []Object) []Dependent {
	x := doomed{views: views, gone: map[int64]bool{}, inv: &inventory{objects: map[string]Object{}}}
	for _, v := range views {
		x.gone[v.ID] = true
	}
	for i := range a.all {
		x.inv.objects[a.all[i].Schema+"\n"+a.all[i].Name] = a.all[i]
	}
	return x.dependents()
}

// validate checks the whole.
func (a *Alteration) validate() error {
	t := &a.Table
	if err := validateIdentifier("table", t.Name); err != nil {
		return err
	}
	if len(t.Columns) == 0 {
		return &Error{Code: ErrInvalid, Kind: "table", Name: t.Name, Detail: "it has no columns"}
	}
	if err := t.RowSchema().Validate(); err != nil {
		return &Error{Code: ErrInvalid, Kind: "table", Name: t.Name, Err: err}
	}
	if err := t.Rows.Check(rowColumns(t.Columns)); err != nil {
		return &Error{Code: ErrInvalid, Kind: "format", Name: t.Rows.Name, Err: err}
	}
	return t.fits()
}

// keepNames notes in a view what it calls the columns that were renamed, and tells whether there is anything to note.
func (a *Alteration) keepNames(v *View) bool {
	reads, changed := slices.Clone(v.Reads), false
	for i := range reads {
		if reads[i].ID != a.Table.ID {
			continue
		}
		for _, was := range a.renamed {
			if !slices.ContainsFunc(reads[i].Columns, func(x columnName) bool { return x.ID == was.ID }) {
				reads[i].Columns = append(slices.Clip(reads[i].Columns), was)
				changed = true
			}
		}
	}
	v.Reads = reads
	return changed
}

// as is the table with the names that a view has for its columns. One that was given such a name since has another there,
// which no view says.
func (t Table) as(r Read) Table {
	if len(r.Columns) == 0 {
		return t
	}
	t.Columns = slices.Clone(t.Columns)
	for i := range t.Columns {
		c := &t.Columns[i]
		c.Key = c.lineKey()
		if slices.ContainsFunc(r.Columns, func(x columnName) bool { return x.ID != c.ID && strings.EqualFold(x.Name, c.Name) }) {
			c.Name = fmt.Sprintf("%s.%d", c.Name, c.ID)
			for slices.ContainsFunc(t.Columns[:i], func(x Column) bool { return strings.EqualFold(x.Name, c.Name) }) {
				c.Name += "."
			}
		}
		for _, x := range r.Columns {
			if x.ID == c.ID {
				c.Name = x.Name
			}
		}
	}
	return t
}

// sameRows tells whether two definitions of a table make the same of its lines and of what is inserted.
func (t Table) sameRows(as Table) bool {
	return slices.EqualFunc(t.Columns, as.Columns, func(x, y Column) bool {
		x.Comment, y.Comment = "", ""
		return x == y
	})
}

// AlteredTable is the Kind of the error of a table that can't be changed for what depends on it.
const AlteredTable = "altered table"

// keepsMaterialized refuses a change after which lines mean other rows to a materialized view, which has those of before.
func (a *Alteration) keepsMaterialized() error {
	same := slices.EqualFunc(a.was.Columns, a.Table.Columns, func(x, y Column) bool {
		return x.ID == y.ID && x.Type == y.Type && x.NotNull == y.NotNull && x.lineKey() == y.lineKey() && x.Missing == y.Missing
	})
	if same {
		return nil
	}
	for _, v := range a.Views {
		if v.View.Materialized != nil && !slices.ContainsFunc(a.DropViews, func(o Object) bool { return o.ID == v.ID }) {
			return &Error{
				Code: ErrNotEmpty, Kind: AlteredTable, Name: a.was.Name,
				Detail: fmt.Sprintf("materialized view %s depends on table %s: its rows are of the lines as they were read before", v.Name, a.was.Name),
				Hint:   "Use DROP MATERIALIZED VIEW, and make the view again once the table is changed.",
			}
		}
	}
	return nil
}
