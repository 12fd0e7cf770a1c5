package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
)

// fakeJournals are journals that take appends, and fail where a test wants it.
type fakeJournals struct {
	content map[string]string
	opened  int
	open    int              // appends that were neither committed nor aborted
	fail    map[string]error // by "open j", "write j" or "commit j"
}

func (f *fakeJournals) append(_ context.Context, journal string) (appender, error) {
	if err := f.fail["open "+journal]; err != nil {
		return nil, err
	}
	f.opened++
	f.open++
	return &fakeAppend{journals: f, journal: journal}, nil
}

type fakeAppend struct {
	journals *fakeJournals
	journal  string
	text     strings.Builder
	ended    bool
}

func (a *fakeAppend) Write(p []byte) (int, error) {
	if err := a.journals.fail["write "+a.journal]; err != nil {
		return 0, err
	}
	return a.text.Write(p)
}

func (a *fakeAppend) end() {
	if !a.ended {
		a.ended = true
		a.journals.open--
	}
}

func (a *fakeAppend) Commit() (*protocol.AppendResponse, error) {
	defer a.end()
	if err := a.journals.fail["commit "+a.journal]; err != nil {
		return nil, err
	}
	a.journals.content[a.journal] += a.text.String()
	return &protocol.AppendResponse{}, nil
}

func (a *fakeAppend) Abort() { a.end() }

func newFakeJournals() *fakeJournals {
	return &fakeJournals{content: map[string]string{}, fail: map[string]error{}}
}

// sinkTable has a key by which its rows are spread.
func sinkTable(partitionBy string) catalog.Table {
	return catalog.Table{
		Schema: "shop", Name: "orders", Options: catalog.Options{PartitionBy: partitionBy},
		Columns: []catalog.Column{
			{ID: 1, Name: "id", Type: columnar.Type{Kind: columnar.Int64}, NotNull: true},
			{ID: 2, Name: "item", Type: columnar.Type{Kind: columnar.Text}},
		},
	}
}

func sinkBatch(ids ...int64) *columnar.Batch {
	id, item := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Int64}), columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
	for _, n := range ids {
		if n < 0 {
			id.AppendNull()
		} else {
			id.AppendInt64(n)
		}
		item.AppendString(fmt.Sprint("item ", n))
	}
	return &columnar.Batch{Len: len(ids), Cols: []columnar.Vector{id.Vector(), item.Vector()}}
}

func line(id int64) string { return fmt.Sprintf("{\"id\":%d,\"item\":\"item %d\"}\n", id, id) }

// keyJournal is where a key belongs, by the rule that is promised.
func keyJournal(journals []string, key string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return journals[h.Sum32()%uint32(len(journals))]
}

func TestSinkSpreadsRowsByTheirKey(t *testing.T) {
	f := newFakeJournals()
	journals := []string{"j/0", "j/1", "j/2"}
	s, err := newRowSink(sinkTable("id"), journals, []int{0, 1}, f.append)
	require.NoError(t, err)
	want := map[string]string{}
	for from := int64(0); from < 50; from += 10 {
		var ids []int64
		for id := from; id < from+10; id++ {
			ids = append(ids, id)
			want[keyJournal(journals, strconv.FormatInt(id, 10))] += line(id)
		}
		require.NoError(t, s.add(t.Context(), sinkBatch(ids...)))
	}
	require.Empty(t, f.content, "nothing is there before the commit")
	require.NoError(t, s.commit())
	s.abort()
	require.Equal(t, want, f.content)
	require.Equal(t, 3, f.opened, "one append for each journal")
	require.Zero(t, f.open)
	require.Equal(t, int64(50), s.rows)
}

func TestSinkWithoutAKeyIsAtomic(t *testing.T) {
	f := newFakeJournals()
	s, err := newRowSink(sinkTable(""), []string{"a", "b", "c", "d"}, []int{0, 1}, f.append)
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, s.add(t.Context(), sinkBatch(1, 2, 3)))
	}
	require.NoError(t, s.commit())
	require.Len(t, f.content, 1)
	all := slices.Collect(maps.Values(f.content))
	require.Equal(t, strings.Repeat(line(1)+line(2)+line(3), 5), all[0])
}

// TestSinkRowsWithoutAKey: rows whose key is NULL, or not given, are together.
func TestSinkRowsWithoutAKey(t *testing.T) {
	f := newFakeJournals()
	table := sinkTable("item")
	journals := []string{"j/0", "j/1", "j/2"}
	s, err := newRowSink(table, journals, []int{0}, f.append)
	require.NoError(t, err)
	b := sinkBatch(1, 2)
	b.Cols = b.Cols[:1]
	require.NoError(t, s.add(t.Context(), b))
	require.NoError(t, s.commit())
	require.Equal(t, map[string]string{keyJournal(journals, ""): "{\"id\":1}\n{\"id\":2}\n"}, f.content)
}

func TestSinkRefusesNulls(t *testing.T) {
	f := newFakeJournals()
	_, err := newRowSink(sinkTable(""), []string{"j"}, []int{1}, f.append)
	text := "23502: null value in column \"id\" of relation \"orders\" violates not-null constraint\n  schema: shop\n  table: orders\n  column: id\n"
	require.Equal(t, text, errorText(err), "a column that isn't given")

	s, err := newRowSink(sinkTable(""), []string{"j"}, []int{0, 1}, f.append)
	require.NoError(t, err)
	require.NoError(t, s.add(t.Context(), sinkBatch(1)))
	err = s.add(t.Context(), sinkBatch(2, -1))
	require.Equal(t, text, errorText(err))
	s.abort()
	require.Empty(t, f.content)
	require.Zero(t, f.open)
}

