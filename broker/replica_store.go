package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Bounds of the pause between attempts to list stores, and the number of failures
// after which those who wait for the first listing are told.
const (
	// primaryListing bounds how long the primary is asked, and maxPage how much at a time.
	primaryListing       = 10 * time.Second
	maxPage              = 10000
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
	err      error             // of the last attempt
	failures int               // in a row
	waiting  []chan<- relisted // of those who wait for an attempt that has yet to begin
}

// relisted is what came of an attempt to list the stores themselves.
type relisted struct {
	stored fragments.CoverSet // what they have
	err    error              // why that isn't known
}

func newListing() *listing {
	return &listing{wake: make(chan struct{}, 1), listed: make(chan struct{}), gaveUp: make(chan struct{})}
}

// again asks for a listing now.
func (l *listing) again() { notify(l.wake) }

// renewed asks for a listing of the stores themselves now, and returns what tells the outcome of one that
// began after the call.
func (l *listing) renewed() <-chan relisted {
	c := make(chan relisted, 1)
	l.mu.Lock()
	l.waiting = append(l.waiting, c)
	l.mu.Unlock()
	l.again()
	return c
}

// attempt returns who waits for the one that begins now.
func (l *listing) attempt() []chan<- relisted {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.waiting
	l.waiting = nil
	return waiting
}

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
		waiting := r.listing.attempt()
		list, err := r.listOnce(ctx, len(waiting) > 0)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			r.index.SetStored(r.prune(ctx, list))
			notify(r.full) // Some of what is local may be stored.
		}
		pause := r.listing.attempted(err)
		for _, c := range waiting {
			c <- relisted{r.index.Stored(), err}
		}
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

// relist has the stores listed anew, unless stop is closed before that is done.
func (r *replica) relist(ctx context.Context, stop <-chan struct{}) (relisted, error) {
	select {
	case l := <-r.listing.renewed():
		return l, nil
	case <-r.closed:
		return relisted{}, errReplicaClosed
	case <-stop:
		return relisted{}, errStopping
	case <-ctx.Done():
		return relisted{}, context.Cause(ctx)
	}
}

// listOnce returns the stored fragments of the journal. Its primary lists the stores, and tells the other
// members, so that a store is listed once for each journal; while that can't be had, at
// first, and for who asks for the stores themselves, they list it on their own.
//
// The primary may not have listed what somebody else has just stored, and which is here no more:
// so what it doesn't tell is believed to be gone only once it has had the time to list it.
func (r *replica) listOnce(ctx context.Context, direct bool) ([]fragments.Fragment, error) {
	e := r.env.entry(r.id)
	if direct || e == nil || r.isPrimary(e) || e.route.GetPrimary() < 0 || !holdsStores(e.spec) || !isClosed(r.listing.listed) {
		return r.list(ctx)
	}
	list, err := r.listOfPrimary(ctx, e)
	if ctx.Err() != nil {
		return nil, err
	}
	if err == nil {
		recent := r.env.now().Add(-2 * e.spec.GetFragment().GetRefreshInterval().AsDuration()).Unix()
		for _, f := range r.index.Stored() {
			if f.ModTime >= recent {
				list = append(list, f.Fragment)
			}
		}
		return list, nil
	}
	r.log.LogAttrs(ctx, slog.LevelDebug, "primary doesn't tell what is stored", slog.Any("error", err))
	return r.list(ctx)
}

// listOfPrimary is what the primary knows of the stores.
func (r *replica) listOfPrimary(ctx context.Context, e *entry) ([]fragments.Fragment, error) {
	ctx, cancel := context.WithTimeout(ctx, primaryListing)
	defer cancel()
	primary := int(e.route.GetPrimary())
	client, err := r.env.peers.client(e.route.EndpointOf(primary))
	if err == nil {
		ctx, err = r.env.peers.signer.proxy(ctx, auth.Read, r.id.Journal)
	}
	if err != nil {
		return nil, err
	}
	var out []fragments.Fragment
	req := &protocol.FragmentsRequest{Header: proxyHeader(e.header(), primary), Journal: r.id.Journal, PageLimit: maxPage, DoNotProxy: true}
	for {
		resp, err := client.ListFragments(ctx, req)
		if err != nil {
			return nil, err
		}
		if resp.GetStatus() != protocol.Status_OK {
			return nil, fmt.Errorf("it answers %s", resp.GetStatus())
		}
		for _, f := range resp.GetFragments() {
			if f.GetSpec().GetModTime() != 0 {
				out = append(out, fragments.FragmentFromProto(f.GetSpec()))
			}
		}
		if req.NextPageToken = resp.GetNextPageToken(); req.GetNextPageToken() == 0 {
			return out, nil
		}
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
			if inner, ok := f.NestedJournal(r.env.journalExists); ok {
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
// the spool. The primary does at once. Other members leave it time, and then do so in its place;
// as a rule they find by then that it is stored.
func (r *replica) persist(ctx context.Context) error {
	select {
	case <-r.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	due := make(map[int64]time.Time) // of fragments that are left to the primary, by their begin
	for {
		next, err := r.persistDue(ctx, due)
		if err != nil {
			return err
		}
		var elapsed <-chan time.Time
		if !next.IsZero() {
			elapsed = time.After(next.Sub(r.env.now()))
		}
		select {
		case <-r.full:
		case <-elapsed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// persistDue stores what is to be stored now, and returns when there is more; zero is not by itself.
func (r *replica) persistDue(ctx context.Context, due map[int64]time.Time) (time.Time, error) {
	var next time.Time
	completed := r.spool.Completed()
	for begin := range due {
		if !slices.ContainsFunc(completed, func(c spool.Completed) bool { return c.Begin == begin }) {
			delete(due, begin)
		}
	}
	for _, c := range completed {
		if r.index.Covered(c.Fragment) {
			r.dropStored(ctx, c)
			continue
		}
		if e := r.env.entry(r.id); e == nil || !r.isPrimary(e) {
			at, ok := due[c.Begin]
			if !ok {
				at = r.env.now().Add(backupDelay())
				due[c.Begin] = at
			}
			if r.env.now().Before(at) {
				if next.IsZero() || at.Before(next) {
					next = at
				}
				continue
			}
		}
		if err := r.persistOne(ctx, c); err != nil {
			return next, err
		}
	}
	return next, nil
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
	r.dropStored(ctx, c)
}

// dropStored lets a local copy go that readers don't need.
func (r *replica) dropStored(ctx context.Context, c spool.Completed) {
	if err := r.spool.Drop(c.Fragment); err != nil {
		// It stays, and is tried again with the next fragment.
		r.log.LogAttrs(ctx, slog.LevelWarn, "spool of a stored fragment not removed", slog.String("fragment", c.ContentName()), slog.Any("error", err))
	}
	r.publish(0)
}
