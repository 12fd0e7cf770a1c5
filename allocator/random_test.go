package allocator

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world is a key space under random changes, with the allocator's state of it.
type world struct {
	t        *rapid.T
	k        *keys
	s        *state
	affinity bool
}

func (w *world) drawMember() MemberID {
	n := rapid.IntRange(0, 5).Draw(w.t, "member")
	return MemberID{Zone: fmt.Sprint("z", n%3), Suffix: fmt.Sprint("m", n)}
}

func (w *world) putItem() {
	it := testItem{
		Replicas: rapid.SampledFrom([]int{0, 1, 1, 2, 2, 3, 4}).Draw(w.t, "replicas"),
		Rule:     rapid.SampledFrom([]string{"", "own", "all"}).Draw(w.t, "rule"),
	}
	if w.affinity && rapid.Bool().Draw(w.t, "affinity") {
		it.Prefer, it.Require = []MemberID{w.drawMember()}, rapid.Bool().Draw(w.t, "require")
	}
	id := fmt.Sprint("i", rapid.IntRange(0, 9).Draw(w.t, "item"))
	w.k.put("/p/items/"+id, Item{ID: id, Value: it}, 0)
}

func (w *world) putMember() {
	id := w.drawMember()
	w.k.put("/p/members/"+id.String(), Member{ID: id, Value: testMember{
		Limit: rapid.IntRange(0, 8).Draw(w.t, "limit"), Exits: rapid.IntRange(0, 3).Draw(w.t, "exits") == 0,
	}}, 0)
}

// event changes something from outside.
func (w *world) event() {
	switch rapid.IntRange(0, 8).Draw(w.t, "event") {
	case 0, 1:
		w.putItem()
	case 2:
		id := fmt.Sprint("/p/items/i", rapid.IntRange(0, 9).Draw(w.t, "item"))
		if _, ok := w.k.kvs[id]; ok {
			w.k.delete(id)
		}
	case 3, 4:
		w.putMember()
	case 5:
		if id := w.drawMember(); w.k.kvs["/p/members/"+id.String()].Value != nil {
			w.k.leave(id)
		}
	case 6: // an assignment that nobody of us made
		id := AssignmentID{Item: fmt.Sprint("i", rapid.IntRange(0, 10).Draw(w.t, "item")), Member: w.drawMember(), Slot: rapid.IntRange(0, 3).Draw(w.t, "slot")}
		w.k.assign(w.t, id.String(), rapid.SampledFrom([]string{"", "ready"}).Draw(w.t, "value"), 0)
	case 7:
		w.tell()
	default:
		w.syncSome()
	}
}

// tell writes or drops a Preference, whether there is such an item or not.
func (w *world) tell() {
	id := fmt.Sprint("i", rapid.IntRange(0, 9).Draw(w.t, "item"))
	key := "/p/told/" + id
	_, told := w.k.kvs[key]
	switch {
	case !w.affinity:
	case told && rapid.Bool().Draw(w.t, "drop"):
		w.k.delete(key)
	default:
		w.k.put(key, testPreference{id, []MemberID{w.drawMember()}}, 0)
	}
}

func (w *world) syncSome() {
	for _, a := range w.k.assigned() {
		if kv := w.k.kvs["/p/assign/"+a]; kv.Value.(Assignment).Value != "ready" && rapid.Bool().Draw(w.t, "ready") {
			w.k.assign(w.t, a, "ready", 0)
		}
	}
}

func (w *world) follow() {
	if w.s == nil || rapid.IntRange(0, 9).Draw(w.t, "anew") == 0 {
		w.s = readState("/p", w.k)
	} else {
		w.s = w.s.follow(w.k)
	}
	checkBooks(w.t, w.s, readState("/p", w.k))
}

// round plans and makes some of the groups of changes: the others found a conflict.
func (w *world) round(all bool) int {
	w.follow()
	if w.s.leader == nil {
		return 0
	}
	p := w.s.makePlan()
	checkTxns(w.t, w.s, p)
	for _, g := range p.groups {
		w.log(g)
		if all || rapid.IntRange(0, 3).Draw(w.t, "written") > 0 {
			w.make(g)
		}
	}
	return len(p.groups)
}

// log notes a group of changes, for a test that fails.
func (w *world) log(g group) {
	var text []string
	for _, c := range g.changes {
		text = append(text, map[bool]string{true: "+", false: "-"}[c.add]+c.id.String())
	}
	w.t.Logf("%+v: %v", g.item.value, text)
}

