package allocator

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/allocator/flow"
	"broadsheet.dev/broadsheet/keyspace"
)

// item, member and assignment are the parts of a state: what the keys say, and the
// revisions that a transaction compares.
type item struct {
	id      string
	value   ItemValue // nil if it doesn't exist: only assignments of it do
	desired int
	mod     int64
	held    []assignment // in the order of their slots, of equals by age
	ref     flow.ItemRef // while value isn't nil and it was settled once
	known   bool         // to the network
	touched bool         // in state.touched
	// preferred are the members that a Preference names; nil if there is none.
	preferred []MemberID
}

type member struct {
	id          MemberID
	ref         flow.MemberRef
	exists      bool
	limit       int // what it takes at most
	exiting     bool
	create, mod int64
	lease       int64
	// load and primaries are the assignments that it has, and of these the primaries;
	// adding and promoting are those that the present plan gives it.
	load, primaries     int
	adding, promotingTo int
}

type assignment struct {
	id          AssignmentID
	member      *member
	create, mod int64
	value       any
}

// state is all that a plan is made from. It is kept from plan to plan, and follows the
// changes of the view.
//
// Invariant: the network knows the items, members and assignments of revision once
// settle has returned.
type state struct {
	prefix   string
	revision int64
	items    map[string]*item
	told     map[string]string // items by the keys of their Preferences
	// preferred are the members that Preferences name, by item, also of items that don't exist.
	preferred map[string][]MemberID
	members   map[MemberID]*member // also such as only assignments or preferences name
	byRef     []*item              // by flow.ItemRef
	byMember  []*member            // by flow.MemberRef
	leader    *member              // nil if there are no members
	network   *flow.Network
	slots     int // that all items want
	// touched are items to look at, and waiting those to look at again in any case.
	touched, waiting []*item
	// membersChanged tells that the network has to be told of the members; reseeded that the network
	// was made anew since anything was last planned.
	membersChanged, reseeded bool
}

// view is what a state is read from: a keyspace.View.
type view interface {
	Revision() int64
	Get(key string) (keyspace.KeyValue, bool)
	Ascend(prefix string, fn func(keyspace.KeyValue) bool)
	ChangedSince(revision int64) (iter.Seq[string], bool)
}

// leaderOf returns the member that leads in a view, or none.
func leaderOf(prefix string, v view) MemberID {
	var leader MemberID
	least := int64(0)
	v.Ascend(MembersPrefix(prefix), func(kv keyspace.KeyValue) bool {
		if m, ok := kv.Value.(Member); ok && (least == 0 || kv.CreateRevision < least) {
			leader, least = m.ID, kv.CreateRevision
		}
		return true
	})
	return leader
}

// readState collects the state in a view.
func readState(prefix string, v view) *state {
	s := &state{
		prefix: prefix, revision: v.Revision(), items: make(map[string]*item),
		told: make(map[string]string), preferred: make(map[string][]MemberID), members: make(map[MemberID]*member),
		network: flow.New(), membersChanged: true,
	}
	for _, part := range []string{MembersPrefix(prefix), ItemsPrefix(prefix), AssignmentsPrefix(prefix)} {
		v.Ascend(part, func(kv keyspace.KeyValue) bool {
			s.put(kv)
			return true
		})
	}
	v.Ascend(prefix+"/", func(kv keyspace.KeyValue) bool {
		if _, ok := kv.Value.(Preference); ok {
			s.put(kv)
		}
		return true
	})
	s.settle()
	return s
}

// maxGone is how many members that are gone a state remembers beside as many as there are.
const maxGone = 64

// follow returns the state in a later view: the same one, brought up to date, unless
// that can't be had from the changes.
func (s *state) follow(v view) *state {
	changed, ok := v.ChangedSince(s.revision)
	if !ok || len(s.members) > 2*s.live()+maxGone {
		return readState(s.prefix, v)
	}
	for key := range changed {
		if kv, ok := v.Get(key); ok {
			s.put(kv)
		} else {
			s.remove(key)
		}
	}
	s.revision = v.Revision()
	s.settle()
	return s
}

