package flow

import (
	"iter"
	"slices"
)

// MemberRef names a member of a Network. It stays the member's for good, so that items
// may prefer one that is away.
type MemberRef int32

// ItemRef names an item of a Network until the item is removed.
type ItemRef int32

// none is no member.
const none MemberRef = -1

// Item is what a Network is told of an item.
type Item struct {
	// Want is the number of members that it is to have.
	Want int
	// Held are the members that have it, the primary first. Members that are away
	// aren't among them.
	Held []MemberRef
	// Settled tells that those who hold it have all that they need.
	Settled bool
	// Prefer are the members that get it first. An item that isn't settled and that none
	// of them holds is lost: it is given to one of them in the place of another.
	Prefer []MemberRef
	// Require says that others get it only beside one of Prefer.
	Require bool
}

// slot is an item's place at a member.
type slot struct {
	member MemberRef
	at     int32 // index in the member's items
}

// item has its spec and, in slots, the solution.
//
// Invariant: slots and the members' items are two views of one relation.
type item struct {
	Item
	slots []slot
	// before is what slots was when the present solve began; saved tells that it is set.
	before []MemberRef
	saved  bool
	queued bool
	used   bool
	// lost tells that the item isn't settled, prefers members and is held by none of them.
	lost bool
	salt uint32
	// seen is the last search that left the item for another zone.
	seen uint32
}

type member struct {
	zone     int32
	at       int32 // index in the zone's order
	capacity int
	turn     int // in which it sheds if it leaves, from 1; 0 if it stays
	items    []ItemRef
	cursor   int // where the last scan of items ended
	// fresh are items that the present solve gave to the member, which it doesn't hold
	// yet; some may be elsewhere again.
	fresh []ItemRef
	// next is the cost of one more item, and last that of the newest one.
	next, last float64
}

// zone keeps its members in the order in which they are given items.
type zone struct {
	order    []MemberRef
	capacity int // of those that stay
}

// Network is members, items and the solution. Its zero value isn't usable: see New.
type Network struct {
	members []member
	items   []item
	free    []ItemRef
	zones   []zone
	byName  map[string]int32
	open    int // zones with capacity
	room    int // capacity that isn't used, of members that stay and aren't over theirs
	dirty   bool
	// cross counts, for each pair of zones, the slots in the first that could be in the
	// second with their items as evenly spread as before: where it is 0, no search between
	// the two can find anything, and none is made.
	cross [][]int
	// queue are the items to look at: those that were changed, and those that aren't
	// as they should be.
	queue   []ItemRef
	changed []ItemRef
	find    search
}

// New returns an empty Network.
func New() *Network { return &Network{byName: make(map[string]int32)} }

// AddMember adds a member of a zone, without capacity.
func (n *Network) AddMember(zoneName string) MemberRef {
	z, ok := n.byName[zoneName]
	if !ok {
		z = int32(len(n.zones))
		n.byName[zoneName] = z
		n.zones = append(n.zones, zone{})
		n.recount()
	}
	ref := MemberRef(len(n.members))
	n.members = append(n.members, member{zone: z})
	m, at := &n.members[ref], len(n.zones[z].order)
	m.at = int32(at)
	m.price()
	n.zones[z].order = append(n.zones[z].order, ref)
	n.reorder(ref)
	return ref
}

// Members is the number of members that were ever added.
func (n *Network) Members() int { return len(n.members) }

// Capacity of a member.
func (n *Network) Capacity(ref MemberRef) int { return n.members[ref].capacity }

// Load is the number of items that a member should have.
func (n *Network) Load(ref MemberRef) int { return len(n.members[ref].items) }

// SetCapacity tells that a member stays, and how many items it may have: none, if it is away.
func (n *Network) SetCapacity(ref MemberRef, capacity int) { n.resize(ref, max(capacity, 0), 0) }

// SetLeaving tells that a member leaves: of what it has, and no more than capacity, it
// keeps what nobody else can have. Those that leave shed in turn, the first in turn 1.
func (n *Network) SetLeaving(ref MemberRef, capacity, turn int) {
	n.resize(ref, max(capacity, 0), turn)
}

