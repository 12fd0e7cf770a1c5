package flow

import "slices"

// search finds paths in the residual network. A path is a chain of members: the first
// is taken by an item that gives up nothing (or begins with a member that has too much
// load), and each further one by an item of the member before, which gives that up.
type search struct {
	number uint32 // of this search, that items note
	seen   []bool
	dead   []bool // in this phase: no path leads from these to room
	queue  []MemberRef
	from   []MemberRef // the member before, or none
	via    []ItemRef   // the item that takes the member
	unseen [][]MemberRef
	in     mode
	// leaving tells that a path may lead over members that leave.
	leaving bool
	// goal is what a path may end in.
	goal func(*member) bool
}

// begin starts a phase, in which flow is only added.
func (s *search) begin(n *Network) {
	s.dead = resize(s.dead, len(n.members))
	clear(s.dead)
}

func resize[T any](s []T, size int) []T { return slices.Grow(s[:0], size)[:size] }

// start begins one search, over members that stay.
func (s *search) start(n *Network, in mode, goal func(*member) bool) {
	s.number++
	s.in, s.goal, s.leaving = in, goal, false
	s.seen, s.from, s.via = resize(s.seen, len(n.members)), resize(s.from, len(n.members)), resize(s.via, len(n.members))
	clear(s.seen)
	s.queue = s.queue[:0]
	s.unseen = resize(s.unseen, len(n.zones))
	for z := range n.zones {
		s.unseen[z] = append(s.unseen[z][:0], n.zones[z].order...)
	}
}

// run returns the member at which the first path found ends, or none.
func (s *search) run(n *Network) MemberRef {
	for k := 0; k < len(s.queue); k++ {
		if end := s.expand(n, s.queue[k]); end != none {
			return end
		}
	}
	for _, m := range s.queue {
		s.dead[m] = true
	}
	return none
}

// expand visits the members that items of m could take in its place.
func (s *search) expand(n *Network, m MemberRef) MemberRef {
	z := n.members[m].zone
	for _, i := range n.members[m].items {
		it := &n.items[i]
		if needy := (it.lost || it.Require) && len(it.Prefer) > 0; needy && it.seen == s.number {
			continue // one path mustn't take two members that it prefers
		}
		if it.anchored(m) {
			it.seen = s.number
			for _, to := range it.Prefer {
				if !s.seen[to] && !s.dead[to] && it.slot(to) < 0 && (n.members[to].zone == z || n.allows(it, to, s.in)) && s.visit(n, to, i, m) {
					return to
				}
			}
			continue
		}
		if end := s.visitZone(n, z, i, m); end != none {
			return end
		}
		if it.seen == s.number {
			continue // by another of its members: its other zones were visited
		}
		it.seen = s.number
		if end := s.visitZones(n, i, m, z); end != none {
			return end
		}
	}
	return none
}

// visitZones visits what the item may take in zones other than but.
func (s *search) visitZones(n *Network, i ItemRef, from MemberRef, but int32) MemberRef {
	it := &n.items[i]
	limit := n.zoneCapacity(it, s.in)
	for z := range n.zones {
		if int32(z) == but || len(s.unseen[z]) == 0 || n.inZone(it, int32(z)) >= limit {
			continue
		}
		if end := s.visitZone(n, int32(z), i, from); end != none {
			return end
		}
	}
	return none
}

// visitZone visits all members of a zone that the item hasn't got, the least loaded first.
func (s *search) visitZone(n *Network, z int32, i ItemRef, from MemberRef) MemberRef {
	it, left := &n.items[i], s.unseen[z][:0]
	for k, m := range s.unseen[z] {
		switch {
		case s.seen[m] || s.dead[m] || !s.passes(&n.members[m]):
		case it.slot(m) >= 0:
			left = append(left, m)
		case s.visit(n, m, i, from):
			s.unseen[z] = append(left, s.unseen[z][k+1:]...)
			return m
		}
	}
	s.unseen[z] = left
	return none
}

// visit notes how m was reached, and tells whether a path may end there.
func (s *search) visit(n *Network, m MemberRef, i ItemRef, from MemberRef) bool {
	s.seen[m] = true
	s.from[m], s.via[m] = from, i
	if i >= 0 && !s.passes(&n.members[m]) || n.members[m].capacity == 0 {
		return false
	}
	s.queue = append(s.queue, m)
	return s.goal(&n.members[m])
}

// passes tells whether a path may lead over a member.
func (s *search) passes(m *member) bool { return m.capacity > 0 && (s.leaving || m.turn == 0) }

// push sends one unit along the path that ends in m.
func (s *search) push(n *Network, m MemberRef) {
	for m != none {
		i, from := s.via[m], s.from[m]
		if i < 0 {
			return
		}
		if from != none {
			n.drop(i, from)
		}
		n.take(i, m)
		m = from
	}
}

// augment gives an item one more member along a path that ends in a member with room;
// if only isn't nil, the path begins with one of those.
func (n *Network) augment(ref ItemRef, only []MemberRef, in mode) bool {
	n.find.start(n, in, func(m *member) bool { return m.room() > 0 })
	return n.extend(ref, only)
}

// extend gives an item one more member along a path of the search that was started.
func (n *Network) extend(ref ItemRef, only []MemberRef) bool {
	s, it := &n.find, &n.items[ref]
	end := none
	if only == nil {
		end = s.visitZones(n, ref, none, -1)
	}
	for _, m := range only {
		if end == none && !s.dead[m] && it.slot(m) < 0 && n.allows(it, m, s.in) && s.visit(n, m, ref, none) {
			end = m
		}
	}
	it.seen = s.number
	if end == none {
		end = s.run(n)
	}
	if end == none {
		return false
	}
	s.push(n, end)
	return true
}
