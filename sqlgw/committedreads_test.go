package sqlgw

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message"
)

// messageLog is a journal of messages in memory, whose rows have their numbers as a.
type messageLog struct {
	memoryLog
	begins []int64
	uuids  []message.UUID
}

func (l *messageLog) say(u message.UUID) {
	l.begins = append(l.begins, int64(len(l.content)))
	l.uuids = append(l.uuids, u)
	if u.IsZero() {
		l.add(fmt.Sprintf(`{"a":%d}`, len(l.uuids)-1))
		return
	}
	l.add(fmt.Sprintf(`{"_meta":{"uuid":"%s"},"a":%d}`, u, len(l.uuids)-1))
}

// committedAt are the numbers of the rows at a cut, in the order in which they are committed.
func (l *messageLog) committedAt(t require.TestingT, cut int64) []int64 {
	type row struct{ at, number int64 }
	var rows []row
	var ledger message.Ledger
	pending := map[message.Producer][]int{}
	for i, u := range l.uuids {
		end := int64(len(l.content))
		if i+1 < len(l.begins) {
			end = l.begins[i+1]
		}
		if end > cut {
			break
		}
		d := ledger.Decide(l.begins[i], u)
		switch {
		case d.Outcome.Pends():
			pending[u.Producer()] = append(pending[u.Producer()], i)
			continue
		case d.Outcome == message.AckCommit:
			for _, k := range pending[u.Producer()] {
				if l.uuids[k].Clock() <= d.Through {
					rows = append(rows, row{end, int64(k)})
				}
			}
			delete(pending, u.Producer())
		case d.Outcome == message.OutsideRollback:
			delete(pending, u.Producer())
			rows = append(rows, row{end, int64(i)})
		case d.Outcome.Delivers() && (u.IsZero() || u.Flags() != message.AckTxn):
			rows = append(rows, row{end, int64(i)})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.number, b.number)) })
	out := []int64{}
	for _, r := range rows {
		out = append(out, r.number)
	}
	return out
}

func drawMessages(t *rapid.T) *messageLog {
	l := new(messageLog)
	for range rapid.IntRange(1, 60).Draw(t, "lines") {
		p := message.Producer{1, 0, 0, 0, 0, byte(rapid.IntRange(0, 2).Draw(t, "producer"))}
		u := message.NewUUID(p, message.Clock(rapid.IntRange(1, 12).Draw(t, "clock")), rapid.SampledFrom([]message.Flags{0, 1, 1, 1, 1, 2, 2}).Draw(t, "flags"))
		if rapid.IntRange(0, 9).Draw(t, "whether it is plain") == 0 {
			u = message.UUID{}
		}
		l.say(u)
	}
	return l
}

func messageSchema() columnar.Schema {
	s := testSchema()
	s.Messages = "/_meta/uuid"
	return s
}

// TestTailOfMessagesMeetsModel: rows come when they are committed, each once, however little is held of those that
// wait.
func TestTailOfMessagesMeetsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawMessages(t)
		var got []int64
		x := &tailer{journal: "j", schema: messageSchema(), buf: make([]byte, 0, tailChunk), emit: func(b *columnar.Batch) error {
			got = append(got, b.Cols[0].I64...)
			return nil
		}}
		c, err := newCommittedTail("j", l.open, x.schema, x.decode)
		require.NoError(t, err)
		c.room = rapid.IntRange(0, 300).Draw(t, "room")
		x.lines = func(lines []byte, at int64) error { return c.take(t.Context(), lines, at) }
		var r io.Reader = bytes.NewReader(l.content)
		if rapid.Bool().Draw(t, "whether it comes slowly") {
			r = iotest.OneByteReader(r)
		}
		require.ErrorIs(t, x.run(t.Context(), r), io.ErrUnexpectedEOF)
		require.Equal(t, l.committedAt(t, int64(len(l.content))), append([]int64{}, got...))
		for p := range c.held {
			c.drop(p)
		}
		require.Zero(t, c.parts+c.text)
	})
}