func (n *Network) resize(ref MemberRef, capacity, turn int) {
	m := &n.members[ref]
	if m.capacity == capacity && m.turn == turn {
		return
	}
	n.dirty = true
	z := &n.zones[m.zone]
	wasOpen := n.open
	if z.capacity > 0 {
		n.open--
	}
	n.room -= m.room()
	z.capacity -= m.lasting()
	m.capacity, m.turn = capacity, turn
	z.capacity += m.lasting()
	n.room += m.room()
	if z.capacity > 0 {
		n.open++
	}
	n.reorder(ref)
	if wasOpen != n.open {
		n.recount()
	}
	if (wasOpen < 2) != (n.open < 2) { // what zones an item may have is another for all
		for i := range n.items {
			n.enqueue(ItemRef(i))
		}
	}
}

// AddItem adds an item. What holds it is taken as its solution, as far as it is valid.
func (n *Network) AddItem(spec Item) ItemRef {
	var ref ItemRef
	if last := len(n.free) - 1; last >= 0 {
		ref, n.free = n.free[last], n.free[:last]
	} else {
		ref = ItemRef(len(n.items))
		n.items = append(n.items, item{})
	}
	it := &n.items[ref]
	queued, slots := it.queued, it.slots[:0]
	*it = item{Item: spec, used: true, queued: queued, slots: slots, salt: uint32(ref)}
	it.judge()
	for _, m := range spec.Held {
		if it.slot(m) < 0 {
			n.take(ref, m)
		}
	}
	n.enqueue(ref)
	return ref
}

// SetItem changes what an item wants, prefers and requires.
func (n *Network) SetItem(ref ItemRef, want int, prefer []MemberRef, require bool) {
	it := &n.items[ref]
	if it.Want == want && it.Require == require && slices.Equal(it.Prefer, prefer) {
		return
	}
	n.count(it, -1)
	it.Want, it.Prefer, it.Require = want, prefer, require
	n.count(it, 1)
	it.judge()
	n.enqueue(ref)
}

// SetHeld tells who holds an item now, and whether they have all that they need. It
// matters for what is solved later, and by itself only to an item that becomes or ceases
// to be lost.
func (n *Network) SetHeld(ref ItemRef, held []MemberRef, settled bool) {
	it := &n.items[ref]
	was := it.lost
	it.Held, it.Settled = held, settled
	if it.judge(); it.lost != was {
		n.enqueue(ref)
	}
}

// RemoveItem removes an item.
func (n *Network) RemoveItem(ref ItemRef) {
	it := &n.items[ref]
	for len(it.slots) > 0 {
		n.drop(ref, it.slots[len(it.slots)-1].member)
	}
	it.used, it.saved = false, false
	n.dirty = true
	n.free = append(n.free, ref)
}

// Wanted appends the members that an item should have.
func (n *Network) Wanted(ref ItemRef, to []MemberRef) []MemberRef {
	for _, s := range n.items[ref].slots {
		to = append(to, s.member)
	}
	return to
}

// SingleZone tells whether an item that wants several members has all in one zone
// although there are others.
func (n *Network) SingleZone(ref ItemRef) bool { return n.crowded(&n.items[ref]) >= 0 }

// Unmet are the items that aren't as they should be, after Solve.
func (n *Network) Unmet() iter.Seq[ItemRef] {
	return func(yield func(ItemRef) bool) {
		for _, i := range n.queue {
			if n.items[i].used && n.unmet(i) && !yield(i) {
				return
			}
		}
	}
}

// Dirty tells whether anything was changed since Solve.
func (n *Network) Dirty() bool { return n.dirty }

func (n *Network) enqueue(ref ItemRef) {
	n.dirty = true
	if it := &n.items[ref]; it.used && !it.queued {
		it.queued = true
		n.queue = append(n.queue, ref)
	}
}

