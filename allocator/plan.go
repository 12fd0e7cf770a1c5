package allocator

import "slices"

// change adds or removes one assignment.
type change struct {
	add bool
	id  AssignmentID
	// held is the assignment that is removed.
	held assignment
	// item is nil if it doesn't exist. member is set if the change is an addition.
	item   *item
	member *member
}

// plan is what brings a state to its solution: groups of changes, each of one item
// and to be made at once.
type plan struct {
	groups   [][]change
	unplaced []unplaced
}

// makePlan compares what there should be with what there is. It is pure: equal
// states have equal plans, and a state that is its own solution an empty one.
func makePlan(s *state) plan {
	want := solve(s)
	p := plan{unplaced: want.unplaced}
	for _, a := range s.orphans {
		p.groups = append(p.groups, []change{{id: a.id, held: a}})
	}
	for i, it := range s.items {
		var group []change
		for _, a := range it.held {
			if !slices.Contains(want.wanted[i], a.id) {
				group = append(group, change{id: a.id, held: a, item: it})
			}
		}
		for _, id := range want.wanted[i] {
			if !slices.ContainsFunc(it.held, func(a assignment) bool { return a.id == id }) {
				group = append(group, change{add: true, id: id, item: it, member: s.byID[id.Member]})
			}
		}
		if len(group) > 0 {
			p.groups = append(p.groups, group)
		}
	}
	return p
}