// TestCommittedRowsAtACut: whatever the index has been asked before, and whatever was dropped for others, the rows at a cut
// are the model's.
func TestCommittedRowsAtACut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := map[string]*messageLog{"a": drawMessages(t), "b": drawMessages(t)}
		open := func(name string) *messageLog { return logs[name] }
		c := newCommits(nil, rapid.Int64Range(1, 2000).Draw(t, "limit"))
		for range rapid.IntRange(1, 10).Draw(t, "queries") {
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "journal")
			l := open(name)
			c.open = l.open
			cut := rapid.Int64Range(0, int64(len(l.content))).Draw(t, "cut")
			if rapid.IntRange(0, 4).Draw(t, "whether it fails") == 0 {
				l.fail = errors.New("broken")
			}
			h, err := c.holes(t.Context(), indexKey{journal: name, pointer: "/_meta/uuid"}, 0, cut)
			if l.fail != nil {
				l.fail = nil
				continue
			}
			require.NoError(t, err)
			var got []int64
			sc := columnar.NewScanner(bytes.NewReader(l.content[:cut]), columnar.ScanOptions{End: cut, Schema: messageSchema(), BatchRows: 7})
			for {
				b, _, err := sc.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				if b = rowsBeside(b, h); b.Len > 0 {
					got = append(got, b.Cols[0].I64...)
				}
			}
			want := l.committedAt(t, cut)
			slices.Sort(want)
			require.Equal(t, want, append([]int64{}, got...))
		}
	})
}

// TestIndexOfWhoBeganEarlier: a statement that reads a journal from further below than the one that the index was made for
// sees no more rows there.
func TestIndexOfWhoBeganEarlier(t *testing.T) {
	l := new(messageLog)
	p := message.Producer{1}
	l.say(message.NewUUID(p, 1, message.ContinueTxn)) // is open
	l.say(message.UUID{})
	l.say(message.UUID{})
	end, key := int64(len(l.content)), indexKey{pointer: "/_meta/uuid"}
	c := newCommits(l.open, 1<<20)
	h, err := c.holes(t.Context(), key, l.begins[1], end)
	require.NoError(t, err)
	require.False(t, h.Within(0, end))
	h, err = c.holes(t.Context(), key, 0, end)
	require.NoError(t, err)
	require.True(t, h.Within(0, l.begins[1]))
}

// TestIndexesAreBounded: those of journals that have no open lines, too.
func TestIndexesAreBounded(t *testing.T) {
	l := new(messageLog)
	l.say(message.UUID{})
	c := newCommits(l.open, 16<<10)
	for i := range 1000 {
		_, err := c.holes(t.Context(), indexKey{journal: strconv.Itoa(i), pointer: "/_meta/uuid"}, 0, int64(len(l.content)))
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(c.known), 32)
	require.LessOrEqual(t, c.bytes, c.limit)
}

// TestPiecesWithOpenLinesAreDecoded, and others stay in place.
func TestPiecesWithOpenLinesAreDecoded(t *testing.T) {
	l := new(messageLog)
	p := message.Producer{1}
	l.say(message.UUID{})
	l.say(message.NewUUID(p, 1, message.ContinueTxn))
	l.say(message.UUID{})
	l.say(message.UUID{})
	end := int64(len(l.content))
	h, err := newCommits(l.open, 1<<20).holes(t.Context(), indexKey{pointer: "/_meta/uuid"}, 0, end)
	require.NoError(t, err)
	files := storedFragment{}.Fragment
	in := []piece{{0, l.begins[1], &files}, {l.begins[1], l.begins[2], &files}, {l.begins[2], l.begins[3], nil}, {l.begins[3], end, &files}}
	require.Equal(t, []piece{in[0], {l.begins[1], l.begins[3], nil}, in[3]}, besideHoles(in, h))
}
