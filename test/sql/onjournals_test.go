package sql_test

import (
	"strings"
	"testing"

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
