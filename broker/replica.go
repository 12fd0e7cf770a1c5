package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// replicaEnv is what all replicas of a broker share.
type replicaEnv struct {
	spools    *spool.Dir
	mode      spool.Mode
	stores    *store.Registry
	persister *persist.Persister
	peers     *peers
	members   replicator
	chunks    *chunkPool
	logger    *slog.Logger
	metrics   *metrics
	disk      *disk
	contents  *contents
	now       func() time.Time
	// autoSuspend tells whether journals that are idle are suspended.
	autoSuspend bool
	// retentionGrace is how long a fragment is kept beyond its journal's retention.
	retentionGrace time.Duration

	self   *protocol.ProcessSpec_ID
	member epoch.Member // this broker, with its disk
	// promises outlive replicas.
	promises promises
	directories
}

// replicator begins to replicate a journal to another member of its route.
type replicator interface {
	replicate(ctx context.Context, id *protocol.ProcessSpec_ID, endpoint, journal string) (*peer, error)
}

// directories is what a replica asks of its broker.
type directories interface {
	registry
	leaseholder
	// journalExists tells whether there is a journal of a name.
	journalExists(name string) bool
	// openTried is called when it became known whether a spool can be opened.
	openTried()
	// advertise writes the journal's route into its assignments, if they have another.
	advertise(ctx context.Context, name string) error
}

// registry is what is in etcd of journals.
type registry interface {
	// entry of a journal that is assigned to this broker, as it is known now; nil if it isn't.
	entry(id spool.ID) *entry
	// entryAt is the same, once etcd is seen at a revision.
	entryAt(ctx context.Context, id spool.ID, revision int64) (*entry, error)
	// recordEpochs of a journal in etcd, if nothing has changed there; false if it has. It
	// returns the revision.
	recordEpochs(ctx context.Context, e *entry, l epoch.List) (int64, bool, error)
	// epochsRevision is the mod revision of a journal's epochs in etcd now, and etcd's revision.
	epochsRevision(ctx context.Context, name string) (int64, int64, error)
	// setSuspension of a journal.
	setSuspension(ctx context.Context, e *entry, s *protocol.JournalSpec_Suspend, closing *epoch.Epoch) outcome
}

// leaseholder knows this broker's lease.
type leaseholder interface {
	// leaseIsValid tells whether nobody else can have been given our journals.
	leaseIsValid() bool
	// leaseID of our present lease; 0 is none.
	leaseID() int64
}

// replica is a journal that this broker holds: its spool, and the index of its
// fragments. It lives as long as the assignment does.
type replica struct {
	id    spool.ID
	env   *replicaEnv
	log   *slog.Logger
	group *task.Group
	index *fragments.Index

	tenure chan *tenure  // holds the one tenure when nobody does
	rate   rate          // of appends
	queue  queue         // appends that wait for it
	opened chan struct{} // closed once spool is set
	spool  *spool.Journal
	failed chan struct{} // closed when the first attempt to open failed
	closed chan struct{} // closed first of all when the replica is given up
	done   chan struct{} // closed last of all
	full   chan struct{} // cap 1: a fragment was completed
	tended chan struct{} // cap 1: spec or route changed
	leads  atomic.Bool   // the tenure has a pipeline

	acked   atomic.Pointer[ackedHead]          // what every member has; nil until that is known
	missing atomic.Pointer[epoch.MissingError] // why no epoch can be formed; nil if one can
	broken  atomic.Pointer[spool.FailedError]  // why the spool failed, as far as that was noted
	listing *listing                           // of the stores
	holes   holes                              // that readers may go over

	fencing sync.Mutex
	fence   epoch.Replica // what was promised
	holder  holder

	publishing sync.Mutex // held while the local entries of the index are replaced
	published  int64      // watermark that the index has; under publishing

	mu      sync.Mutex
	spec    *protocol.JournalSpec
	openErr error              // of the last attempt that failed
	retry   context.CancelFunc // ends the attempt to persist, to begin it anew; or nil
}

// newReplica returns a replica whose tasks end with ctx. They open its spool once
// after is closed, or at once if that is nil.
func newReplica(ctx context.Context, env *replicaEnv, j journal, after <-chan struct{}) *replica {
	name := j.spec.GetName()
	r := &replica{
		id:      spool.ID{Journal: name, CreateRevision: j.createRevision},
		env:     env,
		log:     env.logger.With(slog.String("journal", name)),
		group:   task.New(ctx, "replica "+name),
		index:   fragments.NewIndex(),
		tenure:  make(chan *tenure, 1),
		opened:  make(chan struct{}),
		failed:  make(chan struct{}),
		closed:  make(chan struct{}),
		done:    make(chan struct{}),
		full:    make(chan struct{}, 1),
		tended:  make(chan struct{}, 1),
		listing: newListing(),
		spec:    j.spec,
	}
	r.group.Go("tend", func(ctx context.Context) error { return r.tend(ctx, after) })
	r.group.Go("refresh", r.refresh)
	r.group.Go("persist", r.persist)
	return r
}

// notify wakes the reader of a channel of capacity 1.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is to wake already
	}
}

