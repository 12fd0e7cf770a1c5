// Package shardspace is the YAML that people read and write of shards: their specs, and what all of these have in common.
//
// # What
//
// A Set has shards, and the spec that holds for all that don't say something else; labels are taken name by name. Hoist makes
// it of listed shards, Flatten is its inverse. Parse and Format are the text, which is that of Gazette's tools:
//
//	common:
//	  recovery_log_prefix: recovery/counts
//	  hint_prefix: /hints/counts
//	  hint_backups: 2
//	  max_txn_duration: 1s
//	  hot_standbys: 1
//	shards:
//	  - id: counts-000
//	    sources:
//	      - journal: acme/rides/part-000
//	    revision: 17
//	  - comment: nobody reads these
//	    delete: true
//	    id: counts-001
//	    revision: 18
//
// Besides the fields of a spec, by their names in the protocol, a shard has
//
//	comment    for people; it isn't kept
//	delete     true deletes the shard
//	revision   that the shard has: the change is made only if it still has it. 0, or nothing, makes a new shard; -1 changes
//	           whatever is there
//
// # Invariants
//
//   - Flatten of Hoist is the shards that were hoisted; Parse of Format is the set.
//   - What isn't known, or is said twice, is an Error with its line: nothing is ignored but comments.
//   - A zero is the same as nothing, and is what is common: false doesn't undo a common true.
//
// # Goroutines
//
// None.
//
// # Testing
//
// testdata has sets and what is said of bad ones; the inverse is a property over random shards. Parse is fuzzed.
package shardspace
