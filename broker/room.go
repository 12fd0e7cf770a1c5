package broker

import (
	"fmt"
	"iter"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
)

// room is what the brokers of a roster take, and what they have.
type room struct {
	members int                        // brokers that there are
	takers  int                        // of them, those that aren't leaving and take journals at all
	limit   int                        // journals that the takers take, in all
	free    map[allocator.MemberID]int // of each taker that takes more, how many
}

// countRoom of the brokers. Replicas that a leaving broker has yet count for no taker.
func (d directory) countRoom() room {
	r := room{free: make(map[allocator.MemberID]int)}
	d.view.Ascend(allocator.MembersPrefix(d.prefix), func(kv keyspace.KeyValue) bool {
		m, ok := kv.Value.(allocator.Member)
		if !ok {
			return true
		}
		r.members++
		b, ok := m.Value.(brokerMember)
		if ok && !b.Exiting() && b.ItemLimit() > 0 {
			r.takers++
			r.limit += b.ItemLimit()
			r.free[m.ID] = b.ItemLimit()
		}
		return true
	})
	d.view.Ascend(allocator.AssignmentsPrefix(d.prefix), func(kv keyspace.KeyValue) bool {
		if a, ok := kv.Value.(allocator.Assignment); ok {
			if _, takes := r.free[a.ID.Member]; takes {
				r.free[a.ID.Member]--
			}
		}
		return true
	})
	for id, n := range r.free {
		if n <= 0 {
			delete(r.free, id)
		}
	}
	return r
}

// lacking tells, in words, why a journal has fewer brokers than it wants, and will have until somebody acts; "" if it
// has them, or is about to.
func (r *roster) lacking(j journal) string {
	held, want := r.assignments(j.spec.GetName()), j.DesiredReplication()
	if len(held) >= want {
		return ""
	}
	room := r.room()
	switch {
	case room.takers == 0:
		return fmt.Sprintf("no broker takes journals: all that there are, %d, are leaving or take none", room.members)
	case room.takers < want:
		return fmt.Sprintf("it is to be held by %d brokers, and %d take journals", want, room.takers)
	}
	for id := range room.free {
		holds := false
		for _, a := range held {
			holds = holds || a.id.Member == id
		}
		if !holds {
			return ""
		}
	}
	return fmt.Sprintf("no broker has room: by their --broker.limit they take %d journals, and they have as many", room.limit)
}

// explain a status with which a journal's request is refused, if its brokers are what it lacks; "" otherwise.
func (b *Broker) explain(s protocol.Status, name string) string {
	switch s {
	case protocol.Status_NO_JOURNAL_PRIMARY_BROKER, protocol.Status_INSUFFICIENT_JOURNAL_BROKERS:
	default:
		return ""
	}
	r := b.roster.Load()
	name, _ = protocol.SplitMeta(name)
	j, ok := r.journal(name)
	if !ok {
		return ""
	}
	return r.lacking(j)
}

// checkRoom refuses changes that ask for more replicas than a broker takes which no other can join. What is there
// already may be changed as long as it doesn't ask for more. In a fleet changes are taken: the broker that they are
// for may be about to start.
func (b *Broker) checkRoom(specs iter.Seq[*protocol.JournalSpec], changes []*protocol.ApplyRequest_Change, changed map[string]bool) error {
	if !b.cfg.Alone {
		return nil
	}
	before, after, made := 0, 0, ""
	wants := func(spec *protocol.JournalSpec) int { return journalItem{spec: spec, most: 1}.DesiredReplication() }
	for spec := range specs {
		before += wants(spec)
		if !changed[spec.GetName()] {
			after += wants(spec)
		}
	}
	for _, c := range changes {
		if spec := c.GetUpsert(); spec != nil {
			if after += wants(spec); after > b.cfg.JournalLimit && made == "" {
				made = spec.GetName()
			}
		}
	}
	if after <= b.cfg.JournalLimit || after <= before {
		return nil
	}
	return status.Errorf(codes.FailedPrecondition, "journal %s: there is no room: the broker takes %d journals (--broker.limit), and would have %d: raise --broker.limit, or delete some",
		made, b.cfg.JournalLimit, after)
}
