// Package formats has the formats that the journals of a table may be in beside lines of JSON: CSV, raw lines,
// and fixed frames of protobuf messages.
//
// # What
//
// A Spec is what CREATE TABLE says of a format and what the catalog keeps of it; Open makes of it the columnar.Format that
// a scanner reads rows by, and a writer writes them. docs/format/formats.md is the contract.
//
//   - CSV: a line is a row, its values by position. What a value is, COPY's input functions say.
//   - Raw: a line is a row of one column, whatever its bytes.
//   - Protobuf: a frame's message is a row, its fields by name. The wire form is read directly, by the descriptor of
//     the message, so that what a message takes in memory is bounded by what it has in bytes, which that of dynamic
//     messages isn't; and those panic on some bytes.
//
// # Invariants
//
//   - A record is a row or a reject by its own bytes and the columns alone: what is damaged in one says nothing of the next.
//   - What CSV and raw lines are written, is read back as the same values, NULL and the empty text among them; what can't be
//     (a line break in a value, NULL as a raw line) is refused when it is written.
//   - A row has at most 16 MiB when it is read: what is made of a message is counted while it is made.
//   - No descriptor, message or line makes the package panic, and none takes more than a few times its bytes.
//   - A format is never changed and may be shared; decoders belong to one goroutine at a time.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Tables of lines and what they are; rows of all types written and read back (rapid); messages by
// dynamicpb against what protojson says of them (rapid); fuzz targets for lines of CSV, messages, descriptors; hostile
// lengths in package columnar; the formats on journals in test/sql.
package formats
