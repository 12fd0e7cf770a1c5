package recoverylog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/client"
)

// PlayerConfig is what a Player works with.
type PlayerConfig struct {
	// Journals that logs are read from, and taken over in.
	Journals Journals
	// Hints of where to begin. Those with nothing but a log have it read from its begin.
	Hints *FSMHints
	// FS and the directory in it that files are played to. It must be empty, or absent.
	FS  vfs.FS
	Dir string
	// Logger of what is skipped; nil logs nothing.
	Logger *slog.Logger
	// OnRead is called with the number of bytes that were read of logs, each time that some were; nil is not.
	OnRead func(bytes int)
}

// PlayStats is what a Player has read.
type PlayStats struct {
	// Applied operations, and those that were Rejected.
	Applied, Rejected int64
	// Bytes that were read of logs; Skipped of them are no operations.
	Bytes, Skipped int64
	// Jumps over bytes that are gone.
	Jumps int64
}

// Player reads a log, and applies it to a directory, until it is told to finish or to take the log over.
type Player struct {
	cfg PlayerConfig
	log *slog.Logger

	mu      sync.Mutex
	goal    goal
	author  uint32
	stop    context.CancelFunc // of what waits for a longer log; nil if nothing does
	started bool
	stats   PlayStats

	tailing chan struct{}

	// Of Play.
	plan   *playback
	staged *staging
	ops    *opReader
	stream *countedStream
}

