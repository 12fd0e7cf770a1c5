// Package cluster is what commands about a cluster have in common: flags that say where its brokers and stores are, the
// connection, and advice for errors.
//
// # What
//
// Flags are those of a group of commands, and Run gives a command a Session. OpenStores and Removal reach the stores of
// fragments by themselves; Each works on many things at once.
//
// # Invariants
//
//   - An error has one hint: that of whoever knew most about it.
//   - A fragment is removed only from a store that the operator named, and by Removal.Remove alone.
//
// # Goroutines
//
//	<command>/<name>   one for each thing of Each, 32 at once
//
// All are awaited before Each returns.
//
// # Testing
//
// The scripts of the commands.
package cluster
