package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/txn"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
)

// primary runs the transactions of a shard. Its run is one goroutine, which owns all of it.
type primary struct {
	r       *replica
	opened  context.CancelFunc // it serves, and ends in order from now on
	shard   *Shard
	store   store.Store
	run     *async.Run
	seq     *message.Sequencer
	sources *sources
	machine *txn.Machine
	skip    map[place]bool
	phase   phases

	held    message.Envelope // that is ready, or was consumed last
	replay  *replay          // under way; nil if none is
	began   map[string]int64 // read through, as the transaction began
	current *commit          // under way; nil if none is
}

// commit that was started, and what is to follow it.
type commit struct {
	txn  int
	op   async.Operation
	acks []*async.Future
	read map[string]int64 // what it has read through
}

// transact until the primary is drained, or fails. Reading begins with it, and ends with it.
func (p *primary) transact(ctx context.Context, read map[string]message.JournalState, drain <-chan struct{}) error {
	readers := task.New(ctx, "sources of "+p.shard.Spec().GetId())
	err := p.openSources(ctx, read, readers)
	if err == nil {
		err = p.loop(ctx, readers.Context(), drain)
	}
	readers.Cancel()
	p.endReplay()
	failed := readers.Wait()
	switch {
	case errors.Is(err, ErrLeave):
		return nil
	case err == nil || errors.Is(err, errReaders):
		return failed
	}
	return err
}

// errReaders says that a reader has failed: its error is that of its group.
var errReaders = errors.New("a source can't be read")

// loop does what the machine says.
func (p *primary) loop(ctx, readers context.Context, drain <-chan struct{}) error {
	for {
		step := p.machine.Next(time.Now())
		switch step.Do {
		case txn.Stop:
			return step.Err
		case txn.Wait:
			drain = p.wait(ctx, readers, step, drain)
		case txn.Read, txn.Begin, txn.Consume, txn.Commit, txn.Acknowledge, txn.Finish:
			if err := p.do(ctx, step); err != nil {
				p.machine.Fail(err)
			}
			if ctx.Err() != nil {
				p.machine.Fail(context.Cause(ctx))
			}
		}
	}
}

// do a step. A panic, of the application most likely, is an error.
func (p *primary) do(ctx context.Context, step txn.Step) (err error) { //nolint:nonamedreturns // set as it recovers
	defer recovered(&err)
	app := p.r.host.cfg.Application
	switch step.Do {
	case txn.Read:
		return p.read(ctx)
	case txn.Begin:
		p.phase.enter(phaseConsuming)
		if b, ok := app.(BeginTxner); ok {
			return inApplication("BeginTxn", b.BeginTxn(ctx, p.shard, p.store))
		}
	case txn.Consume:
		return p.consume(ctx, app)
	case txn.Commit:
		return p.commit(ctx, step)
	case txn.Acknowledge:
		p.phase.committed()
		if len(p.current.acks) == 0 {
			p.machine.Acknowledged()
		}
	case txn.Finish:
		p.finish(ctx, app)
	case txn.Wait, txn.Stop:
	}
	return nil
}

func inApplication(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("application: %s: %w", what, err)
}

// read the next message that is committed, if there is one without waiting.
func (p *primary) read(ctx context.Context) error {
	switch env, err := p.nextCommitted(ctx); {
	case err == nil:
		p.held = env
		p.machine.Ready(time.Now())
		return nil
	case !errors.Is(err, io.EOF):
		return err
	}
	env, ok := p.sources.queue.take()
	if !ok {
		p.machine.Empty(p.pends())
		return nil
	}
	p.begin(env)
	p.r.metrics.read(env)
	p.r.metrics.sequenced(env, p.seq.Push(env))
	if forgot, ok := p.seq.Forgot(); ok && forgot.Begin != message.NoSpan {
		p.r.log.LogAttrs(ctx, slog.LevelWarn, "a journal has too many producers: what one has pending is given up",
			slog.String("journal", env.Journal), slog.String("producer", forgot.Producer.String()))
	}
	switch env, err := p.nextCommitted(ctx); {
	case err == nil:
		p.held = env
		p.machine.Ready(time.Now())
	case errors.Is(err, io.EOF):
		p.machine.Passed(time.Now())
	default:
		return err
	}
	return nil
}

// begin notes from where on a journal is read in the transaction.
func (p *primary) begin(env message.Envelope) {
	if _, ok := p.began[env.Journal]; !ok {
		p.began[env.Journal] = env.Begin
	}
}

