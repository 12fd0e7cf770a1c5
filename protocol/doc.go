// Package protocol is the vocabulary of journals: wire messages, their validation,
// names, labels and selectors.
//
// # What
//
// The messages are generated from proto/broker/protocol/protocol.proto by `make
// generate`; everything else here works on them without I/O. Every message has a
// Validate method, to be called by who receives it (and by who sends it, to learn
// of a mistake at home): a ValidationError has the path to the field at fault.
// Statuses are StatusErrors, which errors.Is compares by status.
//
// # Invariants
//
//   - Wire names and numbers are those of Gazette (design D1); buf guards them,
//     against proto/image.json.
//   - Validate of a message accepts just what a Gazette client or broker accepts,
//     but for names that lead out of their root ("../x"), store URLs with a user or
//     password, and the deletion of a journal by a name with a meta.
//   - Validate of a message of content allocates nothing.
//   - Label sets that were validated are ordered; so are all that are made here of
//     ordered ones. A Label in a set is never changed, so that sets may share them.
//   - FormatLabelSelector's text parses to the same selector.
//
// # Goroutines
//
// None.
//
// # Testing
//
// testdata/validate and testdata/selector are tables of what is accepted, and what is
// said of the rest; testdata/wire has golden bytes. Selectors, names, label sets and
// the decoding of every message are fuzzed.
package protocol
