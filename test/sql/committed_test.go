package sql_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/message"
)

// messages are appended to a journal by one producer after the other.
type messages struct {
	brokers *client.Client
	journal string
	ticker  message.Ticker
}

func dialBrokers(t *testing.T) *client.Client {
	t.Helper()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	t.Cleanup(func() { _ = brokers.Close() })
	return brokers
}

// line of a message, with a value of v.
func (m *messages) line(p byte, f message.Flags, v any) string {
	u := message.NewUUID(message.Producer{1, 0, 0, 0, 0, p}, m.ticker.Tick(), f)
	if f == message.AckTxn {
		return fmt.Sprintf(`{"_meta":{"uuid":"%s"}}`+"\n", u)
	}
	return fmt.Sprintf(`{"_meta":{"uuid":"%s"},"v":%v}`+"\n", u, v)
}

func (m *messages) add(t *testing.T, lines ...string) {
	t.Helper()
	_, err := m.brokers.Append(t.Context(), client.AppendParams{Journal: m.journal}, strings.NewReader(strings.Join(lines, "")))
	require.NoError(t, err)
}

// TestCommittedReads: a table of messages shows what is committed at the cut, each row once; a cut has the same
// answer for ever, and a subscription tells of rows once they are committed.
func TestCommittedReads(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(v INT NOT NULL) WITH (reads = 'committed', fragment_length = '1KiB')")
	m := &messages{brokers: dialBrokers(t), journal: journal(t, conn, name)}
	all := func(from string) []string { return rows(t, conn, "SELECT v FROM "+from+" ORDER BY v") }

	first, pending := m.line(1, message.OutsideTxn, 1), m.line(2, message.ContinueTxn, 2)
	m.add(t, first, pending, m.line(3, message.ContinueTxn, 3), `{"v":4}`+"\n", first, pending, m.line(2, message.ContinueTxn, `"no number"`))
	require.Equal(t, []string{"1", "4"}, all(name))
	require.Equal(t, []string{"2"}, rows(t, conn, "SELECT count(*) FROM "+name))
	require.Empty(t, rows(t, conn, "SELECT reason FROM bs_catalog.rejects WHERE table_name = $1", name), "it isn't committed")
	all(name)
	before := rows(t, conn, "SHOW broadsheet.last_cut")[0]

	other := connect(t)
	exec(t, other, "BEGIN")
	exec(t, other, "DECLARE c CURSOR FOR SUBSCRIBE TO "+name)
	require.Equal(t, []string{"1"}, rows(t, other, "FETCH 1 FROM c"))
	require.Equal(t, []string{"4"}, rows(t, other, "FETCH 1 FROM c"))
	require.Empty(t, rows(t, other, "FETCH 1 FROM c WITH (timeout = '10ms')"))

	ack := m.line(2, message.AckTxn, nil)
	m.add(t, ack, ack, m.line(3, message.OutsideTxn, 5)) // which rolls 3 back
	require.Equal(t, []string{"1", "2", "4", "5"}, all(name))
	require.Equal(t, []string{"2"}, rows(t, other, "FETCH 1 FROM c"))
	require.Equal(t, []string{"5"}, rows(t, other, "FETCH 1 FROM c"))
	require.Len(t, rows(t, conn, "SELECT reason FROM bs_catalog.rejects WHERE table_name = $1", name), 1, "it is committed")
	at := name + " AS OF CUT '" + before + "'"
	require.Equal(t, []string{"1", "4"}, all(at))

	exec(t, conn, "INSERT INTO "+name+" VALUES (6)")
	require.Equal(t, []string{"1", "2", "4", "5", "6"}, all(name))

	// Many transactions, beside one that is open for ever, and fragments that are stored meanwhile.
	m.add(t, m.line(4, message.ContinueTxn, -1))
	want := 5
	for i := range 40 {
		var lines []string
		for k := range 5 {
			lines = append(lines, m.line(5, message.ContinueTxn, 100+5*i+k))
		}
		m.add(t, append(lines, m.line(5, message.AckTxn, nil))...)
		want += 5
		require.Equal(t, []string{fmt.Sprint(want, "|", want)}, rows(t, conn, "SELECT count(*), count(DISTINCT _offset) FROM "+name))
	}
	for i := range 40 { // plain lines, of which whole fragments may be read in place
		m.add(t, strings.Repeat(fmt.Sprintf(`{"v":%d}`+"\n", 1000+i), 10))
		want += 10
	}
	require.Equal(t, []string{strconv.Itoa(want)}, rows(t, conn, "SELECT count(*) FROM "+name))
	require.Equal(t, []string{"1", "4"}, all(at))
	exec(t, other, "ROLLBACK")

	require.Equal(t, []string{"40|40"}, rows(t, conn, "SELECT count(_timestamp), count(DISTINCT _timestamp) FROM (SELECT DISTINCT ON (v / 5) _timestamp FROM "+
		name+" WHERE v BETWEEN 100 AND 299)"), "the clocks of messages are their times, which differ")
}

// TestCommittedReadsOfAnotherPlace: the UUID is where the table says; and what can't be is refused.
func TestCommittedReadsOfAnotherPlace(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(v INT, id UUID) WITH (reads = 'committed', uuid = '/id')")
	m := &messages{brokers: dialBrokers(t), journal: journal(t, conn, name)}
	line := func(f message.Flags, v int) string {
		return fmt.Sprintf(`{"id":"%s","v":%d}`+"\n", message.NewUUID(message.Producer{1}, m.ticker.Tick(), f), v)
	}
	m.add(t, line(message.ContinueTxn, 1))
	require.Empty(t, rows(t, conn, "SELECT v FROM "+name))
	m.add(t, line(message.AckTxn, 2))
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT v FROM "+name))

	require.Equal(t, "22023", code(t, conn, "CREATE TABLE refused (v INT) WITH (uuid = '/id')"))
	require.Equal(t, "22023", code(t, conn, "CREATE TABLE refused (v INT) WITH (reads = 'committed', uuid = 'id')"))
	require.Equal(t, "22023", code(t, conn, "CREATE TABLE refused (v INT) WITH (reads = 'some')"))
}
