// Package jsonfile keeps the state of a shard in one value of the application, as a file of JSON: for states that are small.
//
// # What
//
// The application has a value, which it changes while it consumes. StartCommit encodes it, then and there, and in the background writes it
// with the checkpoint to next.json, which is then renamed to state.json. Open decodes state.json into the value.
//
// state.json is Gazette's: three documents, each with a line feed behind it.
//
//	{"a/journal":1024}                                                      read through, by journal: what versions without producers know
//	{...}                                                                   the value
//	{"sources":{"a/journal":{"read_through":1024,"producers":[...]}}, ...}  the checkpoint
//
// # Invariants
//
//   - state.json is whole at any instant: it is only ever renamed to.
//   - The value that is committed is the value at StartCommit, whatever is done to it since.
//
// # Goroutines
//
// One for each commit: it ends with Close, which waits for it.
//
// # Testing
//
// storetest: kill and fail at any operation. Golden bytes of the file, and files of versions before the checkpoint.
package jsonfile
