package allocator

import (
	"cmp"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/allocator/flow"
)

// Reasons why an item isn't where it should be.
const (
	reasonNoRoom   = "no member has room"
	reasonRequired = "no member that it requires has room"
	reasonFew      = "fewer members than replicas"
	reasonOneZone  = "all replicas are in one zone"
)

// reasons are all of them.
func reasons() []string { return []string{reasonNoRoom, reasonRequired, reasonFew, reasonOneZone} }

// change adds or removes one assignment.
type change struct {
	add bool
	id  AssignmentID
	// held is the assignment that is removed.
	held   assignment
	member *member
}

// group is the changes of one item, to be made at once.
type group struct {
	item    *item
	changes []change
	// relies are assignments that aren't changed, but that the changes rely on.
	relies []assignment
	// packed tells that the changes only close a gap between slots.
	packed bool
}

// unplaced is an item that isn't where it should be.
type unplaced struct {
	item   string
	reason string
}

// plan is what brings a state nearer to its solution.
type plan struct {
	groups   []group
	unplaced []unplaced
}

// makePlan solves the network if it was changed and compares what there should be with
// what there is, for the items that this may concern: those that were changed, those
// whose solution was, and those that wait for room. Equal histories have equal plans, and
// a state that is its own solution an empty one, however often it is asked.
func (s *state) makePlan() plan {
	for _, ref := range s.network.Solve() {
		s.touch(s.byRef[ref])
	}
	for _, m := range s.byMember {
		m.adding, m.promotingTo = 0, 0
	}
	for _, it := range s.waiting {
		s.touch(it)
	}
	work := s.touched
	s.touched, s.waiting = nil, s.waiting[:0]
	slices.SortFunc(work, func(a, b *item) int { return strings.Compare(a.id, b.id) })
	var p plan
	stuck := 0
	for _, it := range work {
		it.touched = false
		c := converger{s: s, item: it}
		g, blocked := c.run()
		if len(g.changes) > 0 {
			p.groups = append(p.groups, g)
		}
		if blocked || len(g.changes) > 0 { // it waits for room, or for the changes to be seen
			s.waiting = append(s.waiting, it)
		}
		if blocked && c.ready == len(c.live) {
			stuck++
		}
	}
	if len(p.groups) > 0 {
		s.reseeded = false
	} else if stuck > 0 && stuck == len(s.waiting) && !s.reseeded {
		// Full members wait for each other's room. What is held is a solution without
		// such a circle.
		s.reseed()
		return s.makePlan()
	}
	p.unplaced = s.unplaced()
	return p
}

// unplaced lists the items that aren't where they should be.
func (s *state) unplaced() []unplaced {
	var out []unplaced
	open := 0
	for _, m := range s.byMember {
		if m.exists && m.limit > 0 {
			open++
		}
	}
	for ref := range s.network.Unmet() {
		it := s.byRef[ref]
		wanted := s.network.Wanted(ref, nil)
		u := unplaced{item: it.id, reason: reasonNoRoom}
		ids, required := it.affinity()
		home := slices.ContainsFunc(wanted, func(m flow.MemberRef) bool { return slices.Contains(ids, s.byMember[m].id) })
		switch {
		case len(wanted) >= it.desired && !s.network.SingleZone(ref):
			continue // it is lost, and has nowhere to return to
		case len(wanted) >= it.desired:
			u.reason = reasonOneZone
		case required && len(ids) > 0 && !home:
			u.reason = reasonRequired
		case open < it.desired:
			u.reason = reasonFew
		}
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b unplaced) int { return strings.Compare(a.item, b.item) })
	return out
}

// converger works out the next changes of one item.
type converger struct {
	s    *state
	item *item
	out  group

	live       []assignment // one of each member
	consistent []bool       // of live
	ready      int          // how many are consistent
	wanted     []flow.MemberRef
	slots      map[int]bool // that are taken
}

