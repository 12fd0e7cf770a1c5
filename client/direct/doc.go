// Package direct reads fragments from where they're stored, without a broker between.
//
// # What
//
// Brokers tell with a fragment a URL that it can be read at: http or https, signed for
// a short while, or file, below a root that the configuration names. Stores.Open
// returns the content of a fragment from an offset on, decompressed.
//
// # Invariants
//
//   - A Reader yields content of its fragment at [offset, end), or an error: never a
//     byte of elsewhere, none beyond the fragment's end, and io.EOF only at end.
//   - What is read from a fragment's begin to its end has the fragment's SHA-1 before the
//     last of it is returned. A file that holds less or more than the fragment is an
//     error.
//   - A store that is silent for too long is an error, not a wait.
//   - A file URL can't leave the root, by symbolic links neither.
//   - No error shows a URL's query or user: they're credentials.
//
// # Goroutines
//
// Those of net/http, for each open Reader until it is closed, and for idle connections
// until Stores.Close.
//
// # Testing
//
// A store on loopback that ranges, compresses, truncates, stalls and lies; every codec,
// every offset; a property that any damage is an error; leaks.
package direct
