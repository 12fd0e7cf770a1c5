package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"broadsheet.dev/broadsheet/protocol"
)

// WatchedList is the journals that match a selector, kept up to date by Run. All else
// may be called concurrently, before, while and after it runs.
//
// Invariant: snapshots are whole and their revisions ascend; what was seen is never
// taken back, also when Run ends and is called again.
type WatchedList struct {
	client   *Client
	selector *protocol.LabelSelector
	now      atomic.Pointer[Snapshot]

	mu      sync.Mutex
	changed chan struct{} // closed when now is replaced
}

// NewWatchedList returns a list of the journals that match a selector, nil for all. It
// has no snapshot until Run, which the caller starts and owns, got one.
func (c *Client) NewWatchedList(selector *protocol.LabelSelector) *WatchedList {
	return &WatchedList{client: c, selector: selector, changed: make(chan struct{})}
}

// Run keeps the list up to date. It returns the context's cause once that ends, or
// an error that another attempt wouldn't mend; Run may be called again then.
func (l *WatchedList) Run(ctx context.Context) error {
	return l.client.watch(ctx, l.selector, l.now.Load(), func(s *Snapshot) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.now.Store(s)
		close(l.changed)
		l.changed = make(chan struct{})
		return nil
	})
}

// Snapshot is the newest; nil if there is none yet. It is shared, and must not be
// changed.
func (l *WatchedList) Snapshot() *Snapshot { return l.now.Load() }

// Changed returns a channel that is closed once the list has a newer snapshot than
// at the time of the call. Ask for it before Snapshot, to miss none.
func (l *WatchedList) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Await returns the first snapshot, at or after the call, that fulfils a condition; nil
// for any.
func (l *WatchedList) Await(ctx context.Context, fulfils func(*Snapshot) bool) (*Snapshot, error) {
	for {
		changed, now := l.Changed(), l.Snapshot()
		if now != nil && (fulfils == nil || fulfils(now)) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("await a listing of journals: %w", context.Cause(ctx))
		}
	}
}
