// Package journals is the command "broadsheet journals" and those below it: what
// operators do to journals, with the flags, formats and texts of Gazette's tool.
//
// # What
//
// One file for each command; session.go has what they share. Packages cluster, listing and
// editor have what commands of other groups share with them. docs/commands.md is their
// reference, whose examples are run.
//
// # Invariants
//
//   - Results go to standard output, everything else to standard error.
//   - A flag whose value isn't acted on is an error.
//   - What changes journals tells what was done before it failed.
//
// # Goroutines
//
//	read/<journal>, read/watch   started by read, stopped by its context, own a reader
//	<command>/<journal>          one for each journal of reset-head and suspend, 32 at once
//
// All are awaited before the command returns.
//
// # Testing
//
// testdata/script has sessions of the command line with a real broker, and with one
// that plays choreographies; docs/commands.md is another.
package journals
