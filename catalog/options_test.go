package catalog

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
)

func TestParseOptions(t *testing.T) {
	o, err := ParseOptions(map[string]string{
		"journals": "4", "partition_by": "user_id", "codec": "ZSTD", "replication": "1", "retention": "forever",
		"fragment_length": "128 MB", "flush_interval": "1 hour 30 minutes", "refresh_interval": "90s", "transactional": "off",
		"stores": "lake, attic",
	})
	require.NoError(t, err)
	require.Equal(t, Options{
		Journals: 4, PartitionBy: "user_id", Codec: protocol.CompressionCodec_ZSTANDARD, Replication: 1,
		FragmentLength: 128 << 20, FlushInterval: 90 * time.Minute, RefreshInterval: 90 * time.Second,
		Stores: []string{"lake", "attic"},
	}, o)
	o, err = ParseOptions(nil)
	require.NoError(t, err)
	require.Equal(t, Options{}, o)
	o, err = ParseOptions(map[string]string{"retention": "90 days", "fragment_length": "67108864", "flush_interval": "1.5 h"})
	require.NoError(t, err)
	require.Equal(t, Options{Retention: 90 * 24 * time.Hour, FragmentLength: 64 << 20, FlushInterval: 90 * time.Minute}, o)
}

func TestOptionsThatCannotBeRead(t *testing.T) {
	for name, values := range map[string][]string{
		"journals":         {"", "x", "0", "-1", "1.5", "99999999999999999999"},
		"codec":            {"", "brotli", "gzip_offload_decompression", "invalid"},
		"replication":      {"0", "none"},
		"retention":        {"", "soon", "0 days", "-1 day", "3 months", "90"},
		"fragment_length":  {"", "0", "-1", "1 TB", "9999999999 GB", "64 MB please", "1.5MB"},
		"flush_interval":   {"", "10", "minutes", "10 minutes 5", "9999999 weeks", ". s", "1..5 s"},
		"refresh_interval": {"never"},
		"transactional":    {"", "maybe"},
		"reads":            {"", "uncommitted"},
		"uuid":             {"", "uuid", "/a~2"},
		"stores":           {"", "lake,", "s3://lake/", "lake/below/", "lake, lake"},
		"compression":      {"zstd"},
	} {
		for _, value := range values {
			_, err := ParseOptions(map[string]string{name: value})
			var e *Error
			require.ErrorAs(t, err, &e, "%s = %q", name, value)
			require.Equal(t, ErrInvalid, e.Code)
			require.Equal(t, "option", e.Kind)
			require.Equal(t, name, e.Name)
		}
	}
}

