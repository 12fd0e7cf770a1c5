// Package codec compresses and decompresses the content of fragments.
//
// # What
//
// Readers and writers for the codecs of the protocol, and the file extensions that
// they have. Decompression is bounded by the length that the caller expects.
//
// # Invariants
//
//   - Concatenated gzip members and zstd frames read as one content.
//   - A reader never yields more than its bound: a bomb is an error.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Round trips, files of other writers, bombs, fuzzing of every reader.
package codec
