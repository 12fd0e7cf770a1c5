package task_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFailureEndsTheOthers(t *testing.T) {
	boom := errors.New("boom")
	g := task.New(t.Context(), "g")
	g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	g.Go("fails", func(context.Context) error { return boom })
	err := g.Wait()
	require.ErrorIs(t, err, boom)
	require.EqualError(t, err, "g/fails: boom")
}

func TestCancelIsNoFailure(t *testing.T) {
	g := task.New(t.Context(), "g")
	g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	g.Cancel()
	require.NoError(t, g.Wait())
}

func TestTaskThatEndsWellLeavesTheOthers(t *testing.T) {
	g := task.New(t.Context(), "g")
	done := make(chan struct{})
	g.Go("ends", func(context.Context) error { close(done); return nil })
	g.Go("lives", func(ctx context.Context) error {
		<-done
		return ctx.Err() // nil: the group still lives
	})
	require.NoError(t, g.Wait())
}

func TestPanicIsAFailure(t *testing.T) {
	g := task.New(t.Context(), "g")
	g.Go("panics", func(context.Context) error { panic("ouch") })
	require.ErrorContains(t, g.Wait(), "g/panics: panic: ouch")
}
