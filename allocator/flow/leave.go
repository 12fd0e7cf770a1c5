package flow

import (
	"cmp"
	"slices"
)

// shed takes from members that leave what others can have, and gives them what only they
// can: slots that nobody who stays has room for. What goes from one who leaves to another
// goes to one who leaves later.
//
// The order makes it exact. Flow that is added along paths opens no way out of where none
// was found, so that one who has shed all he can need not be asked again; and those who
// leave last are filled first.
func (n *Network) shed(work []ItemRef) {
	leaving := n.leaving()
	if len(leaving) == 0 {
		return
	}
	for _, m := range leaving {
		n.unload(m, strict, false)
		n.unload(m, loose, false)
	}
	for _, m := range leaving {
		n.unload(m, loose, true)
	}
	for _, m := range slices.Backward(leaving) {
		n.fill(work, func(i ItemRef) bool { return n.keep(i, m) })
		n.fill(work, func(i ItemRef) bool { return n.detain(i, m) })
	}
}

// leaving returns the members that leave, the first to shed first.
func (n *Network) leaving() []MemberRef {
	var out []MemberRef
	for i := range n.members {
		if n.members[i].turn > 0 {
			out = append(out, MemberRef(i))
		}
	}
	slices.SortFunc(out, func(a, b MemberRef) int { return cmp.Compare(n.members[a].turn, n.members[b].turn) })
	return out
}

// unload moves load from a member that leaves, while there is a path: to those that stay
// or to those that leave later.
func (n *Network) unload(from MemberRef, in mode, later bool) {
	turn := n.members[from].turn
	goal := func(to *member) bool { return to.room() > 0 }
	if later {
		goal = func(to *member) bool { return to.turn > turn && to.spare() > 0 }
	}
	if !slices.ContainsFunc(n.members, func(m member) bool { return goal(&m) }) {
		return
	}
	s := &n.find
	s.begin(n)
	for len(n.members[from].items) > 0 {
		s.start(n, in, goal)
		s.leaving = later
		s.visit(n, from, -1, none)
		end := s.run(n)
		if end == none {
			return
		}
		s.push(n, end)
	}
}

// keep leaves an item with a member that leaves and had it already.
func (n *Network) keep(ref ItemRef, m MemberRef) bool {
	it := &n.items[ref]
	had := slices.Contains(it.Held, m) || it.saved && slices.Contains(it.before, m)
	if !had || it.slot(m) >= 0 || n.members[m].spare() == 0 || it.waits() && !slices.Contains(it.Prefer, m) {
		return false
	}
	n.take(ref, m)
	return true
}

// detain gives an item one more member by a path that ends in one that leaves.
func (n *Network) detain(ref ItemRef, m MemberRef) bool {
	last := &n.members[m]
	if last.spare() == 0 {
		return false
	}
	var only []MemberRef
	if it := &n.items[ref]; it.waits() {
		only = it.Prefer
	}
	n.find.start(n, loose, func(to *member) bool { return to == last })
	n.find.leaving = true
	return n.extend(ref, only)
}
