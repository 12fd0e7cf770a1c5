// Package specyaml reads and writes specs as the YAML that people write: fields by their names in the protocol, durations
// as Go has them, labels as a list of names and values.
//
// # What
//
// Read is a text of one document, and a Reader of its mappings, which journalspace and shardspace use: what keys there are
// beside fields is theirs. SetField sets a field of a message by its descriptor; a Mapping's AddFields is the inverse. Merge,
// Intersect and Subtract move what specs have in common to one place, and back.
//
// # Invariants
//
//   - What isn't known, or is said twice, is an Error with its line. Null is as if it weren't there.
//   - SetField of what AddFields has written is the message; but a zero, or an empty message, is the same as nothing.
//   - The work of reading is bounded, whatever a text names by aliases.
//
// # Goroutines
//
// None.
//
// # Testing
//
// By journalspace and shardspace, whose texts are fuzzed.
package specyaml
