package broker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/protocol"
)

// defaultFlushed is how old the last stored fragment has to be for its journal to count as flushed,
// if the spec has no flush interval.
const defaultFlushed = 24 * time.Hour

// flushView is what decides about suspending a journal.
type flushView struct {
	empty    bool          // its index has nothing
	stored   bool          // the last fragment of the index is stored
	modTime  time.Time     // of that fragment
	interval time.Duration // of flushing; 0 is none
	now      time.Time
}

// flushed tells whether all of the journal is in its stores, for longer than it takes to flush.
func (v flushView) flushed() bool {
	interval := v.interval
	if interval == 0 {
		interval = defaultFlushed
	}
	return v.stored && v.now.Sub(v.modTime) > interval
}

// suspendAction is what a request to suspend leads to.
type suspendAction int

const (
	suspendNothing   suspendAction = iota // there is more to store
	suspendPartly                         // one replica stays
	suspendFully                          // none stays
	suspendedAlready                      // it was before
)

// String is the action in lower case.
func (a suspendAction) String() string {
	return [...]string{"nothing", "partly", "fully", "already"}[a]
}

// decideSuspend of a journal that is suspended at a level.
func decideSuspend(level protocol.JournalSpec_Suspend_Level, how protocol.AppendRequest_Suspend, v flushView) suspendAction {
	switch {
	case v.empty && level != protocol.JournalSpec_Suspend_FULL:
		return suspendFully
	case level == protocol.JournalSpec_Suspend_NONE && (how == protocol.AppendRequest_SUSPEND_NOW || v.flushed()):
		return suspendPartly
	case level != protocol.JournalSpec_Suspend_NONE:
		return suspendedAlready
	default:
		return suspendNothing
	}
}

// suspend the journal as an append asks for. All that was appended is acknowledged.
func (r *replica) suspend(l *leader, t *ticket) (outcome, bool) {
	// The epoch of the pipeline has to be in the list, which is closed.
	e, err := r.env.entryAt(r.group.Context(), r.id, l.tenure.revision)
	switch {
	case err != nil:
		return outcome{err: rpcStatus(err, r.id.Journal)}, true
	case e == nil:
		return outcome{again: true}, true
	}
	begin, end, _ := r.index.Bounds()
	newest, stored := r.index.LastStored()
	v := flushView{
		empty: begin == end, stored: stored, modTime: newest,
		interval: e.spec.GetFragment().GetFlushInterval().AsDuration(), now: r.env.now(),
	}
	state := r.spool.State()
	change := &protocol.JournalSpec_Suspend{Offset: state.End}
	var closing *epoch.Epoch
	switch decideSuspend(e.spec.GetSuspend().GetLevel(), t.suspend, v) {
	case suspendNothing:
		g := newGroup(r.head())
		return g.applied(t, g.head.end), true
	case suspendedAlready:
		return outcome{response: &protocol.AppendResponse{Status: protocol.Status_SUSPENDED}}, true
	case suspendPartly:
		if err := l.roll(state.End); err != nil {
			return outcome{err: rpcStatus(err, r.id.Journal)}, true
		}
		change.Level = protocol.JournalSpec_Suspend_PARTIAL
	case suspendFully:
		if closing, err = r.closeEpoch(l.tenure, e.epochs); err != nil {
			return outcome{err: rpcStatus(err, r.id.Journal)}, true
		}
		change.Level = protocol.JournalSpec_Suspend_FULL
	}
	return r.env.setSuspension(r.group.Context(), e, change, closing), true
}

// closeEpoch ends the present epoch, and returns the one that tells where: nobody is to hold the
// journal any more, and its end is written down with that (R6). From here on no append is taken
// in the present one, as that write may arrive late, after we have given up on it.
func (r *replica) closeEpoch(n *tenure, l epoch.List) (*epoch.Epoch, error) {
	if err := r.promise(l.Next()); err != nil {
		return nil, err
	}
	r.dropPipeline(n, fmt.Errorf("journal %s is suspended", r.id.Journal))
	closing, err := l.Close(r.report())
	return &closing, err
}

// resume ends the suspension of a journal whose pipeline we have.
func (r *replica) resume(_ *tenure, _ *ticket) (outcome, bool) {
	e := r.env.entry(r.id)
	if e == nil {
		return outcome{again: true}, true
	}
	return r.env.setSuspension(r.group.Context(), e, &protocol.JournalSpec_Suspend{Offset: r.spool.State().End}, nil), true
}

// setSuspension writes a journal's suspension, if neither spec nor assignments have changed, and
// the epoch that closes it. The journal is to be resolved again in any case.
func (b *Broker) setSuspension(ctx context.Context, e *entry, s *protocol.JournalSpec_Suspend, closing *epoch.Epoch) outcome {
	name := e.spec.GetName()
	spec := proto.CloneOf(e.spec)
	spec.Suspend = s
	value, err := proto.Marshal(spec)
	if err != nil {
		return outcome{err: fmt.Errorf("journal %s: %w", name, err)}
	}
	key := allocator.ItemKey(b.cfg.Prefix, name)
	compares := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", e.modRevision)}
	for _, a := range e.assignments {
		compares = append(compares, clientv3.Compare(clientv3.ModRevision(a.key.Key), "=", a.key.ModRevision))
	}
	ops := []clientv3.Op{clientv3.OpPut(key, string(value))}
	if closing != nil {
		list, err := e.epochs.Append(*closing, noCover).Encode(e.createRevision)
		if err != nil {
			return outcome{err: fmt.Errorf("journal %s: %w", name, err)}
		}
		epochs := epochsKey(b.cfg.Prefix, name)
		compares = append(compares, clientv3.Compare(clientv3.ModRevision(epochs), "=", e.epochsRevision))
		ops = append(ops, clientv3.OpPut(epochs, string(list)))
	}
	txn, err := b.cfg.Etcd.Txn(ctx).If(compares...).Then(ops...).Commit()
	if err != nil {
		return outcome{err: status.Errorf(codes.Unavailable, "journal %s: write its suspension: %s", name, err)}
	}
	if txn.Succeeded {
		b.log.LogAttrs(ctx, slog.LevelInfo, "journal's suspension changed", slog.String("journal", name),
			slog.String("level", s.GetLevel().String()), slog.Int64("offset", s.GetOffset()))
	}
	return outcome{
		again: true, revision: txn.Header.GetRevision(),
		resumed: s.GetLevel() == protocol.JournalSpec_Suspend_NONE, // by us, or somebody who was quicker
	}
}

// noCover tells of no range that it is stored.
func noCover(int64, int64) bool { return false }

// resumeFull ends the suspension of a journal that nobody holds.
func (b *Broker) resumeFull(ctx context.Context, res resolution) outcome {
	offset := res.spec.GetSuspend().GetOffset()
	return b.setSuspension(ctx, &entry{journal: res.journal}, &protocol.JournalSpec_Suspend{Offset: offset}, nil)
}
