package sqlgw

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// flushed is a sink that tells how many rows were flushed.
type flushed struct {
	discarded
	seen chan int
}

func (f *flushed) Flush() error {
	f.seen <- f.rows
	return nil
}

func (f *flushed) CopyData([]byte) error {
	f.rows++
	return nil
}

func (f *flushed) EndCopyOut() error { return nil }

// slow is what the engine reads: a few batches, and one more row only once more is closed.
type slow struct {
	few  int
	more <-chan struct{}
}

func (s *slow) Next(ctx context.Context) (*columnar.Batch, error) {
	if s.few--; s.few >= 0 {
		return numbers(2048), nil
	}
	if s.few < -1 {
		return nil, io.EOF
	}
	select {
	case <-s.more:
		return numbers(1), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *slow) Close() error { return nil }

// slowQuery begins a query of what is slow, as if it read tables.
func slowQuery(t *testing.T, more <-chan struct{}) (*Gateway, *queryExecution) {
	t.Helper()
	g := engineGateway(t, 2, nil)
	s := g.testSession()
	pieces, err := parse.Split("SELECT 1")
	require.NoError(t, err)
	parsed, err := parse.Parse(pieces[0])
	require.NoError(t, err)
	columns := testSchema().Columns
	token := g.scans.add(duck.Scan{Columns: columns, Open: func(context.Context, []int) (duck.Source, error) {
		return &slow{few: fewChunks, more: more}, nil
	}})
	e := &queryExecution{query: &query{session: s, parsed: parsed.(*parse.Select)}, tokens: []string{token}}
	t.Cleanup(e.close)
	e.turn, err = s.newTurn()
	require.NoError(t, err)
	require.NoError(t, e.turn.take(t.Context()))
	require.NoError(t, e.start(t.Context(), readScan(token, columns), &columnar.Batch{Len: 1}))
	e.presenter = presenter{types: g.tell(e.rows.Columns(), nil)}
	e.leave()
	return g, e
}

// fewChunks are so many that the engine gives some away before it has more, see duck's runAhead.
const fewChunks = 8

// TestRowsAreSentWhileTheEngineIsSlow: those that were made don't wait for the others, in both forms.
func TestRowsAreSentWhileTheEngineIsSlow(t *testing.T) {
	for name, send := range map[string]func(ctx context.Context, e *queryExecution, w *flushed) error{
		"select": func(ctx context.Context, e *queryExecution, w *flushed) error {
			_, err := e.run(ctx, w, 0)
			return err
		},
		"copy": func(ctx context.Context, e *queryExecution, w *flushed) error {
			c := &copyWriter{columns: []pgwire.Column{{Name: "a"}}, format: newCopyEncoder(parse.CopyOptions{Delimiter: '\t'}, []bool{false}, e.told())}
			return c.copy(ctx, w, e)
		},
	} {
		t.Run(name, func(t *testing.T) {
			more := make(chan struct{})
			_, e := slowQuery(t, more)
			w := &flushed{seen: make(chan int, 1000)}
			done := make(chan error, 1)
			go func() { done <- send(t.Context(), e, w) }()
			for n := 0; n == 0; { // it may be slow before it has any, under load
				n = <-w.seen
			}
			close(more)
			require.NoError(t, <-done)
			require.Equal(t, fewChunks*2048+1, w.rows)
		})
	}
}

// stuck is a sink whose client doesn't read: a flush of rows waits until release is closed, or ctx ends.
type stuck struct {
	discarded
	begun   chan struct{}
	once    sync.Once
	release chan struct{}
	failed  error
}

func (s *stuck) Flush() error {
	if s.rows == 0 {
		return nil
	}
	s.once.Do(func() { close(s.begun) })
	<-s.release
	return s.failed
}

// TestFlushThatIsStuckHoldsNoTurn: while rows are sent to a client that doesn't read them the engine goes on, and when it is done the
// query is away from it.
func TestFlushThatIsStuckHoldsNoTurn(t *testing.T) {
	more := make(chan struct{})
	g, e := slowQuery(t, more)
	w := &stuck{begun: make(chan struct{}), release: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		_, err := e.run(t.Context(), w, 0)
		done <- err
	}()
	<-w.begun
	close(more)
	require.Eventually(t, func() bool {
		g.turns.mu.Lock()
		defer g.turns.mu.Unlock()
		return len(g.turns.away) == 1
	}, time.Minute, time.Millisecond)
	close(w.release)
	require.NoError(t, <-done)
	require.Equal(t, fewChunks*2048+1, w.rows)
	e.close()
	requireNothingHeld(t, g)
}

// TestEndOfAStuckFlush: a client that goes away ends the query, however long the engine would have taken.
func TestEndOfAStuckFlush(t *testing.T) {
	g, e := slowQuery(t, nil)
	gone := errors.New("the client is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &stuck{begun: make(chan struct{}), release: make(chan struct{}), failed: gone}
	done := make(chan error, 1)
	go func() {
		_, err := e.run(ctx, w, 0)
		done <- err
	}()
	<-w.begun
	cancel(gone) // as pgwire does, before the write fails
	close(w.release)
	require.ErrorIs(t, <-done, gone)
	requireNothingHeld(t, g)
}
