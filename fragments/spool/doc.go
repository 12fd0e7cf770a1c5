// Package spool keeps the newest content of journals in local files that survive
// a crash, until it is stored.
//
// # What
//
// Each open fragment is one data file with a commit log beside it
// (docs/format/spool.md). Write adds to a delta, and Commit makes the delta count: its
// bytes are in the data file, then a record says end, registers, promise and the CRC of
// the bytes. Commit.Durable waits until this replica keeps its promise; in mode Synced
// that is that both files were fsynced, and all who wait at the same time share one
// fsync. Acknowledge tells that all replicas have kept theirs: it raises the watermark.
// Roll completes the fragment, when all of it is acknowledged, and opens the next; Drop
// removes a completed one.
//
// A cluster epoch, as the broker records it in etcd, begins a fragment of its own: Align
// ends the open one where the epoch says, and cuts what is void. Cut does that alone, for
// a spool whose broker isn't a member any more. After a crash Dir.Journal reads the logs,
// verifies every byte, cuts what was never promised, and returns the journal as it was
// (design D3, D3a, D3b; replication rules R1, R3, R4, R9).
//
// # Invariants
//
//   - A commit record counts only if it is whole, its bytes have its CRC, and no later
//     fragment says that it was cut.
//   - Begin <= watermark <= durable <= end. Recovery yields a prefix of the commits, at
//     least all that were durable, and all of those count as durable; if it can't, the
//     journal is refused with an error that names the file, and nothing is changed: a
//     promised byte is never cut, but by Align and Cut.
//   - Nothing above the watermark is readable, nor completed but by Align and Cut, who
//     know. The watermark isn't written: after recovery it is where the open fragment
//     begins, until the broker knows better. A completed fragment is wholly acknowledged.
//   - No cut is below the watermark, except to discard everything.
//   - Align, Cut and Roll happen in one moment: when the log of the next fragment gets
//     its name. It tells where the one before ends, so recovery can do the rest.
//   - A suspect spool stays so until Align.
//   - Registers survive rolls and restarts: the newest spool always carries them.
//   - No opening's number is given out twice, and the cluster epoch only rises.
//   - After a failed fsync the file is never trusted again; no ticket that waited
//     for it resolves well. Only opening the journal anew, which verifies and writes
//     again what isn't proven, makes it usable.
//   - The logs of a journal are a chain without gaps, and only the last is open: a
//     missing file is noticed.
//   - A file is removed only by Drop, once the store has its content, by an Align that
//     discards, and by Discard.
//
// What is read of a live journal is what the file system returns: the bytes are
// verified when a journal is opened, and by their SHA-1 when they are stored.
//
// # Goroutines
//
// None that outlive a call: a waiter for durability becomes the one that syncs, and
// syncs the data in a goroutine beside the log.
//
// # Testing
//
// testdata/scenarios has the stories to read: append, roll, epochs, crash, damage,
// recovery, and the order of all writes and syncs. Over a file system that keeps only
// what was synced (pebble's vfs), scripts are crashed at every operation, and their
// recovery too, and every operation fails once; the same test has to fail if the disk
// doesn't sync. Beside it: random lives against a model (rapid), flipped bits in every byte,
// the waiters' rounds with a blocked disk (synctest), golden bytes that are the
// tables of docs/format/spool.md, what a program of format 1 left (testdata/format-1), and
// a fuzzed log reader.
package spool
