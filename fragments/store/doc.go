// Package store is the door to object stores.
//
// # What
//
// A Store holds immutable objects under a credential-free URL (design D6). Objects are
// created, never replaced. A Registry opens those stores that the operator's entries
// allow, by URL, and resolves the names that entries give (docs/stores.md). Drivers have
// keys; the registry makes keys of paths for all of them. The driver of file stores,
// whose objects are files below one root, on a file system that has hard links, is here;
// those of the clouds are in package cloud, which is heavy. Package health watches stores.
//
// # Invariants
//
//   - Put creates an object whole or not at all, and never replaces one: ErrExists.
//   - What Put returned for survives power loss; so does what it said ErrExists of.
//   - No path, and no link in the root, leads out of the root.
//   - A URL that the operator didn't allow is refused by name, and so is one with an
//     argument that wouldn't be acted on. No error tells what may be a credential.
//
// # Goroutines
//
// None.
//
// # Testing
//
// storetest is one conformance suite for every driver, and a file system that crashes:
// Put is crashed, and failed, at each of its operations, with each kind of loss.
package store
