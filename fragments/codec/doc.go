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
//   - A reader never yields more than its bound: a bomb is an error. Its memory is
//     bounded as well, by MaxWindow.
//   - An error of the file's source isn't taken for one of its content, nor the other
//     way round.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Round trips, files of other writers, bombs, every bit flipped and every cut,
// fuzzing of every reader.
package codec
