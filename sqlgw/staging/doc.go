// Package staging holds what a transaction is to append to journals, until it commits.
//
// # What
//
// A Stage takes content for journals in any order. It keeps a little in memory and the rest in
// one file, which has no name any more once it is made. Mark and Rollback drop what came after a
// point, for savepoints; a Snapshot is what one journal has at a moment, and stays that whatever
// the stage does afterwards.
//
// # Invariants
//
//   - Content is never changed or overwritten: it is appended, or no longer referred to. So a
//     snapshot may be read by another goroutine while the stage goes on.
//   - A stage holds at most Config.Limit bytes, all stages of a Budget at most what that has, and
//     in memory at most about twice Config.Memory. What was rolled back counts until the end.
//   - It is of at most 262,144 extents, which are always in memory (64 bytes each): a mark ends those that grow, and so
//     does, in the file, content for another journal.
//   - Nothing of it is left on disk when the process ends, however it ends.
//   - The file is closed when the stage and all of its snapshots are.
//
// # Goroutines
//
// None. A Stage belongs to one goroutine at a time; Snapshots may be opened, read and closed by any.
//
// # Testing
//
// Drawn sequences of appends, marks, rollbacks and snapshots against a model (rapid).
package staging