// NewPlayer of a log.
func NewPlayer(cfg PlayerConfig) (*Player, error) {
	switch {
	case cfg.Journals == nil:
		return nil, errors.New("player: no journals")
	case cfg.FS == nil || cfg.Dir == "":
		return nil, errors.New("player: no directory")
	}
	plan, err := newPlayback(cfg.Hints)
	if err != nil {
		return nil, fmt.Errorf("player: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Player{cfg: cfg, plan: plan, log: cfg.Logger.With(slog.String("log", plan.log)), tailing: make(chan struct{})}, nil
}

// Tailing is closed once the player has read to the write head for the first time.
func (p *Player) Tailing() <-chan struct{} { return p.tailing }

// Stats of what was read so far.
func (p *Player) Stats() PlayStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// FinishAtWriteHead has Play return once it has read to the write head that the log has now, or later. The log isn't
// taken over: others may go on writing it.
func (p *Player) FinishAtWriteHead() error { return p.aim(finish, 0) }

// InjectHandOff has Play take over the log for an author, and then return.
func (p *Player) InjectHandOff(author uint32) error {
	if author == 0 {
		return errors.New("hand off: author is zero")
	}
	return p.aim(take, author)
}

func (p *Player) aim(g goal, author uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.goal != tail {
		return fmt.Errorf("player of %s: it was told already how to end", p.plan.log)
	}
	p.goal, p.author = g, author
	if p.stop != nil {
		p.stop()
	}
	return nil
}

// Play the log, until it was told to end, and has. If it returns an error, nothing that it played is left. It may be called once.
func (p *Player) Play(ctx context.Context) (*Recovered, error) {
	p.mu.Lock()
	started := p.started
	p.started = true
	p.mu.Unlock()
	if started {
		return nil, fmt.Errorf("play %s: it was played already", p.plan.log)
	}
	var err error
	if p.staged, err = newStaging(p.cfg.FS, p.cfg.Dir); err != nil {
		return nil, fmt.Errorf("play %s: %w", p.plan.log, err)
	}
	err = p.run(ctx)
	p.closeStream()
	if err == nil {
		err = p.staged.live(p.plan.fsm)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("play %s: %w", p.plan.log, err), p.staged.discard())
	}
	s := p.Stats()
	p.log.InfoContext(ctx, "played a recovery log",
		slog.Int64("applied", s.Applied), slog.Int64("rejected", s.Rejected), slog.Int64("bytes", s.Bytes), slog.Int64("skipped", s.Skipped))
	return &Recovered{FSM: p.plan.fsm, Author: p.plan.author, Offset: p.plan.pos[p.plan.log]}, nil
}

// run does what the playback decides.
func (p *Player) run(ctx context.Context) error {
	told := false
	for {
		p.mu.Lock()
		g, author := p.goal, p.author
		p.mu.Unlock()
		if g != tail && !told {
			p.plan.aim(g, author)
			told = true
		}
		s, err := p.plan.next()
		if err != nil {
			return err
		}
		if p.plan.tailing {
			p.closeTailing()
		}
		switch s.task {
		case getHead:
			err = p.getHead(ctx, s.log)
		case read:
			err = p.read(ctx, s)
		case await:
			err = p.await(ctx, s)
		case inject:
			var end int64
			if end, err = handOff(ctx, p.cfg.Journals, s.log, p.plan.fsm, author); err == nil {
				p.plan.wrote(end)
			}
		case done:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *Player) closeTailing() {
	select {
	case <-p.tailing:
	default:
		close(p.tailing)
	}
}

func (p *Player) getHead(ctx context.Context, log string) error {
	head, err := writeHead(ctx, p.cfg.Journals, log)
	if err != nil {
		return err
	}
	p.plan.head(log, head)
	return nil
}

// await a longer log, or that it is told to end.
func (p *Player) await(ctx context.Context, s step) error {
	p.closeStream()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	p.mu.Lock()
	if p.goal != tail {
		p.mu.Unlock()
		return nil
	}
	p.stop = stop
	p.mu.Unlock()
	head, err := p.cfg.Journals.AwaitBeyond(waiting, s.log, s.offset)
	p.mu.Lock()
	p.stop = nil
	told := p.goal != tail
	p.mu.Unlock()
	switch {
	case err == nil:
		p.plan.head(s.log, head)
		return nil
	case told && ctx.Err() == nil:
		return nil
	}
	return err
}

// countedStream is what is being read of a log, up to its write head.
type countedStream struct {
	io.ReadCloser

	log    string
	end    int64
	player *Player
}

// Read as of io.Reader.
func (c *countedStream) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.player.count(func(s *PlayStats) { s.Bytes += int64(n) })
	if tell := c.player.cfg.OnRead; tell != nil && n > 0 {
		tell(n)
	}
	return n, err
}

func (p *Player) count(f func(*PlayStats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

func (p *Player) closeStream() {
	if p.stream != nil {
		_ = p.stream.Close() // it was read
		p.stream = nil
	}
}

// read the next operation, and apply it.
func (p *Player) read(ctx context.Context, s step) error {
	if p.stream == nil || p.stream.log != s.log || p.ops.offset+p.ops.left != s.offset || s.offset >= p.stream.end {
		p.closeStream()
		end := p.plan.heads[s.log]
		p.stream = &countedStream{ReadCloser: p.cfg.Journals.ReadRange(ctx, s.log, s.offset, end), log: s.log, end: end, player: p}
		p.ops = newOpReader(s.log)
		p.ops.reset(p.stream, s.offset)
	}
	skipped := p.ops.skipped
	op, payload, err := p.ops.next()
	if n := p.ops.skipped - skipped; n != 0 {
		p.count(func(s *PlayStats) { s.Skipped += n })
		p.log.WarnContext(ctx, "skipped what is no operation", slog.String("of", s.log), slog.Int64("before", p.ops.offset), slog.Int64("bytes", n))
	}
	jumped, isJump := errors.AsType[*client.OffsetJumpError](err)
	switch {
	case isJump:
		p.closeStream()
		p.count(func(s *PlayStats) { s.Jumps++ })
		p.log.WarnContext(ctx, "bytes of a recovery log are gone", slog.String("of", s.log), slog.Int64("from", jumped.From), slog.Int64("to", jumped.To))
		return p.plan.jump(jumped.To)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF): // what is left up to the write head is no operation
		left := p.stream.end - p.ops.offset
		p.count(func(s *PlayStats) { s.Skipped += left })
		p.plan.skipped(p.stream.end)
		p.closeStream()
		return nil
	case err != nil:
		return err
	}
	return p.apply(ctx, op, payload)
}

// apply an operation that was read, and its content, if it isn't rejected.
func (p *Player) apply(ctx context.Context, op *RecordedOp, payload []byte) error {
	err := p.plan.op(op, payload)
	switch {
	case err == nil:
		p.count(func(s *PlayStats) { s.Applied++ })
		err = p.staged.apply(op, p.plan.fsm, p.ops.content())
		if jumped, ok := errors.AsType[*client.OffsetJumpError](err); ok {
			return &DataLossError{Log: op.GetLog(), Reason: ErrJump, Detail: fmt.Sprintf("from %d to %d, within operation %d", jumped.From, jumped.To, op.GetSeqNo())}
		}
		return err
	case errors.Is(err, ErrDataLoss):
		return err
	}
	p.count(func(s *PlayStats) { s.Rejected++ })
	p.log.DebugContext(ctx, "skipped an operation", slog.String("of", op.GetLog()), slog.Int64("at", op.GetFirstOffset()), slog.Any("reason", err))
	return nil
}
