package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// LabelRetention is the label by which a journal asks brokers to remove fragments that are older than
// its spec's retention. Its value is RetentionEnforced. Without it they never do, as Gazette's don't.
const (
	LabelRetention    = "broadsheet.dev/retention"
	RetentionEnforced = "enforced"
)

// recoveryLog is the content type of journals that are never pruned: what is needed of them only their
// shards know.
const recoveryLog = "application/x-gazette-recoverylog"

// retentionOf a journal, which brokers enforce; 0 keeps for ever.
func retentionOf(spec *protocol.JournalSpec) time.Duration {
	labels := spec.GetLabels()
	if labels.ValueOf(LabelRetention) != RetentionEnforced ||
		strings.HasPrefix(labels.ValueOf("content-type"), recoveryLog) {
		return 0
	}
	return max(0, spec.GetFragment().GetRetention().AsDuration())
}

// prune removes what the journal's retention keeps no longer from its stores, and returns what is left of the
// listing. The primary does. A fragment that somebody reads through this broker stays until the next time; who
// reads it otherwise has the grace.
func (r *replica) prune(ctx context.Context, list []fragments.Fragment) []fragments.Fragment {
	e := r.env.entry(r.id)
	if e == nil || !r.isPrimary(e) || !r.env.leaseIsValid() {
		return list
	}
	keep := retentionOf(e.spec)
	if keep == 0 {
		return list
	}
	old := fragments.Expired(list, r.env.now().Add(-keep-r.env.retentionGrace))
	if len(old) == 0 {
		return list
	}
	if err := r.giveUp(ctx, e, old); err != nil {
		r.log.LogAttrs(ctx, slog.LevelWarn, "nothing pruned", slog.Any("error", err))
		return list
	}
	gone := make(map[fragments.Fragment]bool)
	for _, f := range old {
		if r.env.contents.inUse(f) {
			break
		}
		if err := r.removeStored(ctx, f); err != nil {
			r.log.LogAttrs(ctx, slog.LevelWarn, "fragment not pruned", slog.String("fragment", f.ContentName()), slog.Any("error", err))
			break
		}
		r.env.metrics.pruned.Inc()
		r.log.LogAttrs(ctx, slog.LevelInfo, "fragment pruned", slog.String("fragment", f.ContentName()), slog.String("store", f.Store))
		gone[f] = true
	}
	return slices.DeleteFunc(list, func(f fragments.Fragment) bool { return gone[f] })
}

// giveUp writes to the journal's epochs what is about to be pruned. So epochs whose bytes are gone can leave the list, and
// readers don't wait for members that might still have some.
func (r *replica) giveUp(ctx context.Context, e *entry, old []fragments.Fragment) error {
	end := int64(0)
	for _, f := range old {
		end = max(end, f.End)
	}
	next := e.epochs.Prune(end).Retire(r.covers)
	if slices.EqualFunc(next, e.epochs, func(a, b epoch.Epoch) bool { return a.Number == b.Number && a.Pruned == b.Pruned }) {
		return nil
	}
	_, recorded, err := r.env.recordEpochs(ctx, e, next)
	if err != nil {
		return err
	}
	if !recorded {
		return fmt.Errorf("journal %s: its epochs or its primary have just changed", r.id.Journal)
	}
	return nil
}

func (r *replica) removeStored(ctx context.Context, f fragments.Fragment) error {
	s, err := r.env.stores.Open(f.Store)
	if err != nil {
		return err
	}
	if err := s.Remove(ctx, f.ContentPath()); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}