func TestSinkNeedsAJournal(t *testing.T) {
	_, err := newRowSink(sinkTable(""), nil, []int{0, 1}, newFakeJournals().append)
	require.Contains(t, errorText(err), "55000")
}

// TestSinkThatFailsEarlyLeavesNothing: until the first commit, whatever fails leaves nothing.
func TestSinkThatFailsEarlyLeavesNothing(t *testing.T) {
	away := errors.New("the broker is away")
	journals := []string{"j/0", "j/1", "j/2"}
	for _, step := range []string{"open", "write", "commit"} {
		f := newFakeJournals()
		f.fail[step+" j/0"] = away
		s, err := newRowSink(sinkTable("id"), journals, []int{0, 1}, f.append)
		require.NoError(t, err)
		err = s.add(t.Context(), sinkBatch(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
		if err == nil {
			err = s.commit()
		}
		s.abort()
		require.ErrorIs(t, err, away, step)
		require.NotContains(t, errorText(err), "40003")
		require.Empty(t, f.content, step)
		require.Zero(t, f.open, step)
	}
}

// TestSinkWritesLongStatementsAsTheyCome: what is gathered for a journal is bounded.
func TestSinkWritesLongStatementsAsTheyCome(t *testing.T) {
	f := newFakeJournals()
	s, err := newRowSink(sinkTable(""), []string{"j"}, []int{0, 1}, f.append)
	require.NoError(t, err)
	const rows = 40_000
	for i := range int64(rows) {
		require.NoError(t, s.add(t.Context(), sinkBatch(i)))
		for _, p := range s.parts {
			require.Less(t, len(p.buf), sinkBuffer)
		}
	}
	require.NoError(t, s.commit())
	require.Equal(t, rows, strings.Count(f.content["j"], "\n"))
}

// TestSinkNamesWhatItDid: once an append was made, or may have been, the error says which.
func TestSinkNamesWhatItDid(t *testing.T) {
	for name, c := range map[string]struct {
		fail   map[string]error
		made   []string
		detail string
	}{
		"the second fails": {
			map[string]error{"commit j/1": errors.New("no quorum")},
			[]string{"j/0"},
			"appended to: j/0; not appended to: j/1, j/2.",
		},
		"the second is unknown": {
			map[string]error{"commit j/1": fmt.Errorf("stream broke: %w", client.ErrUnknownOutcome)},
			[]string{"j/0"},
			"appended to: j/0; unknown whether appended to: j/1; not appended to: j/2.",
		},
		"the first is unknown": {
			map[string]error{"commit j/0": client.ErrUnknownOutcome},
			nil,
			"unknown whether appended to: j/0; not appended to: j/1, j/2.",
		},
		"the last is unknown": {
			map[string]error{"commit j/2": client.ErrUnknownOutcome},
			[]string{"j/0", "j/1"},
			"appended to: j/0, j/1; unknown whether appended to: j/2.",
		},
	} {
		f := newFakeJournals()
		f.fail = c.fail
		s, err := newRowSink(sinkTable("id"), []string{"j/0", "j/1", "j/2"}, []int{0, 1}, f.append)
		require.NoError(t, err)
		require.NoError(t, s.add(t.Context(), sinkBatch(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)))
		err = s.commit()
		e, ok := errors.AsType[*pgwire.Error](err)
		require.True(t, ok, name)
		require.Equal(t, "40003", e.Code, name)
		require.Equal(t, c.detail, e.Detail, name)
		require.ElementsMatch(t, c.made, slices.Collect(maps.Keys(f.content)), name)
		require.Zero(t, f.open, name)

		// The end of the statement's time doesn't hide it.
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTimeout)
		require.Contains(t, errorText(statementError(ctx, err)), "40003", name)
	}
}

// TestSinkTellsWhatTheBrokerSaid: refusals have codes of their own.
func TestSinkTellsWhatTheBrokerSaid(t *testing.T) {
	for said, code := range map[protocol.Status]string{
		protocol.Status_JOURNAL_NOT_FOUND: "42P01", protocol.Status_NOT_ALLOWED: "25006", protocol.Status_INSUFFICIENT_JOURNAL_BROKERS: "57P03",
	} {
		f := newFakeJournals()
		f.fail["open j"] = &protocol.StatusError{Status: said}
		s, err := newRowSink(sinkTable(""), []string{"j"}, []int{0, 1}, f.append)
		require.NoError(t, err)
		require.Contains(t, errorText(s.add(t.Context(), sinkBatch(1))), code+": ")
	}
}

// TestSinkTellsOfAFullDisk: that a broker has no room is told as PostgreSQL tells of its own, if nothing was appended.
func TestSinkTellsOfAFullDisk(t *testing.T) {
	for text, code := range map[string]string{"write x.log: no space left on device": "53100", "too many streams": "rpc error"} {
		f := newFakeJournals()
		f.fail["open j"] = fmt.Errorf("append to j: %w", status.Error(codes.ResourceExhausted, text))
		s, err := newRowSink(sinkTable(""), []string{"j"}, []int{0, 1}, f.append)
		require.NoError(t, err)
		require.Contains(t, errorText(s.add(t.Context(), sinkBatch(1))), code)
	}
}
