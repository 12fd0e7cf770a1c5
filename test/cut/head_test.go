package cut

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// headTest asks a gateway of one table over journals of a fleet, which it remembers the heads of.
type headTest struct {
	*testing.T
	fleet   []*brokertest.Broker
	brokers *client.Client
	group   *task.Group
	conn    *pgx.Conn
}

// newHeadTest starts brokers, and a gateway.
func newHeadTest(t *testing.T, zones ...string) *headTest {
	t.Helper()
	h := &headTest{T: t, fleet: brokertest.NewFleet(t, brokertest.Config{Quiet: true, Adjust: func(c *broker.Config) {
		c.LeaseTTL, c.Grace = fleetLease, time.Second
	}}, zones...)}
	h.group = task.New(context.WithoutCancel(t.Context()), "head")
	t.Cleanup(func() {
		h.group.Cancel()
		require.NoError(t, h.group.Wait())
	})
	h.brokers = dial(t, h.fleet[0])
	h.conn = h.connect(startGateway(t, h.group, h.fleet[0], 0))
	return h
}

func (h *headTest) connect(url string) *pgx.Conn {
	h.Helper()
	conn, err := pgx.Connect(h.Context(), url)
	require.NoError(h, err)
	h.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// journal makes one of JSON lines in a store, if that isn't empty; as it is adjusted, if that isn't nil.
func (h *headTest) journal(name, store string, adjust func(*protocol.JournalSpec)) {
	h.Helper()
	s := brokertest.Spec(name)
	s.Labels = protocol.MustLabelSet("content-type", "application/x-ndjson")
	if store != "" {
		s.Fragment.Stores = []string{store}
	}
	if adjust != nil {
		adjust(s)
	}
	h.fleet[0].Create(s)
}

// remove a journal, wherever it is.
func (h *headTest) remove(name string) {
	h.Helper()
	found, err := h.brokers.GetJournal(h.Context(), name)
	require.NoError(h, err)
	_, err = h.brokers.Apply(h.Context(), []*protocol.ApplyRequest_Change{{Delete: name, ExpectModRevision: found.GetModRevision()}})
	require.NoError(h, err)
}

func (h *headTest) exec(sql string) {
	h.Helper()
	_, err := h.conn.Exec(h.Context(), sql)
	require.NoError(h, err, sql)
}

func (h *headTest) append(journal, lines string) {
	h.Helper()
	_, err := h.brokers.Append(h.Context(), client.AppendParams{Journal: journal}, strings.NewReader(lines))
	require.NoError(h, err)
}

// ids of the rows of a table, in their order.
func (h *headTest) ids(table string) []int64 {
	h.Helper()
	r, err := h.conn.Query(h.Context(), "SELECT id FROM "+table+" ORDER BY id")
	require.NoError(h, err)
	ids, err := pgx.CollectRows(r, pgx.RowTo[int64])
	require.NoError(h, err)
	return ids
}

// told is what EXPLAIN tells of how a table is read.
type told struct {
	inPlace, decoded, head int64 // rows
	hit, read              int64 // bytes of the head that were in the cache, and that weren't
	stored                 bool  // files are read in place
	fragments              int
}

var explained = regexp.MustCompile(`(?s)Fragments: (\d+) of .*Decoded: rows=(\d+) .*Head: rows=(\d+) .*Head cache: hit=(\d+) read=(\d+).*Read in place: rows=(\d+),`)

func (h *headTest) explain(conn *pgx.Conn, table string) told {
	h.Helper()
	r, err := conn.Query(h.Context(), "EXPLAIN (ANALYZE, BUFFERS) SELECT id FROM "+table)
	require.NoError(h, err)
	lines, err := pgx.CollectRows(r, pgx.RowTo[string])
	require.NoError(h, err)
	plan := strings.Join(lines, "\n")
	m := explained.FindStringSubmatch(plan)
	require.NotNil(h, m, plan)
	var n [6]int64
	for i := range n {
		n[i], err = strconv.ParseInt(m[i+1], 10, 64)
		require.NoError(h, err)
	}
	return told{
		fragments: int(n[0]), decoded: n[1], head: n[2], hit: n[3], read: n[4], inPlace: n[5], stored: strings.Contains(plan, "bytes of stored files"),
	}
}

// numbered are lines with the ids of [from, to).
func numbered(from, to int64) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"id":%d,"pad":"%s"}`+"\n", i, strings.Repeat("x", 50))
	}
	return b.String()
}

// hasNumbered checks that a table has the ids of [0, to), each once.
func (h *headTest) hasNumbered(table string, to int64) {
	h.Helper()
	ids := h.ids(table)
	require.Len(h, ids, int(to))
	for i, id := range ids {
		require.EqualValues(h, i, id)
	}
}

// hasCached: of a head that was just read nothing is read again, unless it begins earlier than it did: a broker that has taken
// over may not list the newest stored fragments yet.
func (h *headTest) hasCached(table string) {
	h.Helper()
	last := h.explain(h.conn, table)
	for last.read > 0 {
		now := h.explain(h.conn, table)
		require.True(h, now.read == 0 || now.head > last.head, "read twice: %+v, then %+v", last, now)
		last = now
	}
}

// TestHeadOfJournalMadeAgain: of a journal that is removed and made again under its name nothing is answered from what is
// remembered of the old one, though all offsets are the same.
func TestHeadOfJournalMadeAgain(t *testing.T) {
	h := newHeadTest(t, "a")
	h.journal("again/j/0", "file:///one/", nil)
	h.journal("again/messages/0", "file:///one/", nil)
	h.exec("CREATE TABLE again (id bigint) ON JOURNALS 'again/j/' FORMAT JSON")
	h.exec("CREATE TABLE messages (id bigint) ON JOURNALS 'again/messages/' FORMAT JSON WITH (reads = 'committed')")
	var ticker message.Ticker
	committed := func(id int64, f message.Flags) string {
		u := message.NewUUID(message.Producer{1}, ticker.Tick(), f)
		return fmt.Sprintf(`{"_meta":{"uuid":"%s"},"id":%d}`+"\n", u, id)
	}
	for round := range int64(3) {
		h.append("again/j/0", fmt.Sprintf(`{"id":%d}`+"\n", round+1))
		// What is a row of one is the row of another that isn't committed.
		flags := []message.Flags{message.OutsideTxn, message.ContinueTxn}
		h.append("again/messages/0", committed(10+round, flags[round%2])+committed(20+round, flags[(round+1)%2]))
		for range 2 {
			require.Equal(t, []int64{round + 1}, h.ids("again"))
			require.Equal(t, []int64{10 + round + 10*(round%2)}, h.ids("messages"))
		}
		told := h.explain(h.conn, "again")
		require.Positive(t, told.hit)
		require.Zero(t, told.read)
		for _, name := range []string{"again/j/0", "again/messages/0"} {
			h.remove(name)
			h.journal(name, fmt.Sprintf("file:///other%d/", round), nil)
			for head := int64(1); head > 0; { // the old one may answer for a moment
				b, err := h.brokers.Barrier(t.Context(), name)
				require.NoError(t, err)
				head = b.Head
			}
		}
		require.Empty(t, h.ids("again"))
	}
}

// TestHeadIsRightUnderRollAndPersist: while fragments are closed, stored and then read in place each row is in one place; a
// gateway that is started anew answers the same.
func TestHeadIsRightUnderRollAndPersist(t *testing.T) {
	h := newHeadTest(t, "a")
	h.journal("roll/j/0", "", func(s *protocol.JournalSpec) {
		s.Fragment.Length, s.Fragment.RefreshInterval = 2<<10, durationpb.New(time.Second)
	})
	h.exec("CREATE TABLE roll (id bigint) ON JOURNALS 'roll/j/' FORMAT JSON")
	rows := int64(0)
	rolled, persisted := false, false
	for last := (told{}); !rolled || !persisted; {
		h.append("roll/j/0", numbered(rows, rows+7))
		rows += 7
		h.hasNumbered("roll", rows)
		now := h.explain(h.conn, "roll")
		require.Equal(t, rows, now.inPlace+now.decoded+now.head, "%+v", now)
		require.Zero(t, now.read, "it was just read: %+v", now)
		rolled = rolled || now.fragments > last.fragments && now.head > last.head && last.fragments > 0
		persisted = persisted || now.stored && now.head < last.head && now.inPlace > last.inPlace
		last = now
	}
	other := h.connect(startGateway(t, h.group, h.fleet[0], 1))
	fresh := h.explain(other, "roll")
	require.Zero(t, fresh.hit, "%+v", fresh)
	require.Equal(t, rows, fresh.inPlace+fresh.decoded+fresh.head, "%+v", fresh)
	h.conn = other
	h.hasNumbered("roll", rows)
}

// TestHeadIsRightUnderReassignment: brokers that leave in order or are killed take nothing away of what is cached, and add
// nothing to it.
func TestHeadIsRightUnderReassignment(t *testing.T) {
	h := newHeadTest(t, "a", "b", "c")
	h.journal("moving/j/0", "", func(s *protocol.JournalSpec) { s.Replication = 2 })
	h.exec("CREATE TABLE moving (id bigint) ON JOURNALS 'moving/j/' FORMAT JSON")
	rows, moves := int64(0), 0
	members := func() []*protocol.ProcessSpec_ID {
		j, err := h.brokers.GetJournal(t.Context(), "moving/j/0")
		require.NoError(t, err)
		return j.GetRoute().GetMembers()
	}
	more := func() {
		h.append("moving/j/0", numbered(rows, rows+10))
		rows += 10
		h.hasNumbered("moving", rows)
	}
	more()
	for round := range 2 {
		for _, b := range h.fleet[1:] {
			before := members()
			if round == 0 {
				b.Stop()
			} else {
				b.Kill()
			}
			h.hasNumbered("moving", rows)
			more()
			h.hasCached("moving")
			if !slices.EqualFunc(before, members(), func(a, b *protocol.ProcessSpec_ID) bool { return a.GetZone() == b.GetZone() }) {
				moves++
			}
			b.Restart()
			more()
		}
	}
	require.Positive(t, moves, "the journal was never with others")
}
