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
// # Invariants
//
//   - Only the leader (the member with the least create revision) writes, and every
//     transaction asserts the leader's own key.
//   - A member never has more assignments than its limit.
//   - With nothing changing, the allocator reaches a fixed point and then writes nothing.
//
// # Goroutines
//
// Run runs in the caller's task; nothing else is started.
//
// # Testing
//
// Scenario files of keys before and after, and a real embedded etcd.
package allocator
