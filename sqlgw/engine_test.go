package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// stubborn is a gateway whose relation doesn't look whether its reading was ended, until release is closed.
func stubborn(t *testing.T) (*Gateway, <-chan struct{}, chan struct{}) {
	t.Helper()
	begun, release := make(chan struct{}, 8), make(chan struct{})
	g := engineGateway(t, 8, func(_ context.Context, add func(*columnar.Batch) error) error {
		begun <- struct{}{}
		<-release
		return add(numbers(1))
	})
	g.left.patience = time.Millisecond
	return g, begun, release
}

var errDeadline = errors.New("the deadline")

// askStubborn begins a query that goes on when errDeadline ends it, and returns its error when its session has given it up.
func (s *session) askStubborn(ctx context.Context, reading <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	failed := make(chan error, 1)
	go func() {
		e, err := s.testQuery(ctx, "SELECT count(*) FROM test.source")
		if err == nil {
			e.close()
		}
		failed <- err
	}()
	<-reading
	cancel(errDeadline)
	return <-failed
}

// TestCallThatGoesOn: a session is told at once, goes on with others, and what the call has is let go of when it returns.
func TestCallThatGoesOn(t *testing.T) {
	g, reading, release := stubborn(t)
	s := g.testSession()
	require.ErrorIs(t, s.askStubborn(t.Context(), reading), errDeadline)
	require.Equal(t, int64(1), g.left.now.Load())
	require.Equal(t, int64(1), g.open.Load(), "the connection is the call's")
	require.Len(t, g.scans.scans, 1, "and so is the scan")
	require.Equal(t, 1, g.turns.held)
	e, err := s.testQuery(t.Context(), "SELECT 1")
	require.NoError(t, err)
	e.close()
	close(release)
	require.Eventually(t, func() bool { return g.left.now.Load() == 0 && g.open.Load() == 0 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool {
		g.turns.mu.Lock()
		defer g.turns.mu.Unlock()
		return g.turns.held == 0
	}, time.Minute, time.Millisecond)
	requireNothingHeld(t, g)
	require.False(t, g.broken.Load())
	require.Zero(t, s.reading)
}

// TestCallThatGoesOnForTooLong ends the gateway. While too many are left behind, no other call begins, and no session waits for one that was ended.
func TestCallThatGoesOnForTooLong(t *testing.T) {
	t.Run("long", func(t *testing.T) {
		g, reading, release := stubborn(t)
		g.left.grace = time.Millisecond
		fatal := make(chan error, 1)
		g.cfg.Fatal = func(err error) { fatal <- err }
		require.ErrorIs(t, g.testSession().askStubborn(t.Context(), reading), errDeadline)
		require.ErrorContains(t, <-fatal, "a statement goes on 1ms after it was ended")
		close(release)
		require.Eventually(t, func() bool { return g.open.Load() == 0 }, time.Minute, time.Millisecond)
	})
	t.Run("many", func(t *testing.T) {
		g, reading, release := stubborn(t)
		g.left.now.Store(maxLeft - 1)
		require.ErrorIs(t, g.testSession().askStubborn(t.Context(), reading), errDeadline, "who is in the engine leaves it, however many have")
		require.Equal(t, int64(maxLeft), g.left.now.Load())

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errDeadline)
		_, err := g.testSession().testQuery(ctx, "SELECT 1")
		require.ErrorIs(t, err, errDeadline, "who waits for a place has a deadline")
		begun := make(chan error, 1)
		go func() {
			e, err := g.testSession().testQuery(t.Context(), "SELECT 1")
			if err == nil {
				e.close()
			}
			begun <- err
		}()
		select {
		case err := <-begun:
			t.Errorf("it didn't wait, and ended with: %v", err)
		case <-time.After(3 * leftLook):
		}
		close(release)
		require.NoError(t, <-begun)
		require.Eventually(t, func() bool { return g.open.Load() == 0 && g.left.now.Load() == maxLeft-1 }, time.Minute, time.Millisecond)
		require.False(t, g.broken.Load())
	})
}

// TestPanicInTheEngine is that of who waits for the call; if nobody does, the gateway breaks down all the same.
func TestPanicInTheEngine(t *testing.T) {
	g, _, _ := stubborn(t)
	require.PanicsWithError(t, "oh", func() {
		defer func() {
			p := recover().(*enginePanic)
			require.Equal(t, "oh", p.value)
			panic(errors.New("oh"))
		}()
		_, _ = g.inEngine(t.Context(), func() error { panic("oh") })
	})
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errDeadline)
	release := make(chan struct{})
	left, err := g.inEngine(ended, func() error { <-release; panic("oh") })
	require.ErrorIs(t, err, errDeadline)
	close(release)
	<-left
	require.Eventually(t, g.broken.Load, time.Minute, time.Millisecond)
}

// TestDeadlineThatABrokerTellsOf a moment before the clock here is the statement's.
func TestDeadlineThatABrokerTellsOf(t *testing.T) {
	ctx, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(20*time.Millisecond), errTimeout)
	defer cancel()
	told := fmt.Errorf("cut of a journal: %w", status.Error(codes.DeadlineExceeded, "context deadline exceeded"))
	require.Equal(t, error(errTimeout), statementError(ctx, told))
	require.NotEqual(t, error(errTimeout), statementError(t.Context(), told))
}
