package sqlgw

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/internal/task"
)

const (
	// enginePatience is how long a session waits for a call of the engine that was ended. There are things that the
	// engine does without looking whether it was interrupted: planning, and making one value.
	enginePatience = 250 * time.Millisecond
	// engineGrace is how long such a call may go on at all. Beyond that the gateway breaks down, because nothing else ends it.
	engineGrace = 30 * time.Second
	// maxLeft is how many calls may go on without anybody who waits for them: while there are so many, no other begins.
	maxLeft = 16
	// idleAfter is how long a call of the engine may take before its session sends what it has for its client.
	idleAfter = 5 * time.Millisecond
	// leftLook is how often who is to begin one looks whether it may.
	leftLook = 10 * time.Millisecond
)

// leftCalls counts the calls of the engine that nobody waits for any more.
type leftCalls struct {
	patience, grace time.Duration // of tests; zero is enginePatience and engineGrace
	now             atomic.Int64
}

// room waits until another call may begin. Whoever ended a call has left it by then, so that a deadline is never kept from its
// session by what others have left.
func (l *leftCalls) room(ctx context.Context) error {
	if l.now.Load() < maxLeft {
		return nil
	}
	tick := time.NewTicker(leftLook)
	defer tick.Stop()
	for l.now.Load() >= maxLeft {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// inEngine runs a call of the engine in a goroutine of its own, which ends with it. If the call goes on for
// enginePatience after ctx has ended, inEngine returns without it, with what ended ctx. The channel isn't nil then,
// and is closed when the call has returned: what the call has is to be kept until then, and what it found is lost.
func (g *Gateway) inEngine(ctx context.Context, call func() error) (<-chan struct{}, error) {
	return g.inEngineIdle(ctx, call, nil)
}

// inEngineIdle is inEngine, and calls idle once, while it waits, if the call takes longer than idleAfter. The call may return before
// idle does, which lasts as long as it likes.
func (g *Gateway) inEngineIdle(ctx context.Context, call func() error, idle func()) (<-chan struct{}, error) {
	if err := g.left.room(ctx); err != nil {
		return nil, err
	}
	return g.toItsEnd(ctx, call, idle)
}

// toItsEnd is inEngineIdle of a call that gives back what others have.
func (g *Gateway) toItsEnd(ctx context.Context, call func() error, idle func()) (<-chan struct{}, error) {
	done := make(chan struct{})
	var err error
	var panicked *enginePanic
	task.New(context.WithoutCancel(ctx), "sqlgw").Go("engine", func(context.Context) error {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = &enginePanic{value: p, stack: debug.Stack()}
			}
		}()
		err = call()
		return nil
	})
	if idle != nil {
		whileSlow(ctx, done, idle)
	}
	if g.await(ctx, done) {
		if panicked != nil {
			panic(panicked)
		}
		return nil, err
	}
	g.leave(ctx, done, &panicked)
	return done, context.Cause(ctx)
}

// enginePanic is a panic of a call, for who waits for it.
type enginePanic struct {
	value any
	stack []byte
}

func (p *enginePanic) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// whileSlow calls idle unless a call ends soon.
func whileSlow(ctx context.Context, done <-chan struct{}, idle func()) {
	soon := time.NewTimer(idleAfter)
	defer soon.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-soon.C:
		idle()
	}
}

// await the end of a call. False is that it has gone on for too long after ctx ended.
func (g *Gateway) await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	patience := time.NewTimer(cmp.Or(g.left.patience, enginePatience))
	defer patience.Stop()
	select {
	case <-done:
		return true
	case <-patience.C:
		return false
	}
}

// leave a call behind.
func (g *Gateway) leave(ctx context.Context, done <-chan struct{}, panicked **enginePanic) {
	g.left.now.Add(1)
	grace := cmp.Or(g.left.grace, engineGrace)
	over := time.AfterFunc(grace, func() {
		g.breakDown(fmt.Errorf("a statement goes on %v after it was ended: %w", grace, context.Cause(ctx)))
	})
	g.afterwards(done, func() {
		over.Stop()
		g.left.now.Add(-1)
		if *panicked != nil {
			g.breakDown(*panicked)
		}
	})
}

// afterwards does what is to be done when a call that was left behind has returned, in a goroutine of its own.
func (g *Gateway) afterwards(done <-chan struct{}, do func()) {
	task.New(context.Background(), "sqlgw").Go("left", func(context.Context) error {
		<-done
		do()
		return nil
	})
}

// letGo of what an execution has in the engine. Left is that of a call that was left behind, and may be nil; what is let go of
// is that call's until it returns.
func (g *Gateway) letGo(left <-chan struct{}, release func()) {
	if left != nil {
		g.afterwards(left, release)
		return
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = g.toItsEnd(ended, func() error { release(); return nil }, nil) // it has no way to fail
}
