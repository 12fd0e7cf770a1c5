package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// A shard that has failed is tried again after a pause that doubles between these. One that has run for longer than
	// the greatest begins with the least.
	minPause, maxPause = time.Second, time.Minute
	// statusPause is how long a status waits that etcd didn't take.
	statusPause = 500 * time.Millisecond
)

// replica is a shard that is assigned to this process.
//
// Its goroutines, which end with it: live, which runs it; status, which tells etcd of it; and while it plays or runs,
// one that plays its log, one for each source, and one that writes hints.
type replica struct {
	host    *Host
	id      string
	created int64 // create revision of the shard's key
	log     *slog.Logger
	metrics *shardMetrics
	spec    atomic.Pointer[shards.ShardSpec]
	serving atomic.Pointer[serving] // what others may use of it; nil unless it is primary
	after   <-chan struct{}         // an earlier replica of the shard is gone; nil if there is none
	done    chan struct{}           // closed once it has ended
	cancel  context.CancelFunc

	// lastMessage that an attempt failed on. Of the goroutine live.
	lastMessage *MessageError

	mu       sync.Mutex
	assigned *assignment           // as etcd has it now; nil once it was taken away
	last     *assignment           // as assigned was before it was taken away
	status   *shards.ReplicaStatus // to be told
	edits    int                   // of the spec, that an attempt doesn't survive
	revision int64                 // of the shard's key that has the spec
	changed  chan struct{}         // closed when one of those is changed
}

func newReplica(h *Host, s shardItem, a assignment, after <-chan struct{}) *replica {
	r := &replica{
		host: h, id: s.Spec.GetId(), created: s.createRevision, after: after, metrics: h.metrics.of(s.Spec.GetId()),
		log: h.log.With(slog.String("shard", s.Spec.GetId())), done: make(chan struct{}), assigned: &a, last: &a,
		status: new(shards.ReplicaStatus), changed: make(chan struct{}), revision: s.modRevision,
	}
	r.spec.Store(s.Spec)
	return r
}

// run the replica until ctx ends.
func (r *replica) run(ctx context.Context) error {
	defer close(r.done)
	defer r.metrics.gone()
	if r.after != nil {
		<-r.after // It ends in time: it was cancelled.
	}
	g := task.New(ctx, "shard "+r.id)
	g.Go("live", func(ctx context.Context) error {
		defer g.Cancel()
		return r.live(ctx)
	})
	g.Go("status", r.tellStatus)
	return g.Wait()
}

// change what others read, and wake who waits for it.
func (r *replica) change(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
	close(r.changed)
	r.changed = make(chan struct{})
}

// update tells what etcd says: the spec, and the assignment, nil if it is gone. Then the spec doesn't matter.
func (r *replica) update(s shardItem, a *assignment) {
	spec := s.Spec
	r.mu.Lock()
	same := a != nil && r.assigned != nil && a.key.ModRevision == r.assigned.key.ModRevision && a.key.Key == r.assigned.key.Key
	same = same || a == nil && r.assigned == nil
	r.mu.Unlock()
	if same && (spec == nil || spec == r.spec.Load()) {
		return
	}
	r.change(func() {
		if r.assigned = a; a != nil {
			r.last = a
		}
		if old := r.spec.Load(); spec != nil && spec != old {
			if !survives(old, spec) {
				r.edits++
			}
			r.spec.Store(spec)
			r.revision = s.modRevision
		}
	})
}

// survives tells whether a replica may go on with a changed spec.
func survives(old, next *shards.ShardSpec) bool {
	next = proto.CloneOf(next)
	next.HotStandbys, next.HintBackups = old.GetHotStandbys(), old.GetHintBackups()
	return proto.Equal(old, next)
}

// revised returns the revision of the shard's key, the spec that it has, and the last assignment that is known, which may be gone.
func (r *replica) revised() (int64, *shards.ShardSpec, *assignment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision, r.spec.Load(), r.last
}

