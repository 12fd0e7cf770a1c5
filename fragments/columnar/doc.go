// Package columnar turns the content of journals into columns, and rows into content.
//
// # What
//
// A row is a line of a journal's byte stream, whatever appends and fragments it
// spans (design D8a, docs/format/rows.md). A Scanner reads a byte range of a
// journal and yields batches of the rows that fit a schema, and rejects for the
// lines that don't. A RowWriter writes rows as the lines that INSERT and COPY
// append. A Prover finds out whether DuckDB would read a content as a Scanner does.
// Types, vectors and batches are the vocabulary that the scanner, the query engine
// and the wire share; AppendText, AppendBinary, ParseText and ParseBinary are their
// forms on PostgreSQL's wire.
//
// The code of a line has three layers: lines.go cuts the stream, lexer.go goes over
// JSON without building it, decode.go and what begins with its name make values of
// what the schema names. scalar.go, numeric.go, datetime.go and interval.go are
// PostgreSQL's input functions, which strings in JSON go through too; text.go and
// binary.go are its output functions.
//
// # Invariants
//
//   - Every complete line of the range is exactly one row, one reject, or blank; or, under a schema of messages, an
//     acknowledgement.
//   - Which lines are rows, and why others aren't, depends on the schema alone: not on
//     the columns wanted, nor on how the reader hands out its bytes.
//   - Nothing is rounded or coerced unless PostgreSQL's COPY would do it.
//   - What RowWriter writes, Scanner reads back as the same value; only JSON's null
//     comes back as NULL.
//   - A content that a Prover calls clean is read by DuckDB's read_json, with the
//     explicit columns of the schema, as the very rows that Scanner reads (D8b).
//   - A proof is a function of content and schema.
//   - A batch that was handed out is never changed.
//   - No line, however long, takes more memory than the scanner's limit, and a batch
//     takes no more than its rows or a few tens of MiB of strings, whichever is first.
//   - No input makes the package panic.
//
// # Goroutines
//
// None. A Scanner, a Prover and a builder belong to one goroutine at a time; types,
// vectors, batches and a RowWriter may be shared.
//
// # Testing
//
// columnartest has the table of forms, which sqlgw/duck's differential test uses too.
// testdata/postgres is what a PostgreSQL 15 made of the same inputs: the flag
// -postgres asks a server anew, and gives it random values besides. Round trips and
// independence of chunks and projections are rapid's; FuzzScanner, FuzzParseText and
// FuzzParseBinary take any bytes. The examples of docs/format/rows.md are tests.
package columnar
