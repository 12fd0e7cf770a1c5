package async

import (
	"context"
	"fmt"
	"sync"
)

// overhead is what an append is charged beyond its content.
const overhead = 1 << 10

// budget counts what a service holds, in bytes.
//
// Invariant: held is the sum of what was taken and not given back, and at most hard but for
// overheads; below soft, nobody waits.
type budget struct {
	soft, hard int64

	mu    sync.Mutex
	held  int64
	freed chan struct{} // closed at the next give
}

func newBudget(soft, hard int64) *budget {
	return &budget{soft: soft, hard: hard, freed: make(chan struct{})}
}

// admit waits until less than the soft limit is held.
func (b *budget) admit(ctx context.Context) error {
	for {
		b.mu.Lock()
		held, freed := b.held, b.freed
		b.mu.Unlock()
		if held < b.soft {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("wait for room (%d bytes are held): %w", held, context.Cause(ctx))
		}
	}
}

// take n bytes, if the hard limit allows it.
func (b *budget) take(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > b.hard {
		return fmt.Errorf("%w (%d of %d bytes)", ErrFull, b.held, b.hard)
	}
	b.held += n
	return nil
}

// charge an overhead, whatever the limits.
func (b *budget) charge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += overhead
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	close(b.freed)
	b.freed = make(chan struct{})
}

func (b *budget) now() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}
