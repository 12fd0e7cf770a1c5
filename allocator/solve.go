package allocator

import (
	"cmp"
	"container/heap"
	"slices"
)

// Reasons why an item has fewer assignments than it wants.
const (
	reasonNoRoom      = "no member has room"
	reasonReplication = "replication above 1 is not supported"
)

// unplaced is an item with fewer assignments than it wants.
type unplaced struct {
	item   string
	reason string
}

// solution is the set of assignments that there should be, by item as in
// state.items, and what couldn't be had.
type solution struct {
	wanted   [][]AssignmentID
	unplaced []unplaced
}

// solve finds the assignments that there should be. It keeps what is assigned to
// live members, and gives an item that wants one replica and has none to the member
// with the most room.
//
// Invariant: room counts all that a member has now, also what the plan will take
// from it: so its limit holds at each revision, whatever the order of transactions.
func solve(s *state) solution {
	rooms := newRooms(s.members)
	out := solution{wanted: make([][]AssignmentID, len(s.items))}
	for i, it := range s.items {
		live := liveOf(s, it)
		switch {
		case it.desired <= 0:
		case it.desired > 1:
			for _, a := range live {
				out.wanted[i] = append(out.wanted[i], a.id)
			}
			out.unplaced = append(out.unplaced, unplaced{item: it.id, reason: reasonReplication})
		case len(live) > 0:
			out.wanted[i] = []AssignmentID{{Item: it.id, Member: live[0].id.Member}}
		default:
			m := rooms.take()
			if m == nil {
				out.unplaced = append(out.unplaced, unplaced{item: it.id, reason: reasonNoRoom})
				continue
			}
			out.wanted[i] = []AssignmentID{{Item: it.id, Member: m.id}}
		}
	}
	return out
}

// liveOf returns the assignments of an item to members that exist, the best first:
// that with the least slot, then the oldest.
func liveOf(s *state, it *item) []assignment {
	var live []assignment
	for _, a := range it.held {
		if s.byID[a.id.Member] != nil {
			live = append(live, a)
		}
	}
	slices.SortStableFunc(live, func(a, b assignment) int {
		return cmp.Or(cmp.Compare(a.id.Slot, b.id.Slot), cmp.Compare(a.create, b.create))
	})
	return live
}

// room is what a member can still take.
type room struct {
	member *member
	order  int // of its key
	left   int
}

// rooms is a heap of the members with room, the one with the most first.
type rooms []room

func newRooms(members []*member) *rooms {
	r := new(rooms)
	for i, m := range members {
		if left := m.limit - m.load; left > 0 && !m.exiting {
			*r = append(*r, room{member: m, order: i, left: left})
		}
	}
	heap.Init(r)
	return r
}

// take returns the member with the most room, having taken one place, or nil.
func (r *rooms) take() *member {
	if len(*r) == 0 {
		return nil
	}
	m := (*r)[0].member
	if (*r)[0].left--; (*r)[0].left == 0 {
		heap.Pop(r)
	} else {
		heap.Fix(r, 0)
	}
	return m
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (r rooms) Len() int { return len(r) }

// Less orders by room, then by key.
func (r rooms) Less(i, j int) bool {
	if r[i].left != r[j].left {
		return r[i].left > r[j].left
	}
	return r[i].order < r[j].order
}

// Swap swaps two.
func (r rooms) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

// Push is never used: members don't come while a plan is made.
func (r *rooms) Push(x any) { *r = append(*r, x.(room)) }

// Pop removes the last.
func (r *rooms) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
