// Package allocator assigns items to members through etcd.
//
// # What
//
// Items want a number of replicas, members have room for a number of items, and
// an assignment gives one slot of an item to a member. Keys are those of Gazette:
// {prefix}/items/{id}, {prefix}/members/{zone}#{suffix} and
// {prefix}/assign/{item}#{zone}#{suffix}#{slot} (docs/format/etcd-keys.md). The
// package is generic: brokers allocate journals with it, consumers shards. Items may
// say more by optional powers: Affinity, which members should have them; Consistency,
// which of their assignments may be counted on.
//
// A process opens a Lease, announces its member under it and runs an Allocator.
// Every member runs one; the leader's plans, round by round: state.go keeps what the
// keys say and follows their changes; flow finds which members should have which items,
// mending its solution by what was changed; plan.go says which next steps bring an item
// there; txn.go in which transactions. No part looks at all items unless all were
// changed, so that a change costs what it concerns.
//
// The steps of an item, each made when those before it are done and seen: what is dead
// goes; members are added, as far as they have room; without a primary a consistent
// replica becomes it; a primary that is to go exchanges slots with a consistent replica;
// members that are to go are removed, while enough others are consistent; gaps between
// slots are closed, one at a time.
//
// Members that leave shed what those who stay have room for, item by item, the oldest
// first: what it sheds may go to one that leaves later. An item that can't have what it
// wants without them, for want of members or room or since it requires one, keeps them.
// That a zone leaves with its last member is no reason to: the zone is gone either way.
//
// # Invariants
//
//   - Only the leader (the member with the least create revision) writes, and every
//     transaction asserts the leader's own key.
//   - A member is never given more assignments than its limit, at any revision. One whose limit was lowered keeps what it has until others have it.
//   - An assignment to a live member is removed only if as many of the others are
//     consistent as the item wants; the transaction asserts that they are as they were.
//   - An item has one primary at most, and one always if it has any assignment, but for
//     the time that its primary is dead and the next round isn't written.
//   - No item has more than twice the members that it wants, but for those it prefers.
//   - With nothing changing, the allocator reaches a fixed point and then writes nothing.
//   - A lease's deadline, as Valid tells it, is never later than etcd's.
//
// # Goroutines
//
// Allocator.Run and Lease.Keep run in the caller's tasks; nothing else is started.
//
// # Testing
//
// Scenario files of keys before, changes and keys after; random worlds in which items
// and members change while transactions fail, with what has to hold checked after every
// transaction; a real embedded etcd with several members. The sizes that the design
// promises are measured by bench/allocator.
package allocator
