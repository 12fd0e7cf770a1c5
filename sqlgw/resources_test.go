package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// discarded takes rows and drops them, until it is full.
type discarded struct {
	pgwire.ResultWriter
	rows, most int
	full       error
}

func (d *discarded) Row(int) pgwire.RowWriter { return d }
func (d *discarded) Binary(int) bool          { return false }
func (d *discarded) Null()                    {}
func (d *discarded) Begin() []byte            { return nil }
func (d *discarded) Put([]byte)               {}
func (d *discarded) Complete(string)          {}
func (d *discarded) Flush() error             { return nil }
func (d *discarded) End() error {
	d.rows++
	if d.full != nil && d.rows >= d.most {
		return d.full
	}
	return nil
}

// engineGateway is a gateway without brokers, whose relation test.source has rows by rows.
func engineGateway(t *testing.T, queries int, rows func(ctx context.Context, add func(*columnar.Batch) error) error) *Gateway {
	t.Helper()
	engine, err := duck.Open(t.Context(), duck.Config{Threads: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close(), "the engine still holds something") })
	g := &Gateway{
		cfg: Config{Engine: engine, Database: "postgres", Logger: slog.New(slog.DiscardHandler)}, scans: newScanRegistry(),
		views: map[viewName]*systemView{}, turns: newTurns(queries, queries), office: newPostOffice(), roster: newRoster(),
	}
	g.parsing = newParsing(1<<30, g.breakDown)
	require.NoError(t, g.addCatalog())
	g.views[viewName{"test", "source"}] = &systemView{
		schema: "test", name: "source", columns: testSchema().Columns,
		rows: func(ctx context.Context, _ viewState, add func(*columnar.Batch) error) error { return rows(ctx, add) },
	}
	require.NoError(t, engine.RegisterScan(scanFunction, g.scans.bind))
	return g
}

type noParameters struct{}

func (noParameters) SetParameter(string, string) {}

func (g *Gateway) testSession() *session {
	return &session{gateway: g, settings: newSettings(noParameters{}), activity: newActivity(pgwire.Startup{}), locks: newLockHolder(newLockTable(), 0)}
}

// ask makes a query of a text, and begins it as if it read tables.
func (s *session) testQuery(ctx context.Context, sql string) (*queryExecution, error) {
	pieces, err := parse.Split(sql)
	if err != nil {
		return nil, err
	}
	parsed, err := parse.Parse(pieces[0])
	if err != nil {
		return nil, err
	}
	q := &query{session: s, parsed: parsed.(*parse.Select)}
	if q.sources, err = s.resolveAll(nil, q.parsed); err != nil {
		return nil, err
	}
	if err := q.describe(ctx, nil, nil); err != nil {
		return nil, err
	}
	e := &queryExecution{query: q, state: s.viewState(nil)}
	if e.turn, err = s.newTurn(); err == nil {
		err = e.turn.take(ctx)
	}
	if err == nil {
		err = e.begin(ctx, nil, &columnar.Batch{Len: 1})
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// requireNothingHeld: no connection, scan or turn is held.
func requireNothingHeld(t *testing.T, g *Gateway) {
	t.Helper()
	require.Zero(t, g.open.Load(), "connections")
	require.Empty(t, g.scans.scans, "scans")
	g.turns.mu.Lock()
	defer g.turns.mu.Unlock()
	require.Zero(t, g.turns.held, "turns")
	require.Zero(t, g.turns.open, "places")
	require.Zero(t, g.turns.leaving)
	require.Empty(t, g.turns.waiting)
	require.Empty(t, g.turns.away)
}

func numbers(n int) *columnar.Batch {
	v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Int64})
	for i := range n {
		v.AppendInt64(int64(i))
	}
	return &columnar.Batch{Len: n, Cols: []columnar.Vector{v.Vector()}}
}

