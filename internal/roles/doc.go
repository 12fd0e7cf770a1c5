// Package roles is what the programs of a fleet have in common before they serve: flags, where their values come from,
// the log, the data directory, and the client of etcd.
//
// # What
//
//   - BindEnv takes flags that weren't given from the environment.
//   - Log and Etcd are groups of flags, and what is made of them.
//   - OpenDir takes hold of a data directory.
//
// # Invariants
//
//   - A flag that is given counts before its variables, and the first of those that is set before its default.
//   - A value that isn't one of a flag is an error that names the flag, or the variable that it comes from.
//
// # Goroutines
//
// None, but those of the client of etcd, which end when it is closed.
//
// # Testing
//
// roles_test.go; and the programs' own tests.
package roles
