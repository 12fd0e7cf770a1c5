// Package chaos kills, stops, cuts off and starves a fleet of real brokers while clients use
// it, and checks from outside that nothing was lost.
//
// # What
//
// Run starts an etcd (one member, or three) and three brokers in three zones, all of them
// processes of their own, with a store that they share: a directory, or S3 (versitygw). Writers append unique records,
// each alone or many in one append; others append under conditions on registers and
// offsets; a reader tails the journal at each broker. The nemesis, driven by a seed,
// does one fault after another, or two at once: brokers, etcd's members and the store are killed,
// stopped or cut off, etcd's leader is moved, disks are filled, bits of spools and objects flipped. In the end everything is healed, and the
// checker compares what clients were told with what brokers and the store have:
//
//	J1  every append is there whole, or not at all
//	J2  every acknowledged append is there, once, at the offsets that were told
//	J3  offsets are contiguous
//	J4  an append begins at or after the end of each one that was acknowledged before it began
//	J5  all brokers have the same bytes
//	J6  conditions on registers and offsets are linearizable (porcupine)
//	J7  each object of the store has the sum and length that its name says, and the journal's bytes
//	J8  what a tailing reader got is the journal
//	J9  a flipped bit of an object is never served, nor that of a spool (it would break J5 or J8)
//	J10 brokers say how much isn't stored, and that it all is in time
//
// RunLedger has a fleet of hosts of shards beside the brokers (package ledger), which suffer as well. Depositors publish deposits, some of them
// rolled back or again. From outside it is checked that each deposit has its effects once:
//
//	C1  the state of each shard is that of the books
//	C2  a reader of committed messages has one receipt of each deposit, in order
//	C5  of a recovery log that was taken over nothing is of an author before
//	C6  what shards tell to have read never goes back
//	C7  the log alone makes the state, from its begin and from any hints that are kept
//
// # Invariants
//
//   - The checker knows nothing but what clients were told and what files hold.
//   - A bit is flipped back once it was seen what becomes of it: two disks would else be lost in a row, one
//     after the other, which is more than is promised. A bit of an object is flipped while no broker runs,
//     since a broker verifies an object once.
//   - Only processes that were started here are signalled, by their process id, and none is left.
//   - A failure prints the seed and the faults that were done. The seed decides which faults
//     come in which order; how they fall among the appends it can't.
//
// # Goroutines
//
// Those of Run are in task groups that it awaits; each process has one that waits for its end.
//
// # Testing
//
// The short form is a test of every run, the long one `make chaos`, which builds it by the tag chaos. Disks are filled where the test runs as root. The checker has tests of
// its own, in which histories with each kind of violation have to be refused.
package chaos
