// Package keyspace mirrors a prefix of etcd in memory, decoded and revisioned.
//
// # What
//
// A KeySpace loads all keys under a prefix and then follows a watch. View returns
// an immutable snapshot at one revision, in time that doesn't depend on its size.
// WaitForRevision is how a reader sees what it knows to be written: it returns
// when the view has reached a revision, and asks etcd how far the watch is when
// only keys outside the prefix were written since. ChangedSince is how a reader follows
// views at the cost of what was changed.
//
// # Invariants
//
//   - A view holds exactly what etcd held under the prefix at its revision, all
//     keys of a transaction together.
//   - Revisions of views never decrease, also over reconnects and compaction. An
//     etcd that went back, or is another cluster, ends the watch with an error.
//   - A key whose value doesn't decode keeps its last decoded value, and is logged;
//     one that never decoded isn't in the view.
//   - An etcd before 3.5 isn't loaded from.
//   - Cluster id, member id, raft term and revision of a view are never zero.
//
// # Goroutines
//
// Watch runs in the caller's task. Load asks the members for their versions at the same time, and awaits
// all answers; nothing else of ours is started. One Watch at a
// time owns the mirror: it takes it from a channel of capacity 1.
//
// # Testing
//
// Against a real embedded etcd: compaction under a stopped watch, restarts, and a
// comparison of each view with etcd at its revision under random writes.
package keyspace
