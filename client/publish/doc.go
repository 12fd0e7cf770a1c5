// Package publish appends messages to journals: with UUIDs, in the frames of the journals'
// content types, committed at once or as transactions.
//
// # What
//
// A Publisher is over an async.Run. PublishCommitted appends a message that stands for
// itself. PublishUncommitted appends messages of a transaction, to any journals.
// BuildAckIntents ends the transaction: it returns the acknowledgements to store with
// whatever the transaction is part of, and what must succeed before it may be
// committed. Acknowledge appends them, once that commit is done; whoever recovers it
// appends them again. Rollback gives a transaction up.
//
//	publish, publish, ...
//	intents, appends := BuildAckIntents()
//	commit := store.Commit(intents), once all of appends succeeded
//	Acknowledge(intents, commit)        // doesn't wait
//	publish ...                         // of the next transaction: follows behind
//
// Readers tell what is committed by the rules of docs/format/message.md.
//
// # Invariants
//
//   - In each journal the clocks of a producer ascend: a message gets its UUID while no
//     other can be written to the journal before it.
//   - Messages that stand for themselves and those of transactions have different
//     producers: one of the former would roll the transaction back.
//   - Messages of a transaction are appended to a journal behind the acknowledgement of
//     the one before: until Acknowledge was called, PublishUncommitted refuses the
//     journal.
//   - After a Rollback, transactions have a new producer: an acknowledgement never
//     commits what was given up.
//
// If the Run repeats appends (async.AtLeastOnce), readers find the duplicates. If it
// doesn't, an append of unknown outcome fails its journal. In either case, a transaction
// of which an append failed must be rolled back; the journal can be published to again
// after the Run's Reset.
//
// # Goroutines
//
// None of its own; those of async.Service append.
//
// # Testing
//
// Golden bytes, the refusals, and a property: of publishers whose appends are repeated
// and whose transactions are rolled back, a message.Sequencer delivers what was
// committed, each once.
package publish
