// Package sql is the commands "broadsheet sql" and "broadsheet tables": a client of the Postgres port for machines
// without psql.
//
// # What
//
// sql sends statements, of its flags, of files or of standard input, as simple queries and prints what comes back, as
// it comes: also of a SUBSCRIBE, and of a COPY in either direction. tables asks the catalog through the same port.
// session.go has the conversation, split.go finds where statements end, print*.go are the formats.
//
// # Invariants
//
//   - Results go to standard output, everything else to standard error.
//   - Statements run in the order in which they stand, and none after the first that fails, unless a person types them.
//   - Rows are printed soon after they come, and memory doesn't grow with their number.
//   - What a server sends can't control the terminal: a table shows control characters by their escapes.
//
// # Goroutines
//
//	sql/receive     one for each connection: it hands on what the server sends; ends with the connection
//	sql/interrupt   of an interactive session: turns the interrupts of a person into the end of a statement
//
// Both are awaited before the command returns.
//
// # Testing
//
// Table tests and a fuzz target of the splitter, golden texts of the formats, and conversations with a server that is
// played; test/script has sessions with a real one.
package sql