// TestNothingIsHeldAfterAStorm runs queries that end in every way there is, together.
func TestNothingIsHeldAfterAStorm(t *testing.T) {
	const queries = 3
	away, gone := errors.New("the broker is away"), errors.New("the client is gone")
	g := engineGateway(t, queries, func(ctx context.Context, add func(*columnar.Batch) error) error {
		for range 200 {
			if err := add(numbers(1000)); err != nil {
				return err
			}
		}
		return nil
	})
	g.views[viewName{"test", "broken"}] = &systemView{
		schema: "test", name: "broken", columns: testSchema().Columns,
		rows: func(_ context.Context, _ viewState, add func(*columnar.Batch) error) error {
			return errors.Join(add(numbers(10)), away)
		},
	}
	endings := map[string]func(ctx context.Context, s *session) error{
		"whole": func(ctx context.Context, s *session) error {
			e, err := s.testQuery(ctx, "SELECT * FROM test.source")
			if err != nil {
				return err
			}
			_, err = e.run(ctx, &discarded{}, 0)
			return err // not even closed
		},
		"part": func(ctx context.Context, s *session) error {
			e, err := s.testQuery(ctx, "SELECT * FROM test.source")
			if err != nil {
				return err
			}
			defer e.close()
			_, err = e.run(ctx, &discarded{}, 10)
			return err
		},
		"never run": func(ctx context.Context, s *session) error {
			e, err := s.testQuery(ctx, "SELECT * FROM test.source, test.source b")
			if err == nil {
				e.close()
				e.close()
			}
			return err
		},
		"client gone": func(ctx context.Context, s *session) error {
			e, err := s.testQuery(ctx, "SELECT * FROM test.source")
			if err != nil {
				return err
			}
			if _, err = e.run(ctx, &discarded{most: 2500, full: gone}, 0); !errors.Is(err, gone) {
				return fmt.Errorf("no: %w", err)
			}
			return nil
		},
		"cancelled": func(ctx context.Context, s *session) error {
			ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			e, err := s.testQuery(ctx, "SELECT count(*) FROM test.source a, test.source b, test.source c WHERE a.a + b.a + c.a < 0")
			if err == nil {
				defer e.close()
				_, err = e.run(ctx, &discarded{}, 0)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("no: %w", err)
			}
			return nil
		},
		"refused by the engine": func(ctx context.Context, s *session) error {
			if _, err := s.testQuery(ctx, "SELECT a + 'x'::date FROM test.source"); err == nil {
				return errors.New("it wasn't")
			}
			return nil
		},
		"broken source": func(ctx context.Context, s *session) error {
			e, err := s.testQuery(ctx, "SELECT * FROM test.broken")
			if err == nil {
				_, err = e.run(ctx, &discarded{}, 0)
			}
			if !errors.Is(err, away) {
				return fmt.Errorf("no: %w", err)
			}
			return nil
		},
	}
	var all sync.WaitGroup
	failures := make(chan error, 1000)
	for name, end := range endings {
		for range 6 {
			all.Go(func() {
				if err := end(context.Background(), g.testSession()); err != nil {
					failures <- fmt.Errorf("%s: %w", name, err)
				}
			})
		}
	}
	all.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	requireNothingHeld(t, g)
}

// TestUnfinishedQueries: a session has a bound of them, and together they keep nobody waiting.
func TestUnfinishedQueries(t *testing.T) {
	g := engineGateway(t, 1, func(_ context.Context, add func(*columnar.Batch) error) error { return add(numbers(5)) })
	g.turns.places = maxReading + 1
	s, other := g.testSession(), g.testSession()
	var open []*queryExecution
	for range maxReading {
		e, err := s.testQuery(t.Context(), "SELECT * FROM test.source")
		require.NoError(t, err)
		open = append(open, e)
	}
	_, err := s.testQuery(t.Context(), "SELECT * FROM test.source")
	require.Contains(t, errorText(err), "54000")
	for _, e := range append(open, nil) {
		if e == nil {
			e, err = other.testQuery(t.Context(), "SELECT * FROM test.source")
			require.NoError(t, err)
		}
		out := &discarded{}
		done, err := e.run(t.Context(), out, 0)
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, 5, out.rows)
	}
	requireNothingHeld(t, g)
}

// TestAQueryThatIsOverHasNoRows: executed again, it ends at once.
func TestAQueryThatIsOverHasNoRows(t *testing.T) {
	g := engineGateway(t, 1, func(_ context.Context, add func(*columnar.Batch) error) error { return add(numbers(5)) })
	e, err := g.testSession().testQuery(t.Context(), "SELECT * FROM test.source")
	require.NoError(t, err)
	for _, want := range []int{5, 0} {
		out := &discarded{}
		done, err := e.run(t.Context(), out, 0)
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, want, out.rows)
	}
	requireNothingHeld(t, g)
}

// TestWhatCantBeTrustedEndsTheProcess: a panic, and what the engine calls fatal, are told to
// the owner of the process once, and nothing is answered any more.
func TestWhatCantBeTrustedEndsTheProcess(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		breaks bool
	}{
		"fatal":             {&duck.Error{Class: duck.ClassFatal, Raw: "FATAL Error: x"}, true},
		"internal":          {fmt.Errorf("q: %w", &duck.Error{Class: duck.ClassInternal, Raw: `{"exception_type":"INTERNAL"}`}), true},
		"a scan's panic":    {fmt.Errorf("q: %w", &duck.PanicError{Value: 1}), true},
		"without a class":   {&duck.Error{Class: duck.ClassInternal, Raw: "something", SQLSTATE: "XX000"}, false},
		"out of memory":     {&duck.Error{Class: duck.ClassOutOfMemory, Raw: "Out of Memory Error: x", SQLSTATE: "53200"}, false},
		"an end of the log": {io.ErrUnexpectedEOF, false},
	} {
		told := 0
		var l logLines
		g := &Gateway{cfg: Config{Logger: l.logger(), Fatal: func(error) { told++ }}}
		s := g.testSession()
		for range 2 {
			err := s.guard(t.Context(), func() error { return c.err })
			require.Equal(t, c.breaks, strings.Contains(errorText(err), "57P02"), name)
		}
		require.Equal(t, map[bool]int{true: 1}[c.breaks], told, name)
		require.Equal(t, told, l.count(), name)
		require.Equal(t, c.breaks, g.broken.Load())
	}
	told := 0
	g := &Gateway{cfg: Config{Logger: slog.New(slog.DiscardHandler), Fatal: func(error) { told++ }}}
	require.Panics(t, func() { _ = g.testSession().guard(t.Context(), func() error { panic("no") }) })
	require.Equal(t, 1, told)
	_, err := g.Open(t.Context(), pgwire.Startup{})
	require.Error(t, err)
	require.NoError(t, (&session{gateway: &Gateway{}}).guard(t.Context(), func() error { return nil }))
}
