// Package style is how a session writes and reads values as text: what PostgreSQL's settings TimeZone, DateStyle, IntervalStyle,
// extra_float_digits and bytea_output say.
//
// # What
//
// A Style is a value made of those settings. Append writes a value of a vector in it, Read reads a text into one. The default one is
// what columnar.AppendText writes; rows in journals, and values between the gateway and its engine, are always
// in that form, and a Style is asked where a session meets them.
//
// A Zone is a time zone as PostgreSQL names one: one of the IANA's, or a fixed offset from UTC. The names, and the abbreviations that texts
// may have in a name's place, are PostgreSQL 15's (zones.txt, abbreviations.txt); the rules of the zones are Go's.
//
// # Invariants
//
//   - What a Style writes it reads as the same value, to the digits that it writes, and as far as PostgreSQL does: a German one
//     that reads MDY still writes DMY, and an abbreviation may stand for another zone than it was written in.
//   - Key and FromKey are each other's inverse.
//   - A Style never changes.
//   - Every zone is one that the engine knows too, by Zone.Engine.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Scenario files, properties by rapid, a fuzzed reader; whole sessions against a real PostgreSQL in test/wire.
package style

import _ "time/tzdata" // for machines that have no zones of their own
