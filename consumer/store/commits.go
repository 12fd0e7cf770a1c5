package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/internal/task"
)

var (
	// ErrClosed is of what a store was asked for, or was about, when it was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrOverlap is of a commit that was started while another one was under way.
	ErrOverlap = errors.New("another commit is under way")

	errPanic = errors.New("panic")
)

// Commits are the commits of a store, one at a time, in the background: what StartCommit of most stores is made of.
//
// Invariant: after a commit that failed, there is no other. What the application did since was done over it.
type Commits struct {
	group *task.Group

	mu      sync.Mutex
	last    *commit
	failure error
}

// NewCommits of a store. Whoever has them calls Close.
func NewCommits() *Commits {
	return &Commits{group: task.New(context.Background(), "store")}
}

// Start a commit: do is called once all of waitFor have succeeded. If one of them fails, or the context or the store ends while
// they are waited for, do isn't called, and the commit fails.
func (c *Commits) Start(ctx context.Context, waitFor []async.Operation, do func(context.Context) error) async.Operation {
	op := &commit{done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil && c.last != nil && !c.last.ended() {
		c.failure = ErrOverlap
	}
	if c.failure != nil {
		op.err = fmt.Errorf("commit: %w", c.failure)
		close(op.done)
		return op
	}
	c.last = op
	c.group.Go("commit", func(life context.Context) error {
		outcome := errPanic // unless it is replaced
		defer func() { c.end(op, outcome) }()
		err := wait(ctx, life, waitFor)
		if err == nil {
			err = do(life)
		}
		outcome = err
		return nil
	})
	return op
}

// wait for operations while a call and a store live.
func wait(ctx, life context.Context, waitFor []async.Operation) error {
	for _, op := range waitFor {
		select {
		case <-op.Done():
			if err := op.Err(); err != nil {
				return fmt.Errorf("what it waits for failed: %w", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-life.Done():
			return ErrClosed
		}
	}
	if life.Err() != nil {
		return ErrClosed
	}
	return nil
}

func (c *Commits) end(op *commit, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		op.err = fmt.Errorf("commit: %w", err)
		if c.failure == nil {
			c.failure = fmt.Errorf("an earlier one failed: %w", err)
		}
	}
	close(op.done)
}

// Wait for the commit that is under way, if there is one, and return whether one has failed.
func (c *Commits) Wait(ctx context.Context) error {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if last != nil {
		select {
		case <-last.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// Close ends the wait of a commit that is under way. One that doesn't wait any more is waited for.
func (c *Commits) Close() {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = ErrClosed
	}
	c.mu.Unlock()
	c.group.Cancel()
	_ = c.group.Wait() // a panic failed its commit
}

// commit is an async.Operation.
type commit struct {
	done chan struct{}
	err  error // may be read once done is closed
}

func (c *commit) Done() <-chan struct{} { return c.done }

func (c *commit) Err() error {
	<-c.done
	return c.err
}

func (c *commit) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
