package flow

import (
	"slices"
)

// Solve mends the solution after changes and returns the items whose members are
// others than before. The slice is valid until the next call.
func (n *Network) Solve() []ItemRef {
	if !n.dirty {
		return nil
	}
	n.dirty = false
	work := n.queue
	n.queue = nil
	work = slices.DeleteFunc(work, func(i ItemRef) bool {
		n.items[i].queued = false
		return !n.items[i].used
	})
	for _, i := range work {
		n.trim(i)
	}
	work = n.evict(work)
	for _, i := range work {
		n.withdraw(i)
		n.uncrowd(i)
	}
	n.place(work, strict)
	n.place(work, loose)
	for _, i := range work {
		n.bringHome(i)
	}
	n.shed(work)
	n.balance()
	n.requeue(work)
	n.requeue(n.changed)
	return n.collect()
}

// requeue keeps items that aren't as they should be for the next Solve.
func (n *Network) requeue(some []ItemRef) {
	for _, i := range some {
		if it := &n.items[i]; it.used && !it.queued && n.unmet(i) {
			it.queued = true
			n.queue = append(n.queue, i)
		}
	}
}

// unmet tells whether an item isn't as it should be, for want of room.
func (n *Network) unmet(ref ItemRef) bool {
	it := &n.items[ref]
	return len(it.slots) < it.Want || n.crowded(it) >= 0 || it.lost && !it.home()
}

// collect returns the items that differ from what was saved of them.
func (n *Network) collect() []ItemRef {
	out := n.changed[:0]
	for _, i := range n.changed {
		it := &n.items[i]
		if !it.used || !it.saved {
			continue
		}
		it.saved = false
		if len(it.before) != len(it.slots) || slices.ContainsFunc(it.before, func(m MemberRef) bool { return it.slot(m) < 0 }) {
			out = append(out, i)
		}
	}
	n.changed = nil
	for i := range n.members {
		n.members[i].fresh = nil
	}
	return out
}

// Penalties of what a drop would break, far above every cost of load.
const (
	costly  = 1e6  // the primary goes
	crowds  = 1e9  // what is left is in one zone
	strands = 1e12 // what is left are members that aren't preferred, of an item for which that matters
	frees   = 1e8  // a gain: the member has too much, or leaves
)

// trim takes slots from an item that has more than it wants: those of the members with
// the most load, but the primary last.
func (n *Network) trim(ref ItemRef) {
	it := &n.items[ref]
	for len(it.slots) > max(it.Want, 0) {
		best, gain := none, 0.0
		for _, s := range it.slots {
			m := &n.members[s.member]
			g := m.last - n.harm(it, s.member)
			if len(m.items) > m.capacity {
				g += frees
			}
			if m.turn > 0 {
				g += frees + frees/float64(m.turn)
			}
			if best == none || g > gain {
				best, gain = s.member, g
			}
		}
		n.drop(ref, best)
	}
}

// harm is the penalty of taking a member from an item.
func (n *Network) harm(it *item, m MemberRef) float64 {
	h := 0.0
	if len(it.Held) > 0 && it.Held[0] == m {
		h += costly
	}
	if it.anchored(m) {
		h += strands
	}
	if it.Want >= 2 && n.open >= 2 && len(it.slots) > 2 {
		z := int32(-1)
		crowd := true
		for _, s := range it.slots {
			if s.member == m {
				continue
			}
			other := n.members[s.member].zone
			crowd = crowd && (z < 0 || z == other)
			z = other
		}
		if crowd {
			h += crowds
		}
	}
	return h
}

// home tells whether one of the members that the item prefers is to have it.
func (it *item) home() bool {
	return slices.ContainsFunc(it.slots, func(s slot) bool { return slices.Contains(it.Prefer, s.member) })
}

// waits tells whether the item may be given only to members that it prefers.
func (it *item) waits() bool { return it.Require && len(it.Prefer) > 0 && !it.home() }

// anchored tells whether the item may give up m for a member that it prefers only: m is
// the one preferred member of an item that needs one, or the item waits for one.
func (it *item) anchored(m MemberRef) bool {
	if !it.lost && !it.Require || len(it.Prefer) == 0 {
		return false
	}
	if !it.home() {
		return it.Require
	}
	if !slices.Contains(it.Prefer, m) {
		return false
	}
	for _, s := range it.slots {
		if s.member != m && slices.Contains(it.Prefer, s.member) {
			return false
		}
	}
	return true
}

// evictScan is how many items of a member are compared to find one that may go.
const evictScan = 64

// evict takes items from members that have more than their capacity, and returns work
// with them.
func (n *Network) evict(work []ItemRef) []ItemRef {
	for i := range n.members {
		ref := MemberRef(i)
		for len(n.members[ref].items) > n.members[ref].capacity {
			m := &n.members[ref]
			best, least := ItemRef(-1), 0.0
			for k := range min(len(m.items), evictScan) {
				c := m.items[len(m.items)-1-k]
				it := &n.items[c]
				h := n.harm(it, ref)
				if slices.Contains(it.Held, ref) {
					h++
				}
				if best < 0 || h < least {
					best, least = c, h
				}
			}
			n.drop(best, ref)
			work = append(work, best)
		}
	}
	return work
}

// withdraw takes an item that requires members, none of which can have it, from those
// that don't have it yet.
func (n *Network) withdraw(ref ItemRef) {
	it := &n.items[ref]
	if !it.waits() {
		return
	}
	for _, m := range n.Wanted(ref, nil) {
		if !slices.Contains(it.Held, m) {
			n.drop(ref, m)
		}
	}
}

// crowded returns the zone that has all members of an item that should be in two, or -1.
func (n *Network) crowded(it *item) int32 {
	if it.Want < 2 || n.open < 2 || len(it.slots) < it.Want {
		return -1
	}
	z := n.members[it.slots[0].member].zone
	for _, s := range it.slots[1:] {
		if n.members[s.member].zone != z {
			return -1
		}
	}
	return z
}

// uncrowd takes the last slot of an item that is in one zone, so that the flow is valid
// and the slot is placed anew: where it was if there is nowhere else.
func (n *Network) uncrowd(ref ItemRef) {
	it := &n.items[ref]
	if n.crowded(it) < 0 {
		return
	}
	for _, s := range slices.Backward(it.slots) {
		if !it.anchored(s.member) {
			n.drop(ref, s.member)
			return
		}
	}
}
