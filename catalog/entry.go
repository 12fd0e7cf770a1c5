package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/formats"
)

// entryFormat is the version of every value that this program writes.
const entryFormat = 1

// alteredFormat is that of tables whose lines were written under another definition, and of their views, and of tables whose rows aren't
// lines of JSON.
const alteredFormat = 2

// materializedFormat is that of materialized views: a program that doesn't know them would change one and lose that it is.
const materializedFormat = 3

// errFormat says that a value is of a format that this program doesn't know.
var errFormat = errors.New("unknown format")

// The values of keys, as JSON. Their fields and golden examples are in
// docs/format/etcd-keys.md.
type (
	versionEntry struct {
		Format int `json:"format"`
	}

	counterEntry struct {
		Format int   `json:"format"`
		Next   int64 `json:"next"`
	}

	nameEntry struct { // of databases and schemas
		Format  int    `json:"format"`
		ID      int64  `json:"id"`
		Name    string `json:"name"`
		Comment string `json:"comment,omitempty"`
		accessEntry
	}

	objectEntry struct {
		Format int `json:"format"`
		Object
	}

	tableEntry struct {
		Format     int           `json:"format"`
		ID         int64         `json:"id"`
		Schema     string        `json:"schema"`
		Name       string        `json:"name"`
		Generation int64         `json:"generation"`
		Version    int64         `json:"version"`
		Columns    []columnEntry `json:"columns"`
		Journals   string        `json:"journals"`
		Owned      bool          `json:"owned"`
		Options    *optionsEntry `json:"options,omitempty"` // of owned tables
		Messages   string        `json:"messages,omitempty"`
		// Transactional tables are of messages, too.
		Transactional bool          `json:"transactional,omitempty"`
		Comment       string        `json:"comment,omitempty"`
		Rows          *formats.Spec `json:"rows,omitempty"` // of tables that aren't lines of JSON
		// Constraints and Indexes are as they were declared.
		Constraints []Constraint `json:"constraints,omitempty"`
		Indexes     []Index      `json:"indexes,omitempty"`
		// Dropped are the columns that the table had.
		Dropped []DroppedColumn `json:"dropped,omitempty"`
		accessEntry
	}

	columnEntry struct {
		ID        int64  `json:"id"`
		Name      string `json:"name"`
		Type      string `json:"type"`
		Precision uint8  `json:"precision,omitempty"`
		Scale     uint8  `json:"scale,omitempty"`
		Length    int32  `json:"length,omitempty"`
		NotNull   bool   `json:"not_null,omitempty"`
		Default   string `json:"default,omitempty"`
		Comment   string `json:"comment,omitempty"`
		Key       string `json:"key,omitempty"`
		Missing   string `json:"missing,omitempty"`
	}

	optionsEntry struct {
		Journals        int      `json:"journals"`
		PartitionBy     string   `json:"partition_by,omitempty"`
		Codec           string   `json:"codec"`
		Replication     int      `json:"replication"`
		FragmentLength  int64    `json:"fragment_length"`
		FlushInterval   string   `json:"flush_interval"`
		RefreshInterval string   `json:"refresh_interval"`
		Stores          []string `json:"stores"`
	}

	// recordEntry is of a create, drop or change that isn't done.
	recordEntry struct {
		Format   int    `json:"format"`
		ID       int64  `json:"id"`
		Database string `json:"database"`
		Schema   string `json:"schema"`
		Name     string `json:"name"`
		Journals string `json:"journals"` // prefix of their names
		Count    int    `json:"count"`    // of journals that may exist
		Until    string `json:"until"`    // others leave it alone before, RFC 3339
	}
)

// kindNames are those of PostgreSQL's pg_type. They stand in entries: a name never
// changes its meaning.
var kindNames = map[columnar.Kind]string{
	columnar.Bool: "bool", columnar.Int16: "int2", columnar.Int32: "int4", columnar.Int64: "int8",
	columnar.Float32: "float4", columnar.Float64: "float8", columnar.Decimal: "numeric",
	columnar.Text: "text", columnar.Varchar: "varchar", columnar.Char: "bpchar", columnar.Bytea: "bytea",
	columnar.Date: "date", columnar.Time: "time", columnar.Timestamp: "timestamp", columnar.TimestampTZ: "timestamptz",
	columnar.Interval: "interval", columnar.UUID: "uuid", columnar.JSON: "json", columnar.JSONB: "jsonb",
}

// encode is for values that always encode.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("catalog: " + err.Error())
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// fits tells whether etcd takes the entry of something.
func fits(kind, name, entry string) error {
	if n := len(entry); n > maxEntry {
		return &Error{Code: ErrInvalid, Kind: kind, Name: name, Detail: fmt.Sprintf("its definition has %d bytes, at most %d work", n, maxEntry)}
	}
	return nil
}

// decodeEntry reads a value whose format this program knows.
func decodeEntry[T any](value []byte) (T, error) { return decodeUpTo[T](value, entryFormat) }

// decodeUpTo is decodeEntry of values of which there are newer formats.
func decodeUpTo[T any](value []byte, newest int) (T, error) {
	var v T
	var f versionEntry
	if err := json.Unmarshal(value, &f); err != nil {
		return v, err
	}
	if f.Format < entryFormat || f.Format > newest {
		return v, fmt.Errorf("%w: %d, this program has %d", errFormat, f.Format, newest)
	}
	return v, json.Unmarshal(value, &v)
}

