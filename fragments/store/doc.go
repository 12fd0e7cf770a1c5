// Package store is the door to object stores.
//
// # What
//
// A Store holds immutable objects under a credential-free URL (design D6). Objects are
// created, never replaced. Drivers: file.
//
// # Invariants
//
//   - Put creates an object whole or not at all, and never replaces one: ErrExists.
//   - What Put returned for survives power loss.
//   - A URL that the operator didn't allow is refused by name.
//
// # Goroutines
//
// None.
//
// # Testing
//
// storetest is one conformance suite for every driver.
package store
