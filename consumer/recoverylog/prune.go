package recoverylog

import (
	"errors"
	"fmt"
	"math"

	"broadsheet.dev/broadsheet/protocol"
)

// ErrHintsMissing is of a log of which not all hints are known: nothing of it can be pruned.
var ErrHintsMissing = errors.New("hints are missing")

// Needs are which bytes of a log hints need, any of which may be played.
type Needs struct {
	log    string
	ranges [][2]int64 // of offsets, begin to end
}

// NeedsOf a log, by all hints of all shards whose hints name it: primary ones and backups. Nil ones are missing, so nothing
// is known.
func NeedsOf(log string, all []*FSMHints) (*Needs, error) {
	n := &Needs{log: log}
	if len(all) == 0 {
		return nil, fmt.Errorf("prune %s: %w: there are none", log, ErrHintsMissing)
	}
	for i, x := range all {
		if x == nil {
			return nil, fmt.Errorf("prune %s: %w: those at %d", log, ErrHintsMissing, i)
		}
		if err := n.add(x); err != nil {
			return nil, fmt.Errorf("prune %s: hints at %d: %w", log, i, err)
		}
	}
	return n, nil
}

// add what hints need: their segments, and their log from the last segment on, or from its begin if that isn't in it.
func (n *Needs) add(x *FSMHints) error {
	if err := x.Validate(); err != nil {
		return err
	}
	segments, err := x.segments()
	if err != nil {
		return err
	}
	goesOn := int64(0)
	for i, s := range segments {
		if s.log != n.log {
			continue
		}
		end := s.lastOffset
		if end == 0 {
			end = math.MaxInt64
		}
		n.ranges = append(n.ranges, [2]int64{s.firstOffset, end})
		if i == len(segments)-1 {
			goesOn = s.firstOffset
		}
	}
	if x.GetLog() == n.log {
		n.ranges = append(n.ranges, [2]int64{goesOn, math.MaxInt64})
	}
	return nil
}

// Need reports whether any of the hints needs bytes of a fragment of the log. Who deletes one asks again with hints
// that are new, as long as the log is in use: later hints never need what earlier ones, that are gone, didn't.
func (n *Needs) Need(f *protocol.Fragment) bool {
	if f.GetJournal() != n.log {
		return true
	}
	for _, r := range n.ranges {
		if f.GetBegin() < r[1] && f.GetEnd() > r[0] {
			return true
		}
	}
	return false
}

// Prunable are the fragments of the log that none of the hints needs.
func (n *Needs) Prunable(list []*protocol.Fragment) []*protocol.Fragment {
	var out []*protocol.Fragment
	for _, f := range list {
		if !n.Need(f) {
			out = append(out, f)
		}
	}
	return out
}
