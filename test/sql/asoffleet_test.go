package sql_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/test/system"
)

// TestTwoGateways: gateways that write at the same time write one clock: its times ascend, rows have the same times
// wherever they are read, and tables are the same as of a time. What one has written another one sees at once, or, with
// a bound, by the cut.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	s, err := system.Start(t.Context(), t.TempDir()+"/data")
	require.NoError(t, err)
	defer s.Kill()
	one, err := s.Connect(t.Context())
	require.NoError(t, err)
	defer func() { _ = one.Close(context.Background()) }()
	gateway, err := s.StartGateway(t.TempDir())
	require.NoError(t, err)
	defer gateway.Kill()
	two, err := gateway.Connect(t.Context())
	require.NoError(t, err)
	defer func() { _ = two.Close(context.Background()) }()
	exec(t, one, "CREATE TABLE t (gateway BIGINT, seq BIGINT) WITH (journals = 2)")
	start := time.Now()
	var eg errgroup.Group
	for g, conn := range []*pgx.Conn{one, two} {
		eg.Go(func() error {
			for i := 0; time.Since(start) < 4*time.Second; i++ {
				if _, err := conn.Exec(t.Context(), "INSERT INTO t VALUES ($1, $2)", g, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, eg.Wait())
	times := marked(t, one, "t")
	require.Equal(t, times, marked(t, two, "t"))
	all := "SELECT gateway, seq, _timestamp FROM t ORDER BY 1, 2"
	require.Equal(t, rows(t, one, all), rows(t, two, all))
	for _, at := range times {
		sums := "SELECT gateway, count(*), sum(seq) FROM t%s GROUP BY 1 ORDER BY 1"
		want := rows(t, one, fmt.Sprintf(sums, " WHERE _timestamp <= '"+at+"'"))
		require.Equal(t, want, rows(t, one, fmt.Sprintf(sums, " AS OF TIMESTAMP '"+at+"'")))
		require.Equal(t, want, rows(t, two, fmt.Sprintf(sums, " AS OF TIMESTAMP '"+at+"'")))
	}
	checkClock(t, s)

	exec(t, two, "SET broadsheet.freshness = 'bounded 1h'")
	count := "SELECT count(*) FROM t WHERE gateway = 9"
	require.Equal(t, []string{"0"}, rows(t, two, "SELECT count(*) FROM t WHERE gateway = 9"))
	exec(t, one, "INSERT INTO t VALUES (9, 9)")
	cut := lastCut(t, one)
	exec(t, two, "SET broadsheet.min_cut = '"+cut+"'")
	require.Equal(t, []string{"1"}, rows(t, two, count))
	exec(t, one, "INSERT INTO t VALUES (9, 10)")
	exec(t, two, "RESET broadsheet.freshness")
	require.Equal(t, []string{"2"}, rows(t, two, count))
	require.Equal(t, []string{"1"}, rows(t, two, count+" AS OF CUT '"+lastCutOf(t, one, cut)+"'"))
}

// lastCutOf returns a cut with all journals of the table: that which a session reads at, with the places of another
// cut where it has any.
func lastCutOf(t *testing.T, conn *pgx.Conn, other string) string {
	t.Helper()
	rows(t, conn, "SELECT count(*) FROM t")
	c, err := clock.ParseCut(lastCut(t, conn))
	require.NoError(t, err)
	o, err := clock.ParseCut(other)
	require.NoError(t, err)
	for i, p := range c.Places {
		if was, ok := o.Place(p.Journal); ok {
			c.Places[i] = was
		}
	}
	return c.String()
}

// checkClock reads the clock journal: every line of it is a mark that is later than the one before.
func checkClock(t *testing.T, s *system.Server) {
	t.Helper()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + s.Broker})
	require.NoError(t, err)
	defer brokers.Close()
	b, err := brokers.Barrier(t.Context(), "broadsheet/clock")
	require.NoError(t, err)
	r := brokers.NewReader(t.Context(), &protocol.ReadRequest{Journal: "broadsheet/clock", EndOffset: b.Head, Block: true})
	defer func() { _ = r.Close() }()
	in, log, marks := bufio.NewReader(r), clock.NewLog(0), 0
	for log.Offset() < b.Head {
		line, err := in.ReadBytes('\n')
		if !errors.Is(err, io.EOF) {
			require.NoError(t, err)
		}
		_, ok := log.Read(line)
		require.True(t, ok, string(line))
		marks++
	}
	require.Greater(t, marks, 2)
}

// TestCutBelowBegin: where the begin of a journal is gone, a cut below it is refused, and names both.
func TestCutBelowBegin(t *testing.T) {
	s, err := system.Start(t.Context(), t.TempDir()+"/data")
	require.NoError(t, err)
	defer s.Kill()
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	exec(t, conn, "CREATE TABLE t (id BIGINT, pad TEXT) WITH (fragment_length = '1KiB', refresh_interval = '1 second')")
	exec(t, conn, "INSERT INTO t VALUES (1, 'x')")
	first := lastCut(t, conn)
	journal := journal(t, conn, "t")
	var stored []string
	for len(stored) < 3 {
		exec(t, conn, "INSERT INTO t VALUES (2, repeat('x', 2000))")
		stored, err = filepath.Glob(filepath.Join(s.Dir, "fragments", journal, "[0-9a-f]*")) // not those that are being written
		require.NoError(t, err)
	}
	last := lastCut(t, conn)
	s.Kill()
	require.NoError(t, os.Remove(stored[0])) // by their names: the first
	for _, name := range stored[1:] {        // they are so old that nobody has it
		require.NoError(t, os.Chtimes(name, time.Time{}, time.Now().Add(-24*time.Hour)))
	}
	c, err := clock.ParseCut(first)
	require.NoError(t, err)
	c.Places[0].Offset = 1
	require.NoError(t, s.Restart(t.Context()))
	conn, err = s.Connect(t.Context())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT count(*) FROM t AS OF CUT '"+c.String()+"'")
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "22023", e.Code)
	require.Regexp(t, "journal "+journal+" begins at [1-9][0-9]*, above its place 1 in the cut", e.Message)
	require.NotEqual(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM t AS OF CUT '"+last+"'"))
}

// TestCutOfTableOverJournals: journals that are laid under a table after a cut have no rows in it; one that
// was made again isn't the one of the cut.
func TestCutOfTableOverJournals(t *testing.T) {
	conn := connect(t)
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	defer brokers.Close()
	apply := func(c *protocol.ApplyRequest_Change) {
		t.Helper()
		_, err := brokers.Apply(t.Context(), []*protocol.ApplyRequest_Change{c})
		require.NoError(t, err)
	}
	add := func(journal, lines string) {
		t.Helper()
		apply(&protocol.ApplyRequest_Change{Upsert: &protocol.JournalSpec{
			Name: journal, Replication: 1, Labels: protocol.MustLabelSet("content-type", "application/x-ndjson"),
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 1 << 20, CompressionCodec: protocol.CompressionCodec_NONE, Stores: []string{"file:///"},
				RefreshInterval: durationpb.New(time.Second), Retention: durationpb.New(0),
			},
		}})
		_, err := brokers.Append(t.Context(), client.AppendParams{Journal: journal}, strings.NewReader(lines))
		require.NoError(t, err)
	}
	add("laid/out/one", `{"id":1}`+"\n")
	exec(t, conn, "CREATE TABLE laid (id BIGINT) ON JOURNALS 'laid/out/' FORMAT JSON")
	defer exec(t, conn, "DROP TABLE laid")
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT id FROM laid"))
	cut := lastCut(t, conn)
	add("laid/out/two", `{"id":2}`+"\n")
	require.Equal(t, []string{"1", "2"}, rows(t, conn, "SELECT id FROM laid ORDER BY id"))
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT id FROM laid AS OF CUT '"+cut+"'"))
	apply(&protocol.ApplyRequest_Change{Delete: "laid/out/one", ExpectModRevision: -1})
	require.Equal(t, "22023", code(t, conn, "SELECT id FROM laid AS OF CUT '"+cut+"'"))
}
