package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// Barrier is what every member of a journal agreed on at some time after the call
// that asked for it began.
type Barrier struct {
	// Head is the journal's write head: every append that was acknowledged before the
	// call ends at or before it.
	Head int64
	// Header of the answering broker: the route and etcd's revision. It is shared with
	// other callers, and must not be changed.
	Header *protocol.Header
	// Registers of the journal; shared likewise.
	Registers *protocol.LabelSet
}

// Barrier returns a journal's write head by a zero-byte append, which doesn't resume
// a suspended journal: that is a StatusError of SUSPENDED. Calls for one journal
// share appends: one append answers all that called before it was started. It is
// tried again while brokers can't be reached or can't take it, within the client's patience.
func (c *Client) Barrier(ctx context.Context, journal string) (Barrier, error) {
	return c.barriers.wait(ctx, journal, func(ctx context.Context) (Barrier, error) { return c.barrier(ctx, journal) })
}

// barrier makes the append. It changes nothing, so that it may be repeated after an
// unknown outcome.
func (c *Client) barrier(ctx context.Context, journal string) (Barrier, error) {
	params := AppendParams{Journal: journal, Suspend: protocol.AppendRequest_SUSPEND_NO_RESUME}
	var since time.Time // of the first failure
	for attempt := 0; ; attempt++ {
		r, err := c.appendOnce(ctx, params, nil)
		if err == nil {
			return Barrier{Head: r.GetCommit().GetEnd(), Header: r.GetHeader(), Registers: r.GetRegisters()}, nil
		}
		again := isRepeatable(err) || errors.Is(err, ErrUnknownOutcome) && transient(err)
		if since.IsZero() {
			since = time.Now()
		}
		if !again || c.patience > 0 && time.Since(since) >= c.patienceFor(err) {
			return Barrier{}, err
		}
		if err = c.await(ctx, attempt, "barrier", journal, err); err != nil {
			return Barrier{}, fmt.Errorf("barrier of %s: %w", journal, err)
		}
	}
}

// patienceFor is for how long what failed so is tried again.
func (c *Client) patienceFor(err error) time.Duration {
	if e, ok := errors.AsType[*protocol.StatusError](err); ok && e.Detail != "" {
		return min(c.patience, explainedPatience)
	}
	return c.patience
}

// barrierLines has a line for each journal with callers. The zero value is ready.
type barrierLines struct {
	mu    sync.Mutex
	lines map[string]*barrierLine
}

// barrierLine is where the callers of one journal wait.
//
// Invariant: a caller's group is in open, or it is being run, or it is decided. Who
// takes the turn runs all groups that are open, on behalf of all their callers, and
// with its own context: no goroutine is needed that outlives a call. If that
// context ends, the groups are open again and the next caller takes the turn.
type barrierLine struct {
	// turn is a token: who holds it may run.
	turn    chan struct{}
	callers int
	open    []*barrierGroup
	// joining is the group that new callers join: the last of open; nil if there is
	// none. A group stops being joined when it is run, even if that is in vain.
	joining *barrierGroup
}

// barrierGroup is of callers that are answered together.
type barrierGroup struct {
	decided chan struct{}
	result  Barrier
	err     error
}

// isDecided is stable while the turn is held.
func (g *barrierGroup) isDecided() bool {
	select {
	case <-g.decided:
		return true
	default:
		return false
	}
}

type barrierFunc func(context.Context) (Barrier, error)

func (b *barrierLines) wait(ctx context.Context, journal string, run barrierFunc) (Barrier, error) {
	line, group := b.join(journal)
	defer b.leave(journal, line)
	for {
		select {
		case <-group.decided:
			return group.result, group.err
		case <-ctx.Done():
			return Barrier{}, fmt.Errorf("barrier of %s: %w", journal, context.Cause(ctx))
		case line.turn <- struct{}{}:
			var err error
			if !group.isDecided() {
				err = b.runOpen(ctx, line, run)
			}
			<-line.turn
			if err != nil {
				return Barrier{}, err
			}
		}
	}
}

func (b *barrierLines) join(journal string) (*barrierLine, *barrierGroup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := b.lines[journal]
	if line == nil {
		line = &barrierLine{turn: make(chan struct{}, 1)}
		if b.lines == nil {
			b.lines = make(map[string]*barrierLine)
		}
		b.lines[journal] = line
	}
	line.callers++
	if line.joining == nil {
		line.joining = &barrierGroup{decided: make(chan struct{})}
		line.open = append(line.open, line.joining)
	}
	return line, line.joining
}

func (b *barrierLines) leave(journal string, line *barrierLine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if line.callers--; line.callers == 0 {
		delete(b.lines, journal)
	}
}

// runOpen runs the groups that are open, and decides them. It returns an error only
// if the context ended, and then leaves them open.
func (b *barrierLines) runOpen(ctx context.Context, line *barrierLine, run barrierFunc) error {
	b.mu.Lock()
	groups := line.open
	line.open, line.joining = nil, nil
	b.mu.Unlock()
	result, err := run(ctx)

	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && ctx.Err() != nil {
		line.open = slices.Concat(groups, line.open)
		return err
	}
	for _, g := range groups {
		g.result, g.err = result, err
		close(g.decided)
	}
	return nil
}
