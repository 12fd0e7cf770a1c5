package broker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// Bounds of the pause between attempts to write a route to etcd.
const minAdvertise, maxAdvertise = 100 * time.Millisecond, 10 * time.Second

// tend opens the spool, once after is closed. Then it tells etcd which route the
// replica serves, whenever that changes, and closes the open fragment at each
// multiple of its flush interval, whether or not there are appends.
func (r *replica) tend(ctx context.Context, after <-chan struct{}) error {
	if after != nil {
		select {
		case <-after:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	// The spool may have been left with completed fragments, or an overdue one.
	notify(r.full)
	pause, idle := minAdvertise, idleWatch{}
	for {
		due, err := r.flush(ctx)
		if err != nil {
			return err
		}
		if at := r.suspendIdle(ctx, &idle); !at.IsZero() && (due.IsZero() || at.Before(due)) {
			due = at
		}
		if err := r.pulse(ctx); err == nil {
			pause = minAdvertise
		} else if ctx.Err() == nil {
			r.log.LogAttrs(ctx, slog.LevelWarn, "journal isn't replicated as its route says", slog.Any("error", err), slog.Duration("retry_in", pause))
			if retry := r.env.now().Add(pause); due.IsZero() || retry.Before(due) {
				due = retry
			}
			pause = min(2*pause, maxAdvertise)
		}
		if err := r.awaitTended(ctx, due); err != nil {
			return err
		}
	}
}

// idlePulse is how often a journal is looked at that may be suspended, and idlePulses how often its route has to
// be the same in a row.
const (
	idlePulse  = time.Minute
	idlePulses = 15
)

// idleWatch counts for how long a journal's route hasn't changed.
type idleWatch struct {
	route *protocol.Route
	next  time.Time
	seen  int
}

// look takes note of the route, and tells whether a pulse is due that may suspend.
func (w *idleWatch) look(route *protocol.Route, now time.Time) bool {
	switch {
	case w.route == nil || !protocol.RouteEquivalent(w.route, route):
		*w = idleWatch{route: route, next: now.Add(idlePulse)}
	case !now.Before(w.next):
		w.seen, w.next = w.seen+1, now.Add(idlePulse)
		return w.seen >= idlePulses
	}
	return false
}

// suspendIdle suspends the journal if brokers are to, this one is its primary, and all of it is stored for long
// enough. It returns when to look again; zero is not by itself.
func (r *replica) suspendIdle(ctx context.Context, w *idleWatch) time.Time {
	e := r.env.entry(r.id)
	if !r.env.autoSuspend || e == nil || !r.isPrimary(e) || e.spec.GetSuspend().GetLevel() != protocol.JournalSpec_Suspend_NONE {
		*w = idleWatch{}
		return time.Time{}
	}
	if w.look(e.route, r.env.now()) {
		// Whatever comes of it is told by the journal's spec.
		r.commit(ctx, &ticket{spec: e.spec, suspend: protocol.AppendRequest_SUSPEND_IF_FLUSHED})
	}
	return w.next
}

// pulse makes the pipeline of the present route, if this broker is the primary, and tells etcd of it:
// so the allocator goes on though nobody appends.
func (r *replica) pulse(ctx context.Context) error {
	e := r.env.entry(r.id)
	if e == nil || !r.isPrimary(e) {
		return r.resign(ctx)
	}
	n, err := r.takeOver(ctx)
	if n == nil {
		return err
	}
	err = r.ensureSynced(n)
	r.release(n)
	if again := new(errAgain); errors.As(err, again) {
		notify(r.tended)
		return r.awaitRevision(ctx, again.revision)
	}
	if err != nil {
		return err
	}
	return r.env.advertise(ctx, r.id.Journal)
}

// takeOver takes the tenure of a primary. Whoever was it before has seen that as well and is about to end
// its appends; it is cut off if it doesn't. The tenure is nil if this broker isn't the primary any
// more, or gives the replica up.
func (r *replica) takeOver(ctx context.Context) (*tenure, error) {
	for {
		bound, cancel := context.WithTimeout(ctx, handover)
		n, err := r.acquire(bound)
		cancel()
		switch e := r.env.entry(r.id); {
		case err == nil:
			return n, nil
		case errors.Is(err, errReplicaClosed):
			return nil, nil //nolint:nilnil // as is said above
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case e == nil || !r.isPrimary(e):
			return nil, r.resign(ctx)
		}
		r.endFollowing()
	}
}

// resign ends the pipeline of a broker that isn't the primary any more, so that the next one may begin.
func (r *replica) resign(ctx context.Context) error {
	if !r.leads.Load() {
		return nil
	}
	bound, cancel := context.WithTimeout(ctx, handover)
	defer cancel()
	n, err := r.acquire(bound)
	if err != nil {
		return ctx.Err() // Who has the tenure has ended the pipeline, or is about to.
	}
	if e := r.env.entry(r.id); e == nil || !r.isPrimary(e) {
		r.retire(n)
	}
	r.release(n)
	return nil
}

func (r *replica) awaitRevision(ctx context.Context, revision int64) error {
	_, err := r.env.entryAt(ctx, r.id, revision)
	return err
}

// awaitTended waits until there is something to tend, or until due unless it is zero.
func (r *replica) awaitTended(ctx context.Context, due time.Time) error {
	var timer <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(due.Sub(r.env.now()))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-timer:
	case <-r.tended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// flush closes the open fragment if its flush interval has ended, and returns when
// to look again; zero is never.
func (r *replica) flush(ctx context.Context) (time.Time, error) {
	interval := r.currentSpec().GetFragment().GetFlushInterval().AsDuration()
	if interval < time.Second {
		return time.Time{}, nil
	}
	if first := r.spool.State().FirstAppend; flushIsDue(first, r.env.now(), interval) {
		if err := r.flushOpen(ctx, interval); err != nil {
			return time.Time{}, err
		}
	}
	return nextFlush(r.env.now(), interval), nil
}

// flushOpen closes the open fragment if that is still due once the tenure is ours. Only the primary
// does, and its peers follow.
func (r *replica) flushOpen(ctx context.Context, interval time.Duration) error {
	e := r.env.entry(r.id)
	if e == nil || !r.isPrimary(e) {
		return nil
	}
	n, err := r.acquire(ctx)
	if errors.Is(err, errReplicaClosed) {
		return nil // Closing makes all of it durable.
	}
	if err != nil {
		return err
	}
	defer r.release(n)
	err = r.ensureSynced(n)
	if err == nil {
		err = r.drain(n.pipeline)
	}
	if err != nil {
		return nil // The pulse that follows tells.
	}
	s := r.spool.State()
	if s.Begin == s.End || !flushIsDue(s.FirstAppend, r.env.now(), interval) {
		return nil
	}
	l := leader{replica: r, tenure: n, pipeline: n.pipeline}
	if err := l.roll(s.End); err != nil {
		// The spool has failed, as every append will tell too. Its content stays in it.
		r.log.LogAttrs(ctx, slog.LevelError, "open fragment not flushed", slog.Any("error", err))
	}
	return nil
}
