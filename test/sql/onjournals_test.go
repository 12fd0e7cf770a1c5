package sql_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// TestTableOverJournals: a table is laid over journals that somebody else makes and writes, also
// such that come later; dropping it leaves them.
func TestTableOverJournals(t *testing.T) {
	conn := connect(t)
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	defer brokers.Close()
	add := func(journal, lines string) {
		_, err := brokers.Apply(t.Context(), []*protocol.ApplyRequest_Change{{Upsert: &protocol.JournalSpec{
			Name: journal, Replication: 1, Labels: protocol.MustLabelSet("content-type", "application/x-ndjson"),
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 1 << 10, CompressionCodec: protocol.CompressionCodec_SNAPPY, Stores: []string{"file:///"},
				RefreshInterval: durationpb.New(1e9), Retention: durationpb.New(0),
			},
		}}})
		require.NoError(t, err)
		_, err = brokers.Append(t.Context(), client.AppendParams{Journal: journal}, strings.NewReader(lines))
		require.NoError(t, err)
	}
	require.Equal(t, "42704", code(t, conn, "CREATE TABLE rides (bike TEXT) ON JOURNALS 'acme/rides/' FORMAT JSON"))
	add("acme/rides/one", `{"bike":"a","km":1}`+"\n")
	add("acme/ridesabout/other", `{"bike":"not this","km":100}`+"\n")
	exec(t, conn, "CREATE TABLE rides (bike TEXT, km BIGINT) ON JOURNALS 'acme/rides/' FORMAT JSON")
	require.Equal(t, []string{"a|1|acme/rides/one"}, rows(t, conn, "SELECT bike, km, _journal FROM rides"))
	add("acme/rides/two", `{"bike":"b","km":2}`+"\n"+`{"bike":"c","km":"many"}`+"\n")
	require.Equal(t, []string{"a|1", "b|2"}, rows(t, conn, "SELECT bike, km FROM rides ORDER BY bike"))
	require.Equal(t, []string{"acme/rides/two"}, rows(t, conn, "SELECT journal FROM bs_catalog.rejects WHERE table_name = 'rides'"))
	exec(t, conn, "INSERT INTO rides VALUES ('d', 4)")
	require.Equal(t, []string{"3"}, rows(t, conn, "SELECT count(*) FROM rides"))
	require.Equal(t, "0A000", code(t, conn, "CREATE TABLE rides2 (bike TEXT) ON JOURNALS 'acme/rides/' WITH (journals = 2)"))
	exec(t, conn, "DROP TABLE rides")
	list, err := brokers.List(t.Context(), &protocol.LabelSelector{Include: protocol.MustLabelSet("prefix", "acme/rides/")})
	require.NoError(t, err)
	require.Len(t, list, 2)
}

// TestJournalInTheWay: a journal that somebody named like a schema keeps tables of that schema
// from being made, and the error says which.
func TestJournalInTheWay(t *testing.T) {
	conn := connect(t)
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	defer brokers.Close()
	_, err = brokers.Apply(t.Context(), []*protocol.ApplyRequest_Change{{Upsert: &protocol.JournalSpec{
		Name: "inway", Replication: 1, Labels: &protocol.LabelSet{},
		Fragment: &protocol.JournalSpec_Fragment{
			Length: 1 << 10, CompressionCodec: protocol.CompressionCodec_NONE, Stores: []string{"file:///"},
			RefreshInterval: durationpb.New(1e9), Retention: durationpb.New(0),
		},
	}}})
	require.NoError(t, err)
	exec(t, conn, "CREATE SCHEMA inway")
	_, err = conn.Exec(t.Context(), "CREATE TABLE inway.t (v TEXT)")
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "55000", e.Code)
	require.Contains(t, e.Message, "journals inway and inway/t.")
	require.Empty(t, rows(t, conn, "SELECT journal FROM bs_catalog.journals WHERE table_schema = 'inway'"))
}

