package catalog

import (
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/formats"
	"broadsheet.dev/broadsheet/protocol"
)

// pair is a key and its value, in hexadecimal if it is protobuf.
type pair struct{ key, value string }

// documented returns the pairs of the page's keys blocks.
func documented(t *testing.T) []pair {
	t.Helper()
	page, err := os.ReadFile("../docs/format/etcd-keys.md")
	require.NoError(t, err)
	var out []pair
	for i, block := range strings.Split(string(page), "```keys\n") {
		if i == 0 {
			continue
		}
		block, _, ok := strings.Cut(block, "```")
		require.True(t, ok)
		lines := strings.Split(strings.TrimSpace(block), "\n")
		require.Zero(t, len(lines)%2)
		for j := 0; j < len(lines); j += 2 {
			out = append(out, pair{lines[j], lines[j+1]})
		}
	}
	return out
}

func protoHex(t *testing.T, m proto.Message) string {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	require.NoError(t, err)
	return hex.EncodeToString(b)
}

func goldenTables() (Table, Table) {
	clicks := TableSpec{Schema: "public", Name: "clicks", Columns: []Column{
		{Name: "user_id", Type: columnar.Type{Kind: columnar.Int64}, NotNull: true},
		{Name: "price", Type: columnar.Type{Kind: columnar.Decimal, Precision: 12, Scale: 2}, Default: "0"},
		{Name: "url", Type: columnar.Type{Kind: columnar.Varchar, Length: 200}},
	}, Options: Options{Journals: 4, PartitionBy: "user_id"}}
	rides := TableSpec{
		Schema: "Sales/EU", Name: "all rides", Columns: []Column{{Name: "id", Type: columnar.Type{Kind: columnar.Text}}},
		OnJournals: "acme/rides/", Options: Options{Reads: ReadsCommitted},
	}
	return clicks.table(16386, []string{"file:///"}), rides.table(16389, nil)
}

// goldenDeclared is a table with all that can be declared, and objects that aren't tables.
func goldenDeclared() (Table, Object, Object) {
	items := TableSpec{
		Schema: "public", Name: "items", Columns: []Column{
			{Name: "id", Type: columnar.Type{Kind: columnar.Int64}},
			{Name: "click", Type: columnar.Type{Kind: columnar.Int64}},
			{Name: "tags", Type: columnar.ArrayOf(columnar.Type{Kind: columnar.Text}), Default: "'{}'"},
		},
		Constraints: []Constraint{
			{Kind: PrimaryKey, Columns: []int64{1}},
			{Kind: ForeignKey, Columns: []int64{2}, References: 16386, RefColumns: []int64{1}, OnUpdate: "a", OnDelete: "c"},
			{Kind: Check, Name: "positive", Columns: []int64{1}, Check: "id > 0"},
		},
		Indexes: []Index{{Method: "btree", Columns: []int64{2}, Options: []int16{3}, Where: "click > 7"}},
		Options: Options{},
	}
	t := items.table(16391, []string{"file:///"})
	t.Comment = "what was clicked"
	t.Columns = slices.Clone(t.Columns)
	t.Columns[0].Comment = "unique, says who writes it"
	numbers := Object{
		ID: 16397, Kind: SequenceObject, Schema: "public", Name: "numbers",
		Sequence: &Sequence{Type: "int8", Start: 1, Increment: 1, Min: 1, Max: 9223372036854775807, Cache: 1},
	}
	twice := Object{
		ID: 16398, Kind: FunctionObject, Schema: "public", Name: "twice", Comment: "two of it",
		Function: &Function{
			Language: "sql", Arguments: []Argument{{Name: "a", Type: "int4"}, {Type: "_text"}}, Returns: "int4", Body: "select 2 * a", Volatility: "v",
		},
	}
	return t, numbers, twice
}

// goldenFormat is a table whose rows aren't lines of JSON.
func goldenFormat() Table {
	visits := TableSpec{
		Schema: "public", Name: "visits", Columns: []Column{{Name: "at", Type: columnar.Type{Kind: columnar.Date}}},
		OnJournals: "acme/visits/",
		Rows:       formats.Spec{Name: formats.CSV, Delimiter: ";", Quote: `"`, Escape: `"`, Null: "nil", Header: true},
	}
	return visits.table(16403, nil)
}

func goldenView() Object {
	return Object{
		ID: 16399, Kind: ViewObject, Schema: "public", Name: "dear", Comment: "what costs much",
		View: &View{
			Query: "SELECT c.user_id, c.price AS price FROM public.clicks c WHERE c.price > 100",
			Reads: []Read{{ID: 16386, Schema: "public", Name: "clicks"}},
			Columns: []ViewColumn{
				{Name: "user_id", Type: "int8", TypMod: -1},
				{Name: "price", Type: "numeric", TypMod: columnar.Type{Kind: columnar.Decimal, Precision: 12, Scale: 2}.TypMod(), Comment: "in EUR"},
			},
			SecurityInvoker: true, Owner: 16392, Grants: []Grant{{Role: PublicID, Privileges: "r"}},
		},
	}
}

