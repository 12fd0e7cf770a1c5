package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/message"
)

// ErrUnacknowledged is of a message of a transaction to a journal in which the one before
// isn't acknowledged yet: Acknowledge must be called first.
var ErrUnacknowledged = errors.New("the transaction before isn't acknowledged")

// Mapping chooses the journal of a message.
type Mapping func(m message.Message) (mapping.Partition, error)

// Config of a Publisher. The zero value is ready.
type Config struct {
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// NewProducer makes producers; nil is message.NewProducer. The first is that of
	// messages that stand for themselves.
	NewProducer func() message.Producer
}

// Publisher publishes messages. Its methods may be called concurrently, but one
// transaction at a time: BuildAckIntents and Rollback are called while no
// PublishUncommitted is under way.
type Publisher struct {
	run    *async.Run
	cfg    Config
	single message.Producer

	mu     sync.Mutex
	ticker message.Ticker
	txn    message.Producer
	codecs map[string]message.Codec
	open   map[string]*journal // with messages of the transaction
	unsent map[string]bool     // with acknowledgements that Acknowledge wasn't called with
	writes uint64              // that were released, or are about to be
	last   map[string]write
	heads  map[string]int64
}

// write is one that was released, with its place among all: in each journal, that is the order of appends.
type write struct {
	*async.Future
	place uint64
}

// newest of two writes to a journal. Those who released them come to compare them in any
// order; but the outcome of the newest is known only if those before it have theirs.
func newest(a, b write) write {
	if a.place > b.place {
		return a
	}
	return b
}

// journal that has messages of the transaction.
type journal struct {
	codec message.Codec
	ack   message.Message
	last  write
}

// New returns a publisher over a run, which should be used for nothing else.
func New(run *async.Run, cfg Config) *Publisher {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewProducer == nil {
		cfg.NewProducer = message.NewProducer
	}
	return &Publisher{
		run: run, cfg: cfg, single: cfg.NewProducer(), txn: cfg.NewProducer(),
		codecs: make(map[string]message.Codec), open: make(map[string]*journal), unsent: make(map[string]bool),
		last: make(map[string]write), heads: make(map[string]int64),
	}
}

// PublishCommitted appends a message that is committed once it is appended, which the
// future tells.
func (p *Publisher) PublishCommitted(ctx context.Context, to Mapping, m message.Message) (*async.Future, error) {
	part, codec, err := p.route(to, m)
	if err != nil {
		return nil, err
	}
	w, err := p.write(ctx, part.Journal, codec, m, message.OutsideTxn)
	return w.Future, err
}

// PublishUncommitted appends a message of the transaction. Its future need not be waited
// for: BuildAckIntents returns what must be.
func (p *Publisher) PublishUncommitted(ctx context.Context, to Mapping, m message.Message) (*async.Future, error) {
	part, codec, err := p.route(to, m)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	unsent := p.unsent[part.Journal]
	p.mu.Unlock()
	if unsent {
		return nil, fmt.Errorf("publish to %s: %w", part.Journal, ErrUnacknowledged)
	}
	w, err := p.write(ctx, part.Journal, codec, m, message.ContinueTxn)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if j := p.open[part.Journal]; j != nil {
		j.last = newest(j.last, w)
	} else {
		p.open[part.Journal] = &journal{codec: codec, ack: m.NewAcknowledgement(part.Journal), last: w}
	}
	return w.Future, nil
}

