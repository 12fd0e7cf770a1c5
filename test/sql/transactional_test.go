package sql_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/atomic"
)

// records of transactions that the journal of them has, which name a journal.
func records(t *testing.T, brokers *client.Client, journal string) []atomic.Record {
	t.Helper()
	b, err := brokers.Barrier(t.Context(), "broadsheet/transactions")
	require.NoError(t, err)
	r := brokers.NewReader(t.Context(), &protocol.ReadRequest{Journal: "broadsheet/transactions", EndOffset: b.Head, Block: true})
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	var out []atomic.Record
	for line := range strings.Lines(string(text)) {
		x, err := atomic.ParseRecord([]byte(strings.TrimSuffix(line, "\n")))
		require.NoError(t, err)
		for _, j := range x.Journals {
			if j == journal {
				out = append(out, x)
			}
		}
	}
	return out
}

// TestTransactionalTables: a transaction over several tables and journals is committed by one record, and seen as a
// whole by all once it is; before that, by itself only.
func TestTransactionalTables(t *testing.T) {
	conn, other := connect(t), connect(t)
	exec(t, conn, "CREATE SCHEMA atomically")
	exec(t, conn, "CREATE TABLE atomically.a (id BIGINT, v TEXT) WITH (transactional = true, journals = 4, partition_by = 'id')")
	exec(t, conn, "CREATE TABLE atomically.b (id BIGINT NOT NULL DEFAULT 7) WITH (transactional = true)")
	exec(t, conn, "CREATE TABLE atomically.plain (id BIGINT)")
	exec(t, conn, "SET search_path = atomically")
	exec(t, other, "SET search_path = atomically")
	t.Cleanup(func() {
		for _, name := range []string{"a", "b", "plain"} {
			_, _ = conn.Exec(context.Background(), "DROP TABLE "+name)
		}
		_, _ = conn.Exec(context.Background(), "DROP SCHEMA atomically")
	})
	brokers := dialBrokers(t)
	ofB := journal(t, conn, "b")
	both := "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"

	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO a SELECT x, 'one' FROM generate_series(1, 20) g(x)")
	_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("1\n2\n"), "COPY b FROM STDIN")
	require.NoError(t, err)
	require.Equal(t, []string{"20|2"}, rows(t, conn, both))
	require.Equal(t, []string{"0|0"}, rows(t, other, both))
	exec(t, conn, "SAVEPOINT s")
	exec(t, conn, "INSERT INTO b VALUES (3)")
	exec(t, conn, "ROLLBACK TO s")
	exec(t, conn, "COMMIT")
	require.Equal(t, []string{"20|2"}, rows(t, other, both))
	require.Equal(t, []string{"20|2"}, rows(t, conn, both))
	said := records(t, brokers, ofB)
	require.Len(t, said, 1)
	require.Len(t, said[0].Journals, 5)

	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO a VALUES (100, 'never')")
	exec(t, conn, "ROLLBACK")
	require.Equal(t, []string{"20|2"}, rows(t, conn, both))
	cut := rows(t, conn, "SHOW broadsheet.last_cut")[0]

	// Statements by themselves, in both protocols, and what they return.
	exec(t, conn, "INSERT INTO b VALUES (DEFAULT)")
	require.Equal(t, []string{"8"}, rows(t, conn, "INSERT INTO b VALUES (8) RETURNING id"))
	told := rows(t, conn, "INSERT INTO a VALUES (21, 'x'), (22, NULL), (23, 'z'), (24, '\"'), (25, '') RETURNING id, _journal, _offset")
	require.Equal(t, told, rows(t, conn, "SELECT id, _journal, _offset FROM a WHERE id > 20 ORDER BY id"))
	told = rows(t, conn, "INSERT INTO b VALUES (9), (DEFAULT) RETURNING id, _offset")
	require.Equal(t, told, rows(t, conn, "SELECT id, _offset FROM (SELECT id, _offset FROM b ORDER BY _offset DESC LIMIT 2) x ORDER BY _offset"))
	require.Equal(t, []string{"25|6"}, rows(t, conn, both))
	require.Equal(t, []string{"25"}, rows(t, conn, "SELECT count(*) FROM a WHERE _timestamp BETWEEN now() - INTERVAL '1 hour' AND now() + INTERVAL '1 minute'"))
	require.Len(t, records(t, brokers, ofB), 4)
	require.Equal(t, []string{"20|2"}, rows(t, conn, "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b) AS OF CUT '"+cut+"'"))
	require.Empty(t, rows(t, conn, "SELECT reason FROM bs_catalog.rejects WHERE table_schema = 'atomically'"))

	// Not together with others.
	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO plain VALUES (1)")
	require.Equal(t, "0A000", blockCode(t, conn, "INSERT INTO a VALUES (1, 'mixed')"))
	exec(t, conn, "ROLLBACK")
	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO a VALUES (1, 'mixed')")
	require.Equal(t, "0A000", blockCode(t, conn, "INSERT INTO plain VALUES (1)"))
	exec(t, conn, "ROLLBACK")
	require.Equal(t, []string{"25|6"}, rows(t, conn, both))
	require.Equal(t, "42939", code(t, conn, `CREATE TABLE refused (_meta TEXT) WITH (transactional = true)`))
	require.Equal(t, "42939", code(t, conn, `ALTER TABLE b ADD COLUMN _meta TEXT`))
	require.Equal(t, "0A000", code(t, conn, `ALTER TABLE plain SET (transactional = true)`))
	require.Equal(t, "0A000", code(t, conn, `ALTER TABLE a SET (reads = 'all')`))
	exec(t, conn, "ALTER TABLE a ADD COLUMN w INT DEFAULT 5")
	require.Equal(t, []string{"25|125"}, rows(t, conn, "SELECT count(*), sum(w) FROM a"))

	// What others find a record of is finished before they look: here by a record that nobody has acknowledged.
	m := &messages{brokers: brokers, journal: ofB}
	lines := m.line(1, 1, 0)
	m.add(t, strings.Replace(lines, `"v":0`, `"id":1000`, 1))
	require.Equal(t, []string{"25|6"}, rows(t, conn, both))
	ack := m.line(1, 2, nil)
	var r atomic.Record
	require.NoError(t, r.Ack.UnmarshalText([]byte(strings.Split(ack, `"`)[5])))
	r.Journals = []string{ofB, "atomically/isnt.1/there"}
	line, err := r.AppendLine(nil)
	require.NoError(t, err)
	_, err = brokers.Append(t.Context(), client.AppendParams{Journal: "broadsheet/transactions"}, strings.NewReader(string(line)))
	require.NoError(t, err)
	require.Equal(t, []string{"25|7"}, rows(t, conn, both))
}
