// Package cloudtest runs object stores for tests, and a network before them that fails.
//
// # What
//
// S3, GCS, Azure and AzureAD start a real server on loopback, with a bucket, and tell how to reach
// it as the entry of a registry. A Proxy stands before one and fails requests at will.
//
// # Invariants
//
//   - A server listens on loopback only, and ends with the test that started it.
//   - A test whose server isn't installed says "not run: <program> missing".
//
// # Goroutines
//
// A Proxy has those of its HTTP server; they end with the test.
//
// # Testing
//
// By its use in package cloud.
package cloudtest
