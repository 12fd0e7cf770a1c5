// Package psql holds tests that run psql 15 against the whole server: what its backslash
// commands print, what Tab completes, and what Ctrl-C stops.
package psql
