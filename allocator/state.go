package allocator

import (
	"broadsheet.dev/broadsheet/keyspace"
)

// item, member and assignment are the parts of a state: what the keys say, and the
// revisions that a transaction compares.
type item struct {
	id      string
	desired int
	mod     int64
	held    []assignment // in the order of their keys
}

type member struct {
	id          MemberID
	limit       int
	exiting     bool
	create, mod int64
	lease       int64
	load        int // assignments that it has
}

type assignment struct {
	id          AssignmentID
	create, mod int64
}

// state is all that a plan is made from.
type state struct {
	prefix   string
	revision int64
	items    []*item // in the order of their ids
	members  []*member
	byID     map[MemberID]*member
	orphans  []assignment // their items don't exist
	leader   *member      // nil if there are no members
}

// view is what a state is read from: a keyspace.View.
type view interface {
	Revision() int64
	Ascend(prefix string, fn func(keyspace.KeyValue) bool)
}

// readState collects the state in a view.
func readState(prefix string, v view) *state {
	s := &state{prefix: prefix, revision: v.Revision(), byID: make(map[MemberID]*member)}
	items := make(map[string]*item)
	v.Ascend(ItemsPrefix(prefix), func(kv keyspace.KeyValue) bool {
		i := kv.Value.(Item)
		it := &item{id: i.ID, desired: i.Value.DesiredReplication(), mod: kv.ModRevision}
		s.items = append(s.items, it)
		items[it.id] = it
		return true
	})
	v.Ascend(MembersPrefix(prefix), func(kv keyspace.KeyValue) bool {
		m := kv.Value.(Member)
		s.addMember(&member{
			id: m.ID, limit: m.Value.ItemLimit(), exiting: m.Value.Exiting(),
			create: kv.CreateRevision, mod: kv.ModRevision, lease: kv.Lease,
		})
		return true
	})
	v.Ascend(AssignmentsPrefix(prefix), func(kv keyspace.KeyValue) bool {
		a := assignment{id: kv.Value.(Assignment).ID, create: kv.CreateRevision, mod: kv.ModRevision}
		if m := s.byID[a.id.Member]; m != nil {
			m.load++
		}
		if it := items[a.id.Item]; it != nil {
			it.held = append(it.held, a)
		} else {
			s.orphans = append(s.orphans, a)
		}
		return true
	})
	return s
}

// addMember adds the member that follows the present ones in the order of their
// keys: the leader is the first one with the least create revision.
func (s *state) addMember(m *member) {
	s.members = append(s.members, m)
	s.byID[m.id] = m
	if s.leader == nil || m.create < s.leader.create {
		s.leader = m
	}
}
