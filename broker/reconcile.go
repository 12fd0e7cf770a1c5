package broker

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
)

// closeParallel is how many replicas are closed at a time when the broker stops.
const closeParallel = 16

// reconciler makes the rosters of a broker: it begins a replica for each journal
// that is assigned to it, and gives up those that aren't any more. Its task alone
// uses it.
type reconciler struct {
	broker  *Broker
	closers *task.Group // tasks that close replicas
	// idle are spools on disk that no replica has, each with the remnant that sees to it; nil
	// while there is none.
	idle  map[spool.ID]*remnant
	slots chan struct{} // of remnants
	// closing has what is closed when the last replica of a journal is closed, for
	// journals with one that is about to be.
	closing map[string]chan struct{}
	// released has the ids of replicas that are closed.
	released chan spool.ID
}

func newReconciler(b *Broker) *reconciler {
	r := &reconciler{
		broker:   b,
		closers:  task.New(context.Background(), "replicas"),
		idle:     make(map[spool.ID]*remnant),
		slots:    make(chan struct{}, remnantsAtOnce),
		closing:  make(map[string]chan struct{}),
		released: make(chan spool.ID),
	}
	for _, id := range b.env.spools.Journals() {
		r.idle[id] = nil
	}
	return r
}

// run keeps the roster as etcd says, until ctx is done. Then it closes all replicas.
func (r *reconciler) run(ctx context.Context) error {
	b := r.broker
	for ctx.Err() == nil {
		changed := b.keys.Changed()
		r.adopt(ctx, b.keys.View())
		select {
		case <-changed:
		case <-b.kicked:
		case id := <-r.released:
			r.idle[id] = nil
			if r.closing[id.Journal] != nil && isClosed(r.closing[id.Journal]) {
				delete(r.closing, id.Journal)
			}
		case <-ctx.Done():
		}
	}
	r.closers.Cancel()
	return errors.Join(r.closers.Wait(), closeAll(b.roster.Load().entries))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// adopt makes a roster of a view: it keeps the replicas of journals that are still
// assigned, begins new ones, and gives up the rest.
func (r *reconciler) adopt(ctx context.Context, view *keyspace.View) {
	b := r.broker
	old, next := b.roster.Load(), newRoster(directory{prefix: b.cfg.Prefix, view: view})
	var changed []*entry
	next.assigned(memberID(b.cfg.ID), func(name string, all []assignment) {
		j, ok := next.journal(name)
		if !ok {
			return // The journal is deleted, and its assignments are about to be.
		}
		e := &entry{journal: j, etcd: next.state, route: next.route(all), assignments: all}
		e.epochs, e.epochsRevision = next.epochs(j)
		was := old.entries[name]
		if was != nil && was.createRevision == j.createRevision {
			e.replica = was.replica
		} else {
			after := r.closing[name]
			if was != nil {
				after = was.replica.done
			}
			id := spool.ID{Journal: name, CreateRevision: j.createRevision}
			if m := r.idle[id]; m != nil {
				m.cancel()
				after = m.done
			}
			e.replica = newReplica(ctx, b.env, j, after)
			delete(r.idle, id)
		}
		if was == nil || was.spec != j.spec || !protocol.RouteEquivalent(was.route, e.route) || !e.advertised() {
			changed = append(changed, e)
		}
		next.entries[name] = e
	})
	b.roster.Store(next)
	close(old.next)
	for _, e := range changed {
		e.replica.update(e.spec)
	}
	for name, e := range old.entries {
		if now := next.entries[name]; now == nil || now.replica != e.replica {
			r.giveUp(e.replica)
		}
	}
	r.discardDeleted(ctx, next)
	r.beginRemnants(next)
	b.checkReady(next)
}

// beginRemnants sees to the spools that no replica has, of journals that there are.
func (r *reconciler) beginRemnants(now *roster) {
	for id, m := range r.idle {
		if e := now.entryOf(id); e != nil {
			delete(r.idle, id) // It was assigned again before its former replica was closed.
			continue
		}
		if m != nil {
			if isClosed(m.done) && m.gone {
				delete(r.idle, id)
			}
			continue
		}
		if j, ok := now.journal(id.Journal); !ok || j.createRevision != id.CreateRevision || r.closing[id.Journal] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(r.closers.Context())
		m := &remnant{
			broker: r.broker, id: id, done: make(chan struct{}), cancel: cancel,
			log: r.broker.log.With(slog.String("journal", id.Journal)),
		}
		r.idle[id] = m
		r.closers.Go("remnant "+id.Journal, func(context.Context) error {
			if err := m.run(ctx, r.slots); ctx.Err() == nil {
				return err
			}
			return nil
		})
	}
}

// giveUp closes a replica that left the roster.
func (r *reconciler) giveUp(gone *replica) {
	r.closing[gone.id.Journal] = gone.done
	r.closers.Go("close "+gone.id.Journal, func(ctx context.Context) error {
		if err := gone.close(); err != nil {
			gone.log.LogAttrs(ctx, slog.LevelError, "replica not closed cleanly", slog.Any("error", err))
		}
		select {
		case r.released <- gone.id:
		case <-ctx.Done():
		}
		return nil
	})
}

// discardDeleted removes the spools of journals that were deleted, or deleted and
// made again: nobody can ask for what is in them any more.
func (r *reconciler) discardDeleted(ctx context.Context, now *roster) {
	for id, m := range r.idle {
		if j, ok := now.journal(id.Journal); ok && j.createRevision <= id.CreateRevision {
			continue
		}
		if m != nil {
			m.cancel()
			<-m.done
			if m.gone {
				delete(r.idle, id)
				continue
			}
		}
		log := r.broker.log.With(slog.String("journal", id.Journal), slog.Int64("create_revision", id.CreateRevision))
		delete(r.idle, id)
		r.broker.env.promises.forget(id)
		if err := r.broker.env.spools.Discard(id); err != nil {
			log.LogAttrs(ctx, slog.LevelError, "spool of a deleted journal not removed", slog.Any("error", err))
			continue
		}
		log.LogAttrs(ctx, slog.LevelWarn, "dropped the spool of a deleted journal")
	}
}

// closeAll closes the replicas of all entries.
func closeAll(entries map[string]*entry) error {
	var g errgroup.Group
	g.SetLimit(closeParallel)
	results := make(chan error, len(entries))
	for _, e := range entries {
		g.Go(func() error {
			results <- e.replica.close()
			return nil
		})
	}
	errs := []error{g.Wait()}
	close(results)
	for err := range results {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