// put takes the value of a key. What is of another kind than its key isn't ours.
func (s *state) put(kv keyspace.KeyValue) {
	switch value := kv.Value.(type) {
	case Preference:
		id, members := value.Preferred()
		s.told[kv.Key], s.preferred[id] = id, members
		it := s.item(id)
		it.preferred = members
		s.touch(it)
	case Item:
		it := s.item(value.ID)
		s.want(it, value.Value.DesiredReplication())
		it.value, it.mod = value.Value, kv.ModRevision
		s.touch(it)
	case Member:
		m := s.member(value.ID)
		m.limit, m.exiting = max(value.Value.ItemLimit(), 0), value.Value.Exiting()
		m.create, m.mod, m.lease = kv.CreateRevision, kv.ModRevision, kv.Lease
		s.appear(m, true)
	case Assignment:
		m := s.member(value.ID.Member)
		s.hold(assignment{id: value.ID, member: m, create: kv.CreateRevision, mod: kv.ModRevision, value: value.Value})
	}
}

// remove takes note that a key is gone.
func (s *state) remove(key string) {
	if id, err := ParseItemKey(s.prefix, key); err == nil {
		if it := s.items[id]; it != nil && it.value != nil {
			s.want(it, 0)
			it.value, it.mod = nil, 0
			s.touch(it)
		}
	} else if id, err := ParseMemberKey(s.prefix, key); err == nil {
		if m := s.members[id]; m != nil {
			m.create, m.mod, m.lease = 0, 0, 0
			s.appear(m, false)
		}
	} else if id, err := ParseAssignmentKey(s.prefix, key); err == nil {
		s.release(id)
	} else if id, ok := s.told[key]; ok {
		delete(s.told, key)
		delete(s.preferred, id)
		it := s.item(id)
		it.preferred = nil
		s.touch(it)
	}
}

func (s *state) item(id string) *item {
	it := s.items[id]
	if it == nil {
		it = &item{id: id, preferred: s.preferred[id]}
		s.items[id] = it
	}
	return it
}

func (s *state) member(id MemberID) *member {
	m := s.members[id]
	if m == nil {
		m = &member{id: id, ref: s.network.AddMember(id.Zone)}
		s.members[id] = m
		s.byMember = append(s.byMember, m)
	}
	return m
}

// live is the number of members that exist.
func (s *state) live() int {
	n := 0
	for _, m := range s.byMember {
		if m.exists {
			n++
		}
	}
	return n
}

// appear takes note that a member is there, with what it announced, or is gone. If that
// is new, what it holds has another meaning now.
func (s *state) appear(m *member, exists bool) {
	s.membersChanged = true
	if m.exists == exists {
		return
	}
	m.exists = exists
	if m.load == 0 {
		return
	}
	for _, it := range s.items {
		if slices.ContainsFunc(it.held, func(a assignment) bool { return a.member == m }) {
			s.touch(it)
		}
	}
}

func (s *state) want(it *item, desired int) {
	s.slots += desired - it.desired
	it.desired = desired
}

func (s *state) hold(a assignment) {
	it := s.item(a.id.Item)
	s.touch(it)
	for i := range it.held {
		if it.held[i].id == a.id {
			it.held[i] = a
			return
		}
	}
	a.member.count(a.id.Slot, 1)
	it.held = append(it.held, a)
	slices.SortStableFunc(it.held, func(x, y assignment) int {
		return cmp.Or(cmp.Compare(x.id.Slot, y.id.Slot), cmp.Compare(x.create, y.create), strings.Compare(x.id.Member.String(), y.id.Member.String()))
	})
}

func (s *state) release(id AssignmentID) {
	it := s.items[id.Item]
	if it == nil {
		return
	}
	for i := range it.held {
		if it.held[i].id == id {
			it.held[i].member.count(id.Slot, -1)
			it.held = slices.Delete(it.held, i, i+1)
			s.touch(it)
			return
		}
	}
}

func (m *member) count(slot, by int) {
	m.load += by
	if slot == 0 {
		m.primaries += by
	}
}

