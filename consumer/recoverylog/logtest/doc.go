// Package logtest has brokers in memory, for tests of what records and plays recovery logs.
//
// # What
//
// Brokers are journals in memory which recoverylog.Player and recoverylog.Recorder can use: they take appends, under checks of registers,
// and are read. A test cuts a journal where it likes, as if its writer had been killed there, takes ranges of it away, or
// lets appends fail.
//
// # Invariants
//
//   - An append is there whole or not at all, as with real brokers.
//   - As real brokers do, they let anything pass where no registers are.
//
// # Goroutines
//
// None.
//
// # Testing
//
// By the tests that use it: those of recoverylog, and of stores by storetest.
package logtest
