// Package shards is the command "broadsheet shards" and those below it: what operators do to shards of consumers, with the
// flags, formats and texts of Gazette's tool.
//
// # What
//
// One file for each command; session.go has what they share, consumers.go is how a consumer is asked. docs/commands.md is their
// reference.
//
//	verify.go      journals that shards need, before they are applied
//
// # Invariants
//
//   - Results go to standard output, everything else to standard error.
//   - A flag whose value isn't acted on is an error.
//   - What changes shards tells what was done before it failed.
//
// # Goroutines
//
// Those of cluster.Each: stat, lag and verify. All are awaited before the command returns.
//
// # Testing
//
// testdata/script has sessions of the command line with a broker and a consumer in process, each with its own.
package shards