func (s *state) touch(it *item) {
	if !it.touched {
		it.touched = true
		s.touched = append(s.touched, it)
	}
}

// reseed makes the network anew, from what is held.
func (s *state) reseed() {
	s.network, s.byRef, s.reseeded = flow.New(), nil, true
	for _, m := range s.byMember {
		s.network.AddMember(m.id.Zone) // gets the same ref
	}
	for _, it := range s.items {
		it.known = false
	}
	for _, id := range slices.Sorted(maps.Keys(s.items)) {
		s.touch(s.items[id])
	}
	s.membersChanged = true
	s.settle()
}

// settle tells the network what was changed.
func (s *state) settle() {
	if s.membersChanged {
		s.membersChanged = false
		s.elect()
		s.limit()
	}
	for _, it := range s.touched {
		s.tell(it)
	}
}

// tell tells the network of an item. One that doesn't exist and isn't held is forgotten.
func (s *state) tell(it *item) {
	if it.value == nil {
		if it.known {
			s.network.RemoveItem(it.ref)
			s.byRef[it.ref], it.known = nil, false
		}
		if len(it.held) == 0 {
			delete(s.items, it.id)
		}
		return
	}
	live := it.live()
	spec := flow.Item{Want: it.desired, Settled: !slices.Contains(it.consistent(live), false)}
	for _, a := range live {
		spec.Held = append(spec.Held, a.member.ref)
	}
	ids, require := it.affinity()
	spec.Require = require
	for _, id := range ids {
		if validPart(id.Zone) && validPart(id.Suffix) {
			spec.Prefer = append(spec.Prefer, s.member(id).ref)
		}
	}
	if it.known {
		s.network.SetItem(it.ref, spec.Want, spec.Prefer, spec.Require)
		s.network.SetHeld(it.ref, spec.Held, spec.Settled)
		return
	}
	it.ref, it.known = s.network.AddItem(spec), true
	if grow := int(it.ref) + 1 - len(s.byRef); grow > 0 {
		s.byRef = append(s.byRef, make([]*item, grow)...)
	}
	s.byRef[it.ref] = it
}

// live returns the assignments to members that exist, one of each member.
func (it *item) live() []assignment {
	out := make([]assignment, 0, len(it.held))
	for _, a := range it.held {
		if a.member.exists && !slices.ContainsFunc(out, func(l assignment) bool { return l.member == a.member }) {
			out = append(out, a)
		}
	}
	return out
}

// consistent tells which of the live assignments are.
func (it *item) consistent(live []assignment) []bool {
	out := make([]bool, len(live))
	rule, ok := it.value.(Consistency)
	if !ok {
		for i := range out {
			out[i] = true
		}
		return out
	}
	all := make([]Assignment, len(live))
	for i, a := range live {
		all[i] = Assignment{ID: a.id, Value: a.value}
	}
	for i := range all {
		out[i] = rule.IsConsistent(all[i], all)
	}
	return out
}

// elect finds the leader: the member with the least create revision, of equals the least key.
func (s *state) elect() {
	s.leader = nil
	for _, m := range s.byMember {
		if m.exists && (s.leader == nil || m.leads(s.leader)) {
			s.leader = m
		}
	}
}

func (m *member) leads(other *member) bool {
	if m.create != other.create {
		return m.create < other.create
	}
	return m.id.String() < other.id.String()
}

// limit tells the network what each member takes, and who leaves: the oldest of these is
// the first to shed.
func (s *state) limit() {
	var leaving []*member
	for _, m := range s.byMember {
		switch {
		case !m.exists:
			s.network.SetCapacity(m.ref, 0)
		case m.exiting:
			leaving = append(leaving, m)
		default:
			s.network.SetCapacity(m.ref, m.limit)
		}
	}
	slices.SortFunc(leaving, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.create, b.create), strings.Compare(a.id.String(), b.id.String()))
	})
	for i, m := range leaving {
		s.network.SetLeaving(m.ref, m.limit, i+1)
	}
}
