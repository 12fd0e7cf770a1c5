// Package spool keeps the newest content of journals in local files that survive
// a crash, until it is stored.
//
// # What
//
// Each open fragment is one data file with a commit log beside it
// (docs/format/spool.md). An append writes its bytes to the data file, then a
// commit record: epoch, end, registers, watermark and the CRC of its bytes. In
// mode Synced a ticket for the append resolves once both files were fsynced:
// tickets that wait at the same time share one fsync. After a crash Open reads
// the logs, verifies every byte, cuts what was never acknowledged, and returns
// the journals as they were (design D3, D3a; replication rules R3, R4, R9).
//
// # Invariants
//
//   - A commit record counts only if it is whole and its bytes have its CRC.
//   - Recovery yields a prefix of the commits, at least all whose ticket resolved;
//     if it can't, the journal is refused with an error that names the file: an
//     acknowledged byte is never cut.
//   - Nothing above the watermark is readable.
//   - Registers survive rolls and restarts: the newest spool always carries them.
//   - After a failed fsync the file is never trusted again; no ticket that waited
//     for it resolves well.
//   - A file is removed only by Drop, once the store has its content.
//
// # Goroutines
//
// None that outlive a call: a waiter for durability becomes the one that syncs.
//
// # Testing
//
// Scenario files for append, roll, crash and recovery over a file system that
// keeps only what was synced (pebble's vfs); faults injected at every operation;
// rapid: random operations and crashes against a model; golden bytes.
package spool
