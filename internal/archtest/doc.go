// Package archtest proves that the tree is the architecture.
//
// # What
//
// Tests, only: the import rules and the cgo rule of docs/architecture.md with a reason
// for each ban, the layout of the top level, and that every package is documented.
// Run with -count=1: what they read, go test's cache doesn't see.
//
// # Invariants
//
// None.
//
// # Goroutines
//
// None.
//
// # Testing
//
// TestRulesCatch plants violations and demands that they are found.
package archtest
