package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/formats"
	"broadsheet.dev/broadsheet/protocol"
)

// Labels of the journals that a table makes.
const (
	// LabelDatabase is the escaped name of the database.
	LabelDatabase = "app.broadsheet.dev/database"
	// LabelTable is <schema>/<table>, each escaped.
	LabelTable = "app.broadsheet.dev/table"
	// LabelTableID is the id of the table.
	LabelTableID = "app.broadsheet.dev/table-id"

	managedBy = "broadsheet"
)

const (
	// firstID is the least id of an object: those below are PostgreSQL's own.
	firstID = 16384

	maxColumns = 1600 // PostgreSQL's

	// maxEntry is the size of an entry in bytes: etcd takes requests of 1.5 MiB.
	maxEntry = 1 << 20
)

// Table is a schema laid over journals. Its slices are shared and never changed.
type Table struct {
	// ID is the oid: it stays with the table and is never used again.
	ID           int64
	Schema, Name string
	// Generation is part of the names of the journals that the table made.
	Generation int64
	Columns    []Column
	// Journals is the prefix of the names of the table's journals; it ends in '/'.
	Journals string
	// Owned tells that the table made its journals, and that they go with it.
	Owned bool
	// Access is who owns the table, and who may do what with it.
	Access Access
	// Options is zero for a table that doesn't own its journals.
	Options Options
	// Messages, of a table that shows what is committed only, is the JSON pointer to the UUID of a line. "" shows all.
	Messages string
	// Transactional tables are written by transactions that are committed as one.
	Transactional bool
	// Rows is how rows stand in the journals.
	Rows formats.Spec
	// format is Rows, opened.
	format columnar.Format
	// Version of the columns. It is drawn from the same counter as ids: no two
	// definitions have the same.
	Version int64
	// Comment is that of COMMENT ON.
	Comment string
	// Constraints and Indexes are as they were declared. They are told, and not enforced.
	Constraints []Constraint
	Indexes     []Index
	// Dropped are the columns that the table had: lines may have them.
	Dropped []DroppedColumn
}

// Column of a table.
type Column struct {
	ID      int64 // from 1 on, stable within the table
	Name    string
	Type    columnar.Type
	NotNull bool
	Default string // an SQL expression, "" for none
	Comment string
	// Key is what lines call the column, "" if that is its name; Missing is the JSON of its value in lines that don't have it, "" if
	// that is NULL. See docs/format/rows.md.
	Key, Missing string
}

// RowSchema is what a row of the table is.
func (t Table) RowSchema() columnar.Schema {
	return columnar.Schema{Columns: rowColumns(t.Columns), Version: t.Version, Messages: t.Messages, Format: t.format}
}

func rowColumns(list []Column) []columnar.Column {
	out := make([]columnar.Column, 0, len(list))
	for _, c := range list {
		out = append(out, columnar.Column{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Key: c.Key, Missing: c.Missing})
	}
	return out
}

// TableSpec is what CreateTable makes a table of.
type TableSpec struct {
	Schema, Name string
	// SchemaID is that of the schema which the caller has looked at: one that was made in its place since isn't meant.
	// With 0 any is.
	SchemaID int64
	Columns  []Column // IDs are given by CreateTable
	// Constraints and Indexes that are declared; their IDs are given by CreateTable.
	Constraints []Constraint
	Indexes     []Index
	Options     Options
	// Rows is how rows stand in the journals.
	Rows formats.Spec
	// Owner is the id of the role that it will belong to; 0 is the superuser.
	Owner int64
	// OnJournals is the prefix of existing journals that the table is laid over; ""
	// makes journals for the table.
	OnJournals string
}

// reservedColumns are the metadata columns of every table.
var reservedColumns = map[string]bool{"_journal": true, "_offset": true, "_timestamp": true}

// Validate checks all that can be known without the catalog.
func (s TableSpec) Validate() error {
	if err := validateIdentifier("schema", s.Schema); err != nil {
		return err
	}
	if err := validateIdentifier("table", s.Name); err != nil {
		return err
	}
	if len(s.Columns) == 0 || len(s.Columns) > maxColumns {
		return &Error{Code: ErrInvalid, Kind: "table", Name: s.Name, Detail: fmt.Sprintf("a table has 1 to %d columns, this has %d", maxColumns, len(s.Columns))}
	}
	seen := make(map[string]bool, len(s.Columns))
	for _, c := range s.Columns {
		if err := validateIdentifier("column", c.Name); err != nil {
			return err
		}
		if reservedColumns[c.Name] {
			return &Error{Code: ErrReserved, Kind: "column", Name: c.Name, Detail: "every table has a metadata column of this name"}
		}
		if seen[c.Name] {
			return &Error{Code: ErrExists, Kind: "column", Name: c.Name, Detail: "specified more than once"}
		}
		seen[c.Name] = true
		if err := c.Type.Validate(); err != nil {
			return &Error{Code: ErrInvalid, Kind: "column", Name: c.Name, Err: err}
		}
	}
	for _, x := range s.Constraints {
		if err := x.validate(seen); err != nil {
			return err
		}
	}
	if err := s.Options.validateMessages(seen); err != nil {
		return err
	}
	if !s.Rows.IsJSON() && s.Options.messages() != "" {
		return &Error{Code: ErrUnsupported, Kind: "format", Name: s.Rows.Name, Detail: "messages are lines of JSON", Hint: "Leave out the option that asks for what is committed."}
	}
	if err := s.Rows.Check(rowColumns(s.Columns)); err != nil {
		return &Error{Code: ErrInvalid, Kind: "format", Name: s.Rows.Name, Err: err}
	}
	if s.OnJournals != "" {
		return s.validatePrefix()
	}
	return s.Options.validate(seen)
}

