package sqlgw

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// TestApart: who waits for a call that can't be interrupted does so until its deadline, and the call goes on to its end.
func TestApart(t *testing.T) {
	lost := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	begun, release, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	left := make(chan error, 1)
	go func() {
		left <- apart(ctx, func() { close(begun); <-release; defer close(over); panic("oh") }, func(err error) { lost <- err })
	}()
	<-begun
	cancel(errDeadline)
	require.ErrorIs(t, <-left, errDeadline)
	close(release)
	<-over
	require.ErrorContains(t, <-lost, "oh", "nobody waits for the panic")

	ran := false
	require.NoError(t, apart(t.Context(), func() { ran = true }, func(err error) { t.Error(err) }))
	require.True(t, ran)
	require.Panics(t, func() { _ = apart(t.Context(), func() { panic("oh") }, func(err error) { t.Error(err) }) }, "it is that of who waits")
}

// TestMemoryOfAParseThatIsLeft: it is given back when the grammar is done, and not before; nothing is parsed for who has gone.
func TestMemoryOfAParseThatIsLeft(t *testing.T) {
	long := split(t, "SELECT 1"+strings.Repeat(", 1", 1000))
	during, after := long[0].Memory()
	p := newParsing(during+after, func(err error) { t.Error(err) })
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errDeadline)
	for range 10 {
		_, err := p.parse(ctx, long)
		require.ErrorIs(t, err, errDeadline)
	}
	require.Eventually(t, func() bool {
		_, err := p.parse(t.Context(), long)
		return err == nil
	}, time.Minute, time.Millisecond)
}

// TestPrintThatIsEnded: the deadline ends the printing of a query at its next expressions.
func TestPrintThatIsEnded(t *testing.T) {
	g := engineGateway(t, 8, nil)
	parsed, err := parse.Parse(split(t, "SELECT 1"+strings.Repeat(", 1", 10_000))[0])
	require.NoError(t, err)
	q := &query{session: g.testSession(), parsed: parsed.(*parse.Select)}
	_, err = q.print(t.Context(), nil, parse.Binding{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errDeadline)
	_, err = q.print(ctx, nil, parse.Binding{})
	require.ErrorIs(t, err, errDeadline)

	var checks, calls atomic.Int64
	enough := errors.New("enough")
	_, err = q.parsed.Print(parse.Binding{
		Check: func() error {
			if checks.Add(1) == 3 {
				return enough
			}
			return nil
		},
		Apart: func(call func()) error { calls.Add(1); call(); return nil },
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, int64(1), calls.Load(), "the copy of the tree; it isn't printed any more")
}

// TestDeadlineOfAStatement: parsing, binding and running have one deadline together, and what comes next another.
func TestDeadlineOfAStatement(t *testing.T) {
	s := engineGateway(t, 8, nil).testSession()
	due := func() time.Time {
		ctx, done := s.withTimeout(t.Context())
		defer done()
		d, _ := ctx.Deadline()
		return d
	}
	require.Zero(t, due(), "there is no timeout")
	require.NoError(t, s.settings.set("statement_timeout", "1h", false))
	first := due()
	_, err := s.Parse(t.Context(), "SELECT 1", nil)
	require.NoError(t, err)
	require.Equal(t, first, due(), "it is the same statement's")
	for what, ends := range map[string]func(){
		"Sync":   func() { require.NoError(t, s.Sync(t.Context())) },
		"Failed": s.Failed,
		"Execute": func() {
			p := &portal{session: s, execution: simpleExecution(func(context.Context, pgwire.ResultWriter) error { return nil })}
			_, err := p.Execute(t.Context(), nil, 0)
			require.NoError(t, err)
		},
	} {
		before := due()
		ends()
		require.True(t, s.since.IsZero(), what)
		require.False(t, due().Before(before), what)
	}
	s.since = time.Now().Add(-2 * time.Hour)
	_, err = s.Parse(t.Context(), "SELECT 1", nil)
	require.Equal(t, error(errTimeout), err)
}