// run returns the item's next changes, and whether it waits for a member to have room.
// What it waits for else is seen as a change of its own keys.
//
// Each step is safe by itself: members are added before others are removed; one is
// removed only if as many of the others are consistent as the item wants; a primary that
// has to go first hands over to a consistent replica, and then is one of the replicas.
func (c *converger) run() (group, bool) {
	c.out.item = c.item
	c.observe()
	if c.item.value == nil {
		return c.out, false
	}
	blocked := c.add()
	switch {
	case len(c.out.changes) > 0 && c.primary() >= 0:
	case c.promote():
	case len(c.out.changes) == 0 && (c.handOver() || c.remove()):
	case len(c.out.changes) == 0 && !blocked:
		c.pack()
	}
	return c.out, blocked
}

// observe sorts what is held into what is alive, and what is dead or double and removed.
func (c *converger) observe() {
	it := c.item
	c.slots = make(map[int]bool, len(it.held))
	if it.value != nil {
		c.live = it.live()
		c.consistent = it.consistent(c.live)
		c.wanted = c.s.network.Wanted(it.ref, nil)
	}
	for _, a := range it.held {
		if slices.ContainsFunc(c.live, func(l assignment) bool { return l.id == a.id }) {
			continue
		}
		c.drop(a)
		if a.member.exists { // nobody is put there by the same transaction
			c.slots[a.id.Slot] = true
		}
	}
	var moved []assignment
	for i, a := range c.live {
		if i > 0 && c.live[i-1].id.Slot == a.id.Slot { // they are in the order of slots
			moved = append(moved, a)
		}
		c.slots[a.id.Slot] = true
		if c.consistent[i] {
			c.ready++
		}
	}
	for _, a := range moved { // of two with one slot the older keeps it
		c.drop(a)
		c.put(a.member, c.freeSlot(1))
	}
}

func (c *converger) drop(a assignment) {
	c.out.changes = append(c.out.changes, change{id: a.id, held: a, member: a.member})
}

func (c *converger) put(m *member, slot int) {
	c.slots[slot] = true
	c.out.changes = append(c.out.changes, change{add: true, id: AssignmentID{Item: c.item.id, Member: m.id, Slot: slot}, member: m})
	if slot == 0 {
		m.promotingTo++
	}
}

func (c *converger) freeSlot(from int) int {
	for c.slots[from] {
		from++
	}
	return from
}

// primary is the index in live of the primary, or -1.
func (c *converger) primary() int {
	for i, a := range c.live {
		if a.id.Slot == 0 {
			return i
		}
	}
	return -1
}

func (c *converger) wants(m *member) bool { return slices.Contains(c.wanted, m.ref) }

// add gives the item the members that it should have and hasn't, if they have room, and
// tells whether any hasn't. No more than twice the members that the item wants have it
// at a time, but for those that it prefers.
func (c *converger) add() bool {
	blocked := false
	var fresh []*member
	for _, ref := range c.wanted {
		m := c.s.byMember[ref]
		if slices.ContainsFunc(c.live, func(a assignment) bool { return a.member == m }) {
			continue
		}
		many := len(c.live)+len(fresh) >= 2*c.item.desired && !c.prefers(m)
		if many || m.load+m.adding >= m.limit {
			blocked = true
			continue
		}
		m.adding++
		fresh = append(fresh, m)
	}
	if len(c.live) == 0 && len(fresh) > 0 { // nobody else can be the primary
		first := slices.MinFunc(fresh, func(a, b *member) int {
			return cmp.Or(compareBool(c.prefers(b), c.prefers(a)), compareBool(a.exiting, b.exiting), cmp.Compare(a.share(), b.share()))
		})
		c.put(first, 0)
		fresh = slices.DeleteFunc(fresh, func(m *member) bool { return m == first })
	}
	for _, m := range fresh {
		c.put(m, c.freeSlot(1))
	}
	return blocked
}

func (c *converger) prefers(m *member) bool {
	ids, _ := c.item.affinity()
	return slices.Contains(ids, m.id)
}

