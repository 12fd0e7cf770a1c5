package consumer

import (
	"slices"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
)

// directory reads shards, members and assignments from one view of etcd.
type directory struct {
	prefix string
	view   *keyspace.View
}

// shardItem is a shard of a directory.
type shardItem struct {
	shards.Item

	createRevision, modRevision int64
}

func (d directory) shard(id string) (shardItem, bool) {
	kv, ok := d.view.Get(allocator.ItemKey(d.prefix, id))
	if !ok {
		return shardItem{}, false
	}
	return toShard(kv)
}

// shards calls fn for each shard, in order.
func (d directory) shards(fn func(shardItem)) {
	d.view.Ascend(allocator.ItemsPrefix(d.prefix), func(kv keyspace.KeyValue) bool {
		if s, ok := toShard(kv); ok {
			fn(s)
		}
		return true
	})
}

func toShard(kv keyspace.KeyValue) (shardItem, bool) {
	item, ok := kv.Value.(allocator.Item)
	if !ok {
		return shardItem{}, false // never decoded: what its spec is isn't known
	}
	value, ok := item.Value.(shards.Item)
	return shardItem{value, kv.CreateRevision, kv.ModRevision}, ok
}

// assignment is one member's slot of a shard.
type assignment struct {
	id     allocator.AssignmentID
	status *shards.ReplicaStatus // that the member has told
	key    keyspace.KeyValue
}

func toAssignment(kv keyspace.KeyValue) (assignment, bool) {
	a, ok := kv.Value.(allocator.Assignment)
	return assignment{a.ID, shards.StatusOf(a), kv}, ok
}

// assignments of a shard, in the order of their members.
func (d directory) assignments(id string) []assignment {
	var out []assignment
	d.view.Ascend(allocator.ItemAssignmentsPrefix(d.prefix, id), func(kv keyspace.KeyValue) bool {
		if a, ok := toAssignment(kv); ok {
			out = append(out, a)
		}
		return true
	})
	return out
}

// assigned are the assignments of a member, by shard. While it changes slots it may have two of one: then it is that
// of the lesser slot.
func (d directory) assigned(member allocator.MemberID) map[string]assignment {
	out := make(map[string]assignment)
	d.view.Ascend(allocator.AssignmentsPrefix(d.prefix), func(kv keyspace.KeyValue) bool {
		a, ok := toAssignment(kv)
		if ok && a.id.Member == member {
			if had, twice := out[a.id.Item]; !twice || a.id.Slot < had.id.Slot {
				out[a.id.Item] = a
			}
		}
		return true
	})
	return out
}

// route that the assignments of a shard make, with the members' endpoints; and the status of each member.
func (d directory) route(all []assignment) (*protocol.Route, []*shards.ReplicaStatus) {
	route, statuses := protocol.EmptyRoute(), []*shards.ReplicaStatus(nil)
	for _, a := range all {
		id := &protocol.ProcessSpec_ID{Zone: a.id.Member.Zone, Suffix: a.id.Member.Suffix}
		at := len(route.GetMembers())
		if at > 0 && protocol.CompareProcessIDs(route.GetMembers()[at-1], id) == 0 {
			at-- // It is changing slots.
			statuses[at] = statuses[at].Reduce(a.status)
		} else {
			route.Members = append(route.Members, id)
			route.Endpoints = append(route.Endpoints, d.endpoint(a.id.Member))
			statuses = append(statuses, a.status)
		}
		if a.id.Slot == 0 {
			route.Primary = int32(at) //nolint:gosec // a shard has few members
		}
	}
	return route, statuses
}

// member returns the spec of a member; nil if it isn't known.
func (d directory) member(id allocator.MemberID) *shards.ConsumerSpec {
	kv, ok := d.view.Get(allocator.MemberKey(d.prefix, id.Zone, id.Suffix))
	if !ok {
		return nil
	}
	if m, ok := kv.Value.(allocator.Member); ok {
		if c, ok := m.Value.(shards.Member); ok {
			return c.Spec
		}
	}
	return nil
}

func (d directory) endpoint(id allocator.MemberID) string {
	return d.member(id).GetProcessSpec().GetEndpoint()
}

// staying counts the other members that take shards and aren't leaving.
func (d directory) staying(self allocator.MemberID) int {
	n := 0
	d.view.Ascend(allocator.MembersPrefix(d.prefix), func(kv keyspace.KeyValue) bool {
		if m, ok := kv.Value.(allocator.Member); ok && m.ID != self && !m.Value.Exiting() && m.Value.ItemLimit() > 0 {
			n++
		}
		return true
	})
	return n
}

// handsOver counts the shards of a member that others can take from it.
func (d directory) handsOver(self allocator.MemberID) int {
	others, n := d.staying(self), 0
	for id := range d.assigned(self) {
		if s, ok := d.shard(id); !ok || others >= max(s.DesiredReplication(), 1) {
			n++
		}
	}
	return n
}

// etcd is the state of etcd that the directory is of.
func (d directory) etcd() *protocol.Header_Etcd {
	return &protocol.Header_Etcd{
		ClusterId: d.view.ClusterID(), MemberId: d.view.MemberID(), Revision: d.view.Revision(), RaftTerm: d.view.RaftTerm(),
	}
}

// sourceIndex has the shards of each source, without its meta-suffix, as of one view.
type sourceIndex struct {
	view   *keyspace.View
	shards map[string][]*shards.ShardSpec
}

// ShardsWithSource returns the specs of all shards that read a journal, in the order of their ids. They are shared, and
// must not be changed.
func (h *Host) ShardsWithSource(journal string) []*shards.ShardSpec {
	now := h.directory()
	index := h.sources.Load()
	if index == nil || index.view != now.view {
		index = &sourceIndex{view: now.view, shards: make(map[string][]*shards.ShardSpec)}
		now.shards(func(s shardItem) {
			for _, source := range s.Spec.GetSources() {
				name, _ := protocol.SplitMeta(source.GetJournal())
				if of := index.shards[name]; len(of) == 0 || of[len(of)-1] != s.Spec {
					index.shards[name] = append(of, s.Spec)
				}
			}
		})
		h.sources.Store(index)
	}
	name, _ := protocol.SplitMeta(journal)
	return slices.Clip(index.shards[name])
}
