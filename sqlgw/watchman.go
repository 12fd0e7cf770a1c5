package sqlgw

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// watchman learns how far journals go, for marks. What sessions of this gateway read and write it is told of. What
// others append is found by asking (a zero-byte append, which costs a broker next to nothing), at a pace: so ten thousand
// idle journals cost a hundred small calls a second in all, and a few cost nearly none. The price is that the first rows which
// somebody appends past the gateways to a journal that was idle get their time that much later.
type watchman struct {
	gateway *Gateway
	pending map[string]clock.Place // that moved, and aren't in a mark of ours
	pace    pacer
	seen    int64 // revision of the catalog whose journals were listed last
	listed  time.Time
}

const (
	// pollPatience bounds the asking of a round, so that journals which don't answer don't keep others from being
	// marked, and roundPatience all of it.
	pollPatience  = time.Second
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
	err = errors.Join(err, w.take(ctx))
	if len(w.pending) == 0 {
		return err
	}
	if failed := w.gateway.clock.mark(ctx, slices.Collect(maps.Values(w.pending)), time.Time{}); failed != nil {
		return errors.Join(err, failed)
	}
	clear(w.pending)
	return err
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
	w.pace.keep(names, now)
	return nil
}

// ask for heads. What fails is asked again when its time comes.
func (w *watchman) ask(ctx context.Context, now time.Time) {
	due := w.pace.due(now)
	ctx, cancel := context.WithTimeout(ctx, pollPatience)
	defer cancel()
	var eg errgroup.Group
	eg.SetLimit(journalFanout / 4)
	for _, j := range due {
		if _, ok := w.gateway.known.since(j, now.Add(-minPollWait)); !ok {
			eg.Go(func() error { _, _ = w.gateway.head(ctx, j); return nil })
		}
	}
	_ = eg.Wait()
	for _, j := range due {
		head, _ := w.gateway.known.since(j, time.Time{})
		w.pace.asked(j, head, now)
	}
}

// take what moved. A head counts for a journal whose revision was known before the head was: that of one which was
// made again meanwhile would say too much of the new one. So the first time it is asked for anew.
func (w *watchman) take(ctx context.Context) error {
	moved := w.gateway.known.take()
	if len(moved) == 0 {
		return nil
	}
	created, unknown := w.gateway.revisions.remembered(slices.Collect(maps.Keys(moved)))
	w.add(created, moved)
	if len(unknown) == 0 {
		return nil
	}
	found, err := w.gateway.revisions.fresh(ctx, unknown)
	var heads cut
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, pollPatience)
		defer cancel()
		heads, err = w.gateway.fixCut(ctx, slices.Collect(maps.Keys(found)))
	}
	if err != nil {
		back := make(map[string]int64, len(unknown))
		for _, j := range unknown {
			back[j] = moved[j]
		}
		w.gateway.known.putBack(back)
		return err
	}
	w.add(found, heads)
	return nil
}

// add heads of journals whose revisions are known to the next mark.
func (w *watchman) add(created, heads map[string]int64) {
	for j, rev := range created {
		if offset := heads[j]; offset > 0 {
			w.pending[j] = clock.Place{Journal: j, Revision: rev, Offset: offset}
		}
	}
}