// TestInferredTable: a table that is laid over journals without columns has those of their lines.
func TestInferredTable(t *testing.T) {
	conn := connect(t)
	var notices []*pgconn.Notice
	config := conn.Config().Copy()
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	defer brokers.Close()
	add := func(journal, lines string) {
		_, err := brokers.Apply(t.Context(), []*protocol.ApplyRequest_Change{{Upsert: &protocol.JournalSpec{
			Name: journal, Replication: 1, Labels: protocol.MustLabelSet("content-type", "application/x-ndjson"),
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 1 << 20, CompressionCodec: protocol.CompressionCodec_GZIP, Stores: []string{"file:///"},
				RefreshInterval: durationpb.New(1e9), Retention: durationpb.New(0),
			},
		}}})
		require.NoError(t, err)
		if lines != "" {
			_, err = brokers.Append(t.Context(), client.AppendParams{Journal: journal}, strings.NewReader(lines))
			require.NoError(t, err)
		}
	}
	columnsOf := func(table string) []string {
		return rows(t, conn, "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = '"+table+"' ORDER BY ordinal_position")
	}
	require.Equal(t, "42704", code(t, conn, "CREATE TABLE inf ON JOURNALS 'infer/rides/'"))
	add("infer/rides/b", `{"km":1.5,"more":[1],"bike":null}`+"\n")
	add("infer/rides/c", "")
	add("infer/rides/a", `{"bike":"red","km":2,"at":"2024-02-29T12:00:00Z","ok":true}`+"\n"+`{"bike":"unfin`)
	exec(t, conn, "CREATE TABLE inf ON JOURNALS 'infer/rides/' FORMAT JSON")
	require.Equal(t, []string{
		"bike|text|YES", "km|double precision|YES", "at|timestamp with time zone|YES", "ok|boolean|YES", "more|jsonb|YES",
	}, columnsOf("inf"))
	require.Len(t, notices, 1)
	require.Equal(t, `columns are inferred from 2 rows of 3 of 3 journals: "bike" text, "km" double precision, "at" timestamp with time zone, "ok" boolean, "more" jsonb`, notices[0].Message)
	require.Equal(t, "infer/rides/a: all 1 rows\ninfer/rides/b: all 1 rows\ninfer/rides/c: all 0 rows", notices[0].Detail)
	require.Equal(t, []string{"red|2", "NULL|1.5"}, rows(t, conn, "SELECT coalesce(bike, 'NULL'), km FROM inf ORDER BY bike"))
	require.Empty(t, rows(t, conn, "SELECT reason FROM bs_catalog.rejects WHERE table_name = 'inf'"))
	require.Equal(t, "42P07", code(t, conn, "CREATE TABLE inf ON JOURNALS 'infer/rides/'"))
	exec(t, conn, "CREATE TABLE IF NOT EXISTS inf ON JOURNALS 'infer/rides/'")

	// A column that is added to a table over journals is what its lines say.
	exec(t, conn, "ALTER TABLE inf DROP COLUMN km, ADD place text DEFAULT 'here'")
	exec(t, conn, "ALTER TABLE inf ADD COLUMN km numeric(4,1)")
	require.Equal(t, []string{"2.0|here", "1.5|here"}, rows(t, conn, "SELECT km, place FROM inf ORDER BY bike"))
	require.Equal(t, "0A000", code(t, conn, "ALTER TABLE inf SET (codec = gzip)"))

	// Of a large journal the first and last lines are looked at, and what is between them may not fit.
	long := strings.Repeat("x", 1000)
	add("infer/long/a", strings.Repeat(`{"n":1,"v":"`+long+`"}`+"\n", 1100)+strings.Repeat(`{"n":"many","v":"`+long+`"}`+"\n", 5)+
		strings.Repeat(`{"n":2,"v":"`+long+`"}`+"\n", 1100)+`{"n":null,"last":1}`+"\n")
	exec(t, conn, "CREATE TABLE inf_long ON JOURNALS 'infer/long/'")
	require.Equal(t, []string{"n|bigint|YES", "v|text|YES", "last|bigint|YES"}, columnsOf("inf_long"))
	require.Equal(t, []string{"2201|3300"}, rows(t, conn, "SELECT count(*), sum(n) FROM inf_long"))
	require.Equal(t, []string{"5"}, rows(t, conn, "SELECT count(*) FROM bs_catalog.rejects WHERE table_name = 'inf_long'"))

	for name, x := range map[string]struct{ lines, code string }{
		"empty": {"", "42P16"}, "nokeys": {"{}\n", "42P16"}, "text": {"hello\n", "22P02"}, "list": {"[1]\n", "22P02"},
		"twice": {`{"a":1,"a":2}` + "\n", "42701"}, "folds": {`{"a":1}` + "\n" + `{"A":2}` + "\n", "42701"}, "meta": {`{"_offset":1}` + "\n", "42939"},
		"name": {`{"` + strings.Repeat("k", 64) + `":1}` + "\n", "42622"}, "line": {`{"a":"` + strings.Repeat("k", 2<<20) + `"}` + "\n", "54000"},
	} {
		add("infer/"+name+"/a", x.lines)
		require.Equal(t, x.code, code(t, conn, "CREATE TABLE inf_bad ON JOURNALS 'infer/"+name+"/'"), name)
	}
	exec(t, conn, "DROP TABLE inf, inf_long")
}
