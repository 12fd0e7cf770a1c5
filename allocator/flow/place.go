package flow

import "slices"

// mode is what zones an item may have.
type mode int

const (
	spread mode = iota // evenly over all zones
	strict             // not all in one
	loose              // any
)

// zoneCapacity is how many members of one zone an item may have.
func (n *Network) zoneCapacity(it *item, in mode) int {
	switch {
	case in == loose || it.Want < 2 || n.open < 2:
		return it.Want
	case in == strict:
		return it.Want - 1
	default:
		return (it.Want + n.open - 1) / n.open
	}
}

// inZone is how many members of a zone an item has.
func (n *Network) inZone(it *item, z int32) int {
	count := 0
	for _, s := range it.slots {
		if n.members[s.member].zone == z {
			count++
		}
	}
	return count
}

// place fills the missing slots of items from members that stay.
func (n *Network) place(work []ItemRef, in mode) {
	n.fill(work, func(i ItemRef) bool { return n.placeOne(i, in) })
}

// fill fills the missing slots of items by one, which tells whether it could: first one of
// each, then the second, so that what can't be had is missing where it hurts the least.
func (n *Network) fill(work []ItemRef, one func(ItemRef) bool) {
	n.find.begin(n)
	var failed []ItemRef // each is in the list once at most
	for round := 1; ; round++ {
		more := false
		for _, i := range work {
			it := &n.items[i]
			if !it.used || len(it.slots) >= min(it.Want, round) {
				more = more || len(it.slots) < it.Want && !it.queued
				continue
			}
			if it.queued { // marks those that failed
				continue
			}
			if !one(i) {
				it.queued = true
				failed = append(failed, i)
				continue
			}
			more = more || len(it.slots) < it.Want
		}
		if !more {
			break
		}
	}
	for _, i := range failed {
		n.items[i].queued = false
	}
}

// placeOne gives an item one more member, if there is one for it.
func (n *Network) placeOne(ref ItemRef, in mode) bool {
	if n.room == 0 {
		return false
	}
	it := &n.items[ref]
	if it.waits() {
		return n.placeAmong(ref, it.Prefer, in) || n.augment(ref, it.Prefer, in)
	}
	if it.saved && n.placeAmong(ref, it.before, in) || n.placeAmong(ref, it.Held, in) || n.placeAmong(ref, it.Prefer, in) {
		return true
	}
	m := n.choose(it, in)
	if in == strict {
		if even := n.choose(it, spread); even != none && n.near(even, m) {
			m = even
		}
	}
	if m != none {
		n.take(ref, m)
		return true
	}
	return n.augment(ref, nil, in)
}

// near tells whether the load of a is about that of b or less: a tenth more, or one.
func (n *Network) near(a, b MemberRef) bool {
	x := &n.members[a]
	return x.next <= 1.1*n.members[b].next+2/float64(max(x.capacity, 1))
}

// placeAmong gives an item the least loaded of some members that has room.
func (n *Network) placeAmong(ref ItemRef, some []MemberRef, in mode) bool {
	it, best := &n.items[ref], none
	for _, m := range some {
		if n.members[m].room() > 0 && it.slot(m) < 0 && n.allows(it, m, in) && (best == none || n.members[m].next < n.members[best].next) {
			best = m
		}
	}
	if best == none {
		return false
	}
	n.take(ref, best)
	return true
}

// allows tells whether the item may have one more member of m's zone.
func (n *Network) allows(it *item, m MemberRef, in mode) bool {
	z := n.members[m].zone
	return n.inZone(it, z) < n.zoneCapacity(it, in)
}

// choose returns the least loaded member with room that an item may have; of zones
// whose members are about equal, that of which it has the fewest.
func (n *Network) choose(it *item, in mode) MemberRef {
	limit := n.zoneCapacity(it, in)
	best := none
	for z := range n.zones {
		if m := n.first(it, int32(z), limit); m != none && (best == none || n.members[m].next < n.members[best].next) {
			best = m
		}
	}
	if best == none {
		return none
	}
	fewest, least := n.inZone(it, n.members[best].zone), best
	for z := range n.zones {
		m := n.first(it, int32(z), limit)
		if m == none || !n.near(m, least) {
			continue
		}
		if has := n.inZone(it, int32(z)); has < fewest {
			best, fewest = m, has
		}
	}
	return best
}

// ties is how many equally loaded members are chosen from.
const ties = 64

// first returns the least loaded member of a zone that has room, if an item may have one
// more there. Of equals each item has another, so that the items of a member are shared
// with all others, and all others share its load when it goes.
func (n *Network) first(it *item, z int32, limit int) MemberRef {
	if n.inZone(it, z) >= limit {
		return none
	}
	var equal [ties]MemberRef
	count := 0
	for _, m := range n.zones[z].order {
		if n.members[m].room() == 0 || count == ties || count > 0 && n.members[m].next > n.members[equal[0]].next {
			break
		}
		if it.slot(m) < 0 {
			equal[count] = m
			count++
		}
	}
	if count == 0 {
		return none
	}
	return equal[it.mix(z)%uint32(count)]
}

// mix is a number that differs between items, and between zones of an item.
func (it *item) mix(z int32) uint32 {
	h := it.salt*0x9e3779b1 ^ uint32(z+1)*0x85ebca6b
	h = (h ^ h>>15) * 0x2c1b3c6d
	return h ^ h>>13
}

// bringHome gives an item that is lost to a member that it prefers. Room for that is
// made if need be.
func (n *Network) bringHome(ref ItemRef) {
	it := &n.items[ref]
	if !it.used || !it.lost || it.Want < 1 || it.home() {
		return
	}
	for _, m := range it.Prefer {
		if n.members[m].lasting() > 0 && n.exchange(ref, m) {
			return
		}
	}
}

// exchange gives an item member m in the place of another.
func (n *Network) exchange(ref ItemRef, m MemberRef) bool {
	it := &n.items[ref]
	give := none
	if len(it.slots) >= it.Want {
		give = it.slots[len(it.slots)-1].member // better in one zone than lost
		for _, s := range slices.Backward(it.slots) {
			z, own := n.members[m].zone, n.members[s.member].zone
			if z == own || n.inZone(it, z) < n.zoneCapacity(it, strict) {
				give = s.member
				break
			}
		}
	}
	if give != none {
		n.drop(ref, give)
	}
	if n.members[m].room() > 0 {
		n.take(ref, m)
		return true
	}
	n.find.begin(n)
	if n.augment(ref, []MemberRef{m}, strict) {
		return true
	}
	if give != none {
		n.take(ref, give)
	}
	return false
}
