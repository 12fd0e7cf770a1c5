// Package keyspace mirrors a prefix of etcd in memory, decoded and revisioned.
//
// # What
//
// A KeySpace loads all keys under a prefix and then follows a watch. View returns
// an immutable snapshot at one revision, in time that doesn't depend on its size.
//
// # Invariants
//
//   - A view holds exactly what etcd held at its revision.
//   - Revisions of views never decrease, also over reconnects and compaction.
//   - A key whose value doesn't decode keeps its last decoded value, and is logged.
//
// # Goroutines
//
// Watch runs in the caller's task; nothing else is started.
//
// # Testing
//
// Against a real embedded etcd: compaction under a stopped watch, restarts, and a
// comparison of mirror and etcd after random writes.
package keyspace
