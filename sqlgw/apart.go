package sqlgw

import (
	"context"
	"runtime/debug"

	"broadsheet.dev/broadsheet/internal/task"
)

// apart runs a call that nothing can interrupt, and that touches nothing but what it alone has, or what never changes: the grammar, which
// is C, and copies of trees. It is in a goroutine of its own, which ends with it. If ctx ends first, apart returns what ended it and the call
// goes on without anybody who waits for it: all such calls end by themselves, and how many there are the memory bounds that they keep of
// parsing. A panic that nobody waits for is lost's.
func apart(ctx context.Context, call func(), lost func(error)) error {
	done := make(chan struct{})
	var panicked *enginePanic
	g := task.New(context.WithoutCancel(ctx), "sqlgw")
	g.Go("apart", func(context.Context) error {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = &enginePanic{value: p, stack: debug.Stack()}
			}
			if panicked != nil && ctx.Err() != nil {
				lost(panicked)
			}
		}()
		call()
		return nil
	})
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		default:
			return context.Cause(ctx)
		}
	}
	if panicked != nil {
		panic(panicked)
	}
	return nil
}

// ended is what ended ctx, nil if nothing has.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
