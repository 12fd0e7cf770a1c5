package epoch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/protocol"
)

// ResetLabel is the register that a reset leaves. Its value is the number of the epoch.
// While it is there every check of registers fails (R7); the next append that sets
// registers removes it.
const ResetLabel = "broadsheet.dev/reset"

// Report is what a member answers to a poll.
type Report struct {
	Member
	// Epoch that its spool logged last; 0 for none.
	Epoch int64
	// End offset of its spool.
	End int64
	// Registers at End.
	Registers *protocol.LabelSet
	// Suspect tells that the spool may lack bytes at its end that it promised (R3).
	Suspect bool
	// Fresh tells that there was no spool at all.
	Fresh bool
}

// MissingError tells that no broker whose bytes count is among the members: it isn't
// known where the journal ends.
type MissingError struct {
	// Epoch whose members are waited for.
	Epoch int64
	// Members that hold the journal's bytes.
	Members []Member
	// Suspect are those of them that are there, but may have lost some.
	Suspect []Member
}

// Error names the brokers.
func (e *MissingError) Error() string {
	names := make([]string, 0, len(e.Members))
	for _, m := range e.Members {
		name := m.String()
		if slices.Contains(e.Suspect, m) {
			name += " (its machine went down and may have lost bytes)"
		}
		names = append(names, name)
	}
	return fmt.Sprintf("the newest bytes (epoch %d) are only with brokers that are missing or have lost their disk: %s",
		e.Epoch, strings.Join(names, ", "))
}

// FutureError tells that a spool knows an epoch that etcd doesn't: etcd was restored from a
// backup (R3), and what was acknowledged since isn't known.
type FutureError struct {
	Member       Member
	Epoch, Known int64
}

// Error names the broker and both epochs.
func (e *FutureError) Error() string {
	return fmt.Sprintf("the spool of broker %s is of epoch %d, and etcd knows %d only: it was restored from a backup",
		e.Member, e.Epoch, e.Known)
}

// contribution is the end offset that a report brings to the epoch after last, if it
// counts (R2): its disk has to be the recorded one, and not be suspect. One that never
// logged the epoch brings the epoch's start, as nothing was acknowledged without it.
func (e Epoch) contribution(r Report) (int64, bool) {
	switch {
	case !e.Has(r.Member) || r.Suspect:
		return 0, false
	case r.Epoch < e.Number:
		return e.Start, true
	default:
		return r.End, true
	}
}

// CheckFuture refuses reports of epochs that aren't in the list, with a *FutureError. Whoever gets one makes sure first
// that the list is what etcd has: it may just not have been seen yet that somebody else wrote it.
func (l List) CheckFuture(reports ...Report) error {
	last, _ := l.Last()
	for _, r := range reports {
		if r.Epoch > last.Number {
			return &FutureError{r.Member, r.Epoch, last.Number}
		}
	}
	return nil
}

// Form returns the epoch of the members that reported, which follows the list (R1, R2). Its
// start is the smallest end among those that count. floor is where a journal without
// epochs begins. The error is a *MissingError or *FutureError.
func (l List) Form(reports []Report, floor int64) (Epoch, error) {
	if err := l.CheckFuture(reports...); err != nil {
		return Epoch{}, err
	}
	next := Epoch{Number: l.Next(), Members: members(reports)}
	last, ok := l.Last()
	switch {
	case !ok:
		next.Start, next.Registers = begin(reports, floor)
		return next, nil
	case last.Closed():
		next.Start, next.Registers = last.Start, last.Registers
		return next, nil
	}
	counted, suspect := false, []Member(nil)
	for _, r := range reports {
		end, ok := last.contribution(r)
		switch {
		case !ok && r.Suspect && last.Has(r.Member):
			suspect = append(suspect, r.Member)
		case !ok || counted && end >= next.Start:
		case r.Epoch < last.Number:
			next.Start, next.Registers, counted = end, last.Registers, true
		default:
			next.Start, next.Registers, counted = end, r.Registers, true
		}
	}
	if !counted {
		return Epoch{}, &MissingError{Epoch: last.Number, Members: last.Members, Suspect: suspect}
	}
	return next, nil
}

// begin is where the first epoch starts: at floor, or at the end of a spool that is older than
// epochs are, and then was the only one.
func begin(reports []Report, floor int64) (int64, *protocol.LabelSet) {
	start, registers := floor, new(protocol.LabelSet)
	for _, r := range reports {
		if !r.Fresh && r.End >= start {
			start, registers = r.End, r.Registers
		}
	}
	return start, registers
}

// members of an epoch, in order.
func members(reports []Report) []Member {
	out := make([]Member, 0, len(reports))
	for _, r := range reports {
		out = append(out, r.Member)
	}
	slices.SortFunc(out, func(a, b Member) int { return a.compare(b.Broker) })
	return out
}

// Continues tells whether the only member of the last epoch may go on with it after a
// restart: nobody else can have other bytes.
func (l List) Continues(r Report) bool {
	last, ok := l.Last()
	return ok && last.Sole(r.Member) && r.Epoch == last.Number && !r.Suspect
}

// Close returns the epoch without members that tells where the last one ends (R6), as one of its
// members knows. It is written before anything above the watermark is stored.
func (l List) Close(r Report) (Epoch, error) {
	if err := l.CheckFuture(r); err != nil {
		return Epoch{}, err
	}
	last, ok := l.Last()
	if ok && last.Closed() {
		return last, nil
	}
	end, counts := last.contribution(r)
	if !ok || !counts {
		return Epoch{}, &MissingError{Epoch: last.Number, Members: last.Members}
	}
	closed := Epoch{Number: l.Next(), Start: end, Registers: r.Registers}
	if r.Epoch < last.Number {
		closed.Registers = last.Registers
	}
	return closed, nil
}

// Bound is the least offset at which a reset may start an epoch, where the stores' content ends at
// stored (R7).
func (l List) Bound(stored int64) int64 {
	last, ok := l.Last()
	if !ok {
		return stored
	}
	return max(last.Start+Span, stored)
}

// Reset returns the epoch by which an operator gives up what the epochs before may have
// had (R7). It starts at an offset of at least Bound.
func (l List) Reset(reports []Report, start int64) (Epoch, error) {
	if err := l.CheckFuture(reports...); err != nil {
		return Epoch{}, err
	}
	next := Epoch{Number: l.Next(), Members: members(reports), Start: start, Reset: true}
	next.Registers = &protocol.LabelSet{Labels: []*protocol.Label{{Name: ResetLabel, Value: strconv.FormatInt(next.Number, 10)}}}
	return next, nil
}

// Jump returns an epoch that starts at a greater offset than the last one's end, which is known:
// nothing is given up, and the registers go on. It is made where an append names the end of
// what the stores hold, by the primary of the last epoch once all that it sent is
// acknowledged: so no member of that has bytes above its end, which the list doesn't tell.
func (l List) Jump(reports []Report, start int64) (Epoch, error) {
	next, err := l.Form(reports, start)
	if err != nil {
		return Epoch{}, err
	}
	next.Reset = next.Start < start
	next.Start = max(next.Start, start)
	return next, nil
}

// Append returns the list with another epoch at its end, without those that Retire drops.
func (l List) Append(e Epoch, covered func(begin, end int64) bool) List {
	return l.with(e).Retire(covered)
}
