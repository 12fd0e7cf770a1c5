// Package epoch decides which bytes of a journal count, whoever crashed and came back.
//
// # What
//
// A journal's life is a list of epochs, kept in etcd under a compare. Each names its
// members, by broker and disk, and the offset at which it starts. An append is
// acknowledged once every member of the present epoch holds it. Spools are durable, so
// a broker may return with bytes that the others never got, or without some that they
// have; the list, and the epoch that each spool logged last, tell what to make of them.
//
// A new primary forms an epoch in three steps. It polls the members, which from then on
// refuse older epochs; it computes the epoch (List.Form) and writes it to etcd; and it
// aligns the members, each of which cuts what is void (Replica.Align) and logs the
// epoch durably. Only then are appends taken.
//
// The rules, each with the history that breaks a system without it, are known as R1 to
// R11; which of them lives where is said at the functions. The idea of an epoch that
// tells what to cut is Kafka's leader epoch (KIP-101), without its unclean election.
//
// Everything here is pure: no I/O, no clock, no goroutine.
//
// # Invariants
//
//   - No acknowledged byte is void in the list that follows.
//   - Two members of an epoch never hold different bytes below their ends.
//   - No offset is acknowledged twice with different bytes, also over a reset.
//   - If no disk is lost, and all brokers are up, an epoch can be formed.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Scenario files with the histories of the rules; and a model of brokers, disks, etcd
// and a store, whose every decision is this package's, searched breadth first. Without any
// one of the rules it has to find a fault. -model.depth=1 searches further, for minutes.
// The table of docs/format/epochs.md is compared with what Encode makes. Package broker takes
// real replicas through random walks by the same rules.
package epoch
