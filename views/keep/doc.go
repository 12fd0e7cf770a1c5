// Package keep makes and removes the shards of materialized views.
//
// # What
//
// The catalog's entries say which materialized views there are to be. A Keeper lets the shards follow them, in passes: for each view a
// recovery log and a shard that reads the table's journals, but for the rows that the entry says to skip, as Spec and Log say; and neither
// for a view whose entry has gone. So a view is made and dropped by its entry alone, all or nothing, whoever dies meanwhile.
//
// # Invariants
//
//   - Every process may keep at the same time: each change is made under the revision at which the shard or the log was listed.
//   - What there is is listed before the entries are. Ids are never used again, so that what is listed and has no
//     entry then has none any more, and is removed.
//   - A shard is there only with its log, which is made before it and removed after it, in another pass.
//   - Where an entry can't be read nothing is removed: it may be of a newer program's view.
//
// # Goroutines
//
// None: Run is the caller's.
//
// # Testing
//
// Against a real broker, etcd and host in process, with two keepers at once, and entries that come and go between their passes.
package keep
