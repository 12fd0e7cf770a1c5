package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
)

// Bounds of the pause between attempts to list stores, and the number of failures
// after which those who wait for the first listing are told.
const (
	minRelist, maxRelist = 100 * time.Millisecond, 30 * time.Second
	listingPatience      = 5
)

// indexError tells that a journal's stores can't be listed, so that it isn't known
// how far their content goes.
type indexError struct {
	journal string
	err     error
}

func (e *indexError) Error() string {
	return fmt.Sprintf("journal %s: list its stores: %s", e.journal, e.err)
}

func (e *indexError) Unwrap() error { return e.err }

// listing tells how it goes with listing a journal's stores.
type listing struct {
	wake   chan struct{} // cap 1: list now
	listed chan struct{} // closed when a listing succeeded for the first time
	gaveUp chan struct{} // closed when too many failed for the first time

	mu       sync.Mutex
	err      error // of the last attempt
	failures int   // in a row
}

func newListing() *listing {
	return &listing{wake: make(chan struct{}, 1), listed: make(chan struct{}), gaveUp: make(chan struct{})}
}

// again asks for a listing now.
func (l *listing) again() { notify(l.wake) }

// attempted notes an attempt and returns the pause before the next, 0 after success.
// One task makes all attempts.
func (l *listing) attempted(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = err; err == nil {
		l.failures = 0
		closeOnce(l.listed)
		return 0
	}
	if l.failures++; l.failures >= listingPatience {
		closeOnce(l.gaveUp)
	}
	return min(minRelist<<min(l.failures-1, 16), maxRelist)
}

// closeOnce closes c unless it is closed. One task at a time may.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func (l *listing) lastError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// awaitIndex waits until the spool is open and the stores were listed once. If they
// can't be listed the error is an *indexError.
func (r *replica) awaitIndex(ctx context.Context) error {
	if err := r.awaitOpen(ctx); err != nil {
		return err
	}
	select {
	case <-r.listing.listed:
		return nil
	default:
	}
	select {
	case <-r.listing.listed:
		return nil
	case <-r.listing.gaveUp:
		if err := r.listing.lastError(); err != nil {
			return &indexError{r.id.Journal, err}
		}
		return nil // It has just succeeded.
	case <-r.closed:
		return errReplicaClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refresh lists the stores at once, at each refresh interval, and when their number
// has changed.
func (r *replica) refresh(ctx context.Context) error {
	for {
		list, err := r.list(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			r.index.SetStored(list)
		}
		pause := r.listing.attempted(err)
		if err != nil {
			r.env.metrics.refreshFailures.Inc()
			r.log.LogAttrs(ctx, slog.LevelWarn, "stores not listed", slog.Any("error", err), slog.Duration("retry_in", pause))
		} else {
			// Replicas that began together don't stay together.
			interval := r.currentSpec().GetFragment().GetRefreshInterval().AsDuration()
			pause = interval - rand.N(interval/10+1)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-r.listing.wake:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// list returns the fragments that the stores of the journal hold.
func (r *replica) list(ctx context.Context) ([]fragments.Fragment, error) {
	var out []fragments.Fragment
	name := r.id.Journal
	for _, url := range r.currentSpec().GetFragment().GetStores() {
		s, err := r.env.stores.Open(url)
		if err != nil {
			return nil, err
		}
		err = s.List(ctx, name+"/", func(o store.Object) error {
			f, err := fragments.ParseContentPath(name, o.Path)
			if err != nil {
				r.log.LogAttrs(ctx, slog.LevelDebug, "object is no fragment",
					slog.String("store", url), slog.String("path", o.Path), slog.Any("error", err))
				return nil
			}
			if inner, ok := f.NestedJournal(r.env.exists); ok {
				r.log.LogAttrs(ctx, slog.LevelDebug, "object is of a nested journal",
					slog.String("store", url), slog.String("path", o.Path), slog.String("nested", inner))
				return nil
			}
			f.Store, f.ModTime = url, o.ModTime.Unix()
			out = append(out, f)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// persist stores each completed fragment, the oldest first, and then drops it from
// the spool.
func (r *replica) persist(ctx context.Context) error {
	select {
	case <-r.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		for _, c := range r.spool.Completed() {
			if err := r.persistOne(ctx, c); err != nil {
				return err
			}
		}
		select {
		case <-r.full:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// persistOne stores c, however long that takes. If the spec changes meanwhile the
// attempt begins anew. A journal without stores keeps its content in its spool.
func (r *replica) persistOne(ctx context.Context, c spool.Completed) error {
	for {
		attempt, cancel := context.WithCancel(ctx)
		r.mu.Lock()
		spec := r.spec
		r.retry = cancel
		r.mu.Unlock()
		if len(spec.GetFragment().GetStores()) == 0 {
			cancel()
			return nil
		}
		stored, err := r.env.persister.Persist(attempt, spec, c)
		changed := attempt.Err() != nil
		cancel()
		switch {
		case err == nil:
			r.drop(ctx, c, stored)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !changed:
			// It can't be stored, as when the store holds other bytes by its name. It
			// stays in the spool, and is tried again when the spec changes or with the
			// next fragment.
			r.log.LogAttrs(ctx, slog.LevelError, "fragment not stored", slog.String("fragment", c.ContentName()), slog.Any("error", err))
			return nil
		}
	}
}

// drop lets the local copy of a stored fragment go, once readers know the stored one.
func (r *replica) drop(ctx context.Context, c spool.Completed, stored fragments.Fragment) {
	r.index.AddStored(stored)
	if err := r.spool.Drop(c.Fragment); err != nil {
		// It stays, and is tried again with the next fragment.
		r.log.LogAttrs(ctx, slog.LevelWarn, "spool of a stored fragment not removed", slog.String("fragment", c.ContentName()), slog.Any("error", err))
	}
	r.publish(0)
}