// make makes a group of changes, and holds what has to be at every revision.
func (w *world) make(g group) {
	before := readState("/p", w.k)
	w.k.apply(w.t, []group{g})
	after := readState("/p", w.k)
	for id, m := range after.members {
		was := before.members[id]
		if was == nil {
			was = &member{}
		}
		require.LessOrEqual(w.t, m.load, max(m.limit, was.load), "load of %s", id)
	}
	it := before.items[g.item.id]
	if it == nil || it.value == nil {
		return
	}
	now := after.items[g.item.id]
	c := converger{s: before, item: it}
	c.observe()
	if len(c.live) == len(it.held) { // else there were dead or double ones
		slots := make(map[int]bool)
		for _, a := range now.held {
			require.False(w.t, slots[a.id.Slot], "two have slot %d of %s", a.id.Slot, it.id)
			slots[a.id.Slot] = true
		}
	}
	for i, a := range c.live {
		if slices.ContainsFunc(now.held, func(x assignment) bool { return x.member.id == a.member.id }) {
			continue
		}
		require.True(w.t, c.spare(i), "%s is taken from %s, which it can't spare", it.id, a.member.id)
	}
	if extra := len(now.held) - len(it.held); extra > 0 {
		preferred, _ := it.affinity()
		require.LessOrEqual(w.t, len(now.held), max(2*it.desired, len(it.held))+len(preferred), "too many have %s", it.id)
	}
}

// checkBooks holds that a state that followed is as one that was read.
func checkBooks(t *rapid.T, s, fresh *state) {
	require.Equal(t, fresh.slots, s.slots)
	require.Len(t, s.items, len(fresh.items))
	for id, want := range fresh.items {
		got := s.items[id]
		require.Equal(t, want.desired, got.desired)
		require.Equal(t, want.mod, got.mod)
		require.Equal(t, want.preferred, got.preferred, "who is told to hold %s", id)
		require.Len(t, got.held, len(want.held))
		for i := range want.held {
			require.Equal(t, want.held[i].id, got.held[i].id)
			require.Equal(t, want.held[i].value, got.held[i].value)
		}
	}
	for id, want := range fresh.members {
		got := s.members[id]
		require.Equal(t, []any{want.exists, want.load, want.primaries, want.mod}, []any{got.exists, got.load, got.primaries, got.mod}, "%s", id)
		if want.exists {
			require.Equal(t, want.limit, got.limit)
		}
	}
	if fresh.leader != nil {
		require.Equal(t, fresh.leader.id, s.leader.id)
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
			require.True(t, x.compared[string(op.KeyBytes())])
			changes++
			if op.IsPut() {
				require.Empty(t, op.ValueBytes())
			}
		}
	}
	for _, g := range p.groups {
		changes -= len(g.changes)
	}
	require.Zero(t, changes)
}

// settle lets everybody be ready and the allocator write until it has nothing to.
func (w *world) settle() {
	for rounds := 0; ; rounds++ {
		require.Less(w.t, rounds, 60, "rounds to the fixed point")
		was := w.k.revision
		if n := w.round(true); n == 0 {
			w.k.sync()
			if w.k.revision == was {
				return
			}
		}
		w.k.sync()
	}
}

// checkRest holds what has to be at the fixed point.
func (w *world) checkRest() {
	if w.s.leader == nil {
		return
	}
	w.s = w.s.follow(w.k)
	p := w.s.makePlan()
	require.Empty(w.t, p.groups)
	for _, it := range w.s.items {
		require.NotNil(w.t, it.value, "the assignments of %s, which is gone", it.id)
		for i, a := range it.held {
			require.True(w.t, a.member.exists)
			require.Equal(w.t, i, a.id.Slot, "slots of %s", it.id)
		}
		if len(p.unplaced) > 0 {
			continue
		}
		require.Len(w.t, it.held, it.desired, "holders of %s", it.id)
	}
	if len(p.unplaced) == 0 {
		require.Empty(w.t, w.s.waiting)
		if !w.affinity {
			require.Empty(w.t, readState("/p", w.k).makePlan().groups, "another leader would have other ideas")
		}
	}
}

func testWorld(t *rapid.T, affinity bool) {
	w := &world{t: t, k: newKeys(), affinity: affinity}
	for range rapid.IntRange(1, 5).Draw(t, "members") {
		w.putMember()
	}
	for range rapid.IntRange(0, 8).Draw(t, "items") {
		w.putItem()
	}
	for range rapid.IntRange(1, 12).Draw(t, "steps") {
		if rapid.Bool().Draw(t, "round") {
			w.round(false)
		} else {
			w.event()
		}
	}
	w.settle()
	w.checkRest()
}

// TestRandomWorlds changes items and members at random while the allocator plans and some
// of its transactions fail.
func TestRandomWorlds(t *testing.T) {
	t.Run("plain", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { testWorld(t, false) }) })
	t.Run("affinity", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { testWorld(t, true) }) })
}

// TestItemWithTooManyAssignments holds that no transaction is too large for etcd.
func TestItemWithTooManyAssignments(t *testing.T) {
	k := newKeys()
	k.parse(t, "member z#m limit=9\nitem i 1\n")
	for slot := range 300 {
		k.assign(t, fmt.Sprintf("i#z#m#%d", slot+1), "", 0)
	}
	s := readState("/p", k)
	txns := makeTxns(s, s.makePlan(), DefaultMaxTxnOps, false)
	require.Greater(t, len(txns), 2)
	for _, x := range txns {
		require.LessOrEqual(t, len(x.ops), DefaultMaxTxnOps)
		require.LessOrEqual(t, len(x.compares), DefaultMaxTxnOps)
	}
}