func (t Table) encode() string {
	e := tableEntry{
		Format: entryFormat, ID: t.ID, Schema: t.Schema, Name: t.Name, Generation: t.Generation, Version: t.Version,
		Journals: t.Journals, Owned: t.Owned, Comment: t.Comment, Constraints: t.Constraints, Indexes: t.Indexes,
		accessEntry: t.Access.entry(), Dropped: t.Dropped, Messages: t.Messages, Transactional: t.Transactional,
	}
	if t.altered() {
		e.Format = alteredFormat
	}
	for _, c := range t.Columns {
		e.Columns = append(e.Columns, columnEntry{
			ID: c.ID, Name: c.Name, Type: typeName(c.Type), Comment: c.Comment, Precision: c.Type.Precision, Scale: c.Type.Scale,
			Length: c.Type.Length, NotNull: c.NotNull, Default: c.Default, Key: c.Key, Missing: c.Missing,
		})
	}
	if !t.Rows.IsJSON() {
		e.Format, e.Rows = alteredFormat, &t.Rows
	}
	if t.Owned {
		o := t.Options
		e.Options = &optionsEntry{
			Journals: o.Journals, PartitionBy: o.PartitionBy, Codec: codecNames[o.Codec], Replication: o.Replication,
			FragmentLength: o.FragmentLength, FlushInterval: o.FlushInterval.String(),
			RefreshInterval: o.RefreshInterval.String(), Stores: append([]string{}, o.Stores...),
		}
	}
	return encode(e)
}

// altered tells whether the table's lines can only be read by who knows what it was.
func (t Table) altered() bool {
	return len(t.Dropped) > 0 || slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Key != "" || c.Missing != "" })
}

func decodeTable(value []byte) (Table, error) {
	e, err := decodeUpTo[tableEntry](value, alteredFormat)
	if err != nil {
		return Table{}, err
	}
	t := Table{
		ID: e.ID, Schema: e.Schema, Name: e.Name, Generation: e.Generation, Version: e.Version,
		Journals: e.Journals, Owned: e.Owned, Comment: e.Comment, Constraints: e.Constraints, Indexes: e.Indexes, Columns: make([]Column, 0, len(e.Columns)),
		Access: e.access(), Dropped: e.Dropped, Messages: e.Messages, Transactional: e.Transactional,
	}
	for _, c := range e.Columns {
		typ, err := c.typ()
		if err != nil {
			return Table{}, fmt.Errorf("column %q: %w", c.Name, err)
		}
		t.Columns = append(t.Columns, Column{ID: c.ID, Name: c.Name, NotNull: c.NotNull, Default: c.Default, Type: typ, Comment: c.Comment, Key: c.Key, Missing: c.Missing})
	}
	if e.Options != nil {
		if t.Options, err = e.Options.decode(); err != nil {
			return Table{}, err
		}
	}
	if e.Rows != nil {
		t.Rows = *e.Rows
		if t.format, err = t.Rows.Open(); err != nil {
			return Table{}, fmt.Errorf("format of rows: %w", err)
		}
	}
	if t.ID < firstID || t.Journals == "" || t.Owned != (e.Options != nil) {
		return Table{}, errors.New("not a table")
	}
	return t, nil
}

// typeName is the name of a type in an entry. Those of arrays are the elements' with an underscore, as in pg_type.
func typeName(t columnar.Type) string {
	if t.Kind == columnar.Array {
		return "_" + kindNames[t.Element]
	}
	return kindNames[t.Kind]
}

func (c columnEntry) typ() (columnar.Type, error) {
	element, isArray := strings.CutPrefix(c.Type, "_")
	kind, err := kindOf(element)
	t := columnar.Type{Kind: kind, Precision: c.Precision, Scale: c.Scale, Length: c.Length}
	if isArray {
		t = columnar.ArrayOf(t)
	}
	return t, err
}

func kindOf(name string) (columnar.Kind, error) {
	for kind, n := range kindNames {
		if n == name {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("unknown type %q", name)
}

func (e *optionsEntry) decode() (Options, error) {
	o := Options{
		Journals: e.Journals, PartitionBy: e.PartitionBy, Replication: e.Replication,
		FragmentLength: e.FragmentLength, Stores: e.Stores,
	}
	if err := setCodec(&o.Codec, e.Codec); err != nil {
		return Options{}, fmt.Errorf("codec: %w", err)
	}
	var err error
	if o.FlushInterval, err = time.ParseDuration(e.FlushInterval); err != nil {
		return Options{}, err
	}
	if o.RefreshInterval, err = time.ParseDuration(e.RefreshInterval); err != nil {
		return Options{}, err
	}
	if o.Journals < 1 || o.Journals > maxJournals {
		return Options{}, fmt.Errorf("%d journals", o.Journals)
	}
	return o, nil
}

// record is a create, drop or change that isn't done.
type record struct {
	id                     int64
	database, schema, name string
	journals               string
	count                  int
	until                  time.Time
}

func (r record) encode() string {
	return encode(recordEntry{
		Format: entryFormat, ID: r.id, Database: r.database, Schema: r.schema, Name: r.name,
		Journals: r.journals, Count: r.count, Until: r.until.UTC().Format(time.RFC3339Nano),
	})
}

func decodeRecord(value []byte) (record, error) {
	e, err := decodeEntry[recordEntry](value)
	if err != nil {
		return record{}, err
	}
	until, err := time.Parse(time.RFC3339Nano, e.Until)
	if err != nil {
		return record{}, err
	}
	if e.ID < firstID || e.Journals == "" || e.Count < 0 || e.Count > maxJournals {
		return record{}, errors.New("not a record of a create, drop or change")
	}
	return record{
		id: e.ID, database: e.Database, schema: e.Schema, name: e.Name,
		journals: e.Journals, count: e.Count, until: until,
	}, nil
}
