package catalog

import (
	"context"
	"sync"
)

// barrier coalesces reads that have to begin after they were asked for: all who ask
// while one is running share the next.
//
// Invariant: a read's result goes to those only who joined its batch before it began.
type barrier struct {
	read func(context.Context) (int64, error)
	// turn holds the right to read.
	turn chan struct{}

	mu sync.Mutex
	// next is the batch of those whose read hasn't begun; nil if there are none.
	next *batch
}

type batch struct {
	done chan struct{} // closed when the rest is set
	// abandoned tells that whoever read for the batch gave up.
	abandoned bool
	revision  int64
	err       error
}

func newBarrier(read func(context.Context) (int64, error)) *barrier {
	b := &barrier{read: read, turn: make(chan struct{}, 1)}
	b.turn <- struct{}{}
	return b
}

// await returns the result of a read that began after await was called.
func (b *barrier) await(ctx context.Context) (int64, error) {
	for {
		mine := b.join()
		for done := false; !done; {
			select {
			case <-mine.done:
				done = true
			case <-b.turn:
				b.readNext(ctx)
				b.turn <- struct{}{}
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		if !mine.abandoned {
			return mine.revision, mine.err
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
}

func (b *barrier) join() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = &batch{done: make(chan struct{})}
	}
	return b.next
}

// readNext reads for the next batch, if there is one.
func (b *barrier) readNext(ctx context.Context) {
	b.mu.Lock()
	batch := b.next
	b.next = nil
	b.mu.Unlock()
	if batch == nil {
		return
	}
	batch.revision, batch.err = b.read(ctx)
	batch.abandoned = ctx.Err() != nil
	close(batch.done)
}
