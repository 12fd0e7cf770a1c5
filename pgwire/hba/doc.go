// Package hba has host-based rules: who may connect from where to which database, and how they
// prove who they are.
//
// # What
//
// Rules are read from text in the form of PostgreSQL's pg_hba.conf, of five fields and options:
//
//	# type    database  user         address          method         options
//	local     all       all                           trust
//	hostssl   all       +ops,alice   10.0.0.0/8       cert
//	hostssl   sales     all          samenet          scram-sha-256  clientcert=verify-full
//
// The first rule that matches decides; if none does, the connection is refused. Rules.Match is a
// function of the rules and the peer.
//
// # Invariants
//
//   - What isn't acted on is refused with its line and by its name: no rule is skipped.
//   - A rule never matches more than PostgreSQL's of the same text would.
//
// # Goroutines
//
// None.
//
// # Testing
//
// A scenario file of rules, peers and errors, and fuzzing of the parser.
package hba
