package broker

import (
	"context"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// roster is what this broker serves, as of one view of etcd. It never changes.
type roster struct {
	directory
	state   *protocol.Header_Etcd // of the view
	entries map[string]*entry     // journals that are assigned to us
	next    chan struct{}         // closed when another roster took its place
	room    func() room           // of all brokers; counted when it is first asked for
}

// entry is a journal that is assigned to us. It never changes.
type entry struct {
	journal
	etcd           *protocol.Header_Etcd // state of etcd that it is of
	route          *protocol.Route
	assignments    []assignment
	epochs         epoch.List
	epochsRevision int64 // mod revision of their key; 0 if there is none
	replica        *replica
}

// header for requests about the journal, of no process yet.
func (e *entry) header() *protocol.Header {
	return &protocol.Header{Route: e.route, Etcd: e.etcd}
}

// primaryAssignment is that of slot 0; nil if there is none.
func (e *entry) primaryAssignment() *assignment {
	for i := range e.assignments {
		if e.assignments[i].id.Slot == 0 {
			return &e.assignments[i]
		}
	}
	return nil
}

func newRoster(d directory) *roster {
	return &roster{directory: d, state: d.etcd(), entries: make(map[string]*entry), next: make(chan struct{}), room: sync.OnceValue(d.countRoom)}
}

// advertised tells whether etcd knows the route for all assignments.
func (e *entry) advertised() bool {
	for _, a := range e.assignments {
		if a.route == nil || !protocol.RouteEquivalent(a.route, e.route) {
			return false
		}
	}
	return true
}

// rosterAt waits for a roster of a revision, or of a later one.
func (b *Broker) rosterAt(ctx context.Context, revision int64) (*roster, error) {
	for {
		r := b.roster.Load()
		if r.view.Revision() >= revision {
			return r, nil
		}
		if err := b.keys.WaitForRevision(ctx, revision); err != nil {
			return nil, err
		}
		// A view that only has a greater revision makes no new roster by itself.
		notify(b.kicked)
		select {
		case <-r.next:
		case <-b.stopping:
			return nil, errStopping
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// advertise writes a journal's route into its assignments, so that the allocator
// and other brokers know that its replicas agree on it. Only its primary does.
func (b *Broker) advertise(ctx context.Context, name string) error {
	e := b.roster.Load().entries[name]
	if e == nil || e.advertised() || e.route.GetPrimary() == -1 || int(e.route.GetPrimary()) != e.route.IndexOf(b.cfg.ID) {
		return nil
	}
	value, err := proto.Marshal(&protocol.Route{Members: e.route.GetMembers(), Primary: e.route.GetPrimary()})
	if err != nil {
		return fmt.Errorf("journal %s: route: %w", name, err)
	}
	compares := make([]clientv3.Cmp, 0, len(e.assignments))
	puts := make([]clientv3.Op, 0, len(e.assignments))
	for _, a := range e.assignments {
		compares = append(compares, clientv3.Compare(clientv3.ModRevision(a.key.Key), "=", a.key.ModRevision))
		puts = append(puts, clientv3.OpPut(a.key.Key, string(value), clientv3.WithIgnoreLease()))
	}
	// Where a compare fails, a key has changed: its change brings us back here.
	if _, err := b.cfg.Etcd.Txn(ctx).If(compares...).Then(puts...).Commit(); err != nil {
		return fmt.Errorf("journal %s: write its route: %w", name, err)
	}
	return nil
}

// entry as of directories.
func (b *Broker) entry(id spool.ID) *entry { return b.roster.Load().entryOf(id) }

// entryAt as of directories.
func (b *Broker) entryAt(ctx context.Context, id spool.ID, revision int64) (*entry, error) {
	r, err := b.rosterAt(ctx, revision)
	if err != nil {
		return nil, err
	}
	return r.entryOf(id), nil
}

// entryOf a journal; nil if it isn't assigned to us, or was made again.
func (r *roster) entryOf(id spool.ID) *entry {
	if e := r.entries[id.Journal]; e != nil && e.createRevision == id.CreateRevision {
		return e
	}
	return nil
}

// openTried as of directories.
func (b *Broker) openTried() { notify(b.kicked) }
