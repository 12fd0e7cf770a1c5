package sqlgw

import (
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// watchman learns how far journals go, for marks. What sessions of this gateway read and write it is told of. What
// others append is found by asking (a zero-byte append, which costs a broker next to nothing): a journal that moved
// since it was last asked for is asked for every second; one that didn't, after twice as long each time, up to
// maxPollWait, or longer if there are so many that it would be more than pollsPerRound a second. So ten thousand
// idle journals cost a hundred small calls a second in all, and a few cost nearly none; the price is that the first rows which
// somebody appends past the gateways to a journal that was idle get their time that much later.
type watchman struct {
	gateway *Gateway
	pending map[string]clock.Place // that moved, and aren't in a mark of ours
	polls   map[string]*poll
	seen    int64 // revision of the catalog whose journals were listed last
	listed  time.Time
}

// poll is when a journal is asked for next, and how long after the time before.
type poll struct {
	at     time.Time
	wait   time.Duration
	offset int64
}

const (
	pollsPerRound = 100
	minPollWait   = time.Second
	maxPollWait   = 16 * time.Second
	// roundPatience bounds a round: what doesn't answer is asked again.
	roundPatience = 10 * time.Second
	// relistEvery is how often the journals are listed that tables are laid over.
	relistEvery = 30 * time.Second
)

// round asks for heads whose time has come, and marks what moved.
func (w *watchman) round(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	err := w.list(ctx, now)
	w.ask(ctx, now)
	if err == nil {
		err = w.take(ctx)
	}
	if len(w.pending) == 0 || err != nil {
		return err
	}
	if err := w.gateway.clock.mark(ctx, slices.Collect(maps.Values(w.pending)), time.Time{}); err != nil {
		return err
	}
	clear(w.pending)
	return nil
}

// list the journals of all tables, if there may be others.
func (w *watchman) list(ctx context.Context, now time.Time) error {
	snap := w.gateway.cfg.Catalog.Latest()
	if snap.Revision() == w.seen && now.Sub(w.listed) < relistEvery {
		return nil
	}
	var names []string
	for _, t := range snap.Tables() {
		journals, err := snap.Journals(ctx, t)
		if err != nil {
			return err
		}
		names = append(names, journals...)
	}
	w.seen, w.listed = snap.Revision(), now
	there := make(map[string]bool, len(names))
	for _, j := range names {
		there[j] = true
		if w.polls[j] == nil {
			w.polls[j] = &poll{at: now, wait: minPollWait}
		}
	}
	maps.DeleteFunc(w.polls, func(j string, _ *poll) bool { return !there[j] })
	return nil
}

// ask for heads. What fails is asked again when its time comes.
func (w *watchman) ask(ctx context.Context, now time.Time) {
	var due []string
	for j, p := range w.polls {
		if !p.at.After(now) && len(due) < pollsPerRound {
			due = append(due, j)
		}
	}
	var eg errgroup.Group
	eg.SetLimit(journalFanout / 4)
	for _, j := range due {
		if _, ok := w.gateway.known.since(j, now.Add(-minPollWait)); !ok {
			eg.Go(func() error { _, _ = w.gateway.head(ctx, j); return nil })
		}
	}
	_ = eg.Wait()
	longest := max(maxPollWait, time.Duration(len(w.polls))*time.Second/pollsPerRound)
	for _, j := range due {
		p := w.polls[j]
		head, _ := w.gateway.known.since(j, time.Time{})
		if p.wait = min(2*p.wait, longest); head != p.offset {
			p.wait = minPollWait
		}
		p.offset, p.at = head, now.Add(p.wait)
	}
}

// take what moved.
func (w *watchman) take(ctx context.Context) error {
	moved := w.gateway.known.take()
	if len(moved) == 0 {
		return nil
	}
	created, err := w.gateway.revisions.of(ctx, slices.Collect(maps.Keys(moved)))
	if err != nil {
		w.gateway.known.putBack(moved)
		return err
	}
	for j, offset := range moved {
		if rev, ok := created[j]; ok && offset > 0 {
			w.pending[j] = clock.Place{Journal: j, Revision: rev, Offset: offset}
		}
	}
	return nil
}