// validatePrefix checks a table over existing journals: other options than those of messages are
// about journals that a table makes.
func (s TableSpec) validatePrefix() error {
	name, ok := cutSlash(s.OnJournals)
	if !ok {
		return &Error{Code: ErrInvalid, Kind: "prefix", Name: s.OnJournals, Detail: "it doesn't end in '/'"}
	}
	// The least journal below the prefix tells whether there can be any.
	if err := protocol.ValidateJournalName(name + "/part"); err != nil {
		return &Error{Code: ErrInvalid, Kind: "prefix", Name: s.OnJournals, Err: err}
	}
	if option := s.Options.firstSet(); option != "" {
		return &Error{
			Code: ErrUnsupported, Kind: "option", Name: option, Detail: "the table is laid over existing journals",
			Hint: "Set it in the specifications of the journals.",
		}
	}
	return nil
}

func cutSlash(prefix string) (string, bool) {
	if n := len(prefix) - 1; n > 0 && prefix[n] == '/' {
		return prefix[:n], true
	}
	return prefix, false
}

// table makes the table of a valid spec.
func (s TableSpec) table(id int64, stores []string) Table {
	t := Table{
		ID: id, Schema: s.Schema, Name: s.Name, Generation: id, Version: id,
		Columns: make([]Column, 0, len(s.Columns)), Journals: s.OnJournals, Rows: s.Rows,
		Access: Access{Owner: cmp.Or(s.Owner, SuperuserID)}, Messages: s.Options.messages(),
		Transactional: s.Options.Transactional,
	}
	t.format, _ = s.Rows.Open() // Validate has opened it
	for i, c := range s.Columns {
		c.ID = int64(i + 1)
		c.NotNull = c.NotNull || s.isPrimary(c.ID)
		t.Columns = append(t.Columns, c)
	}
	used := id
	next := func() int64 { used++; return used }
	for _, x := range s.Constraints {
		t.addConstraint(x, next)
	}
	for _, x := range s.Indexes {
		t.addIndex(x, next)
	}
	if s.OnJournals == "" {
		t.Owned = true
		t.Options = s.Options.withDefaults(stores)
		t.Options.Reads, t.Options.UUID, t.Options.Transactional = "", "", false // they're fields of the table
		t.Journals = escapeName(s.Schema) + "/" + escapeName(s.Name) + "." + strconv.FormatInt(id, 10) + "/"
	}
	return t
}

// isPrimary tells whether a column belongs to the primary key: none of its values is NULL then, which is
// enforced of new tables.
func (s TableSpec) isPrimary(id int64) bool {
	return slices.ContainsFunc(s.Constraints, func(x Constraint) bool { return x.Kind == PrimaryKey && slices.Contains(x.Columns, id) })
}

// tableOf reads the entry of a table, which has to be the one that a caller has looked at.
func tableOf(kv *mvccpb.KeyValue, want Table) (Table, error) {
	if kv == nil {
		return Table{}, &Error{Code: ErrNotFound, Kind: "table", Name: want.Name}
	}
	t, err := decodeTable(kv.GetValue())
	if err != nil {
		return Table{}, &Error{Code: ErrUnreadable, Kind: "table", Name: want.Name, Err: err}
	}
	if t.ID != want.ID {
		return Table{}, &Error{Code: ErrNotFound, Kind: "table", Name: want.Name}
	}
	return t, nil
}

// fits tells whether etcd takes the table's entry.
func (t Table) fits() error { return fits("table", t.Name, t.encode()) }

// journalNames are those of the journals that a table of the prefix made.
func journalNames(prefix string, n int) []string {
	names := make([]string, 0, n)
	for i := range n {
		names = append(names, fmt.Sprintf("%spart-%03d", prefix, i))
	}
	return names
}

// journalSpec is that of one of the journals that t makes.
func (t Table) journalSpec(database, name string) *protocol.JournalSpec {
	return &protocol.JournalSpec{
		Name:        name,
		Replication: int32(t.Options.Replication), //nolint:gosec // it is 1
		Labels: protocol.MustLabelSet(
			protocol.LabelContentType, t.Rows.ContentType(),
			protocol.LabelManagedBy, managedBy,
			LabelDatabase, escapeName(database),
			LabelTable, escapeName(t.Schema)+"/"+escapeName(t.Name),
			LabelTableID, strconv.FormatInt(t.ID, 10),
		),
		Fragment: &protocol.JournalSpec_Fragment{
			Length:           t.Options.FragmentLength,
			CompressionCodec: t.Options.Codec,
			Stores:           t.Options.Stores,
			RefreshInterval:  durationpb.New(t.Options.RefreshInterval),
			Retention:        durationpb.New(0), // for ever
			FlushInterval:    durationpb.New(t.Options.FlushInterval),
		},
	}
}
