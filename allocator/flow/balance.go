package flow

import "slices"

// balance evens out the load by paths that reduce its cost: first by those that keep
// items spread over the zones, then, for the worst differences, by others.
func (n *Network) balance() {
	for { // ends, since every path makes the cost less
		even := n.evenOut(spread, func(last, next, _ float64) bool { return last > next })
		far := n.evenOut(strict, func(last, next, one float64) bool { return last > 1.1*next+one })
		if !even && !far {
			return
		}
	}
}

// balancer is one pass of balance.
type balancer struct {
	n  *Network
	in mode
	// gains tells whether moving an item away from a member whose last one costs last
	// to one whose next one costs next is worth it; one is the cost of one item there.
	gains func(last, next, one float64) bool
	// settled members have no path that gains; fruitless are pairs of zones between
	// which no single move was found.
	settled   []bool
	fruitless map[[2]int32]bool
}

func (n *Network) evenOut(in mode, gains func(last, next, one float64) bool) bool {
	b := balancer{n: n, in: in, gains: gains, settled: make([]bool, len(n.members)), fruitless: make(map[[2]int32]bool)}
	return b.pass()
}

func (b *balancer) pass() bool {
	moved := false
	b.n.find.begin(b.n)
	for {
		a := b.heaviest()
		if a == none {
			return moved
		}
		if !b.reaches(a) {
			b.settled[a] = true
			continue
		}
		if b.move(a) || b.path(a) {
			moved = true
			continue
		}
		for m, seen := range b.n.find.seen { // none of these, with less load, has a path
			b.settled[m] = b.settled[m] || seen
		}
		b.settled[a] = true
	}
}

// heaviest returns the member whose last item costs the most of those that may have a
// path, or none if nobody would gain.
func (b *balancer) heaviest() MemberRef {
	best, lightest := none, none
	for i := range b.n.members {
		m := &b.n.members[i]
		if m.turn == 0 && len(m.items) > 0 && !b.settled[i] && (best == none || m.last > b.n.members[best].last) {
			best = MemberRef(i)
		}
		if m.room() > 0 && (lightest == none || m.next < b.n.members[lightest].next) {
			lightest = MemberRef(i)
		}
	}
	if best == none || lightest == none || !b.gain(&b.n.members[best], &b.n.members[lightest]) {
		return none
	}
	return best
}

func (b *balancer) gain(from, to *member) bool {
	return b.gains(from.last, to.next, 2/float64(max(to.capacity, 1)))
}

// reaches tells whether load could go from a to a member that gains, as far as zones say.
func (b *balancer) reaches(a MemberRef) bool {
	reached := make([]bool, len(b.n.zones))
	queue := []int32{b.n.members[a].zone}
	reached[queue[0]] = true
	for k := 0; k < len(queue); k++ {
		for _, m := range b.n.zones[queue[k]].order {
			if b.n.members[m].room() == 0 {
				break
			}
			if m != a && b.gain(&b.n.members[a], &b.n.members[m]) {
				return true
			}
		}
		for z := range b.n.zones {
			if !reached[z] && (b.in != spread || b.n.cross[queue[k]][z] > 0) {
				reached[z] = true
				queue = append(queue, int32(z))
			}
		}
	}
	return false
}

// move moves one item from a to the least loaded member of a zone: the least loaded
// zone that can be had.
func (b *balancer) move(a MemberRef) bool {
	var targets []MemberRef
	for z := range b.n.zones {
		for _, m := range b.n.zones[z].order {
			if m != a {
				if b.n.members[m].room() > 0 && b.gain(&b.n.members[a], &b.n.members[m]) {
					targets = append(targets, m)
				}
				break
			}
		}
	}
	slices.SortFunc(targets, func(x, y MemberRef) int {
		if b.n.before(x, y) {
			return -1
		}
		return 1
	})
	for _, to := range targets {
		pair := [2]int32{b.n.members[a].zone, b.n.members[to].zone}
		if b.fruitless[pair] {
			continue
		}
		if i := b.pick(a, to); i >= 0 {
			b.n.drop(i, a)
			b.n.take(i, to)
			return true
		}
		b.fruitless[pair] = true
	}
	return false
}

const (
	// pickScan is how many items are compared at least, to find a good one to move.
	pickScan = 64
	// good is a score with which the search is over: the item is spread better than
	// before, and isn't the member's own as the primary.
	good = 8 + 4 + 1
)

// pick returns the item that is best moved from a to another member, or -1.
func (b *balancer) pick(a, to MemberRef) ItemRef {
	if i := b.pickFresh(a, to); i >= 0 {
		return i
	}
	m := &b.n.members[a]
	best, score := ItemRef(-1), -1
	for k := range m.items {
		at := (m.cursor + k) % len(m.items)
		if s := b.score(m.items[at], a, to); s > score {
			best, score = m.items[at], s
		}
		if best >= 0 && (k >= pickScan || score >= good) {
			m.cursor = at
			return best
		}
	}
	return best
}

// pickFresh returns a good one of the items that moving costs nothing, or -1.
func (b *balancer) pickFresh(a, to MemberRef) ItemRef {
	m := &b.n.members[a]
	best, score := ItemRef(-1), -1
	for k := len(m.fresh) - 1; k >= max(0, len(m.fresh)-pickScan); k-- {
		i := m.fresh[k]
		if it := &b.n.items[i]; !it.used || it.slot(a) < 0 || slices.Contains(it.Held, a) {
			m.fresh[k] = m.fresh[len(m.fresh)-1]
			m.fresh = m.fresh[:len(m.fresh)-1]
			continue
		}
		if s := b.score(i, a, to); s > score {
			best, score = i, s
		}
		if score >= 16+8+4 {
			break
		}
	}
	return best
}

// score tells how good it is to move an item, or -1 if it may not be moved.
func (b *balancer) score(i ItemRef, a, to MemberRef) int {
	n, it := b.n, &b.n.items[i]
	from, into := n.members[a].zone, n.members[to].zone
	if it.slot(to) >= 0 || from != into && !n.allows(it, to, b.in) || it.anchored(a) && !slices.Contains(it.Prefer, to) {
		return -1
	}
	s := 0
	if slices.Contains(it.Held, to) {
		s += 32 // it is there already
	}
	if !slices.Contains(it.Held, a) {
		s += 16 // it isn't here yet
	}
	if slices.Contains(it.Prefer, to) {
		s += 2
	}
	if len(it.Held) == 0 || it.Held[0] != a {
		s++ // a primary has more to hand over
	}
	switch was, is := n.inZone(it, from), n.inZone(it, into)+1; {
	case from == into || was == is:
		s += 4
	case was > is:
		s += 8 + 4
	}
	return s
}

// path moves load from a along a longer path.
func (b *balancer) path(a MemberRef) bool {
	s := &b.n.find
	from := &b.n.members[a]
	s.start(b.n, b.in, func(m *member) bool { return m.room() > 0 && b.gain(from, m) })
	s.visit(b.n, a, -1, none)
	end := s.run(b.n)
	if end == none {
		return false
	}
	s.push(b.n, end)
	return true
}