// route a message to its journal, and find how messages of that are encoded.
func (p *Publisher) route(to Mapping, m message.Message) (mapping.Partition, message.Codec, error) {
	part, err := to(m)
	if err != nil {
		return part, nil, fmt.Errorf("publish: map a message: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	codec := p.codecs[part.ContentType]
	if codec == nil {
		if codec, err = message.CodecOf(part.ContentType); err != nil {
			return part, nil, fmt.Errorf("publish to %s: %w", part.Journal, err)
		}
		p.codecs[part.ContentType] = codec
	}
	return part, codec, nil
}

// write a message. Between Start and Release no other write to the journal begins, so that
// clocks are in the order of the journal.
func (p *Publisher) write(ctx context.Context, to string, codec message.Codec, m message.Message, f message.Flags) (write, error) {
	w, err := p.run.Start(ctx, client.AppendParams{Journal: to})
	if err != nil {
		return write{}, fmt.Errorf("publish: %w", err)
	}
	defer w.Discard()
	m.SetUUID(p.uuid(f))
	frame, err := message.Encode(codec, nil, m)
	if err != nil {
		return write{}, fmt.Errorf("publish to %s: %w", to, err)
	}
	return p.release(w, to, frame)
}

// release a write of a frame. It has its place while no other to the journal can.
func (p *Publisher) release(w *async.Write, to string, frame []byte) (write, error) {
	if _, err := w.Write(frame); err != nil {
		return write{}, fmt.Errorf("publish: %w", err)
	}
	out := write{place: p.place()}
	var err error
	if out.Future, err = w.Release(); err != nil {
		return write{}, fmt.Errorf("publish: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(to)
	p.last[to] = newest(p.last[to], out)
	return out, nil
}

func (p *Publisher) place() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	return p.writes
}

func (p *Publisher) uuid(f message.Flags) message.UUID {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticker.Update(p.cfg.Now())
	producer := p.txn
	if f == message.OutsideTxn {
		producer = p.single
	}
	return message.NewUUID(producer, p.ticker.Tick(), f)
}

// BuildAckIntents ends the transaction. It returns its acknowledgements, by journal, and
// the appends of its messages: the transaction may be committed once all of them have
// succeeded. If it can't be, Rollback is called; else Acknowledge must be.
func (p *Publisher) BuildAckIntents() ([]message.AckIntent, []async.Operation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	intents, appends := make([]message.AckIntent, 0, len(p.open)), make([]async.Operation, 0, len(p.open))
	p.ticker.Update(p.cfg.Now())
	for _, name := range slices.Sorted(maps.Keys(p.open)) {
		j := p.open[name]
		j.ack.SetUUID(message.NewUUID(p.txn, p.ticker.Tick(), message.AckTxn))
		frame, err := message.Encode(j.codec, nil, j.ack)
		if err != nil {
			return nil, nil, fmt.Errorf("acknowledge in %s: %w", name, err)
		}
		intents, appends = append(intents, message.AckIntent{Journal: name, Frame: frame}), append(appends, j.last.Future)
	}
	for name := range p.open {
		p.unsent[name] = true
	}
	clear(p.open)
	return intents, appends, nil
}

// Acknowledge appends acknowledgements, once the operations that they wait for have
// succeeded: the transaction's commit. It doesn't wait itself, and so doesn't know the
// outcomes. If it fails, some may have been started; it may be called again.
//
// Those of a recovered transaction, whoever published it, are appended in the same way.
func (p *Publisher) Acknowledge(ctx context.Context, intents []message.AckIntent, waitFor ...async.Operation) ([]*async.Future, error) {
	out := make([]*async.Future, 0, len(intents))
	for _, intent := range intents {
		f, err := p.acknowledge(ctx, intent, waitFor)
		if err != nil {
			return out, fmt.Errorf("acknowledge in %s: %w", intent.Journal, err)
		}
		out = append(out, f)
	}
	return out, nil
}

func (p *Publisher) acknowledge(ctx context.Context, intent message.AckIntent, waitFor []async.Operation) (*async.Future, error) {
	w, err := p.run.Start(ctx, client.AppendParams{Journal: intent.Journal}, waitFor...)
	if err != nil {
		return nil, err
	}
	defer w.Discard()
	released, err := p.release(w, intent.Journal, intent.Frame)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.unsent, intent.Journal)
	return released.Future, nil
}

// Rollback gives up the transaction, and that whose acknowledgements Acknowledge wasn't
// called with. Nothing that was published of it is ever committed.
func (p *Publisher) Rollback() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.txn = p.cfg.NewProducer()
	clear(p.open)
	clear(p.unsent)
}

// WriteHeads are, of all journals that were published to, the offsets up to which what was
// published is known to be appended.
func (p *Publisher) WriteHeads() map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]int64, len(p.last))
	for name := range p.last {
		p.note(name)
		out[name] = p.heads[name]
	}
	return out
}

// note the outcome of the last append to a journal, if there is one.
func (p *Publisher) note(name string) {
	f := p.last[name]
	if f.Future == nil {
		return
	}
	select {
	case <-f.Done():
		_, end := f.Range()
		p.heads[name] = max(p.heads[name], end)
	default:
	}
}
