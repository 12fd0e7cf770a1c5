package flow

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// cluster returns a model of members in zones with items of three that are solved.
func cluster(tb testing.TB, members, zones, items int) *model {
	tb.Helper()
	var of []int
	for i := range members {
		of = append(of, i%zones)
	}
	m := newModel(of...)
	for i := range members {
		m.resize(i, items)
	}
	for range items {
		m.add(Item{Want: 3})
	}
	m.settle()
	return m
}

// settle solves, makes the solution what is held, and returns how many members items got.
func (m *model) settle() int {
	moves := 0
	for _, i := range m.n.Solve() {
		it := m.items[i]
		w := m.wanted(i)
		for _, r := range w {
			if !slices.Contains(it.Held, r) {
				moves++
			}
		}
		it.Held = w
		m.n.SetHeld(i, w, true)
		m.items[i] = it
	}
	return moves
}

// evenness is the greatest difference of loads, and their deviation by their mean.
func (m *model) evenness() (int, float64) {
	var loads []int
	sum := 0
	for i, c := range m.capacity {
		if c > 0 && m.stays(i) {
			loads = append(loads, m.n.Load(MemberRef(i)))
			sum += m.n.Load(MemberRef(i))
		}
	}
	mean, square := float64(sum)/float64(len(loads)), 0.0
	for _, l := range loads {
		square += (float64(l) - mean) * (float64(l) - mean)
	}
	return slices.Max(loads) - slices.Min(loads), math.Sqrt(square/float64(len(loads))) / mean
}

// TestOneOfManyMembers holds that a member that goes or comes moves its share, and that
// load is even before and after.
func TestOneOfManyMembers(t *testing.T) {
	for _, c := range []struct {
		members, zones int
		most           float64 // moves, by those that are needed
	}{{10, 1, 1.1}, {9, 3, 1.1}, {30, 3, 1.1}, {10, 3, 1.25}} {
		t.Run(fmt.Sprintf("%d in %d zones", c.members, c.zones), func(t *testing.T) {
			const items = 3000
			m := cluster(t, c.members, c.zones, items)
			even := func() {
				t.Helper()
				difference, deviation := m.evenness()
				require.LessOrEqual(t, deviation, 0.05)
				if c.zones == 1 {
					require.LessOrEqual(t, difference, 1)
				}
				for _, i := range m.refs() {
					require.Len(t, m.wanted(i), 3)
					require.False(t, m.n.SingleZone(i))
				}
			}
			even()
			lost := m.n.Load(0)
			m.resize(0, 0)
			moves := m.settle()
			require.GreaterOrEqual(t, moves, lost)
			require.LessOrEqual(t, float64(moves), c.most*float64(lost), "of a member that went")
			even()
			m.resize(0, items)
			moves = m.settle()
			require.LessOrEqual(t, float64(moves), c.most*float64(lost), "of a member that came")
			require.Positive(t, moves)
			even()
			require.Zero(t, m.settle())
		})
	}
}

// TestUnequalMembers holds that load is in proportion to capacity.
func TestUnequalMembers(t *testing.T) {
	m := newModel(0, 0, 0)
	for i := range 3 {
		m.resize(i, 1000*(i+1))
	}
	for range 600 {
		m.add(Item{Want: 1})
	}
	m.settle()
	for i := range 3 {
		require.InDelta(t, 100*(i+1), m.n.Load(MemberRef(i)), 1)
	}
}

// TestZoneComesBack holds that items spread over the zones again, at no more than what
// evenness asks for.
func TestZoneComesBack(t *testing.T) {
	m := cluster(t, 9, 3, 900)
	for i := 0; i < 9; i += 3 {
		m.resize(i, 0)
	}
	require.Equal(t, 900, m.settle())
	for i := 0; i < 9; i += 3 {
		m.resize(i, 900)
	}
	require.LessOrEqual(t, m.settle(), 990)
	spread := 0
	for _, i := range m.refs() {
		zones := make(map[int]bool)
		for _, r := range m.wanted(i) {
			zones[m.zones[r]] = true
		}
		require.GreaterOrEqual(t, len(zones), 2)
		if len(zones) == 3 {
			spread++
		}
	}
	require.Greater(t, spread, 850)
}

