package consumer

import (
	"context"
	"errors"
	"maps"
	"time"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/task"
)

// assigner begins a replica for each shard that is assigned to the host, and ends those that aren't any more. Its task
// alone uses it.
type assigner struct {
	host  *Host
	group *task.Group // of replicas
	// ending are replicas that were given up and may not have ended: another one of the shard waits for them.
	ending map[string]*replica
}

func newAssigner(h *Host) *assigner {
	return &assigner{host: h, group: task.New(context.Background(), "replicas"), ending: make(map[string]*replica)}
}

// run keeps the replicas as etcd says, until ctx is done. Then it ends all. What is assigned before the host is
// announced, under its own lease, was given to an earlier process of its name: that lease is about to be ended, and
// what it holds to be assigned anew.
func (a *assigner) run(ctx context.Context) error {
	select {
	case <-a.host.ready:
	case <-ctx.Done():
		return a.group.Wait()
	}
	for ctx.Err() == nil {
		changed := a.host.keys.Changed()
		a.adopt(a.host.directory())
		select {
		case <-changed:
		case <-ctx.Done():
		case <-a.group.Context().Done():
			return errors.Join(errors.New("a replica has failed"), a.group.Wait())
		}
	}
	for id, r := range *a.host.replicas.Load() {
		a.giveUp(id, r)
	}
	a.host.replicas.Store(&map[string]*replica{})
	return a.group.Wait()
}

// adopt what etcd says.
func (a *assigner) adopt(now directory) {
	old := *a.host.replicas.Load()
	next := maps.Clone(old)
	ours := now.assigned(shards.MemberID(a.host.cfg.ID))
	for id, r := range old {
		s, there := now.shard(id)
		if _, assigned := ours[id]; !assigned || there && s.createRevision != r.created {
			delete(next, id)
			a.giveUp(id, r)
		}
	}
	for id, r := range a.ending {
		if isClosed(r.done) {
			delete(a.ending, id)
		}
	}
	for id, assigned := range ours {
		s, ok := now.shard(id)
		switch {
		case !ok: // It is deleted, and its assignments are about to be.
		case next[id] != nil:
			next[id].update(s, &assigned)
		default:
			next[id] = a.begin(s, assigned)
		}
	}
	a.host.replicas.Store(&next)
}

// begin a replica, once an earlier one of the shard has ended.
func (a *assigner) begin(s shardItem, assigned assignment) *replica {
	var after <-chan struct{}
	if before := a.ending[s.Spec.GetId()]; before != nil {
		after = before.done
	}
	r := newReplica(a.host, s, assigned, after)
	ctx, cancel := context.WithCancel(a.group.Context())
	r.cancel = cancel
	a.group.Go(s.Spec.GetId(), func(context.Context) error {
		defer cancel()
		return r.run(ctx)
	})
	return r
}

// giveUp a replica: it ends its transactions, if it can do so in time, and itself.
func (a *assigner) giveUp(id string, r *replica) {
	a.ending[id] = r
	r.update(shardItem{}, nil)
	a.group.Go("leave "+id, func(context.Context) error {
		timer := time.NewTimer(a.host.cfg.Grace)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.done:
		}
		r.cancel()
		<-r.done
		return nil
	})
}