// update takes a changed spec, and looks at the route again.
func (r *replica) update(spec *protocol.JournalSpec) {
	r.mu.Lock()
	changed := r.spec != spec
	r.spec = spec
	if changed && r.retry != nil {
		r.retry()
	}
	r.mu.Unlock()
	if changed {
		r.listing.again()
		notify(r.full)
	}
	notify(r.tended)
	notify(r.full) // Who is the primary now stores what others left to it.
}

func (r *replica) currentSpec() *protocol.JournalSpec {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spec
}

// Bounds of the pause between attempts to open a spool.
const minReopen, maxReopen = time.Second, time.Minute

// open opens the spool, trying again until ctx is done: the disk may have room
// later, or its operator may have mended it.
func (r *replica) open(ctx context.Context) error {
	pause := minReopen
	for {
		s, err := r.env.spools.Journal(ctx, r.id, spool.JournalOptions{
			Codec: r.currentSpec().GetFragment().GetCompressionCodec(),
		})
		if err == nil {
			r.spool = s
			if err := r.adoptSpool(); err != nil {
				return errors.Join(err, s.Close())
			}
			close(r.opened)
			r.publish(0)
			r.tenure <- new(tenure)
			r.env.openTried()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.log.LogAttrs(ctx, slog.LevelError, "spool not opened: the journal is not served",
			slog.Any("error", err), slog.Duration("retry_in", pause))
		r.mu.Lock()
		r.openErr = r.env.disk.failed(fmt.Errorf("journal %s: open its spool: %w", r.id.Journal, err))
		r.mu.Unlock()
		closeOnce(r.failed)
		r.env.openTried()
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxReopen)
	}
}

// wait for a time, or for ctx.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitOpen waits until the spool is open. If the last attempt failed it returns
// its error at once.
func (r *replica) awaitOpen(ctx context.Context) error {
	select {
	case <-r.opened:
		return nil
	default:
	}
	select {
	case <-r.opened:
		return nil
	case <-r.failed:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.openErr
	case <-r.closed:
		return errReplicaClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// diskFailed is disk.failed of the spool. Why it failed for good it says ever after, and that was noted when it did.
func (r *replica) diskFailed(err error) error {
	if failure, ok := errors.AsType[*spool.FailedError](err); ok && r.broken.Swap(failure) == failure {
		return &diskError{err}
	}
	return r.env.disk.failed(err)
}

// isClosed tells whether the replica was given up.
func (r *replica) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// acquire takes the tenure, after those who wait already.
func (r *replica) acquire(ctx context.Context) (*tenure, error) {
	if r.isClosed() {
		return nil, errReplicaClosed
	}
	select {
	case n := <-r.tenure:
		return n, nil
	case <-r.closed:
		return nil, errReplicaClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// release gives the tenure back.
func (r *replica) release(n *tenure) { r.tenure <- n }

// ackedHead is the head of a journal as far as every member has it. It is never changed.
type ackedHead struct {
	end       int64
	registers *protocol.LabelSet
	codec     protocol.CompressionCodec
	epoch     int64
	sole      bool // this broker is the only member of the epoch
}

// head is what the holder of the tenure decides by. The index is looked at first:
// whatever of it is local is then below the spool's end.
func (r *replica) head() headView {
	begin, end, _ := r.index.Bounds()
	s := r.spool.State()
	return headView{
		end: s.End, registers: s.Registers, codec: s.Codec, openBegin: s.Begin, first: s.FirstAppend, now: r.env.now(),
		indexBegin: begin, indexEnd: end,
	}
}

// acknowledge that every member has what is below the head.
func (r *replica) acknowledge(h *ackedHead) error {
	if err := r.spool.Acknowledge(h.end); err != nil {
		return fmt.Errorf("journal %s: %w", r.id.Journal, err)
	}
	r.acked.Store(h)
	r.publish(h.end)
	return nil
}

// publish shows readers what is durable, unless they see as far as end already. End
// 0 stands for a change of the fragments.
func (r *replica) publish(end int64) {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	if r.isClosed() || end != 0 && end <= r.published {
		return
	}
	// The open one is looked at first: if it is completed meanwhile it is among the
	// completed too, and if another is opened that one waits for the next call.
	open := r.spool.Open()
	completed := r.spool.Completed()
	entries := make([]fragments.Entry, 0, len(completed)+1)
	for _, c := range completed {
		entries = append(entries, fragments.Entry{Fragment: c.Fragment, Local: c.Content})
	}
	r.published = open.End
	r.index.SetLocal(append(entries, open))
}

// close gives the replica up: appends and reads of it end, and its spool is closed
// cleanly. The spool stays.
func (r *replica) close() error {
	close(r.closed)
	defer close(r.done)
	r.endHolder()
	r.group.Cancel()
	err := r.group.Wait()
	select {
	case <-r.opened:
		n := <-r.tenure // whoever writes now does so to the end; nobody does thereafter
		r.dropPipeline(n, errReplicaClosed)
		r.publishing.Lock()
		defer r.publishing.Unlock()
		err = errors.Join(err, r.spool.Close())
	default:
	}
	if err != nil {
		return fmt.Errorf("close replica of journal %s: %w", r.id.Journal, err)
	}
	return nil
}