// TestLostItemComesHome: a member that an item prefers returns when others hold the item.
func TestLostItemComesHome(t *testing.T) {
	m := newModel(0, 0, 0)
	m.resize(1, 10)
	m.resize(2, 10)
	i := m.add(Item{Want: 1, Prefer: []MemberRef{0}})
	m.settle()
	m.n.SetHeld(i, m.wanted(i), false)
	require.NotContains(t, m.wanted(i), MemberRef(0), "it is away")
	m.resize(0, 1)
	other := m.n.AddItem(Item{Want: 1, Held: []MemberRef{0}})
	m.n.Solve()
	require.Equal(t, []MemberRef{0}, m.wanted(i), "room is made for it")
	require.NotContains(t, m.wanted(other), MemberRef(0))
}

// TestRequiredMemberIsAwaited: others have the item only beside the member.
func TestRequiredMemberIsAwaited(t *testing.T) {
	m := newModel(0, 1, 2)
	m.resize(1, 10)
	m.resize(2, 10)
	i := m.add(Item{Want: 2, Prefer: []MemberRef{0}, Require: true})
	m.settle()
	require.Empty(t, m.wanted(i))
	m.resize(0, 10)
	m.settle()
	require.Len(t, m.wanted(i), 2)
	require.Contains(t, m.wanted(i), MemberRef(0))
}

// TestFewerKeepTheirMembers: an item that wants fewer goes on with some of those that it had, the
// primary among them; that others are preferred matters only to one that lacks them.
func TestFewerKeepTheirMembers(t *testing.T) {
	m := newModel(0, 1, 2)
	for i := range 3 {
		m.resize(i, 10)
	}
	i := m.add(Item{Want: 3, Held: []MemberRef{2, 1, 0}, Prefer: []MemberRef{1}, Settled: true})
	m.settle()
	for want := 2; want > 0; want-- {
		was := m.wanted(i)
		m.n.SetItem(i, want, []MemberRef{1}, false)
		require.Equal(t, []ItemRef{i}, m.n.Solve())
		require.Len(t, m.wanted(i), want)
		require.Subset(t, was, m.wanted(i))
		require.Contains(t, m.wanted(i), MemberRef(2), "the primary")
	}
}

// TestZonesComeBeforeLoad: two members of an item aren't in one zone, however little they have to do.
func TestZonesComeBeforeLoad(t *testing.T) {
	m := newModel(0, 0, 1)
	for i := range 3 {
		m.resize(i, 100)
	}
	for range 99 {
		m.add(Item{Want: 1, Prefer: []MemberRef{2}, Require: true})
	}
	m.settle()
	require.Equal(t, 99, m.n.Load(2))
	i := m.add(Item{Want: 2})
	m.n.Solve()
	require.Contains(t, m.wanted(i), MemberRef(2))
	require.False(t, m.n.SingleZone(i))
}

// BenchmarkSolve is the plan of the design's cluster, from nothing and after one change.
func BenchmarkSolve(b *testing.B) {
	b.Run("cold", func(b *testing.B) {
		for range b.N {
			cluster(b, 100, 3, 100_000)
		}
	})
	m := cluster(b, 100, 3, 100_000)
	b.Run("item", func(b *testing.B) {
		for range b.N {
			i := m.n.AddItem(Item{Want: 3})
			m.n.Solve()
			m.n.RemoveItem(i)
			m.n.Solve()
		}
	})
	b.Run("member", func(b *testing.B) {
		moves := 0
		for i := range b.N {
			m.resize(i%100, 0)
			moves += m.settle()
			m.resize(i%100, 100_000)
			moves += m.settle()
		}
		b.ReportMetric(float64(moves)/float64(b.N), "moves/op")
	})
}
