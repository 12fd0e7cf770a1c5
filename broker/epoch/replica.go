package epoch

import (
	"errors"
	"fmt"
)

// ErrFenced tells that a replica has promised to refuse an epoch, for a later one.
var ErrFenced = errors.New("a later epoch is being formed")

// Replica is what one broker's replica of a journal has promised. Its zero value is that
// of a replica whose spool logged no epoch. It isn't safe for concurrent use.
//
// A promise is volatile: a crash breaks the streams that it guards (R1). But it lasts as long as the process does, also
// when the journal is assigned to others and then to this broker again (R6).
type Replica struct {
	logged   int64
	promised int64
}

// NewReplica returns the state of a replica whose spool logged an epoch last.
func NewReplica(logged int64) Replica { return Replica{logged: logged, promised: logged} }

// Logged is the epoch that was logged last.
func (r *Replica) Logged() int64 { return r.logged }

// Promised is the epoch below which everything is refused.
func (r *Replica) Promised() int64 { return r.promised }

// Poll promises to refuse every epoch below next. The error is ErrFenced if that was
// promised to a later one.
func (r *Replica) Poll(next int64) error {
	if next < r.promised || next <= r.logged {
		return fmt.Errorf("epoch %d, where %d is promised and %d logged: %w", next, r.promised, r.logged, ErrFenced)
	}
	r.promised = next
	return nil
}

// Accepts tells whether the replica takes appends of an epoch.
func (r *Replica) Accepts(epoch int64) bool { return r.logged == epoch && r.promised <= epoch }

// Alignment is what a replica does to its spool to join an epoch. Keep is the offset at and above
// which what it holds is void.
type Alignment struct {
	Epoch Epoch
	Keep  int64
}

// Align returns what is to be done to join the last epoch of a list, of which self has to be a
// member. Once that is durable, Aligned tells it. agreed is the spool's watermark.
func (r *Replica) Align(l List, self Member, agreed int64) (Alignment, error) {
	last, ok := l.Last()
	switch {
	case !ok || last.Number < r.promised || last.Number <= r.logged:
		return Alignment{}, fmt.Errorf("align to epoch %d, where %d is promised and %d logged: %w", last.Number, r.promised, r.logged, ErrFenced)
	case !last.Has(self):
		return Alignment{}, fmt.Errorf("align to epoch %d: broker %s with this disk is no member", last.Number, self)
	}
	keep, _ := l.Keep(r.logged, agreed)
	return Alignment{Epoch: last, Keep: keep}, nil
}

// Aligned tells that the epoch is logged.
func (r *Replica) Aligned(epoch int64) { r.logged, r.promised = epoch, max(r.promised, epoch) }

// Keep returns the offset at and above which the content of a spool is void that logged an
// epoch last, as a later epoch is in the list (R5); ok is false if there is none. It is
// the start of the epoch after the one logged, and not that of the newest. A spool that is older than the
// list keeps what is below agreed. That is its watermark, or where the open fragment of a
// recovered one begins: below, all is known to be agreed.
func (l List) Keep(logged, agreed int64) (int64, bool) {
	last, ok := l.Last()
	switch {
	case !ok || logged >= last.Number:
		return 0, false
	case logged+1 < l[0].Number:
		return agreed, true
	default:
		return max(agreed, l[logged+1-l[0].Number].Start), true
	}
}

// Agreed returns the offset up to which the content of a spool is known to be agreed (R4), that
// has no part in a pipeline: it may be served and stored. The spool is to be cut by Keep first.
func (l List) Agreed(r Report, begin int64) int64 {
	last, ok := l.Last()
	switch {
	case !ok && r.Epoch == 0 && !r.Suspect:
		return r.End // It is older than epochs are, and then was the only one.
	case !ok:
		return begin
	case l.Continues(r):
		return r.End
	}
	if keep, ok := l.Keep(r.Epoch, begin); ok {
		return min(keep, r.End)
	}
	return min(max(begin, last.Start), r.End)
}
