package broker

import (
	"iter"
	"slices"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
)

// directory reads journals, brokers and assignments from one view of etcd.
type directory struct {
	prefix string
	view   *keyspace.View
}

// journal is a journal of a directory.
type journal struct {
	journalItem
	createRevision, modRevision int64
}

func (d directory) journal(name string) (journal, bool) {
	kv, ok := d.view.Get(allocator.ItemKey(d.prefix, name))
	if !ok {
		return journal{}, false
	}
	return toJournal(kv)
}

// journals calls fn for each journal whose name begins with prefix, in order.
func (d directory) journals(prefix string, fn func(journal)) {
	d.view.Ascend(allocator.ItemKey(d.prefix, prefix), func(kv keyspace.KeyValue) bool {
		if j, ok := toJournal(kv); ok {
			fn(j)
		}
		return true
	})
}

// specs of all journals.
func (d directory) specs() iter.Seq[*protocol.JournalSpec] {
	return func(yield func(*protocol.JournalSpec) bool) {
		more := true
		d.journals("", func(j journal) { more = more && yield(j.spec) })
	}
}

func toJournal(kv keyspace.KeyValue) (journal, bool) {
	item, ok := kv.Value.(allocator.Item)
	if !ok {
		return journal{}, false // never decoded: what its spec is isn't known
	}
	value, ok := item.Value.(journalItem)
	return journal{value, kv.CreateRevision, kv.ModRevision}, ok
}

// assignment is one member's slot of a journal.
type assignment struct {
	id    allocator.AssignmentID
	route *protocol.Route // as the member was last told; nil if it never was
	key   keyspace.KeyValue
}

// assignments of a journal, in the order of their members.
func (d directory) assignments(name string) []assignment {
	var out []assignment
	d.view.Ascend(allocator.ItemAssignmentsPrefix(d.prefix, name), func(kv keyspace.KeyValue) bool {
		if a, ok := kv.Value.(allocator.Assignment); ok {
			route, _ := a.Value.(*protocol.Route)
			out = append(out, assignment{a.ID, route, kv})
		}
		return true
	})
	return out
}

// assigned calls fn with each journal that a member is assigned to, and with all
// assignments of it.
func (d directory) assigned(member allocator.MemberID, fn func(name string, all []assignment)) {
	var item []assignment
	flush := func() {
		if slices.ContainsFunc(item, func(a assignment) bool { return a.id.Member == member }) {
			fn(item[0].id.Item, item)
		}
		item = nil
	}
	d.view.Ascend(allocator.AssignmentsPrefix(d.prefix), func(kv keyspace.KeyValue) bool {
		a, ok := kv.Value.(allocator.Assignment)
		if !ok {
			return true
		}
		if len(item) != 0 && item[0].id.Item != a.ID.Item {
			flush()
		}
		route, _ := a.Value.(*protocol.Route)
		item = append(item, assignment{a.ID, route, kv})
		return true
	})
	if len(item) != 0 {
		flush()
	}
}

// route that the assignments of a journal make, with the members' endpoints.
func (d directory) route(all []assignment) *protocol.Route {
	route := protocol.EmptyRoute()
	for i, a := range all {
		route.Members = append(route.Members, processID(a.id.Member))
		route.Endpoints = append(route.Endpoints, d.endpoint(a.id.Member))
		if a.id.Slot == 0 {
			route.Primary = int32(i) //nolint:gosec // a journal has few members
		}
	}
	return route
}

// endpoint of a broker, or "" if it isn't known.
func (d directory) endpoint(id allocator.MemberID) string {
	kv, ok := d.view.Get(allocator.MemberKey(d.prefix, id.Zone, id.Suffix))
	if !ok {
		return ""
	}
	if m, ok := kv.Value.(allocator.Member); ok {
		if b, ok := m.Value.(brokerMember); ok {
			return b.spec.GetProcessSpec().GetEndpoint()
		}
	}
	return ""
}

// etcd is the state of etcd that the directory was read from.
func (d directory) etcd() *protocol.Header_Etcd {
	return &protocol.Header_Etcd{
		ClusterId: d.view.ClusterID(),
		MemberId:  d.view.MemberID(),
		Revision:  d.view.Revision(),
		RaftTerm:  d.view.RaftTerm(),
	}
}

// epochs of a journal, and the mod revision of their key. Those of a journal of the same name that
// was deleted are none.
func (d directory) epochs(j journal) (epoch.List, int64) {
	kv, ok := d.view.Get(epochsKey(d.prefix, j.spec.GetName()))
	if !ok {
		return nil, 0
	}
	e, ok := kv.Value.(journalEpochs)
	if !ok || e.createRevision != j.createRevision {
		return nil, kv.ModRevision
	}
	return e.list, kv.ModRevision
}
