// Package recoverylog tests recovery logs against a real broker.
//
// # What
//
// Hosts that take over a Pebble from each other by its log, while those before go on writing; a standby that follows; and a
// broker that is killed, or has lost the registers.
//
// # Invariants
//
//   - C4, C5 and C7 of consumer/recoverylog, as far as a real broker makes them.
//
// # Goroutines
//
// Those of the tests, which end with them.
//
// # Testing
//
// It is a test.
package recoverylog