// pends tells whether a span that began in the transaction waits for its acknowledgement.
func (p *primary) pends() bool {
	for journal, begin := range p.began {
		if p.seq.PendingFrom(journal, begin) {
			return true
		}
	}
	return false
}

// nextCommitted returns the next message that the sequencer delivers; io.EOF if it needs another one for that.
func (p *primary) nextCommitted(ctx context.Context) (message.Envelope, error) {
	for {
		env, err := p.seq.Next()
		switch {
		case err == nil:
			return env, nil
		case errors.Is(err, io.EOF):
			p.endReplay()
			return env, io.EOF
		case errors.Is(err, message.ErrReplay):
			if err := p.startReplay(ctx); err != nil {
				return env, err
			}
		default:
			if _, skipped := errors.AsType[*message.SkippedError](err); skipped {
				continue // It was met as the journal was read.
			}
			return env, err
		}
	}
}

func (p *primary) startReplay(ctx context.Context) error {
	p.endReplay()
	again, _ := p.seq.ReplayRange()
	p.r.metrics.replays.WithLabelValues(again.Journal).Inc()
	it, err := p.sources.replayOf(ctx, again)
	if err != nil {
		return fmt.Errorf("replay %s: %w", again, err)
	}
	p.replay = it
	p.seq.StartReplay(it)
	return nil
}

// endReplay closes what was read again, if anything is: all of it that was wanted, was read.
func (p *primary) endReplay() {
	if p.replay != nil {
		_ = p.replay.close()
		p.replay = nil
	}
}

// consume the message that is ready.
func (p *primary) consume(ctx context.Context, app Application) error {
	env := p.held
	at := place{env.Journal, env.Begin}
	broken, isBroken := env.Message.(undecodable)
	var err error
	switch {
	case p.skip[at]:
		p.r.log.LogAttrs(ctx, slog.LevelWarn, "message skipped", slog.String("journal", at.journal), slog.Int64("offset", at.offset))
		err = p.bury(ctx, env)
	case isBroken:
		err = fmt.Errorf("is no message: %w", broken.err)
	default:
		err = p.consumeSafely(ctx, app, env)
	}
	if errors.Is(err, ErrDeferToNextTransaction) {
		err = p.machine.Deferred()
	}
	if err != nil && ctx.Err() == nil {
		return &MessageError{Journal: at.journal, Offset: at.offset, Err: err}
	}
	return err
}

// consumeSafely is ConsumeMessage, a panic of which is an error: it is to be told with the message.
func (p *primary) consumeSafely(ctx context.Context, app Application, env message.Envelope) (err error) { //nolint:nonamedreturns // as above
	defer recovered(&err)
	return app.ConsumeMessage(ctx, p.shard, p.store, env)
}

// wait until something happens, and tell the machine. It returns the drain to wait for from then on.
func (p *primary) wait(ctx, readers context.Context, step txn.Step, drain <-chan struct{}) <-chan struct{} {
	if step.Stalled {
		p.phase.enter(phaseStalled)
	}
	var arrived <-chan struct{}
	if step.Reading {
		arrived = p.sources.queue.arrived
	}
	var wake <-chan time.Time
	if !step.Wake.IsZero() {
		timer := time.NewTimer(time.Until(step.Wake))
		defer timer.Stop()
		wake = timer.C
	}
	committed, acknowledged := p.current.waits()
	select {
	case <-arrived:
		p.machine.More()
	case <-committed:
		if err := p.current.op.Err(); err != nil {
			p.machine.Fail(fmt.Errorf("commit: %w", err))
			return drain
		}
		p.machine.Committed()
		p.current.op = nil
	case <-acknowledged:
		if err := p.current.acks[0].Err(); err != nil {
			p.machine.Fail(fmt.Errorf("acknowledge in %s: %w", p.current.acks[0].Journal(), err))
			return drain
		}
		if p.current.acks = p.current.acks[1:]; len(p.current.acks) == 0 {
			p.machine.Acknowledged()
		}
	case <-wake:
	case <-drain:
		p.machine.Drain()
		return nil
	case <-readers.Done():
		p.machine.Fail(errReaders)
	case <-ctx.Done():
		p.machine.Fail(context.Cause(ctx))
	}
	return drain
}

// waits of a commit: for the commit itself, then for its acknowledgements, one after another. Nil waits for ever.
func (c *commit) waits() (<-chan struct{}, <-chan struct{}) {
	switch {
	case c == nil:
		return nil, nil
	case c.op != nil:
		return c.op.Done(), nil
	case len(c.acks) > 0:
		return nil, c.acks[0].Done()
	}
	return nil, nil
}