func goldenMaterialized() Object {
	return Object{
		ID: 16406, Kind: ViewObject, Schema: "public", Name: "sums",
		View: &View{
			Query:   "SELECT c.user_id, sum(c.price) AS sum FROM public.clicks c GROUP BY c.user_id",
			Reads:   []Read{{ID: 16386, Schema: "public", Name: "clicks"}},
			Columns: []ViewColumn{{Name: "user_id", Type: "int8", TypMod: -1}, {Name: "sum", Type: "numeric", TypMod: -1}},
			Owner:   SuperuserID, Materialized: &Materialized{Standbys: 1},
		},
	}
}

// goldenAltered is a table that was altered, a view from before, and the record of the change.
func goldenAltered() (Table, Object, record) {
	spec := TableSpec{Schema: "public", Name: "parts", Columns: []Column{
		{Name: "id", Type: columnar.Type{Kind: columnar.Int64}}, {Name: "note", Type: columnar.Type{Kind: columnar.Text}},
	}}
	a := &Alteration{Table: spec.table(16403, []string{"file:///"})}
	note := Column{Name: "note", Type: columnar.Type{Kind: columnar.Text}, Default: "'none'", Missing: `"none"`}
	if err := errors.Join(a.RenameColumn(1, "part"), a.DropColumn(2), a.AddColumn(note)); err != nil {
		panic(err)
	}
	a.Table.Options.Codec, a.Table.Version = protocol.CompressionCodec_GZIP, 16405
	a.Table.Constraints, a.Table.Indexes = nil, nil
	v := Object{ID: 16404, Kind: ViewObject, Schema: "public", Name: "numbered", View: &View{
		Query: "SELECT p.id FROM public.parts p", Reads: []Read{{ID: 16403, Schema: "public", Name: "parts"}},
		Columns: []ViewColumn{{Name: "id", Type: "int8", TypMod: -1}}, Owner: SuperuserID,
	}}
	a.keepNames(v.View)
	return a.Table, v, record{
		id: 16403, database: "postgres", schema: "public", name: "parts", journals: a.Table.Journals, count: 1,
		until: time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC),
	}
}

