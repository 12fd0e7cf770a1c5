package flow

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is what a Network was told, kept apart from it.
type model struct {
	n        *Network
	zones    []int // of members
	capacity []int
	turn     []int // in which members that leave shed, 0 of those that stay
	items    map[ItemRef]Item
	solved   map[ItemRef][]MemberRef // who was to have an item after the last solve
}

func newModel(zones ...int) *model {
	m := &model{n: New(), zones: zones, capacity: make([]int, len(zones)), turn: make([]int, len(zones)), items: make(map[ItemRef]Item)}
	for _, z := range zones {
		m.n.AddMember(fmt.Sprint("z", z))
	}
	return m
}

func (m *model) resize(i, capacity int) {
	m.capacity[i], m.turn[i] = capacity, 0
	m.n.SetCapacity(MemberRef(i), capacity)
}

func (m *model) leave(i, capacity, turn int) {
	m.capacity[i], m.turn[i] = capacity, turn
	m.n.SetLeaving(MemberRef(i), capacity, turn)
}

func (m *model) add(spec Item) ItemRef {
	ref := m.n.AddItem(spec)
	m.items[ref] = spec
	return ref
}

func (m *model) refs() []ItemRef {
	var out []ItemRef
	for i := range m.items {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

func (m *model) wanted(i ItemRef) []MemberRef { return m.n.Wanted(i, nil) }

// solve tells exactly which items are to have other members than after the last time.
func (m *model) solve(t require.TestingT) {
	told := m.n.Solve()
	now := make(map[ItemRef][]MemberRef)
	for ref := range m.items {
		now[ref] = m.wanted(ref)
		slices.Sort(now[ref])
		if was, ok := m.solved[ref]; ok {
			require.Equal(t, !slices.Equal(was, now[ref]), slices.Contains(told, ref), "item %d: %v, was %v", ref, now[ref], was)
		}
	}
	m.solved = now
}

// zonesOf an item that wants several: how many there are for it.
func (m *model) openZones() int {
	open := make(map[int]bool)
	for i, c := range m.capacity {
		if c > 0 && m.turn[i] == 0 {
			open[m.zones[i]] = true
		}
	}
	return len(open)
}

// anybody is a member that may have items, and stays one that doesn't leave.
func (m *model) anybody(int) bool { return true }

func (m *model) stays(i int) bool { return m.turn[i] == 0 }

// maximum is the most slots that can be filled by some members, by the plainest maximum
// flow there is: depth-first augmenting paths over a matrix of capacities.
func (m *model) maximum(in mode, of func(int) bool) int {
	refs := m.refs()
	zones := slices.Max(m.zones) + 1
	item := func(k int) int { return 2 + k }
	zone := func(k, z int) int { return 2 + len(refs) + k*zones + z }
	memb := func(i int) int { return 2 + len(refs) + len(refs)*zones + i }
	size := memb(len(m.zones))
	c := make([][]int, size)
	for i := range c {
		c[i] = make([]int, size)
	}
	for k, ref := range refs {
		it := m.items[ref]
		c[0][item(k)] = it.Want
		limit := it.Want
		if in == strict && it.Want > 1 && m.openZones() > 1 {
			limit--
		}
		for z := range zones {
			c[item(k)][zone(k, z)] = limit
		}
		for i, z := range m.zones {
			if !it.Require || len(it.Prefer) == 0 || slices.Contains(it.Prefer, MemberRef(i)) {
				c[zone(k, z)][memb(i)] = 1
			}
		}
	}
	for i, limit := range m.capacity {
		if of(i) {
			c[memb(i)][1] = limit
		}
	}
	total := 0
	for augmentMatrix(c, 0, make([]bool, size)) {
		total++
	}
	return total
}

func augmentMatrix(c [][]int, at int, seen []bool) bool {
	if at == 1 {
		return true
	}
	seen[at] = true
	for to := range c {
		if c[at][to] > 0 && !seen[to] && augmentMatrix(c, to, seen) {
			c[at][to]--
			c[to][at]++
			return true
		}
	}
	return false
}

// check holds what the package promises of a solution.
func (m *model) check(t require.TestingT) {
	load := make([]int, len(m.zones))
	filled, crowded := 0, 0
	for _, i := range m.refs() {
		it, w := m.items[i], m.wanted(i)
		require.LessOrEqual(t, len(w), max(it.Want, 0))
		slices.Sort(w)
		require.Len(t, slices.Compact(slices.Clone(w)), len(w), "twice at a member")
		zones := make(map[int]bool)
		for _, r := range w {
			load[r]++
			zones[m.zones[r]] = true
		}
		filled += len(w)
		if it.Want > 1 && len(w) == it.Want && len(zones) == 1 && m.openZones() > 1 {
			crowded++
			require.True(t, m.n.SingleZone(i))
		}
		if it.Require && len(it.Prefer) > 0 && len(w) > 0 {
			others := slices.DeleteFunc(slices.Clone(w), func(r MemberRef) bool { return slices.Contains(it.Held, r) })
			home := slices.ContainsFunc(w, func(r MemberRef) bool { return slices.Contains(it.Prefer, r) })
			require.True(t, home || len(others) == 0, "given to others only")
		}
	}
	for i, l := range load {
		require.LessOrEqual(t, l, m.capacity[i], "capacity of %d", i)
		require.Equal(t, l, m.n.Load(MemberRef(i)))
	}
	m.checkInside(t)
	if !m.plain() {
		return
	}
	most := m.maximum(loose, m.anybody)
	require.Equal(t, most, filled, "slots filled")
	m.checkLeaving(t)
	if m.maximum(strict, m.stays) == most {
		require.Zero(t, crowded, "items in one zone")
	}
}

// checkLeaving holds that those who stay have all that they can have, and each of those who
// leave no more than what neither they can have nor those who leave after it.
func (m *model) checkLeaving(t require.TestingT) {
	for k := range m.turn {
		first := m.turn[k]
		some := func(i int) bool { return m.stays(i) || first > 0 && m.turn[i] >= first }
		load := 0
		for i := range m.turn {
			if some(i) {
				load += m.n.Load(MemberRef(i))
			}
		}
		require.Equal(t, m.maximum(loose, some), load, "slots of those that stay or leave in turn %d or later", first)
	}
}

// plain tells whether the reference knows all that there is: no item that wants several
// requires members.
func (m *model) plain() bool {
	for _, it := range m.items {
		if len(it.Prefer) > 0 && (!it.Require || it.Want > 1 || len(it.Held) > 0) {
			return false
		}
	}
	return true
}

// checkInside holds the invariants of the network's own books.
func (m *model) checkInside(t require.TestingT) {
	n := m.n
	room, open := 0, 0
	for i := range n.members {
		room += n.members[i].room()
		require.Equal(t, m.turn[i], n.members[i].turn)
		require.Equal(t, MemberRef(i), n.zones[n.members[i].zone].order[n.members[i].at])
		for at, ref := range n.members[i].items {
			s := n.items[ref].slots[n.items[ref].slot(MemberRef(i))]
			require.Equal(t, int(s.at), at)
		}
	}
	for _, z := range n.zones {
		if z.capacity > 0 {
			open++
		}
		require.True(t, slices.IsSortedFunc(z.order, func(a, b MemberRef) int {
			if n.before(a, b) {
				return -1
			}
			return 1
		}))
	}
	cross := n.cross
	n.recount()
	require.Equal(t, n.cross, cross)
	require.Equal(t, room, n.room)
	require.Equal(t, open, n.open)
}

func drawItem(t *rapid.T, members int, affinity bool) Item {
	it := Item{Want: rapid.IntRange(0, 4).Draw(t, "want")}
	for range rapid.IntRange(0, 4).Draw(t, "helds") {
		if r := MemberRef(rapid.IntRange(0, members-1).Draw(t, "held")); !slices.Contains(it.Held, r) {
			it.Held = append(it.Held, r)
		}
	}
	if !affinity {
		return it
	}
	for range rapid.IntRange(0, 2).Draw(t, "prefers") {
		it.Prefer = append(it.Prefer, MemberRef(rapid.IntRange(0, members-1).Draw(t, "prefer")))
	}
	it.Require = rapid.Bool().Draw(t, "require")
	return it
}

// change draws one change of anything.
func (m *model) change(t *rapid.T, affinity bool) {
	refs := m.refs()
	switch op := rapid.IntRange(0, 5).Draw(t, "op"); {
	case op == 0 && len(refs) > 0:
		ref := rapid.SampledFrom(refs).Draw(t, "item")
		m.n.RemoveItem(ref)
		delete(m.items, ref)
		delete(m.solved, ref)
	case op == 1 && len(refs) > 0:
		ref := rapid.SampledFrom(refs).Draw(t, "item")
		it := m.items[ref]
		next := drawItem(t, len(m.zones), affinity)
		it.Want, it.Prefer, it.Require = next.Want, next.Prefer, next.Require
		m.n.SetItem(ref, it.Want, it.Prefer, it.Require)
		m.items[ref] = it
	case op == 2 && len(refs) > 0: // what holds an item becomes what is to hold it
		ref := rapid.SampledFrom(refs).Draw(t, "item")
		it := m.items[ref]
		it.Held = m.wanted(ref)
		m.n.SetHeld(ref, it.Held, rapid.Bool().Draw(t, "settled"))
		m.items[ref] = it
	case op == 3:
		m.resizeAny(t, rapid.IntRange(0, len(m.zones)-1).Draw(t, "member"))
	default:
		m.add(drawItem(t, len(m.zones), affinity))
	}
}

func drawModel(t *rapid.T) *model {
	var zones []int
	for range rapid.IntRange(1, 6).Draw(t, "members") {
		zones = append(zones, rapid.IntRange(0, 2).Draw(t, "zone"))
	}
	m := newModel(zones...)
	for i := range zones {
		m.resizeAny(t, i)
	}
	return m
}

// resizeAny draws what a member takes, and whether it leaves: before or after each of the others.
func (m *model) resizeAny(t *rapid.T, i int) {
	capacity := rapid.IntRange(0, 6).Draw(t, "capacity")
	if turns := []int{0, 0, i + 1, 100 - i}; rapid.Bool().Draw(t, "may leave") {
		m.leave(i, capacity, rapid.SampledFrom(turns).Draw(t, "turn"))
		return
	}
	m.resize(i, capacity)
}

func TestSolutionIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		for range rapid.IntRange(1, 4).Draw(t, "solves") {
			for range rapid.IntRange(1, 8).Draw(t, "changes") {
				m.change(t, false)
			}
			m.solve(t)
			m.check(t)
		}
	})
}

