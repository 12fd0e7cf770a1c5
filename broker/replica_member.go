package broker

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// report what this replica holds.
func (r *replica) report() epoch.Report {
	s := r.spool.State()
	return epoch.Report{
		Member: r.env.member, Epoch: s.Epoch, End: s.End, Registers: s.Registers, Suspect: s.Recovery.Suspect,
		Fresh: s.Epoch == 0 && s.End == 0,
	}
}

// durableReport is the report once all that the spool holds is durable here, with the tenure in hand:
// what an epoch is formed by isn't taken back by a crash, which would leave a hole below its start.
func (r *replica) durableReport(ctx context.Context) (epoch.Report, error) {
	if err := r.makeDurable(ctx); err != nil {
		return epoch.Report{}, err
	}
	return r.report(), nil
}

// makeDurable makes all durable that was written to the spool, with the tenure in hand.
func (r *replica) makeDurable(ctx context.Context) error {
	commit, err := r.spool.Commit(nil)
	if err == nil {
		err = commit.Durable(ctx)
	}
	if err != nil {
		return r.diskFailed(fmt.Errorf("journal %s: make its spool durable: %w", r.id.Journal, err))
	}
	return nil
}

// accepts tells whether the replica takes appends of an epoch.
func (r *replica) accepts(number int64) bool {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	return r.fence.Accepts(number)
}

// promise to refuse all epochs below next.
func (r *replica) promise(next int64) error {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	if err := r.fence.Poll(next); err != nil {
		return status.Errorf(codes.Aborted, "journal %s: %s", r.id.Journal, err)
	}
	r.env.promises.raise(r.id, next)
	return nil
}

// preempt promises to refuse all epochs below next, and ends what goes on in one of them.
func (r *replica) preempt(next int64) error {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	if err := r.fence.Poll(next); err != nil {
		return status.Errorf(codes.Aborted, "journal %s: %s", r.id.Journal, err)
	}
	r.env.promises.raise(r.id, next)
	if r.holder.end != nil {
		r.holder.end()
	}
	return nil
}

// holder is the present use of the tenure, if that may take long.
type holder struct {
	end     func() // ends it
	follows bool   // another broker's appends are taken
}

// holdFor notes the present use of the tenure, and returns what takes that back.
func (r *replica) holdFor(h holder) func() {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	r.holder = h
	return func() {
		r.fencing.Lock()
		defer r.fencing.Unlock()
		r.holder = holder{}
	}
}

// align joins the last epoch of a list, durably, with the tenure in hand.
func (r *replica) align(l epoch.List) error {
	s := r.spool.State()
	r.fencing.Lock()
	a, err := r.fence.Align(l, r.env.member, s.Watermark)
	r.fencing.Unlock()
	if err != nil {
		return status.Errorf(codes.Aborted, "journal %s: %s", r.id.Journal, err)
	}
	err = r.spool.Align(spool.Alignment{
		Epoch: a.Epoch.Number, Keep: a.Keep, Start: a.Epoch.Start, Registers: a.Epoch.Registers,
		Codec: r.currentSpec().GetFragment().GetCompressionCodec(),
	})
	if err != nil {
		return r.diskFailed(fmt.Errorf("journal %s: align its spool to epoch %d: %w", r.id.Journal, a.Epoch.Number, err))
	}
	r.fencing.Lock()
	r.fence.Aligned(a.Epoch.Number)
	r.fencing.Unlock()
	r.env.promises.logged(r.id, a.Epoch.Number)
	r.publish(0)
	notify(r.full)
	return nil
}

func brokerOf(id *protocol.ProcessSpec_ID) epoch.Broker {
	return epoch.Broker{Zone: id.GetZone(), Suffix: id.GetSuffix()}
}

// promises tells whether the newest promise is to an epoch.
func (r *replica) promises(number int64) bool { return r.promised() == number }

func (r *replica) promised() int64 {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	return r.fence.Promised()
}

// endHolder ends the present use of the tenure, if that may take long.
func (r *replica) endHolder() {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	if r.holder.end != nil {
		r.holder.end()
	}
}

// endFollowing ends it if another broker's appends are taken.
func (r *replica) endFollowing() {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	if r.holder.follows {
		r.holder.end()
	}
}

// adoptSpool takes a spool as it was recovered: what a later epoch makes void is cut (R5), and
// what is known to be agreed may be served and stored (R4). All else waits for the next epoch.
func (r *replica) adoptSpool() error {
	var list epoch.List
	if e := r.env.entry(r.id); e != nil {
		list = e.epochs
	}
	s := r.spool.State()
	r.fencing.Lock()
	r.fence = epoch.NewReplica(s.Epoch)
	if promised := r.env.promises.get(r.id); promised > s.Epoch {
		_ = r.fence.Poll(promised) // Nothing is promised yet that could be greater.
	}
	r.fencing.Unlock()
	if keep, ok := list.Keep(s.Epoch, s.Watermark); ok && keep < s.End {
		if err := r.spool.Cut(keep); err != nil {
			return fmt.Errorf("journal %s: cut its spool at offset %d: %w", r.id.Journal, keep, err)
		}
		s = r.spool.State()
	}
	return r.spool.Acknowledge(max(s.Watermark, list.Agreed(r.report(), s.Watermark)))
}

// waitingBound is the offset at which the head may be reset, if the journal waits for members that
// are missing.
func (r *replica) waitingBound() (int64, bool) {
	e := r.env.entry(r.id)
	if r.missing.Load() == nil || e == nil {
		return 0, false
	}
	return r.bound(e.epochs), true
}

// resetAbove is the start of an epoch to which a reader goes on at once, as all up to there was given
// up (R7).
func (e *entry) resetAbove(hit fragments.Hit) (int64, bool) {
	if hit.Outcome == fragments.Found {
		return 0, false
	}
	for _, ep := range e.epochs {
		if ep.Reset && ep.Start > hit.Offset && (hit.Outcome == fragments.Wait || hit.Entry.Begin >= ep.Start) {
			return ep.Start, true
		}
	}
	return 0, false
}

// listsBelow tells whether a hole that ends at an entry has offsets of former epochs which are listed, and weren't
// pruned: their bytes are with members of them until the stores have them (R5), and a listing of the stores may be
// older than that.
func (e *entry) listsBelow(hit fragments.Hit) bool {
	return hit.Outcome == fragments.Hole && e.epochs.LivesBetween(hit.Offset, hit.Entry.Begin)
}