func TestFormatDocument(t *testing.T) {
	k := newKeys("/broadsheet")
	clicks, rides := goldenTables()
	items, numbers, twice := goldenDeclared()
	parts, numbered, altered := goldenAltered()
	r := record{
		id: 16390, database: "postgres", schema: "Sales/EU", name: "orders", journals: "Sales+2FEU/orders.16390/", count: 4,
		until: time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC),
	}
	journal := &protocol.JournalSpec{
		Name: "acme/rides/part-000", Replication: 1, Labels: protocol.MustLabelSet("content-type", "application/x-ndjson"),
		Fragment: &protocol.JournalSpec_Fragment{
			Length: 64 << 20, CompressionCodec: protocol.CompressionCodec_ZSTANDARD, Stores: []string{"file:///"},
			RefreshInterval: durationpb.New(time.Minute), Retention: durationpb.New(0), FlushInterval: durationpb.New(10 * time.Minute),
		},
	}
	broker := &protocol.ProcessSpec_ID{Zone: "zone-1", Suffix: "broker-1"}
	require.Equal(t, []pair{
		{allocator.ItemKey("/gazette/cluster", journal.GetName()), protoHex(t, journal)},
		{allocator.MemberKey("/gazette/cluster", "zone-1", "broker-1"), protoHex(t, &protocol.BrokerSpec{
			ProcessSpec: &protocol.ProcessSpec{Id: broker, Endpoint: "http://127.0.0.1:8080"}, JournalLimit: 1024,
		})},
		{
			allocator.AssignmentKey("/gazette/cluster", journal.GetName(), "zone-1", "broker-1", 0),
			protoHex(t, &protocol.Route{Members: []*protocol.ProcessSpec_ID{broker}}),
		},
		{k.version(), encode(versionEntry{Format: entryFormat})},
		{k.counter(), encode(counterEntry{Format: entryFormat, Next: 16387})},
		{k.database("postgres"), encode(nameEntry{Format: entryFormat, ID: 16384, Name: "postgres"})},
		{k.schema("postgres", "public"), encode(nameEntry{Format: entryFormat, ID: 16385, Name: "public"})},
		{k.table("postgres", "public", "clicks"), clicks.encode()},
		{k.table("postgres", "Sales/EU", "all rides"), rides.encode()},
		{k.table("postgres", "public", "items"), items.encode()},
		{k.table("postgres", "public", "parts"), parts.encode()},
		{k.object("postgres", "public", ViewObject, "numbered"), numbered.encode()},
		{k.alterRecord(16403), altered.encode()},
		{k.table("postgres", "public", "visits"), goldenFormat().encode()},
		{k.object("postgres", "public", SequenceObject, "numbers"), encode(objectEntry{Format: entryFormat, Object: numbers})},
		{k.object("postgres", "public", FunctionObject, twice.key()), encode(objectEntry{Format: entryFormat, Object: twice})},
		{k.object("postgres", "public", ViewObject, "dear"), encode(objectEntry{Format: entryFormat, Object: goldenView()})},
		{k.object("postgres", "public", ViewObject, "sums"), new(goldenMaterialized()).encode()},
		{k.role("alice"), goldenRole().encode()},
		{k.secret(), encode(secretEntry{Format: entryFormat, Secret: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"})},
		{k.schema("postgres", "sales"), encode(goldenSchema())},
		{k.table("postgres", "sales", "orders"), goldenGranted().encode()},
		{k.createRecord("postgres", "Sales/EU", 16390), r.encode()},
		{k.dropRecord(16390), r.encode()},
	}, documented(t))
}

// TestDocumentedEntriesAreRead holds that what the page shows is read as what it was
// made of, by every later version too.
func TestDocumentedEntriesAreRead(t *testing.T) {
	k := newKeys("/broadsheet")
	clicks, rides := goldenTables()
	items, numbers, twice := goldenDeclared()
	parts, numbered, altered := goldenAltered()
	want := map[string]any{
		k.table("postgres", "public", "parts"):                      parts,
		k.object("postgres", "public", ViewObject, "numbered"):      numbered,
		k.alterRecord(16403):                                        altering(altered),
		k.table("postgres", "public", "clicks"):                     clicks,
		k.table("postgres", "Sales/EU", "all rides"):                rides,
		k.table("postgres", "public", "items"):                      items,
		k.table("postgres", "public", "visits"):                     goldenFormat(),
		k.object("postgres", "public", SequenceObject, "numbers"):   numbers,
		k.object("postgres", "public", FunctionObject, twice.key()): twice,
		k.object("postgres", "public", ViewObject, "dear"):          goldenView(),
		k.object("postgres", "public", ViewObject, "sums"):          goldenMaterialized(),
		k.role("alice"):                        goldenRole(),
		k.secret():                             bookkeeper{},
		k.schema("postgres", "sales"):          schema(goldenSchema()),
		k.table("postgres", "sales", "orders"): goldenGranted(),
		k.version():                            bookkeeper{},
		k.counter():                            bookkeeper{},
		k.database("postgres"):                 database{Format: 1, ID: 16384, Name: "postgres"},
		k.schema("postgres", "public"):         schema{Format: 1, ID: 16385, Name: "public"},
	}
	for _, p := range documented(t) {
		if !strings.HasPrefix(p.key, k.root) {
			continue
		}
		got, err := k.decode(p.key, []byte(p.value))
		require.NoError(t, err, p.key)
		if w, ok := want[p.key]; ok {
			require.Equal(t, w, got)
			continue
		}
		switch r := got.(type) {
		case creating:
			require.Equal(t, p.value, record(r).encode())
		case dropping:
			require.Equal(t, p.value, record(r).encode())
		default:
			require.Fail(t, "unexpected", "%s: %T", p.key, got)
		}
	}
}

// TestEveryKindIsWritten holds that each kind of column has a name in entries.
func TestEveryKindIsWritten(t *testing.T) {
	for kind := columnar.Bool; kind.Valid(); kind++ {
		want := columnar.Type{Kind: kind}
		if kind == columnar.Array {
			want.Element = columnar.Date
		}
		got, err := columnEntry{Type: typeName(want)}.typ()
		require.NoError(t, err, kind)
		require.Equal(t, want, got)
	}
}

func FuzzDecode(f *testing.F) {
	k := newKeys("/broadsheet")
	clicks, _ := goldenTables()
	f.Add(k.table("postgres", "public", "clicks"), clicks.encode())
	f.Add(k.dropRecord(16390), `{"format":1}`)
	f.Fuzz(func(t *testing.T, key, value string) {
		v, err := k.decode(key, []byte(value))
		if table, ok := v.(Table); ok && err == nil {
			again, err := decodeTable([]byte(table.encode()))
			require.NoError(t, err)
			require.Equal(t, table.encode(), again.encode())
		}
	})
}