// take and drop are the only changes of the solution.
func (n *Network) take(ref ItemRef, to MemberRef) {
	it, m := &n.items[ref], &n.members[to]
	n.save(ref)
	n.count(it, -1)
	it.slots = append(it.slots, slot{member: to, at: int32(len(m.items))})
	n.count(it, 1)
	if !slices.Contains(it.Held, to) {
		m.fresh = append(m.fresh, ref)
	}
	n.room -= m.room()
	m.items = append(m.items, ref)
	n.room += m.room()
	n.reorder(to)
}

func (n *Network) drop(ref ItemRef, from MemberRef) {
	it, m := &n.items[ref], &n.members[from]
	n.save(ref)
	i := it.slot(from)
	at := it.slots[i].at
	n.count(it, -1)
	it.slots = slices.Delete(it.slots, i, i+1)
	n.count(it, 1)
	n.room -= m.room()
	last := m.items[len(m.items)-1]
	m.items = m.items[:len(m.items)-1]
	if last != ref {
		m.items[at] = last
		other := &n.items[last]
		other.slots[other.slot(from)].at = at
	}
	n.room += m.room()
	n.reorder(from)
}

// count adds an item to cross, or takes it out.
func (n *Network) count(it *item, by int) {
	if len(it.slots) == 0 {
		return
	}
	limit := n.zoneCapacity(it, spread)
	for z := range n.zones {
		if n.inZone(it, int32(z)) >= limit {
			continue
		}
		for _, s := range it.slots {
			if from := n.members[s.member].zone; from != int32(z) {
				n.cross[from][z] += by
			}
		}
	}
}

// recount makes cross anew, when what it counts is something else.
func (n *Network) recount() {
	n.cross = make([][]int, len(n.zones))
	for z := range n.cross {
		n.cross[z] = make([]int, len(n.zones))
	}
	for i := range n.items {
		n.count(&n.items[i], 1)
	}
}

// save notes what the item's members were when the solve began.
func (n *Network) save(ref ItemRef) {
	it := &n.items[ref]
	if it.saved {
		return
	}
	it.saved = true
	it.before = n.Wanted(ref, it.before[:0])
	n.changed = append(n.changed, ref)
}

func (it *item) slot(m MemberRef) int {
	for i, s := range it.slots {
		if s.member == m {
			return i
		}
	}
	return -1
}

// judge works out whether the item is lost.
func (it *item) judge() {
	it.lost = len(it.Prefer) > 0 && !it.Settled
	for _, m := range it.Held {
		it.lost = it.lost && !slices.Contains(it.Prefer, m)
	}
}

// lasting is the capacity that a member has for good, and room what of it isn't used:
// none if it leaves. spare is what it could have more, whether it leaves or not.
func (m *member) lasting() int {
	if m.turn > 0 {
		return 0
	}
	return m.capacity
}

func (m *member) room() int { return max(0, m.lasting()-len(m.items)) }

func (m *member) spare() int { return max(0, m.capacity-len(m.items)) }

// price works out the member's costs. That of load l is l²/capacity, of which these
// are the steps: the sum over all members is least when load is in proportion to capacity.
func (m *member) price() {
	c := float64(max(m.capacity, 1))
	m.next = float64(2*len(m.items)+1) / c
	m.last = float64(2*len(m.items)-1) / c
}

// before tells whether member a is given items before b.
func (n *Network) before(a, b MemberRef) bool {
	x, y := &n.members[a], &n.members[b]
	if full := x.room() == 0; full != (y.room() == 0) {
		return !full
	}
	if x.next != y.next {
		return x.next < y.next
	}
	return a < b
}

// reorder puts a member at its place after its load or capacity changed.
func (n *Network) reorder(ref MemberRef) {
	m := &n.members[ref]
	m.price()
	order, at := n.zones[m.zone].order, int(m.at)
	for at > 0 && n.before(ref, order[at-1]) {
		order[at] = order[at-1]
		n.members[order[at]].at = int32(at)
		at--
	}
	for at+1 < len(order) && n.before(order[at+1], ref) {
		order[at] = order[at+1]
		n.members[order[at]].at = int32(at)
		at++
	}
	order[at] = ref
	m.at = int32(at)
}