// TestRequiredMembersAreExact has items that want one member, some of them a certain one.
func TestRequiredMembersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		for range rapid.IntRange(1, 12).Draw(t, "items") {
			it := Item{Want: 1}
			for range rapid.IntRange(0, 2).Draw(t, "prefers") {
				it.Prefer, it.Require = append(it.Prefer, MemberRef(rapid.IntRange(0, len(m.zones)-1).Draw(t, "prefer"))), true
			}
			m.add(it)
		}
		m.n.Solve()
		m.check(t)
	})
}

func TestAffinityKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		for range rapid.IntRange(1, 4).Draw(t, "solves") {
			for range rapid.IntRange(1, 8).Draw(t, "changes") {
				m.change(t, true)
			}
			m.solve(t)
			m.check(t)
		}
	})
}

// TestNothingChangesWithoutReason holds the fixed point: of the same network, and of one
// that is made from what the first one found.
func TestNothingChangesWithoutReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			m.change(t, false)
		}
		m.n.Solve()
		require.Empty(t, m.n.Solve())
		if slices.ContainsFunc(m.refs(), m.n.SingleZone) {
			return // which of them are in one zone may alternate
		}
		m.n.dirty = true
		require.Empty(t, m.n.Solve())
		again := newModel(m.zones...)
		for i, c := range m.capacity {
			again.leave(i, c, m.turn[i])
		}
		for _, ref := range m.refs() {
			again.add(Item{Want: m.items[ref].Want, Held: m.wanted(ref)})
		}
		again.n.Solve()
		refs := m.refs()
		for k, ref := range again.refs() {
			was, is := m.wanted(refs[k]), again.wanted(ref)
			slices.Sort(was)
			slices.Sort(is)
			require.Equal(t, was, is)
		}
	})
}
