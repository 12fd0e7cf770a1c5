// Package storetest tests stores, and lends them a file system that crashes.
//
// # What
//
// Run is the conformance suite that every driver passes. CrashFS is a file system
// in memory for the driver of file stores: it fails operations at will, and turns
// into what a power loss leaves of it.
//
// # Invariants
//
//   - CrashFS keeps, of what wasn't synced, the worst that a file system may keep:
//     each Loss is another.
//
// # Goroutines
//
// Run starts some and awaits them in the same test.
//
// # Testing
//
// By its use in package store: its tests fail when a sync is left out.
package storetest
