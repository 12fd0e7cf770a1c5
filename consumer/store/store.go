package store

import (
	"context"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// Store holds the state of a shard.
type Store interface {
	// RestoreCheckpoint returns the checkpoint of the last transaction that was committed; an empty one if there was
	// none. It is called once, before anything else.
	RestoreCheckpoint(ctx context.Context) (*shards.Checkpoint, error)
	// StartCommit begins to make the state durable, with a checkpoint, once all of waitFor have succeeded: if one fails,
	// nothing is committed. It doesn't wait itself: the end of the context is the end of that wait, and a failure. The
	// operation that it returns ends when the commit is durable, or has failed; another commit is started only
	// after that, and after a failure there is none.
	StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation
	// Close lets go of what the store holds. What isn't committed is lost. Nothing is called after it.
	Close() error
}
