// Package journalspace is the YAML that people read and write of journals: a tree of
// their specs in which what many have in common is said once.
//
// # What
//
// A Node is a journal, or a directory of nodes whose names begin with its own, which
// ends in '/'. What a directory says of a field holds for all journals below it that
// don't say something else; labels are taken name by name. Hoist makes the tree of
// listed journals, Flatten is its inverse. Parse and Format are the text, which is
// that of Gazette's tools:
//
//	name: acme/
//	replication: 3
//	labels:
//	  - name: content-type
//	    value: application/x-ndjson
//	fragment:
//	  length: 134217728
//	  compression_codec: GZIP
//	  stores:
//	    - s3://acme-fragments/
//	  refresh_interval: 5m0s
//	children:
//	  - name: acme/anvils
//	    revision: 17
//	  - name: acme/rockets
//	    comment: nobody reads these
//	    delete: true
//	    revision: 18
//
// Besides the fields of a spec, by their names in the protocol, a node has
//
//	comment    for people; it isn't kept
//	delete     true deletes the journal, or all below that don't say false
//	revision   that the journal has: the change is made only if it still has it. 0, or
//	           nothing, makes a new journal; -1 changes whatever is there, and only that
//	           may be said of a directory
//	children   of a directory, in the order of their names
//
// # Invariants
//
//   - Flatten of Hoist is the journals that were hoisted; Parse of Format is the tree.
//   - What isn't known, or is said twice, or wouldn't be acted on, is an Error with its
//     line: nothing is ignored but comments.
//   - The state of suspension is a journal's own: it is never hoisted nor inherited.
//   - A zero is the same as nothing, and inherits.
//
// # Goroutines
//
// None.
//
// # Testing
//
// testdata has trees, texts, and what is said of bad ones; the inverses are properties
// over random journals. Parse is fuzzed.
package journalspace
