// Package shards is the command "broadsheet shards" and those below it: what operators do to shards of consumers, with the
// flags, formats and texts of Gazette's tool.
//
// # What
//
// One file for each command; session.go has what they share, consumers.go is how a consumer is asked. docs/commands.md is their
// reference.
//
//	verify.go      journals that shards need, before they are applied
//	logs.go        what of a recovery log shards need, before any of it is removed
//
// # Invariants
//
//   - Results go to standard output, everything else to standard error.
//   - A flag whose value isn't acted on is an error.
//   - What changes shards tells what was done before it failed.
//   - prune removes no fragment of which the hints of any shard of the application need a byte, and nothing at all unless it has
//     read the hints of all.
//
// # Goroutines
//
// Those of cluster.Each: stat, lag, verify, hints and prune. All are awaited before the command returns.
//
// # Testing
//
// testdata/script has sessions of the command line with a broker and a consumer in process, each with its own.
package shards
