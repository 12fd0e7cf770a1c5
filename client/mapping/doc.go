// Package mapping chooses the journal that a message goes to, among the partitions of
// its kind.
//
// # What
//
// Partitions are journals in the order of their names; a Mapping chooses one of them
// for a key: Random, Modulo or Rendezvous. Follow keeps the partitions of a watched
// list at hand.
//
// # Invariants
//
//   - A mapping depends on the key and on the names of the journals, and on nothing
//     else: every process, in any language, chooses alike. Its hash is FNV-1a of 32
//     bits, and the choices are those of Gazette's clients.
//   - Modulo moves most keys when the number of partitions changes; Rendezvous moves
//     those of the journal that went, or that the new journal takes.
//   - No partitions are an error, ErrNoPartitions, never a choice.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Vectors that were computed apart from this code, and properties of each mapping.
package mapping
