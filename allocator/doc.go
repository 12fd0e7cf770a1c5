// Package allocator assigns items to members through etcd.
//
// # What
//
// Items want a number of replicas, members have room for a number of items, and
// an assignment gives one slot of an item to a member. Keys are those of Gazette:
// {prefix}/items/{id}, {prefix}/members/{zone}#{suffix} and
// {prefix}/assign/{item}#{zone}#{suffix}#{slot} (docs/format/etcd-keys.md). The
// package is generic: brokers allocate journals with it, consumers shards.
//
// A process opens a Lease, announces its member under it and runs an Allocator.
// Every member runs one; the leader's plans: solve.go says which assignments there
// should be, plan.go what to change for that, txn.go in which transactions. For now
// the solver gives items that want one replica to the member with the most room,
// and leaves those that want more as they are.
//
// # Invariants
//
//   - Only the leader (the member with the least create revision) writes, and every
//     transaction asserts the leader's own key.
//   - A member is never given more assignments than its limit, at any revision. One
//     whose limit was lowered keeps what it has.
//   - A member that is leaving is given nothing new.
//   - An assignment to a live member isn't moved.
//   - With nothing changing, the allocator reaches a fixed point and then writes nothing.
//   - A lease's deadline, as Valid tells it, is never later than etcd's.
//
// # Goroutines
//
// Allocator.Run and Lease.Keep run in the caller's tasks; nothing else is started.
//
// # Testing
//
// Scenario files of keys before and after, random states, and a real embedded etcd
// with several members, conflicts and a count of the revisions written.
package allocator
