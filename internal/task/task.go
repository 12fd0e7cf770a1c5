// Package task runs named goroutines that live and end together.
//
// # What
//
// A Group is the only way in which this module starts goroutines that outlive a
// call. Each has a name, shares the group's context, and is awaited by Wait.
//
// # Invariants
//
//   - The first task that returns an error, or panics, cancels the group.
//   - Wait returns only when every task has returned.
//   - A task that returns nil doesn't end the others.
//
// # Goroutines
//
// One per call of Go; stopped by the group's context, awaited by Wait.
//
// # Testing
//
// task_test.go, with goleak.
package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Group is a set of named goroutines with one context. Make it with New.
type Group struct {
	name   string
	ctx    context.Context //nolint:containedctx // the lifetime of the group's tasks
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu  sync.Mutex
	err error
}

// New returns a group whose tasks run until ctx is done, Cancel is called, or
// one of them fails. The name leads the names of its tasks in errors.
func New(ctx context.Context, name string) *Group {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{name: name, ctx: ctx, cancel: cancel}
}

// Context of the group's tasks. Its cause is the error that ended the group.
func (g *Group) Context() context.Context { return g.ctx }

// Cancel asks every task to return. It is no failure.
func (g *Group) Cancel() { g.cancel(context.Canceled) }

// Go starts fn as a task. fn must return soon after its context is done; what
// it then returns that is the context's error is not a failure.
func (g *Group) Go(name string, fn func(context.Context) error) {
	g.wg.Go(func() {
		err := g.run(name, fn)
		if err == nil || (g.ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(g.ctx)))) {
			return
		}
		g.mu.Lock()
		if g.err == nil {
			g.err = err
		}
		g.mu.Unlock()
		g.cancel(err)
	})
}

func (g *Group) run(name string, fn func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s/%s: panic: %v\n%s", g.name, name, r, debug.Stack())
		}
	}()
	if err = fn(g.ctx); err != nil {
		return fmt.Errorf("%s/%s: %w", g.name, name, err)
	}
	return nil
}

// Wait returns when all tasks have, with the first failure. Tasks may be started
// while it waits, by tasks only.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel(context.Canceled)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