// share is how many primaries a member has, by what it takes.
func (m *member) share() float64 {
	return float64(m.primaries+m.promotingTo) / float64(max(m.limit, 1))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// promote makes a replica the primary if there is none: a consistent one if there is
// any, else one that the item prefers; best one that stays, and of those that with the
// least primaries.
func (c *converger) promote() bool {
	if c.primary() >= 0 || len(c.live) == 0 || c.item.desired < 1 {
		return false
	}
	best := c.heir(func(int) bool { return true })
	if slices.ContainsFunc(c.out.changes, func(x change) bool { return x.id == c.live[best].id }) {
		return true // it is moved from a double slot just now: the next round
	}
	c.slots[0] = true
	c.drop(c.live[best])
	c.put(c.live[best].member, 0)
	return true
}

// heir returns the index in live of who is best made the primary of those that may, or -1.
func (c *converger) heir(may func(i int) bool) int {
	best := -1
	for i := range c.live {
		if may(i) && (best < 0 || c.compareHeirs(i, best) < 0) {
			best = i
		}
	}
	return best
}

func (c *converger) compareHeirs(i, j int) int {
	a, b := c.live[i].member, c.live[j].member
	return cmp.Or(
		compareBool(c.consistent[j], c.consistent[i]),
		compareBool(c.prefers(b), c.prefers(a)),
		compareBool(c.wants(b), c.wants(a)),
		compareBool(a.exiting, b.exiting),
		cmp.Compare(a.share(), b.share()),
		cmp.Compare(i, j),
	)
}

// spare tells whether the item has all it wants without a member.
func (c *converger) spare(i int) bool {
	ready := c.ready
	if c.consistent[i] {
		ready--
	}
	return ready >= c.item.desired
}

// handOver exchanges the slots of a primary that is to go and of a consistent replica
// that is to stay.
func (c *converger) handOver() bool {
	p := c.primary()
	if p < 0 || c.item.desired < 1 || c.wants(c.live[p].member) || !c.spare(p) {
		return false
	}
	heir := c.heir(func(i int) bool { return i != p && c.consistent[i] && c.wants(c.live[i].member) })
	if heir < 0 {
		return false
	}
	old, next := c.live[p], c.live[heir]
	c.drop(old)
	c.drop(next)
	c.put(next.member, 0)
	c.put(old.member, next.id.Slot)
	c.rely(p, heir)
	return true
}

// remove takes the item from members that it isn't to have any more: first from those
// that leave, then from those with the most load.
func (c *converger) remove() bool {
	var extra []int
	for i, a := range c.live {
		if !c.wants(a.member) && (a.id.Slot != 0 || c.item.desired == 0) {
			extra = append(extra, i)
		}
	}
	slices.SortStableFunc(extra, func(i, j int) int {
		a, b := c.live[i].member, c.live[j].member
		return cmp.Or(
			compareBool(b.exiting, a.exiting),
			cmp.Compare(float64(b.load)/float64(max(b.limit, 1)), float64(a.load)/float64(max(a.limit, 1))),
		)
	})
	var gone []int
	for _, i := range extra {
		if !c.spare(i) {
			continue
		}
		if c.consistent[i] {
			c.ready--
		}
		c.drop(c.live[i])
		gone = append(gone, i)
	}
	if len(gone) > 0 {
		c.rely(gone...)
	}
	return len(gone) > 0
}

// rely notes the consistent assignments that make the changes safe: as many as the item
// wants, of others than those that are changed.
func (c *converger) rely(but ...int) {
	for i, a := range c.live {
		if c.consistent[i] && !slices.Contains(but, i) && len(c.out.relies) < c.item.desired {
			c.out.relies = append(c.out.relies, a)
		}
	}
}

// pack closes one gap between the slots of an item at which nothing else is to be done.
func (c *converger) pack() {
	if c.ready < len(c.live) || len(c.live) == 0 {
		return
	}
	last := c.live[len(c.live)-1]
	if free := c.freeSlot(0); free < last.id.Slot {
		c.drop(last)
		c.put(last.member, free)
		c.out.packed = true
	}
}
