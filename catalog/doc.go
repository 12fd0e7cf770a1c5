// Package catalog keeps databases, schemas and tables in etcd.
//
// # What
//
// A table is a schema laid over journals: ones that it made, or existing ones under
// a prefix. Entries are JSON under {prefix}/catalog/ (docs/format/etcd-keys.md), each
// with a format version and written under a compare. A Snapshot is what a statement
// resolves its names in; it is at least as new as the moment it was asked for.
//
// # Invariants
//
//   - Making or dropping a table is all or nothing, also over a crash in the middle:
//     an intent record tells the next process what to finish or take back.
//   - A table that was dropped and made again has another generation, and so other
//     journals.
//
// # Goroutines
//
// Run runs in the caller's task; nothing else is started.
//
// # Testing
//
// Against a real embedded etcd, killed at each step of a create and a drop.
package catalog
