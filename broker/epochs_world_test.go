package broker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
)

// world is a cluster with one journal in one process: real replicas and spools, over disks that
// lose what wasn't synced, streams that are cut, and an etcd whose writes arrive late or never.
type world struct {
	t         *testing.T
	root      string // of the store
	spec      *protocol.JournalSpec
	mode      spool.Mode
	stores    *store.Registry
	persister *persist.Persister
	nodes     []*node

	mu       sync.Mutex
	chaos    *rand.Rand
	trouble  int // messages until something happens to one; 0 is never
	slow     int // of ten writes to etcd so many are late, or lost
	revision int64
	epochs   epoch.List
	written  int64 // revision of epochs
	route    []seat
	late     []func() // writes to etcd on their way
}

// seat is an assignment of the journal.
type seat struct {
	node           *node
	slot           int
	createRevision int64
	lease          int64
}

// node is a broker, over its crashes.
type node struct {
	world *world
	id    *protocol.ProcessSpec_ID
	fs    *vfs.MemFS

	process *process // nil while it is down
}

// process is one life of a node.
type process struct {
	node   *node
	ctx    context.Context // lifetime of the process
	kill   context.CancelFunc
	env    *replicaEnv
	lease  int64
	broker *Broker

	// Under world.mu.
	dead    bool
	view    *entry // of etcd; nil while the journal isn't assigned here
	replica *replica
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, root: t.TempDir(), chaos: rand.New(rand.NewPCG(seed, 2)), revision: 10}
	w.mode = []spool.Mode{spool.Synced, spool.Replicated}[seed%2]
	w.spec = specWith(func(f *protocol.JournalSpec_Fragment) { f.Length = 12 })
	w.spec.Replication = 2
	var err error
	w.stores, err = store.NewRegistry(store.RegistryConfig{FileRoot: w.root})
	require.NoError(t, err)
	w.persister, err = persist.New(persist.Config{Stores: w.stores, TempDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for _, name := range []string{"node-a", "node-b", "node-c"} {
		n := &node{world: w, id: &protocol.ProcessSpec_ID{Zone: "zone", Suffix: name}, fs: vfs.NewCrashableMem()}
		w.nodes = append(w.nodes, n)
		n.start()
	}
	return w
}

// start a process, which has a new lease, and no journal as yet.
func (n *node) start() {
	w := n.world
	logger := slog.New(slog.NewTextHandler(w.t.Output(), nil)).With(slog.String("node", n.id.GetSuffix()))
	spools, err := spool.Open(w.t.Context(), spool.Config{FS: n.fs, Dir: "spools", Mode: w.mode, BootID: "b007b007-b007-b007-b007-b007b007b007", Logger: logger})
	require.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision++
	p := &process{node: n, lease: w.revision}
	p.ctx, p.kill = context.WithCancel(context.WithoutCancel(w.t.Context()))
	p.broker = &Broker{life: p.ctx}
	p.env = &replicaEnv{
		spools: spools, mode: w.mode, stores: w.stores, persister: w.persister, logger: logger, metrics: newMetrics(), disk: newDisk(vfs.NewMem(), "", newDescriptors(logger), logger), now: time.Now,
		contents: newContents(w.stores), retentionGrace: time.Hour, peers: newPeers(nil, nil, 1<<20), chunks: newChunkPool(),
		members: p, self: n.id, member: epoch.Member{Broker: brokerOf(n.id), Disk: spools.Disk()}, directories: p,
	}
	n.process = p
	w.route = slices.DeleteFunc(w.route, func(s seat) bool { return s.node == n }) // Its old lease is revoked.
}

// crash with the lock: the disk keeps what was synced, and some of the rest.
func (p *process) crash() {
	if p.dead {
		return
	}
	kept := 100 // The process crashes, and the machine goes on.
	if p.node.world.mode == spool.Synced {
		kept = []int{0, 50, 100}[p.node.world.chaos.IntN(3)]
	}
	p.dead = true
	p.node.fs = p.node.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: p.node.world.chaos})
	p.kill()
}

// bury what is left of processes that crashed, and of replicas that aren't assigned any more.
func (w *world) bury() {
	for _, n := range w.nodes {
		if p := n.process; p != nil && p.isGone() {
			p.see()
		}
		if p := n.process; p != nil && p.isDead() {
			if p.replica != nil {
				_ = p.replica.close() // What it writes now goes nowhere.
			}
			n.process = nil
		}
	}
}

// end all processes.
func (w *world) end() {
	for _, n := range w.nodes {
		if p := n.process; p != nil {
			p.kill()
			if p.replica != nil {
				_ = p.replica.close()
			}
		}
	}
}

// isGone tells whether the process has a replica that it has seen to be assigned elsewhere.
func (p *process) isGone() bool {
	p.node.world.mu.Lock()
	defer p.node.world.mu.Unlock()
	return p.view == nil && p.replica != nil && !p.dead
}

