// Package spool keeps the newest content of journals in local files that survive
// a crash, until it is stored.
//
// # What
//
// Each open fragment is one data file with a commit log beside it
// (docs/format/spool.md). An append writes its bytes to the data file, then a
// commit record: epoch, end, registers, watermark and the CRC of its bytes. In
// mode Synced a ticket for the append resolves once both files were fsynced:
// tickets that wait at the same time share one fsync. Roll completes the fragment
// and opens the next; Drop removes a completed one. After a crash Dir.Journal reads
// the logs, verifies every byte, cuts what was never acknowledged, and returns
// the journal as it was (design D3, D3a; replication rules R3, R4, R9).
//
// # Invariants
//
//   - A commit record counts only if it is whole and its bytes have its CRC.
//   - Recovery yields a prefix of the commits, at least all whose ticket resolved;
//     if it can't, the journal is refused with an error that names the file, and
//     nothing is changed: an acknowledged byte is never cut.
//   - Nothing above the watermark is readable, nor completed.
//   - Registers survive rolls and restarts: the newest spool always carries them.
//   - No epoch is given out twice.
//   - After a failed fsync the file is never trusted again; no ticket that waited
//     for it resolves well. Only opening the journal anew, which verifies and writes
//     again what isn't proven, makes it usable.
//   - The logs of a journal are a chain without gaps, and only the last is open: a
//     missing file is noticed.
//   - A file is removed only by Drop, once the store has its content, and by Discard.
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
// testdata/scenarios has the stories to read: append, roll, crash, damage, recovery,
// and the order of all writes and syncs. Over a file system that keeps only what was
// synced (pebble's vfs), a script is crashed at every operation, and its recovery
// too, and every operation fails once; the same test has to fail if the disk doesn't
// sync. Beside it: random lives against a model (rapid), flipped bits in every byte,
// the waiters' rounds with a blocked disk (synctest), golden bytes that are the
// tables of docs/format/spool.md, and a fuzzed log reader.
package spool
