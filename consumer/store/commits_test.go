package store

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/client/async"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errInjected = errors.New("injected")

func nothing(context.Context) error { return nil }

// held is an operation that ends when its channel is closed.
type held struct {
	done chan struct{}
	err  error
}

func hold(err error) *held { return &held{done: make(chan struct{}), err: err} }

func (h *held) Done() <-chan struct{} { return h.done }

func (h *held) Err() error {
	<-h.done
	return h.err
}

func TestCommitsAreOneAfterAnother(t *testing.T) {
	c := NewCommits()
	defer c.Close()
	require.NoError(t, c.Wait(t.Context()), "there is none")
	first, second := hold(nil), hold(nil)
	done := false
	op := c.Start(t.Context(), []async.Operation{first, second}, func(context.Context) error {
		done = true
		return nil
	})
	close(second.done)
	select {
	case <-op.Done():
		require.Fail(t, "it doesn't wait")
	default:
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Wait(canceled), context.Canceled)
	close(first.done)
	require.NoError(t, c.Wait(t.Context()))
	require.NoError(t, op.Err())
	require.True(t, done)
	require.NoError(t, c.Start(t.Context(), nil, nothing).Err())
}

// TestAfterAFailureThereIsNoOther, whichever failure it is.
func TestAfterAFailureThereIsNoOther(t *testing.T) {
	failing := hold(errInjected)
	close(failing.done)
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(errInjected)
	for name, start := range map[string]func(c *Commits) async.Operation{
		"of what is done": func(c *Commits) async.Operation {
			return c.Start(t.Context(), nil, func(context.Context) error { return errInjected })
		},
		"of what it waits for": func(c *Commits) async.Operation {
			return c.Start(t.Context(), []async.Operation{failing}, nothing)
		},
		"of the call's context": func(c *Commits) async.Operation {
			return c.Start(canceled, []async.Operation{hold(nil)}, nothing)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewCommits()
			require.ErrorIs(t, start(c).Err(), errInjected)
			require.ErrorIs(t, c.Wait(t.Context()), errInjected)
			op := c.Start(t.Context(), nil, nothing)
			require.ErrorIs(t, op.Err(), errInjected)
			require.ErrorContains(t, op.Err(), "commit: an earlier one failed: ")
			<-op.Done()
			c.Close()
		})
	}
}

// TestAPanicFailsTheCommit, and ends nothing else.
func TestAPanicFailsTheCommit(t *testing.T) {
	c := NewCommits()
	require.EqualError(t, c.Start(t.Context(), nil, func(context.Context) error { panic("at a commit") }).Err(), "commit: panic")
	require.Error(t, c.Start(t.Context(), nil, nothing).Err())
	c.Close()
}

func TestTwoAtOnceAreRefused(t *testing.T) {
	c := NewCommits()
	wait := hold(nil)
	first := c.Start(t.Context(), []async.Operation{wait}, nothing)
	require.ErrorIs(t, c.Start(t.Context(), nil, nothing).Err(), ErrOverlap)
	close(wait.done)
	require.NoError(t, first.Err(), "which was begun well")
	require.ErrorIs(t, c.Start(t.Context(), nil, nothing).Err(), ErrOverlap)
	c.Close()
}

func TestCloseEndsTheWait(t *testing.T) {
	c := NewCommits()
	op := c.Start(t.Context(), []async.Operation{hold(nil)}, nothing)
	c.Close()
	require.ErrorIs(t, op.Err(), ErrClosed)
	require.ErrorIs(t, c.Start(t.Context(), nil, nothing).Err(), ErrClosed)

	// What is done is waited for.
	c, begun, end := NewCommits(), make(chan struct{}), make(chan struct{})
	op = c.Start(t.Context(), nil, func(life context.Context) error {
		close(begun)
		<-life.Done() // as Close has been called
		<-end
		return nil
	})
	<-begun
	closed := make(chan struct{})
	go func() {
		c.Close()
		close(closed)
	}()
	close(end)
	<-closed
	require.NoError(t, op.Err())
}