func (p *process) isDead() bool {
	p.node.world.mu.Lock()
	defer p.node.world.mu.Unlock()
	return p.dead
}

// assign the journal to nodes, of which the first is the primary. Those that lag don't see it yet.
func (w *world) assign(nodes []*node, lag func() bool) {
	w.mu.Lock()
	w.revision++
	var route []seat
	for slot, n := range nodes {
		s := seat{n, slot, w.revision, n.process.lease}
		for _, was := range w.route {
			if was.node == n && was.slot == slot && was.lease == s.lease {
				s = was
			}
		}
		route = append(route, s)
	}
	w.route = route
	var see []*process
	for _, n := range w.nodes {
		if n.process != nil && !lag() {
			see = append(see, n.process)
		}
	}
	w.mu.Unlock()
	for _, p := range see {
		p.see()
	}
}

// see the present state of etcd, and have a replica if the journal is assigned here.
func (p *process) see() {
	w := p.node.world
	w.mu.Lock()
	p.view = w.entryFor(p.node)
	r, gone := p.replica, p.view == nil
	if gone {
		p.replica = nil
	} else if r == nil && !p.dead {
		p.replica = newReplica(p.ctx, p.env, p.view.journal, nil)
	}
	w.mu.Unlock()
	switch {
	case gone && r != nil:
		_ = r.close()
	case r != nil:
		r.update(w.spec)
	}
}

// entryFor a node, with the lock.
func (w *world) entryFor(n *node) *entry {
	e := &entry{
		journal: journal{journalItem: journalItem{spec: w.spec, most: defaultReplication}, createRevision: 1, modRevision: 1},
		etcd:    &protocol.Header_Etcd{ClusterId: 1, MemberId: 1, RaftTerm: 1, Revision: w.revision},
		route:   protocol.EmptyRoute(), epochs: w.epochs, epochsRevision: w.written,
	}
	assigned := false
	for _, m := range w.nodes {
		for _, s := range w.route {
			if s.node != m {
				continue
			}
			assigned = assigned || m == n
			if s.slot == 0 {
				e.route.Primary = int32(len(e.route.GetMembers())) //nolint:gosec // there are few
			}
			e.route.Members = append(e.route.Members, m.id)
			e.route.Endpoints = append(e.route.Endpoints, "")
			e.assignments = append(e.assignments, assignment{
				id:  allocator.AssignmentID{Item: w.spec.GetName(), Member: memberID(m.id), Slot: s.slot},
				key: keyspace.KeyValue{Lease: s.lease, CreateRevision: s.createRevision},
			})
		}
	}
	if !assigned {
		return nil
	}
	return e
}

// What follows is of directories.

func (p *process) journalExists(string) bool               { return false }
func (p *process) openTried()                              {}
func (p *process) advertise(context.Context, string) error { return nil }
func (p *process) leaseIsValid() bool                      { return !p.isDead() }
func (p *process) leaseID() int64                          { return p.lease }

func (p *process) entry(spool.ID) *entry {
	p.node.world.mu.Lock()
	defer p.node.world.mu.Unlock()
	return p.view
}

func (p *process) entryAt(_ context.Context, _ spool.ID, revision int64) (*entry, error) {
	w := p.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.view == nil || p.view.etcd.GetRevision() < revision {
		p.view = w.entryFor(p.node)
	}
	return p.view, nil
}

func (p *process) setSuspension(context.Context, *entry, *protocol.JournalSpec_Suspend, *epoch.Epoch) outcome {
	return outcome{again: true}
}

var errEtcd = errors.New("etcd didn't answer")

func (p *process) recordEpochs(ctx context.Context, e *entry, l epoch.List) (int64, bool, error) {
	w := p.node.world
	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return 0, false, errEtcd
	}
	ours := e.primaryAssignment().key
	write := func() bool {
		ok := w.written == e.epochsRevision && slices.ContainsFunc(w.route, func(s seat) bool {
			return s.node == p.node && s.slot == 0 && s.createRevision == ours.CreateRevision
		})
		if ok {
			w.revision++
			w.epochs, w.written = l, w.revision
		}
		return ok
	}
	if w.chaos.IntN(10) >= w.slow {
		ok := write()
		if ok {
			p.view = w.entryFor(p.node)
		}
		defer w.mu.Unlock()
		return w.revision, ok, nil
	}
	switch w.chaos.IntN(3) {
	case 0: // It never arrives.
	case 1:
		w.late = append(w.late, func() { write() })
	default: // It arrives, and nobody hears of it.
		write()
	}
	w.mu.Unlock()
	<-ctx.Done()
	return 0, false, errEtcd
}

func (p *process) epochsRevision(context.Context, string) (int64, int64, error) {
	w := p.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.dead {
		return 0, 0, errEtcd
	}
	return w.written, w.revision, nil
}

// arrive lets one write arrive that was on its way.
func (w *world) arrive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.late) > 0 {
		write := w.late[0]
		w.late = w.late[1:]
		write()
	}
}
