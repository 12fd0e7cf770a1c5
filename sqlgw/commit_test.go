package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

// appended are journals in memory, some of which fail.
type appended struct {
	journals map[string]string
	fails    map[string]error
	order    []string
}

func (a *appended) whole(_ context.Context, journal string, body io.Reader) error {
	a.order = append(a.order, journal)
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if err := a.fails[journal]; err != nil {
		return err
	}
	a.journals[journal] += string(content)
	return nil
}

// TestCommitTellsWhatWasAppended: journals are appended to in the order of their names, none after one
// that failed, and the error tells of each what is known.
func TestCommitTellsWhatWasAppended(t *testing.T) {
	refused := &protocol.StatusError{Status: protocol.Status_NOT_ALLOWED, Journal: "j"}
	for _, c := range []struct {
		name         string
		fails        map[string]error
		made         []string
		code, detail string
	}{
		{name: "all", made: []string{"a", "b", "c"}},
		{name: "none", fails: map[string]error{"a": refused}, code: "25006"},
		{name: "some", fails: map[string]error{"b": refused}, made: []string{"a"}, code: "40003", detail: "appended to: a; not appended to: b, c."},
		{
			name: "the first is unknown", fails: map[string]error{"a": fmt.Errorf("%w: gone", client.ErrUnknownOutcome)},
			code: "40003", detail: "unknown whether appended to: a; not appended to: b, c.",
		},
		{
			name: "the last is unknown", fails: map[string]error{"c": fmt.Errorf("%w: gone", client.ErrUnknownOutcome)}, made: []string{"a", "b"},
			code: "40003", detail: "appended to: a, b; unknown whether appended to: c.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			stage, err := staging.New(staging.Config{Dir: t.TempDir(), Limit: 1 << 20, Memory: 4})
			require.NoError(t, err)
			defer stage.Close()
			for _, j := range []string{"c", "a", "b", "a"} {
				require.NoError(t, stage.Append(j, []byte("row of "+j+"\n")))
			}
			to := &appended{journals: map[string]string{}, fails: c.fails}
			err = appendStage(t.Context(), stage, to.whole)
			require.Equal(t, c.made, slices.Sorted(maps.Keys(to.journals)))
			require.True(t, slices.IsSorted(to.order))
			if c.code == "" {
				require.NoError(t, err)
				require.Equal(t, "row of a\nrow of a\n", to.journals["a"])
				return
			}
			var e *pgwire.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.detail, e.Detail)
		})
	}
}

// TestTransactionIsBounded: what doesn't fit is refused with its reason, and leaves nothing held.
func TestTransactionIsBounded(t *testing.T) {
	g := &Gateway{cfg: Config{Transaction: 1000, Transactions: 1500}, office: newPostOffice(), roster: newRoster()}
	g.staging = stagingConfig(&g.cfg)
	s, other := g.testSession(), g.testSession()
	write := func(s *session, n int) error {
		a, err := s.openAppend(t.Context(), "j")
		require.NoError(t, err)
		_, err = a.Write(make([]byte, n))
		return err
	}
	var e *pgwire.Error
	require.NoError(t, write(s, 800))
	require.ErrorAs(t, write(s, 800), &e)
	require.Equal(t, "53400", e.Code)
	require.ErrorAs(t, write(other, 800), &e)
	require.Equal(t, "53400", e.Code)
	require.Contains(t, e.Message, "all open transactions together")
	s.Close()
	require.NoError(t, write(other, 800))
	other.Failed()
	require.Nil(t, other.tx)
	require.Zero(t, g.staging.Budget.Used())
}

// TestOneCutOfATransaction: the journals that a statement wants have to answer; others may not, and
// are missed when they are wanted.
func TestOneCutOfATransaction(t *testing.T) {
	heads := map[string]int64{"a": 5, "b": 7}
	head := func(_ context.Context, journal string) (int64, error) {
		if h, ok := heads[journal]; ok {
			return h, nil
		}
		return 0, errors.New("away")
	}
	all := []string{"a", "b", "c"}
	_, err := fixTransactionCut(t.Context(), []string{"c"}, all, head)
	require.ErrorContains(t, err, "cut of journal c: away")
	at, err := fixTransactionCut(t.Context(), []string{"a", "a"}, all, head)
	require.NoError(t, err)
	heads["a"], heads["c"], heads["d"] = 6, 1, 1
	got, err := at.of([]string{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, cut{"a": 5, "b": 7}, got)
	for journal, why := range map[string]string{"c": "didn't answer: away", "d": "was made after"} {
		var e *pgwire.Error
		_, err = at.of([]string{"a", journal})
		require.ErrorAs(t, err, &e)
		require.Equal(t, "40001", e.Code)
		require.Contains(t, e.Message, why)
	}
}

// TestTransactionCutOfAStatementThatIsEnded: the cut isn't fixed then, without the journals that hadn't answered yet.
func TestTransactionCutOfAStatementThatIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := fixTransactionCut(ctx, []string{"a"}, []string{"a", "b"}, func(ctx context.Context, journal string) (int64, error) {
		if journal == "a" {
			return 1, nil
		}
		cancel()
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	require.ErrorIs(t, err, context.Canceled)
}

// TestWatchedJournalsAreCounted: those too that a table gets while it is watched.
func TestWatchedJournalsAreCounted(t *testing.T) {
	w := newTableWatches(nil)
	e := &tableEar{table: catalog.Table{ID: 7}}
	e.watch = &tableWatch{watches: w, read: catalog.Read{ID: 7}, ears: map[*tableEar]bool{e: true}, group: task.New(t.Context(), "watch"), count: 2}
	w.byTable[7], w.journals = e.watch, 2
	w.grow(e.watch)
	require.NoError(t, w.admit(catalog.Table{ID: 8}, maxWatched-3))
	require.Error(t, w.admit(catalog.Table{ID: 8}, maxWatched-2))
	w.leave(e)
	require.Zero(t, w.journals)
	w.grow(e.watch)
	require.Zero(t, w.journals)
}