func TestSpecsThatAreRefused(t *testing.T) {
	option := func(change func(*Options)) func(*TableSpec) {
		return func(s *TableSpec) { change(&s.Options) }
	}
	column := func(c Column) func(*TableSpec) {
		return func(s *TableSpec) { s.Columns = append(s.Columns, c) }
	}
	text := columnar.Type{Kind: columnar.Text}
	for name, c := range map[string]struct {
		change func(*TableSpec)
		code   Code
		kind   string
		names  string // Error.Name
	}{
		"replication":        {option(func(o *Options) { o.Replication = 3 }), ErrUnsupported, "option", "replication"},
		"retention":          {option(func(o *Options) { o.Retention = time.Hour }), ErrUnsupported, "option", "retention"},
		"transactional uuid": {option(func(o *Options) { o.Transactional, o.UUID = true, "/id" }), ErrInvalid, "option", "uuid"},
		"column of UUIDs": {
			func(s *TableSpec) { s.Options.Transactional, s.Columns = true, []Column{{Name: "_meta", Type: text}} }, ErrReserved, "column", "_meta",
		},
		"reads":              {option(func(o *Options) { o.Reads = "some" }), ErrInvalid, "option", "reads"},
		"uuid of plain":      {option(func(o *Options) { o.UUID = "/id" }), ErrInvalid, "option", "uuid"},
		"uuid":               {option(func(o *Options) { o.Reads, o.UUID = ReadsCommitted, "id" }), ErrInvalid, "option", "uuid"},
		"negative":           {option(func(o *Options) { o.Replication = -1 }), ErrInvalid, "option", "replication"},
		"negative retention": {option(func(o *Options) { o.Retention = -1 }), ErrInvalid, "option", "retention"},
		"journals":           {option(func(o *Options) { o.Journals = 1001 }), ErrInvalid, "option", "journals"},
		"negative journals":  {option(func(o *Options) { o.Journals = -1 }), ErrInvalid, "option", "journals"},
		"partition_by":       {option(func(o *Options) { o.PartitionBy = "nothing" }), ErrInvalid, "option", "partition_by"},
		"codec": {
			option(func(o *Options) { o.Codec = protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION }), ErrInvalid, "option", "codec",
		},
		"short fragments": {option(func(o *Options) { o.FragmentLength = 1023 }), ErrInvalid, "option", "fragment_length"},
		"long fragments":  {option(func(o *Options) { o.FragmentLength = 1<<34 + 1 }), ErrInvalid, "option", "fragment_length"},
		"flush":           {option(func(o *Options) { o.FlushInterval = time.Second }), ErrInvalid, "option", "flush_interval"},
		"refresh":         {option(func(o *Options) { o.RefreshInterval = time.Millisecond }), ErrInvalid, "option", "refresh_interval"},
		"slow refresh":    {option(func(o *Options) { o.RefreshInterval = 25 * time.Hour }), ErrInvalid, "option", "refresh_interval"},
		"stores":          {option(func(o *Options) { o.Stores = []string{"s3://user:secret@bucket/"} }), ErrInvalid, "option", "stores"},
		"no columns":      {func(s *TableSpec) { s.Columns = nil }, ErrInvalid, "table", "t"},
		"many columns":    {func(s *TableSpec) { s.Columns = make([]Column, 1601) }, ErrInvalid, "table", "t"},
		"no name":         {func(s *TableSpec) { s.Name = "" }, ErrInvalid, "table", ""},
		"no schema":       {func(s *TableSpec) { s.Schema = "" }, ErrInvalid, "schema", ""},
		"column twice":    {column(Column{Name: "id", Type: text}), ErrExists, "column", "id"},
		"metadata column": {column(Column{Name: "_offset", Type: text}), ErrReserved, "column", "_offset"},
		"column name":     {column(Column{Type: text}), ErrInvalid, "column", ""},
		"column type":     {column(Column{Name: "x"}), ErrInvalid, "column", "x"},
		"precision":       {column(Column{Name: "x", Type: columnar.Type{Kind: columnar.Decimal, Precision: 39}}), ErrInvalid, "column", "x"},
		"prefix":          {func(s *TableSpec) { s.OnJournals = "acme/rides" }, ErrInvalid, "prefix", "acme/rides"},
		"only a slash":    {func(s *TableSpec) { s.OnJournals = "/" }, ErrInvalid, "prefix", "/"},
		"rooted prefix":   {func(s *TableSpec) { s.OnJournals = "/acme/" }, ErrInvalid, "prefix", "/acme/"},
		"unclean prefix":  {func(s *TableSpec) { s.OnJournals = "acme//" }, ErrInvalid, "prefix", "acme//"},
		"bad prefix":      {func(s *TableSpec) { s.OnJournals = "ac me/" }, ErrInvalid, "prefix", "ac me/"},
		"prefix and option": {
			func(s *TableSpec) { s.OnJournals, s.Options.Journals = "acme/rides/", 1 }, ErrUnsupported, "option", "journals",
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := testSpec("t")
			c.change(&spec)
			err := spec.Validate()
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, []string{string(c.code), c.kind, c.names}, []string{string(e.Code), e.Kind, e.Name})
			require.ErrorIs(t, err, c.code)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// TestEachOptionIsRefusedOverJournals holds that no option is accepted and ignored.
func TestEachOptionIsRefusedOverJournals(t *testing.T) {
	values := map[string]string{
		"journals": "1", "partition_by": "id", "codec": "zstd", "replication": "1", "retention": "1 day",
		"fragment_length": "64MB", "flush_interval": "10 minutes", "refresh_interval": "1 minute", "transactional": "true",
		"stores": "lake",
	}
	require.Len(t, values, len(setters)-2, "reads and uuid are of tables over journals, too")
	for name, value := range values {
		spec := testSpec("t")
		spec.OnJournals = "acme/rides/"
		require.NoError(t, spec.Validate())
		var err error
		spec.Options, err = ParseOptions(map[string]string{name: value})
		require.NoError(t, err)
		var e *Error
		require.ErrorAs(t, spec.Validate(), &e)
		require.Equal(t, name, e.Name)
	}
}

// TestTablesOfMessages: over journals that the table makes, and over others.
func TestTablesOfMessages(t *testing.T) {
	for _, prefix := range []string{"", "acme/rides/"} {
		for _, c := range []struct {
			values map[string]string
			want   string
		}{
			{nil, ""},
			{map[string]string{"reads": "all"}, ""},
			{map[string]string{"reads": "committed"}, "/_meta/uuid"},
			{map[string]string{"reads": "Committed", "uuid": "/id/0"}, "/id/0"},
		} {
			spec := testSpec("t")
			spec.OnJournals = prefix
			var err error
			spec.Options, err = ParseOptions(c.values)
			require.NoError(t, err)
			require.NoError(t, spec.Validate())
			table := spec.table(16386, nil)
			again, err := decodeTable([]byte(table.encode()))
			require.NoError(t, err)
			require.Equal(t, c.want, again.Messages)
			require.Equal(t, c.want, again.RowSchema().Messages)
		}
	}
}

func TestDefinitionThatIsTooLarge(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := testSpec("t")
	spec.Columns[0].Default = strings.Repeat("x", maxEntry)
	_, err := c.CreateTable(t.Context(), spec)
	require.ErrorIs(t, err, ErrInvalid)
	w.brokers.add(t, "acme/rides/a")
	spec.OnJournals = "acme/rides/"
	_, err = c.CreateTable(t.Context(), spec)
	require.ErrorIs(t, err, ErrInvalid)
	w.clean(c)
}

func TestDefaultsOfJournals(t *testing.T) {
	spec := testSpec("t")
	table := spec.table(16386, []string{"file:///"})
	got := table.journalSpec(DefaultDatabase, "public/t.16386/part-000")
	require.NoError(t, got.Validate())
	require.Equal(t, []string{"public/t.16386/part-000"}, journalNames(table.Journals, table.Options.Journals))
	require.Equal(t, int32(1), got.GetReplication())
	require.Equal(t, protocol.CompressionCodec_ZSTANDARD, got.GetFragment().GetCompressionCodec())
	require.Equal(t, int64(64<<20), got.GetFragment().GetLength())
}
