package objectcache

import (
	"context"
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/fragments"
)

var (
	errClosed   = errors.New("the cache of objects is closed")
	errPanicked = errors.New("bringing the object panicked")
)

// flight brings one object. Its fields but done are guarded by the cache's mutex.
type flight struct {
	waiting int // who are to be given a pin
	cancel  context.CancelFunc
	left    bool          // all who waited have left, and it was cancelled: nobody joins it
	done    chan struct{} // closed at its end
	entry   *entry        // what was brought, pinned once for each of the waiting; nil if it failed
	err     error
}

// Fetch returns the file of a fragment, which is brought from its store if it isn't there. Errors other
// than ctx's are why the fragment has to be read elsewhere: ErrNoRoom, ErrTooLarge, ErrUnfit, ErrCorrupt, or what the
// store or the disk said.
func (c *Cache) Fetch(ctx context.Context, f fragments.Fragment) (*Pin, error) {
	k, ok := keyOf(f)
	if !ok {
		return nil, ErrUnfit
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		pin, fl, err := c.join(k, f)
		if pin != nil || err != nil {
			return pin, err
		}
		if fl.left { // it ends soon; then there is another
			select {
			case <-fl.done:
				continue
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		select {
		case <-fl.done:
			return c.land(fl, f)
		case <-ctx.Done():
			c.leave(fl)
			return nil, context.Cause(ctx)
		}
	}
}

// join returns the file if it is there, or else the flight that brings it, which counts on the caller unless it was left.
func (c *Cache) join(k key, f fragments.Fragment) (*Pin, *flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, errClosed
	}
	if fl := c.flights[k]; fl != nil {
		if fl.left {
			return nil, &flight{left: true, done: fl.done}, nil
		}
		fl.waiting++
		return nil, fl, nil
	}
	if pin, ok := c.pinLocked(k); ok {
		return pin, nil, nil
	}
	ctx, cancel := context.WithCancel(c.tasks.Context())
	fl := &flight{waiting: 1, cancel: cancel, done: make(chan struct{})}
	c.flights[k] = fl
	c.tasks.Go("flight", func(context.Context) error {
		defer cancel()
		var e *entry
		err := errPanicked
		defer func() { c.end(fl, k, e, err) }()
		e, err = c.bring(ctx, k, f)
		return nil // the error is for those who wait
	})
	return nil, fl, nil
}

// end tells those who wait. E is pinned once, by the flight.
func (c *Cache) end(fl *flight, k key, e *entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, k)
	fl.entry, fl.err = e, err
	if e != nil {
		c.ledger.pin(e, fl.waiting)
		c.ledger.unpin(e)
	}
	c.measure()
	close(fl.done)
}

// land takes what a flight has brought for one who waited.
func (c *Cache) land(fl *flight, f fragments.Fragment) (*Pin, error) {
	if fl.err != nil {
		return nil, fmt.Errorf("copy object %s of store %s: %w", f.ContentPath(), f.Store, fl.err)
	}
	return &Pin{cache: c, entry: fl.entry}, nil
}

// leave a flight, which ends if nobody is left, or what it has brought.
func (c *Cache) leave(fl *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-fl.done:
		if fl.entry != nil {
			c.ledger.unpin(fl.entry)
		}
		return
	default:
	}
	if fl.waiting--; fl.waiting == 0 {
		fl.left = true
		fl.cancel()
	}
}
