package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// defaultReadAhead is how many messages are read ahead, unless the spec says otherwise; readAheadBytes is how
	// many bytes of them. A single message may be larger.
	defaultReadAhead = 8192
	readAheadBytes   = 32 << 20
	// maxFrame is the largest message that is read.
	maxFrame = 64 << 20
)

// sources reads the messages of a shard, uncommitted, into a queue.
type sources struct {
	client  *client.Client
	log     *slog.Logger
	newOf   func(spec *protocol.JournalSpec) (message.Message, error)
	codecOf func(spec *protocol.JournalSpec, from int64) (message.Codec, error) // of a Framer; nil is that of the content type
	replays func(message.Range) (message.Iterator, error)                       // of a MessageProducer; nil for journals
	queue   *queue
	specs   map[string]*protocol.JournalSpec // by journal as it is read
}

// openSources looks the journals up, and starts to read them from where they were read to.
func (p *primary) openSources(ctx context.Context, read map[string]message.JournalState, g *task.Group) error {
	spec := p.shard.Spec()
	size := int(spec.GetReadChannelSize())
	if size == 0 {
		size = defaultReadAhead
	}
	s := &sources{
		client: p.shard.client, log: p.r.log, newOf: p.r.host.cfg.Application.NewMessage,
		queue: newQueue(size), specs: make(map[string]*protocol.JournalSpec),
	}
	p.sources = s
	if framer, ok := p.r.host.cfg.Application.(Framer); ok {
		s.codecOf = func(spec *protocol.JournalSpec, from int64) (message.Codec, error) {
			return framer.NewCodec(p.shard, spec, from)
		}
	}
	if producer, ok := p.r.host.cfg.Application.(MessageProducer); ok {
		s.replays = func(r message.Range) (message.Iterator, error) {
			return producer.ReplayRange(ctx, p.shard, p.store, r)
		}
		from := shards.NewCheckpoint(read, nil)
		g.Go("messages", func(ctx context.Context) error { return s.produce(ctx, producer, p.shard, p.store, from) })
		return nil
	}
	for _, source := range spec.GetSources() {
		journal := source.GetJournal()
		name, _ := protocol.SplitMeta(journal)
		found, err := p.shard.client.GetJournal(ctx, name)
		if err != nil {
			return fmt.Errorf("source %s: %w", journal, err)
		}
		s.specs[journal] = found.GetSpec()
	}
	for _, source := range spec.GetSources() { // once all specs are there, which those that read look at
		journal := source.GetJournal()
		from := max(read[journal].ReadThrough, source.GetMinOffset())
		g.Go("read "+journal, func(ctx context.Context) error { return s.read(ctx, journal, from) })
	}
	return nil
}

// produce sends the messages of a MessageProducer. What they hold counts as what is read ahead does.
func (s *sources) produce(ctx context.Context, from MessageProducer, shard *Shard, st store.Store, cp *shards.Checkpoint) error {
	made := make(chan message.Envelope)
	g := task.New(ctx, "messages of "+shard.Spec().GetId())
	g.Go("produce", func(ctx context.Context) error {
		err := from.StartReadingMessages(ctx, shard, st, cp, made)
		if err == nil && ctx.Err() == nil {
			<-ctx.Done() // It has no more.
		}
		return err
	})
	g.Go("forward", func(ctx context.Context) error {
		for {
			select {
			case env := <-made:
				if err := s.queue.put(ctx, env); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return g.Wait()
}

// read a journal from an offset on, until ctx ends.
func (s *sources) read(ctx context.Context, journal string, from int64) error {
	for {
		err := s.readFrom(ctx, journal, from)
		jump, jumps := errors.AsType[*client.OffsetJumpError](err)
		if !jumps {
			return err
		}
		s.log.LogAttrs(ctx, slog.LevelWarn, "a source has lost what was not read of it", slog.String("journal", journal),
			slog.Int64("from", jump.From), slog.Int64("to", jump.To))
		from = jump.To
	}
}

func (s *sources) readFrom(ctx context.Context, journal string, from int64) error {
	reader := s.client.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: from, Block: true})
	defer reader.Close() //nolint:errcheck // it never fails
	it, err := s.iterate(journal, reader, from)
	if err != nil {
		return err
	}
	for {
		env, err := it.Next()
		if skip, is := errors.AsType[*message.SkippedError](err); is {
			if _, desync := errors.AsType[*message.DesyncError](err); desync {
				s.log.LogAttrs(ctx, slog.LevelWarn, "bytes of a source are no message", slog.Any("error", err))
				continue
			}
			env = message.Envelope{
				Journal: journal, Spec: s.specs[journal], Begin: skip.Range.Begin, End: skip.Range.End, Message: undecodable{skip.Err},
			}
		} else if err != nil {
			return err
		}
		if err := s.queue.put(ctx, env); err != nil {
			return err
		}
	}
}

// iterate over what a reader has from an offset on.
func (s *sources) iterate(journal string, r message.Reader, from int64) (*message.Uncommitted, error) {
	cfg := message.IteratorConfig{Journal: journal, Spec: s.specs[journal], New: s.newOf, MaxFrame: maxFrame}
	if s.codecOf != nil {
		var err error
		if cfg.Codec, err = s.codecOf(cfg.Spec, from); err != nil {
			return nil, inApplication("NewCodec", err)
		}
	}
	return message.ReadUncommitted(r, cfg)
}

// replay is an iterator over a range of a journal that was read before.
type replay struct {
	message.Iterator

	close func() error
}

// replayOf a range.
func (s *sources) replayOf(ctx context.Context, r message.Range) (*replay, error) {
	if s.replays != nil {
		it, err := s.replays(r)
		if err != nil {
			return nil, err
		}
		out := &replay{Iterator: it, close: func() error { return nil }}
		if c, ok := it.(io.Closer); ok {
			out.close = c.Close
		}
		return out, nil
	}
	reader := s.client.NewReader(ctx, &protocol.ReadRequest{Journal: r.Journal, Offset: r.Begin, EndOffset: r.End, Block: true})
	it, err := s.iterate(r.Journal, reader, r.Begin)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return &replay{Iterator: it, close: reader.Close}, nil
}
