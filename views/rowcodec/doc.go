// Package rowcodec writes rows as bytes, and the keys of their groups.
//
// # What
//
// AppendRow writes a row of a batch, compactly, and a Decoder of the same types reads it back (docs/format/views.md). AppendChunk and
// Next put rows one after another. AppendKey writes the key columns of a row so that they can be compared.
//
// # Invariants
//
//   - A row has one form: two rows have the same bytes if and only if all their values are the same, bit for bit.
//   - Two keys have the same bytes if and only if DuckDB's GROUP BY takes them for one group: NULL is a value, -0 is 0, there is
//     one NaN, and an interval is what its carried months, days and microseconds are.
//   - What isn't a row of the types is an error, never a panic, and leaves nothing behind in a builder.
//
// # Goroutines
//
// None. A Decoder may be shared.
//
// # Testing
//
// Golden bytes of docs/format/views.md; rows of all types there and back (rapid); keys against DuckDB's own GROUP BY; any bytes (FuzzRow).
package rowcodec
