// Package views tests the gateway's side of materialized views: what SQL makes of the states and changes that it is given of them.
//
// # What
//
// A gateway with a catalog, a broker and DuckDB in this process, asked by pgx, and a host of views that the test plays: so that a view can
// be behind, ahead, wrong or gone just when the test wants it.
//
// # Invariants
//
// None beside those of what is tested.
//
// # Goroutines
//
// The servers', ended with each test.
//
// # Testing
//
// It is a test.
package views
