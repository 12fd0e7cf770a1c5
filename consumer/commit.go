package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/txn"
	"broadsheet.dev/broadsheet/message"
)

// pruneAfter is how far a producer is behind the newest message of a journal when it is forgotten.
const pruneAfter = 24 * time.Hour

// commit ends the transaction: its messages, what it read, and its acknowledgements are known, and the store is told to
// make them durable. Acknowledgements are queued behind that.
func (p *primary) commit(ctx context.Context, step txn.Step) error {
	p.phase.enter(phasePreparing)
	if err := p.r.host.cfg.Application.FinalizeTxn(ctx, p.shard, p.store); err != nil {
		return inApplication("FinalizeTxn", err)
	}
	read := p.checkpoint(step.Holding)
	intents, appends, err := p.shard.publisher.BuildAckIntents()
	if err != nil {
		return err
	}
	waitFor := slices.Concat(appends, p.shard.published(), p.run.Pending(p.shard.Spec().RecoveryLog()))
	c := &commit{txn: step.Txn, read: make(map[string]int64, len(read))}
	for journal, state := range read {
		c.read[journal] = state.ReadThrough
	}
	c.op = p.store.StartCommit(ctx, shards.NewCheckpoint(read, intents), waitFor...)
	if c.acks, err = p.shard.publisher.Acknowledge(ctx, intents, c.op); err != nil {
		return err
	}
	clear(p.began)
	p.current = c
	p.phase.enter(phaseNotRunning)
	p.phase.committing()
	return nil
}

// checkpoint of what was read: without the message that is held for the next transaction, if there is one.
func (p *primary) checkpoint(holding bool) map[string]message.JournalState {
	if holding {
		return p.seq.CheckpointBefore() // Its producer must not be forgotten now.
	}
	p.seq.Prune(pruneAfter, time.Now())
	return p.seq.Checkpoint()
}

// finish a transaction that is committed and acknowledged.
func (p *primary) finish(ctx context.Context, app Application) {
	p.phase.finished()
	p.shard.progress.advance(p.current.read, p.shard.publisher.WriteHeads())
	p.r.metrics.finished(p.current.read)
	p.current = nil
	if f, ok := app.(FinishedTxner); ok {
		f.FinishedTxn(ctx, p.shard, p.store)
	}
}

// acknowledgeAgain appends the acknowledgements that the last transaction left: whoever committed it may not have come
// to it. A journal that is gone needs none.
func (p *primary) acknowledgeAgain(ctx context.Context, intents []message.AckIntent) error {
	futures, err := p.shard.publisher.Acknowledge(ctx, intents)
	if err != nil {
		return fmt.Errorf("acknowledge again: %w", err)
	}
	for _, f := range futures {
		if err := p.settled(ctx, f); err != nil {
			return fmt.Errorf("acknowledge again in %s: %w", f.Journal(), err)
		}
	}
	return nil
}

func (p *primary) settled(ctx context.Context, f *async.Future) error {
	select {
	case <-f.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := f.Err()
	if isNotFound(err) {
		p.r.log.LogAttrs(ctx, slog.LevelWarn, "a journal that was published to is gone", slog.String("journal", f.Journal()))
		_ = p.run.Reset(f.Journal()) // It was seen.
		return nil
	}
	return err
}
