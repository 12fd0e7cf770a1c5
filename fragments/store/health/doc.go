// Package health keeps watch over stores, so that nothing is appended that could not be
// persisted.
//
// # What
//
// A Checker checks each store that it is asked for, and goes on to do so while it is
// asked: it creates an object, reads, compares and lists it, signs a URL and reads that.
// Await lets appends wait for a store to be healthy, for a while. CheckDelete tries
// whether objects can be removed.
//
// # Invariants
//
//   - The object of the check is never replaced, as no object is: that a store says that
//     it exists is as good as creating it, and its content is compared either way.
//   - A store is checked by one goroutine, one check at a time.
//   - No error tells a signed URL, or what a URL has for arguments.
//   - At most MaxStores are watched. The one that was asked for longest ago makes room.
//
// # Goroutines
//
// One per watched store, started by the first call that asks for it; stopped by Close,
// or when it wasn't asked for in an hour.
//
// # Testing
//
// Time in synctest, over a store that fails at will; package cloud's tests run a check
// against each real server.
package health
