// Package objectcache keeps copies of stored fragments in a directory of this machine.
//
// # What
//
// A Cache copies whole objects of stores into files, for readers that want a file and have
// neither credentials nor a network: DuckDB. A file is named by its content (docs/format/object-cache.md), so
// that it is good for ever, and whoever stored the same content shares it. Readers pin what they read.
//
// The ledger, which is pure, knows which files there are, who pins them, and which have been unused for the
// longest time. A flight brings one object: it is begun by the first who asks for it, others join, and it ends
// early when all of them have left.
//
// # Invariants
//
//   - A file has its name only once it is whole, and its content has the length and the SHA-1 that the
//     fragment's name promises; it is written under another name, which the next start removes. Files are
//     read-only, and are never written again.
//   - The files, and those that are being written, take no more than the bound. Least recently used ones
//     are removed to make room, never one that is pinned. What finds no room at once isn't copied: nobody waits for
//     somebody else to unpin, so that two queries can't wait for each other.
//   - An object is brought at most once at a time, however many ask. One that leaves doesn't end it for the others.
//   - One process has the directory at a time.
//   - A file is read wholly and held against its name before it is handed out for the first time by a process. Afterwards, each time,
//     its length, time and inode have to be what they were then, or it is read again. What doesn't hold is removed,
//     and brought anew. So a truncated file, one that somebody wrote to, and one that was damaged before the
//     start are found; bits that a disk flips while the process runs, without a trace, are not.
//   - Nothing of it is an error of a query: whoever can't have a file reads the fragment elsewhere. A full disk is one of those cases.
//
// # Goroutines
//
//	flight   started by Fetch, one for each object that is being brought; ended by itself, when
//	         all who asked have left, or by Close, which waits for it. It owns the temporary file.
//
// # Testing
//
// Scenarios and rapid for the ledger, a model of the cache under random use, faults at each step
// of the file system and at each byte of the store, and files that were damaged in every way.
package objectcache
