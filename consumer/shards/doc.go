// Package shards is the protocol of consumers: what shards, members and their replicas are, what a shard checkpoints,
// and the RPCs about them.
//
// # What
//
// Messages and service of Gazette's consumer protocol, field for field, with the validation of each; Key names of what
// is kept in etcd, and Decode, by which a keyspace mirrors it; hints' keys. What the allocator asks of items, members
// and assignments is answered here: how many replicas a spec wants, which statuses can be counted on.
//
// # Invariants
//
//   - Names, numbers and bytes are Gazette's; what Gazette's Validate refuses, ours refuses. Beyond that it refuses
//     absurd sizes: more than 2^20 messages of a ring or read-ahead, and more than 64 backups of hints.
//   - A status only goes forward: of two, the greater one counts.
//   - No I/O, no clock, no goroutine.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Golden descriptors and bytes, a table of what each Validate refuses, and fuzzed decoders.
package shards
