package consumer

import (
	"context"
	"errors"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// This file is all that an application must know. It is told in the order in which things happen.
//
// A shard reads journals, keeps state, and publishes messages. Its specification (shards.ShardSpec) names its sources,
// its recovery log, and how long its transactions last; `broadsheet shards apply` makes it. Any number of processes run
// the application, each with a Host; the shard is assigned to one of them as its primary, and to as many more as it
// wants hot standbys, which keep its files up to date and take over when the primary goes.
//
// A process becomes primary so:
//
//  1. Its recovery log is played into a directory, if it has one, and whoever recorded it before is fenced off.
//  2. Application.NewStore opens the store on that directory, or elsewhere.
//  3. The store's checkpoint says what was read, and which acknowledgements its last transaction left. Those are
//     appended again: readers know them by their UUIDs.
//  4. The sources are read on from where the checkpoint says, read committed: a message comes once it is acknowledged,
//     exactly once; so does the acknowledgement, behind what it commits. It is told by message.AckTxn in its flags,
//     and most applications pass over it.
//
// Then it runs transactions, one after another, on one goroutine:
//
//	BeginTxn                        if the application has it
//	ConsumeMessage, ...             once for each message
//	FinalizeTxn                     the last call for this transaction: what is in memory goes to the store
//	Store.StartCommit               by the host: state, what was read, and acknowledgements, all at once or not at all,
//	                                once everything that the transaction published is appended
//	                                (the next transaction begins here, and consumes meanwhile)
//	acknowledgements are appended   by the host, once the commit is done: now readers see what was published
//	FinishedTxn                     if the application has it
//
// If anything fails, whether the application, the store or an append, the shard fails as a whole. What wasn't committed is
// gone, with all that it published. The shard says so in its status, and begins anew at step 1 after a pause that
// doubles from failure to failure, from a second to a minute.
//
// So every message has its effect on the state, and on what is published, exactly once: if the application keeps all
// state in its store, publishes by Shard.Publish only, and does nothing else that can't be done twice.
//
// # A message that can't be consumed
//
// A shard that fails on a message says on which: "message of <journal> at <offset>" is in its status, and each attempt
// ends there. Whoever has looked at it may have it skipped, by two labels of the shard:
//
//	broadsheet.dev/skip:         <journal>=<offset>     any number of values
//	broadsheet.dev/dead-letters: <journal>              of content-type application/x-ndjson
//
// The message isn't given to the application then. In the same transaction in which it would have been consumed, a
// DeadLetter with its bytes and the error is published to the other journal: so it is there exactly once.
// In the value of broadsheet.dev/skip a ';' of the journal is written as %3B. A message that can't even be decoded is
// treated in the same way.

// Application is what a shard does. One value serves all shards of a process, and may be called for several of them at
// a time; for each of them, one call is made after another.
type Application interface {
	// NewStore opens the shard's store. Its Recorder, if it has a recovery log, says where its files are.
	NewStore(ctx context.Context, shard *Shard) (store.Store, error)
	// NewMessage returns an empty message of the type that the journal has.
	NewMessage(spec *protocol.JournalSpec) (message.Message, error)
	// ConsumeMessage takes the next message: it changes the store, and publishes by the shard.
	//
	// If it returns ErrDeferToNextTransaction, the transaction ends without the message, which is the first of the
	// next one. It must have done nothing then, and can't do so for the first message of a transaction.
	ConsumeMessage(ctx context.Context, shard *Shard, st store.Store, env message.Envelope) error
	// FinalizeTxn ends the transaction. It may publish, too.
	FinalizeTxn(ctx context.Context, shard *Shard, st store.Store) error
}

// ErrDeferToNextTransaction is of a ConsumeMessage that wants to consume its message in the next transaction.
var ErrDeferToNextTransaction = errors.New("the message is to be consumed in the next transaction")

// BeginTxner is an Application that wants to know when a transaction begins.
type BeginTxner interface {
	// BeginTxn is called before the first ConsumeMessage of a transaction. A transaction may have none: it then
	// tells the store of messages that were read and rolled back, say.
	BeginTxn(ctx context.Context, shard *Shard, st store.Store) error
}

// FinishedTxner is an Application that wants to know when a transaction is over.
type FinishedTxner interface {
	// FinishedTxn is called once the transaction is committed and acknowledged. The next one may be consuming by
	// then. It isn't called if the shard has failed.
	FinishedTxn(ctx context.Context, shard *Shard, st store.Store)
}

// MessageProducer is an Application that finds its messages itself, in place of journals that the host reads: those
// that its store selects, say.
type MessageProducer interface {
	// StartReadingMessages sends messages to out, from where the checkpoint ends, until ctx ends, and closes out
	// never. Journals are named as the checkpoint is to name them; offsets of a journal ascend. Out is bounded: a
	// send waits until the shard has room. An error fails the shard.
	StartReadingMessages(ctx context.Context, shard *Shard, st store.Store, from *shards.Checkpoint, out chan<- message.Envelope) error
	// ReplayRange returns messages of a range once more. If it is an io.Closer, it is closed.
	ReplayRange(ctx context.Context, shard *Shard, st store.Store, r message.Range) (message.Iterator, error)
	// ReadThrough returns which offsets of which journals a Stat has to wait for, from those that it asks about.
	ReadThrough(ctx context.Context, shard *Shard, st store.Store, asked map[string]int64) (map[string]int64, error)
}

// Framer is an Application that says itself how journals are cut into messages, whatever their content type is. A message that
// has no UUID may be of many lines, say: it is committed where it stands.
type Framer interface {
	// NewCodec returns what reads the messages of a journal from an offset on, for one goroutine: for each reading, and for each
	// range that is read again, in which the messages with a UUID have to be the same. Its Unmarshal gets what NewMessage made.
	NewCodec(shard *Shard, spec *protocol.JournalSpec, from int64) (message.Codec, error)
}

// ErrLeave is of a FinalizeTxn that gives its transaction up because the shard is to leave, as Shard.Leaving tells: nothing of
// the transaction has happened, and it is no failure.
var ErrLeave = errors.New("the shard leaves")

// Teller is an Application that tells more of a shard than Stat does by itself.
type Teller interface {
	// Tell returns what a Stat answers as its extension. It is called at any time while the shard is served.
	Tell(ctx context.Context, shard *Shard, st store.Store, asked []byte) ([]byte, error)
}

// Labels of shards that have a meaning here.
const (
	// LabelSkip has messages that aren't to be consumed: <journal>=<offset>.
	LabelSkip = "broadsheet.dev/skip"
	// LabelDeadLetters names the journal that they're published to instead.
	LabelDeadLetters = "broadsheet.dev/dead-letters"
)
