package allocator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/keyspace"
)

// testItem and testMember are the values of tests.
type testItem int

func (i testItem) DesiredReplication() int { return int(i) }

type testMember struct {
	Limit int
	Exits bool
}

func (m testMember) ItemLimit() int { return m.Limit }
func (m testMember) Exiting() bool  { return m.Exits }

// keys is a view made by hand.
type keys map[string]keyspace.KeyValue

func (k keys) Revision() int64 { return 100 }

func (k keys) Ascend(prefix string, fn func(keyspace.KeyValue) bool) {
	for _, key := range slices.Sorted(maps.Keys(k)) {
		if strings.HasPrefix(key, prefix) && !fn(k[key]) {
			return
		}
	}
}

func (k keys) put(key string, value any, create int64) {
	k[key] = keyspace.KeyValue{Key: key, Value: value, CreateRevision: create, ModRevision: create}
}

func (k keys) assign(t require.TestingT, id string, create int64) {
	a, err := ParseAssignmentKey("/p", "/p/assign/"+id)
	require.NoError(t, err)
	k.put("/p/assign/"+id, Assignment{ID: a}, create)
}

// apply makes the changes of a plan.
func (k keys) apply(t require.TestingT, p plan) {
	for _, group := range p.groups {
		for _, c := range group {
			if c.add {
				k.assign(t, c.id.String(), 101)
			} else {
				delete(k, "/p/assign/"+c.id.String())
			}
		}
	}
}

func (k keys) assigned() []string {
	var out []string
	k.Ascend("/p/assign/", func(kv keyspace.KeyValue) bool {
		out = append(out, strings.TrimPrefix(kv.Key, "/p/assign/"))
		return true
	})
	return out
}

// parseKeys reads lines "item <id> <replication>", "member <zone#suffix> limit=<n>
// [exiting] [create=<n>]" and "assign <item#zone#suffix#slot> [create=<n>]".
func parseKeys(t *testing.T, text string) keys {
	t.Helper()
	k := make(keys)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		create := int64(1)
		m := testMember{}
		for _, opt := range f[2:] {
			name, value, _ := strings.Cut(opt, "=")
			n, _ := strconv.ParseInt(value, 10, 64)
			switch name {
			case "create":
				create = n
			case "limit":
				m.Limit = int(n)
			case "exiting":
				m.Exits = true
			}
		}
		switch f[0] {
		case "item":
			n, err := strconv.Atoi(f[2])
			require.NoError(t, err)
			k.put("/p/items/"+f[1], Item{ID: f[1], Value: testItem(n)}, create)
		case "member":
			id, err := ParseMemberKey("/p", "/p/members/"+f[1])
			require.NoError(t, err)
			k.put("/p/members/"+f[1], Member{ID: id, Value: m}, create)
		case "assign":
			k.assign(t, f[1], create)
		default:
			require.Fail(t, "unknown key", line)
		}
	}
	return k
}

// TestPlan shows keys before, the rounds of changes, and keys at the fixed point.
func TestPlan(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "converge", d.Cmd)
			return converge(t, parseKeys(t, d.Input))
		})
	})
}

func converge(t *testing.T, k keys) string {
	t.Helper()
	var out strings.Builder
	leader := readState("/p", k).leader
	if leader == nil {
		out.WriteString("no leader\n")
	} else {
		fmt.Fprintf(&out, "leader %s\n", leader.id)
	}
	for round := 1; leader != nil; round++ {
		require.Less(t, round, 10, "no fixed point")
		p := makePlan(readState("/p", k))
		if len(p.groups) > 0 {
			fmt.Fprintf(&out, "round %d\n", round)
		}
		for _, c := range slices.Concat(p.groups...) {
			fmt.Fprintf(&out, "  %s %s\n", map[bool]string{true: "+", false: "-"}[c.add], c.id)
		}
		if len(p.groups) == 0 && round > 1 {
			break
		}
		for _, u := range p.unplaced {
			fmt.Fprintf(&out, "unplaced %s: %s\n", u.item, u.reason)
		}
		if len(p.groups) == 0 {
			break
		}
		k.apply(t, p)
	}
	out.WriteString("assigned\n")
	for _, a := range k.assigned() {
		fmt.Fprintf(&out, "  %s\n", a)
	}
	return out.String()
}

// randomKeys draws a state, with assignments right and wrong.
func randomKeys(t *rapid.T) keys {
	k := make(keys)
	members, items := rapid.IntRange(1, 5).Draw(t, "members"), rapid.IntRange(0, 20).Draw(t, "items")
	for i := range members {
		m := testMember{Limit: rapid.IntRange(0, 8).Draw(t, "limit"), Exits: rapid.IntRange(0, 4).Draw(t, "exits") == 0}
		id := MemberID{Zone: "z" + strconv.Itoa(i%2), Suffix: "m" + strconv.Itoa(i)}
		k.put("/p/members/"+id.String(), Member{ID: id, Value: m}, rapid.Int64Range(1, 9).Draw(t, "create"))
	}
	for i := range items {
		id := "i" + strconv.Itoa(i)
		k.put("/p/items/"+id, Item{ID: id, Value: testItem(rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2}).Draw(t, "desired"))}, 1)
	}
	for range rapid.IntRange(0, 20).Draw(t, "assignments") {
		m := rapid.IntRange(0, members).Draw(t, "member") // one more than there are
		k.assign(t, fmt.Sprintf("i%d#z%d#m%d#%d", rapid.IntRange(0, items+1).Draw(t, "item"), m%2, m,
			rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "slot")), rapid.Int64Range(1, 9).Draw(t, "created"))
	}
	return k
}

func TestRandomStatesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := randomKeys(t)
		before := readState("/p", k)
		for round := 0; ; round++ {
			require.Less(t, round, 4, "rounds to the fixed point")
			s := readState("/p", k)
			p := makePlan(s)
			checkTxns(t, s, p)
			if len(p.groups) == 0 {
				break
			}
			k.apply(t, p)
			checkLimits(t, before, readState("/p", k))
		}
		checkFixedPoint(t, before, readState("/p", k))
	})
}

// checkLimits holds that nobody was given more than its limit.
func checkLimits(t *rapid.T, before, now *state) {
	for i, m := range now.members {
		require.LessOrEqual(t, m.load, max(m.limit, before.members[i].load), "load of %s", m.id)
		if m.exiting {
			require.LessOrEqual(t, m.load, before.members[i].load, "load of %s, which leaves", m.id)
		}
	}
}

func checkFixedPoint(t *rapid.T, before, after *state) {
	require.Empty(t, after.orphans)
	room := 0
	for _, m := range after.members {
		if !m.exiting {
			room += max(0, m.limit-m.load)
		}
	}
	for i, it := range after.items {
		for _, a := range it.held {
			require.NotNil(t, after.byID[a.id.Member], "assigned to a member that exists")
		}
		switch it.desired {
		case 0:
			require.Empty(t, it.held)
		case 1:
			if len(it.held) == 0 {
				require.Zero(t, room, "%s isn't placed though there is room", it.id)
				continue
			}
			require.Len(t, it.held, 1)
			require.Zero(t, it.held[0].id.Slot)
			if live := liveOf(before, before.items[i]); len(live) > 0 {
				require.Equal(t, live[0].id.Member, it.held[0].id.Member, "%s was moved", it.id)
			}
		default:
			require.Len(t, it.held, len(liveOf(before, before.items[i])), "%s was changed", it.id)
		}
	}
}

// checkTxns holds that each transaction is within its limits and asserts the
// leader, and that together they make each change once.
func checkTxns(t *rapid.T, s *state, p plan) {
	limit := rapid.IntRange(16, 40).Draw(t, "limit")
	seen := make(map[string]bool)
	changes := 0
	for _, x := range makeTxns(s, p, limit, rapid.Bool().Draw(t, "apart")) {
		require.LessOrEqual(t, len(x.ops), limit)
		require.LessOrEqual(t, len(x.compares), limit)
		require.True(t, x.compared[MemberKey("/p", s.leader.id.Zone, s.leader.id.Suffix)])
		for _, op := range x.ops {
			require.False(t, seen[string(op.KeyBytes())], "changed twice")
			seen[string(op.KeyBytes())] = true
			changes++
			if op.IsPut() {
				require.Empty(t, op.ValueBytes())
			}
		}
	}
	require.Len(t, slices.Concat(p.groups...), changes)
}

// TestItemWithTooManyAssignments holds that no transaction is too large for etcd.
func TestItemWithTooManyAssignments(t *testing.T) {
	k := parseKeys(t, "member z#m limit=9\nitem i 1\n")
	for slot := range 300 {
		k.assign(t, fmt.Sprintf("i#z#m#%d", slot+1), 1)
	}
	s := readState("/p", k)
	txns := makeTxns(s, makePlan(s), DefaultMaxTxnOps, false)
	require.Greater(t, len(txns), 2)
	for _, x := range txns {
		require.LessOrEqual(t, len(x.ops), DefaultMaxTxnOps)
		require.LessOrEqual(t, len(x.compares), DefaultMaxTxnOps)
	}
}

func BenchmarkPlan(b *testing.B) {
	k := make(keys)
	for i := range 100 {
		id := MemberID{Zone: "z", Suffix: fmt.Sprintf("m%03d", i)}
		k.put("/p/members/"+id.String(), Member{ID: id, Value: testMember{Limit: 1500}}, int64(i))
	}
	for i := range 100_000 {
		id := fmt.Sprintf("i%06d", i)
		k.put("/p/items/"+id, Item{ID: id, Value: testItem(1)}, 1)
	}
	s := readState("/p", k)
	b.ResetTimer()
	for range b.N {
		p := makePlan(s)
		require.Len(b, p.groups, 100_000)
		require.NotEmpty(b, makeTxns(s, p, DefaultMaxTxnOps, false))
	}
}