// now returns what is set at present, and a channel that is closed when that changes.
func (r *replica) now() (*assignment, *shards.ReplicaStatus, int, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.assigned, r.status, r.edits, r.changed
}

// tell a status: etcd has it soon.
func (r *replica) tell(s *shards.ReplicaStatus) {
	r.metrics.told(s)
	r.change(func() { r.status = s })
}

// reach a status of this attempt: it only goes forward.
func (r *replica) reach(code shards.ReplicaStatus_Code) {
	_, now, _, _ := r.now()
	r.tell(now.Reduce(&shards.ReplicaStatus{Code: code}))
}

// tellStatus writes the status to etcd under the assignment, wherever that is by now.
func (r *replica) tellStatus(ctx context.Context) error {
	for {
		a, status, _, changed := r.now()
		var retry <-chan time.Time
		if a != nil && !proto.Equal(a.status, status) {
			if err := r.writeStatus(ctx, a, status); err != nil && ctx.Err() == nil {
				r.log.LogAttrs(ctx, slog.LevelWarn, "status not told", slog.Any("error", err))
				retry = time.After(statusPause)
			}
		}
		select {
		case <-changed:
		case <-retry:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// writeStatus, if the assignment is as we know it. If it isn't, its change wakes us.
func (r *replica) writeStatus(ctx context.Context, a *assignment, status *shards.ReplicaStatus) error {
	value, err := proto.Marshal(status)
	if err != nil {
		return err
	}
	_, err = r.host.cfg.Etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(a.key.Key), "=", a.key.ModRevision)).
		Then(clientv3.OpPut(a.key.Key, string(value), clientv3.WithIgnoreLease())).
		Commit()
	return err
}

// live through attempts to run the shard, until ctx ends, or it is assigned to us no more.
func (r *replica) live(ctx context.Context) error {
	pause := minPause
	for {
		_, _, edits, _ := r.now()
		began := time.Now()
		r.tell(new(shards.ReplicaStatus))
		err := r.attemptSafely(ctx, edits)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if a, _, _, _ := r.now(); a == nil {
			return nil // What came of the end doesn't matter: somebody else has the shard.
		}
		if err == nil {
			continue // It isn't primary any more, or its spec was edited.
		}
		r.lastMessage, _ = errors.AsType[*MessageError](err)
		r.metrics.failures.WithLabelValues(r.id).Inc()
		r.tell(shards.Failed(err))
		if time.Since(began) > maxPause {
			pause = minPause
		}
		r.log.LogAttrs(ctx, slog.LevelError, "shard has failed", slog.Any("error", err), slog.Duration("retry_in", pause))
		if err := r.sleep(ctx, pause, edits); err != nil {
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

// attemptSafely is attempt, in which a panic is a failure of the shard alone.
func (r *replica) attemptSafely(ctx context.Context, edits int) (err error) { //nolint:nonamedreturns // set as it recovers
	defer recovered(&err)
	return r.attempt(ctx, edits)
}

// recovered, deferred, makes an error of a panic.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// sleep for a time, or until the spec is edited, or the assignment gone.
func (r *replica) sleep(ctx context.Context, d time.Duration, edits int) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		a, _, now, changed := r.now()
		if a == nil || now != edits {
			return nil
		}
		select {
		case <-timer.C:
			return nil
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attempt to run the shard: as a standby, and then as its primary. It returns nil if another attempt is to follow at
// once: its spec was edited, or it was primary and isn't any more.
func (r *replica) attempt(ctx context.Context, edits int) error {
	g := task.New(ctx, "shard "+r.id)
	defer g.Cancel()
	dir, err := os.MkdirTemp(r.host.cfg.Dir, "shard-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left is removed as the host starts
	edited := make(chan struct{})
	g.Go("edits", func(ctx context.Context) error {
		err := r.awaitState(ctx, func(a *assignment, now int) bool { return a == nil || now != edits })
		if err == nil {
			close(edited)
		}
		return err
	})
	standby := &standby{r: r, dir: dir, group: g, edited: edited}
	player, err := standby.run(g.Context())
	if err == nil && !isClosed(edited) {
		err = r.lead(g.Context(), player, edits)
	}
	g.Cancel()
	if failed := g.Wait(); failed != nil {
		return failed // which is why the rest ended, too
	}
	return err
}

// awaitState waits until what etcd says of the replica fulfils a condition.
func (r *replica) awaitState(ctx context.Context, fulfils func(a *assignment, edits int) bool) error {
	for {
		a, _, edits, changed := r.now()
		if fulfils(a, edits) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func isPrimary(a *assignment, _ int) bool { return a != nil && a.id.Slot == 0 }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// standby plays the log, if there is one, until the replica is to be primary.
type standby struct {
	r      *replica
	dir    string
	group  *task.Group
	edited <-chan struct{} // or the assignment is gone
	played chan struct{}   // closed once Play has ended; nil without a log
	err    error           // of Play, then
}

// run until the replica is to be primary, or its spec is edited. It returns the player that has taken its log over, if it
// has one.
func (s *standby) run(ctx context.Context) (Player, error) {
	lead := make(chan struct{})
	s.group.Go("lead", func(ctx context.Context) error {
		err := s.r.awaitState(ctx, isPrimary)
		if err == nil {
			close(lead)
		}
		return err
	})
	began := time.Now()
	player, err := s.play(ctx)
	if err != nil {
		return nil, err
	}
	if player != nil {
		if ok, err := s.await(ctx, player.CaughtUp(), lead); !ok {
			return nil, err
		}
	}
	followed := player != nil && isClosed(player.CaughtUp())
	if followed {
		s.r.metrics.recovered(time.Since(began))
	}
	s.r.reach(shards.ReplicaStatus_STANDBY)
	if ok, err := s.await(ctx, lead, nil); !ok || player == nil {
		return nil, err
	}
	if err := player.TakeOver(); err != nil {
		return nil, err
	}
	select {
	case <-s.played:
	case <-s.edited:
		return nil, nil //nolint:nilnil // as for await: what is left of a log, which may be long, needn't be played
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.err == nil && !followed {
		s.r.metrics.recovered(time.Since(began))
	}
	return player, s.err
}

// await one of two things. It is false if something else came before.
func (s *standby) await(ctx context.Context, one, other <-chan struct{}) (bool, error) {
	select {
	case <-one:
	case <-other:
	case <-s.edited:
		return false, nil
	case <-s.played:
		return false, errors.Join(s.err, errPlayed)
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return true, nil
}

// errPlayed is of a player that ended though nobody took its log over.
var errPlayed = errors.New("the recovery log is played no more")

// play the log; there is no player if there is no log.
func (s *standby) play(ctx context.Context) (Player, error) {
	spec := s.r.spec.Load()
	if spec.RecoveryLog() == "" {
		return nil, nil //nolint:nilnil // as above
	}
	hints, err := s.r.host.fetchHints(ctx, spec)
	if err != nil {
		return nil, err
	}
	from, err := hints.pick(spec)
	if err != nil {
		return nil, err
	}
	player, err := s.r.host.logs.NewPlayer(from, s.dir)
	if err != nil {
		return nil, fmt.Errorf("recovery log %s: %w", spec.RecoveryLog(), err)
	}
	s.r.reach(shards.ReplicaStatus_BACKFILL)
	s.played = make(chan struct{})
	s.group.Go("play", func(ctx context.Context) error {
		s.err = player.Play(ctx)
		close(s.played)
		return s.err
	})
	return player, nil
}

// isNotFound tells whether a journal isn't there.
func isNotFound(err error) bool { return errors.Is(err, protocol.Status_JOURNAL_NOT_FOUND.Err()) }
