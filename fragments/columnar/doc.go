// Package columnar turns the content of journals into columns, and rows into content.
//
// # What
//
// A row is a line of a journal's byte stream, whatever appends and fragments it
// spans (design D8a, docs/format/rows.md). A Scanner reads a byte range of a
// journal and yields batches of the rows that fit a schema, and rejects for the
// lines that don't. A RowWriter writes rows as the lines that INSERT and COPY
// append. Types, vectors and batches are the vocabulary that the scanner, the
// query engine and the wire share.
//
// # Invariants
//
//   - Every complete line of the range is exactly one row, one reject, or blank.
//   - Nothing is rounded or coerced unless PostgreSQL's COPY would do it.
//   - What RowWriter writes, Scanner reads back as the same value.
//   - A line that Clean calls clean is read by DuckDB's read_json, with the
//     explicit columns of the schema, as the very row that Scanner reads (D8b).
//   - A batch that was handed out is never changed.
//   - No line, however long, takes more memory than the scanner's limit.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Tables of every form of every type, round trips by rapid, fuzzing of Scanner,
// and the differential test against DuckDB in sqlgw/duck.
package columnar
