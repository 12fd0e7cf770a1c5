package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/txn"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
)

// hintsPatience bounds how long the last hints hold up the end of a primary.
const hintsPatience = 5 * time.Second

// lead runs the shard as its primary, until it isn't any more, its spec is edited or something fails.
func (r *replica) lead(ctx context.Context, player Player, edits int) error {
	g := task.New(ctx, "primary of "+r.id)
	err := r.leadBy(g, player, edits)
	g.Cancel()
	if failed := g.Wait(); failed != nil {
		return failed
	}
	return err
}

// leadBy what the player has recovered; nil is of a shard without a log. The log is recorded to until the group ends.
func (r *replica) leadBy(g *task.Group, player Player, edits int) error {
	if player == nil {
		return r.leadIn(g, nil, edits)
	}
	recorder, err := player.Recorder(g.Context())
	if err != nil {
		return err
	}
	return errors.Join(r.leadIn(g, recorder, edits), recorder.Close())
}

func (r *replica) leadIn(g *task.Group, recorder Recorder, edits int) error {
	ctx, h := g.Context(), r.host
	run := h.appends.NewRun(async.AtLeastOnce)
	shard := &Shard{
		ctx: ctx, fqn: allocator.ItemKey(h.cfg.Prefix, r.id), spec: &r.spec, client: h.cfg.Brokers,
		publisher: publish.New(run, publish.Config{}), recorder: recorder, progress: newProgress(nil),
		now: make(map[string]async.Operation), leaving: make(chan struct{}),
	}
	if recorder != nil {
		var err error
		if shard.recovered, err = recorder.Hints(ctx); err != nil {
			return fmt.Errorf("hints of what was recovered: %w", err)
		}
	}
	opened := r.giveUpUnopened(g)
	defer opened()
	st, err := h.cfg.Application.NewStore(ctx, shard)
	if err != nil {
		return inApplication("NewStore", err)
	}
	p := &primary{r: r, opened: opened, shard: shard, store: st, run: run, began: make(map[string]int64), phase: phases{metrics: r.metrics}}
	err = p.recoverAndRun(g, edits)
	g.Cancel() // A commit that waits for its log would hold up the end of the store.
	if closing := st.Close(); err == nil && closing != nil {
		err = fmt.Errorf("close the store: %w", closing)
	}
	return err
}

// giveUpUnopened ends the group if the shard is taken away before the returned function is called: what doesn't serve
// yet has no transactions to end in order, and its store, which may take long to open, is for somebody else to open.
func (r *replica) giveUpUnopened(g *task.Group) context.CancelFunc {
	opening, opened := context.WithCancel(g.Context())
	g.Go("opening", func(context.Context) error {
		if err := r.awaitState(opening, func(a *assignment, _ int) bool { return a == nil }); err == nil {
			g.Cancel()
		}
		return nil // It has opened, or ended.
	})
	return opened
}

// recoverAndRun from the store's checkpoint.
func (p *primary) recoverAndRun(g *task.Group, edits int) error {
	ctx, r, spec := g.Context(), p.r, p.shard.Spec()
	cp, err := p.store.RestoreCheckpoint(ctx)
	if err != nil {
		return fmt.Errorf("restore the checkpoint: %w", err)
	}
	read, err := cp.Read()
	if err != nil {
		return err
	}
	bound(read, spec)
	if err := p.prepare(spec, read); err != nil {
		return err
	}
	if p.shard.recorder != nil {
		if err := r.host.rotateHints(ctx, spec, p.shard.recovered); err != nil {
			return err
		}
		g.Go("hints", p.writeHints)
	}
	if err := p.acknowledgeAgain(ctx, cp.Intents()); err != nil {
		return err
	}
	serving := &serving{shard: p.shard, store: p.store, idle: make(chan struct{})}
	r.serving.Store(serving)
	p.opened()
	r.reach(shards.ReplicaStatus_PRIMARY)
	g.Go("drain", func(ctx context.Context) error {
		err := r.awaitState(ctx, func(a *assignment, now int) bool { return !isPrimary(a, now) || now != edits })
		if err == nil {
			close(p.shard.leaving)
		}
		return err
	})
	err = p.transact(ctx, read, p.shard.leaving)
	r.serving.Store(nil)
	if err == nil && p.shard.recorder != nil {
		p.leaveHints(ctx, edits)
	}
	g.Cancel() // Who uses the store knows by its context that it has to let go.
	r.change(func() {})
	serving.end()
	return err
}

// bound offsets from below by what the spec says.
func bound(read map[string]message.JournalState, spec *shards.ShardSpec) {
	for _, s := range spec.GetSources() {
		if state := read[s.GetJournal()]; state.ReadThrough < s.GetMinOffset() {
			state.ReadThrough = s.GetMinOffset()
			read[s.GetJournal()] = state
		}
	}
}

// prepare what transactions need, from what was read.
func (p *primary) prepare(spec *shards.ShardSpec, read map[string]message.JournalState) error {
	var err error
	if p.skip, err = skipped(spec.GetLabels()); err != nil {
		return err
	}
	if p.seq, err = message.NewSequencer(message.SequencerConfig{Messages: int(spec.GetRingBufferSize())}); err != nil {
		return err
	}
	if err = p.seq.Restore(read); err != nil {
		return err
	}
	p.shard.progress = newProgress(read)
	p.machine, err = txn.New(txn.Config{
		Min: spec.GetMinTxnDuration().AsDuration(), Max: spec.GetMaxTxnDuration().AsDuration(), WaitForAck: !spec.GetDisableWaitForAck(),
	})
	return err
}

// writeHints now and then, whether transactions run or not: an idle shard's log grows by its store's own doings.
func (p *primary) writeHints(ctx context.Context) error {
	tick := time.NewTicker(p.r.host.cfg.HintsInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		hints, err := p.shard.recorder.Hints(ctx)
		if err == nil {
			err = p.r.writeHints(ctx, hints)
		}
		if errors.Is(err, recoverylog.ErrFenced) {
			return err // An idle shard would never know by itself.
		}
		if err != nil && ctx.Err() == nil {
			p.r.log.LogAttrs(ctx, slog.LevelWarn, "hints not written", slog.Any("error", err))
		}
	}
}

// leaveHints of what a primary that ends in order has recorded, by which the next one needn't play what this one has removed. There
// are other hints if the spec was edited: those that were put with it aren't replaced.
func (p *primary) leaveHints(ctx context.Context, edits int) {
	if _, _, now, _ := p.r.now(); now != edits {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, hintsPatience)
	defer cancel()
	hints, err := p.shard.recorder.Hints(ctx)
	if err == nil {
		err = p.r.writeHints(ctx, hints)
	}
	if err != nil && !errors.Is(err, recoverylog.ErrFenced) && ctx.Err() == nil {
		p.r.log.LogAttrs(ctx, slog.LevelWarn, "last hints not written", slog.Any("error", err))
	}
}

// serving is a primary that others of the process may use.
type serving struct {
	shard *Shard
	store store.Store

	mu    sync.Mutex
	users int
	ended bool
	idle  chan struct{} // closed once it has ended and nobody uses it
}

// use it, and release it once. It is false if it has ended.
func (s *serving) use() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.users++
	}
	return !s.ended
}

func (s *serving) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 && s.ended {
		close(s.idle)
	}
}

// end lets nobody use it any more, and waits for those who do.
func (s *serving) end() {
	s.mu.Lock()
	s.ended = true
	if s.users == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	<-s.idle
}
