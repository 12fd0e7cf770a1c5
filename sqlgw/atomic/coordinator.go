package atomic

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/message"
)

// Errors that a Journals and a Records wrap.
var (
	// ErrLost: what was appended may be there, or come later.
	ErrLost = errors.New("it isn't known whether it was appended")
	// ErrGone: the journal isn't there any more.
	ErrGone = errors.New("the journal is gone")
)

// ErrUnknown is of a transaction that may be committed or not, as one. Any other error of Commit is of one that
// is rolled back.
var ErrUnknown = errors.New("it isn't known whether the transaction is committed")

// Span is where an append is.
type Span struct{ Begin, End int64 }

// Journals are appended to.
type Journals interface {
	// Append a body, which can be rewound: once; or, if it may be there several times, until it is known to be.
	Append(ctx context.Context, journal string, body io.ReadSeeker, repeat bool) (Span, error)
}

// Records is the journal of records.
type Records interface {
	// Add a line, once or more often. If settled isn't zero, it is what Span returns from then on.
	Add(ctx context.Context, line []byte, settled int64) (Span, error)
	// Span is up to where all records are settled, and the journal's end. Of one that isn't there both are 0.
	Span(ctx context.Context) (settled, end int64, err error)
	// Read a range.
	Read(ctx context.Context, begin, end int64) (io.ReadCloser, error)
}

// Config of a Coordinator. Journals, Records and Logger are needed.
type Config struct {
	Journals Journals
	Records  Records
	Logger   *slog.Logger
	// Patience is how long what decides about a transaction, and what follows, goes on after the caller has given up. Zero is 10 seconds.
	Patience time.Duration
	// Grace is how long a record is left to who wrote it, unless somebody reads its journals. Zero is 5 seconds.
	Grace time.Duration
}

// Validate tells what is missing.
func (c *Config) Validate() error {
	if c.Journals == nil || c.Records == nil || c.Logger == nil {
		return errors.New("atomic: Journals, Records and Logger are needed")
	}
	if c.Patience < 0 || c.Grace < 0 {
		return errors.New("atomic: Patience and Grace can't be negative")
	}
	return nil
}

// producer of transactions, of one at a time.
type producer struct {
	id     message.Producer
	ticker message.Ticker
}

// Coordinator commits transactions, and settles those that were committed. It is safe for concurrent use.
type Coordinator struct {
	cfg     Config
	reading chan struct{} // a token: who has it may read records

	mu        sync.Mutex
	begun     bool
	unsettled Unsettled
	flights   map[message.UUID]chan struct{} // closed when what is done about a transaction has ended
	idle      []*producer
}

// New returns a coordinator.
func New(cfg Config) (*Coordinator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	c := &Coordinator{cfg: cfg, reading: make(chan struct{}, 1), flights: map[message.UUID]chan struct{}{}}
	c.reading <- struct{}{}
	return c, nil
}

// Part of a transaction: lines for a journal, JSON objects without UUIDs, which can be rewound to their begin.
type Part struct {
	Journal string
	Lines   io.ReadSeeker
}

// Done is where a transaction went. Parts that aren't acknowledged yet have no end.
type Done struct {
	// Lines are where those of each part are; Ends are behind what acknowledges them.
	Lines []Span
	Ends  []int64
}

// Commit a transaction of one part at least, each of another journal. If the error is ErrUnknown, it may be committed;
// with any other it isn't, and won't be. It may be committed without being acknowledged everywhere: Settle does that.
func (c *Coordinator) Commit(ctx context.Context, parts []Part) (Done, error) {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Journal
	}
	r := run{
		c: c, ctx: ctx, parts: parts, machine: NewCommit(names), producer: c.take(),
		done: Done{Lines: make([]Span, len(parts)), Ends: make([]int64, len(parts))},
	}
	defer r.end()
	var first error
	for {
		act, journal := r.machine.Next()
		if act == Rest {
			break
		}
		err := r.do(act)
		r.machine.Report(outcomeOf(act, err))
		if err != nil && first == nil {
			first = fmt.Errorf("%s %s: %w", act, journal, err)
		}
	}
	switch r.machine.Fate() {
	case Committed:
		return r.done, nil
	case Unknown:
		return Done{}, fmt.Errorf("%w: %w", ErrUnknown, first)
	default:
		return Done{}, first
	}
}

func outcomeOf(act Act, err error) Outcome {
	switch {
	case err == nil, act == Acknowledge && errors.Is(err, ErrGone): // where there is no journal nothing is owed
		return Applied
	case errors.Is(err, ErrLost):
		return Lost
	default:
		return Refused
	}
}

// run is a commit that is made.
type run struct {
	c        *Coordinator
	ctx      context.Context //nolint:containedctx // of the one call that it is of
	parts    []Part
	machine  *Commit
	producer *producer
	last     message.Ticker // of the lines
	record   Record
	stop     context.CancelFunc // of what decides
	flight   chan struct{}
	at       int
	done     Done
}

// do an act.
func (r *run) do(act Act) error {
	switch act {
	case Publish:
		err := r.publish(r.at)
		r.at++
		return err
	case Store:
		r.at = 0
		return r.store()
	default:
		span, err := r.c.cfg.Journals.Append(r.ctx, r.parts[r.at].Journal, bytes.NewReader(r.record.Frame()), true)
		r.done.Ends[r.at] = span.End
		r.at++
		return err
	}
}

// publish the lines of a part.
func (r *run) publish(i int) error {
	lines := newStamped(r.parts[i].Lines, r.producer.id, r.producer.ticker)
	span, err := r.c.cfg.Journals.Append(r.ctx, r.parts[i].Journal, lines, false) // so that it is known where each line is
	r.done.Lines[i] = span
	if later(lines.ticker, r.last) {
		r.last = lines.ticker
	}
	return err
}

// later tells whether a ticker is ahead of another one.
func later(a, b message.Ticker) bool { return a.Tick() > b.Tick() }

// store the record. From here on the caller may give up, and it goes on for a while: what decides should be known.
func (r *run) store() error {
	if err := r.ctx.Err(); err != nil {
		return context.Cause(r.ctx)
	}
	r.ctx, r.stop = context.WithTimeout(context.WithoutCancel(r.ctx), r.c.cfg.Patience)
	r.producer.ticker = r.last
	for _, p := range r.parts {
		r.record.Journals = append(r.record.Journals, p.Journal)
	}
	r.record.Ack = message.NewUUID(r.producer.id, r.producer.ticker.Tick(), message.AckTxn)
	line, err := r.record.AppendLine(nil)
	if err != nil {
		return err
	}
	r.flight = r.c.expect(r.record)
	span, err := r.c.cfg.Records.Add(r.ctx, line, 0)
	if err == nil {
		r.c.learnOwn(r.record, span)
	}
	return err
}

// end of the commit, whatever became of it.
func (r *run) end() {
	if r.stop != nil {
		r.stop()
	}
	if r.machine.Reusable() {
		r.c.give(r.producer)
	}
	if r.flight == nil {
		return
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.machine.Finished() {
		r.c.unsettled.Acknowledged(r.record.Ack)
	} else {
		r.c.unsettled.Forget(r.record.Ack)
	}
	delete(r.c.flights, r.record.Ack)
	close(r.flight)
}

// take a producer that isn't in use.
func (c *Coordinator) take() *producer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var p *producer
	if n := len(c.idle); n > 0 {
		p, c.idle = c.idle[n-1], c.idle[:n-1]
	} else {
		p = &producer{id: message.NewProducer()}
	}
	p.ticker.Update(time.Now())
	return p
}

// give a producer back.
func (c *Coordinator) give(p *producer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, p)
}

func (c *Coordinator) expect(r Record) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsettled.Expect(r.Ack)
	done := make(chan struct{})
	c.flights[r.Ack] = done
	return done
}

// learnOwn record, if it is the next: it needn't be read then.
func (c *Coordinator) learnOwn(r Record, at Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun && c.unsettled.At() == at.Begin {
		c.unsettled.Learn(r, at.End, time.Now())
	}
}

// Settle what is committed by now and has lines in some journals: when it returns, each of these transactions is
// acknowledged in all of its journals.
func (c *Coordinator) Settle(ctx context.Context, journals []string) error {
	if err := c.catchUp(ctx); err != nil {
		return fmt.Errorf("journal of transactions: %w", err)
	}
	wanted := make(map[string]bool, len(journals))
	for _, j := range journals {
		wanted[j] = true
	}
	c.mu.Lock()
	owed := c.unsettled.Owed(wanted)
	c.mu.Unlock()
	return c.finishAll(ctx, owed)
}

// catchUp reads the records that there are by now.
func (c *Coordinator) catchUp(ctx context.Context) error {
	settled, head, err := c.cfg.Records.Span(ctx)
	if err != nil {
		return err
	}
	select {
	case <-c.reading:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { c.reading <- struct{}{} }()
	c.mu.Lock()
	if !c.begun {
		c.begun = true
		c.unsettled.Begin(settled)
	}
	at := c.unsettled.At()
	c.mu.Unlock()
	if at >= head {
		return nil
	}
	from, err := c.cfg.Records.Read(ctx, at, head)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	in := bufio.NewReader(from)
	for at < head {
		line, err := in.ReadBytes('\n')
		at += int64(len(line))
		if errors.Is(err, io.EOF) && at == head {
			return nil // the line goes on
		}
		if err != nil {
			return fmt.Errorf("at %d: %w", at, err)
		}
		if err := c.learn(ctx, line[:len(line)-1], at); err != nil {
			return fmt.Errorf("before %d: %w", at, err)
		}
	}
	return nil
}

// learn a line that was read. What is no record is passed over: somebody else wrote it.
func (c *Coordinator) learn(ctx context.Context, line []byte, end int64) error {
	r, err := ParseRecord(line)
	if errors.Is(err, ErrFormat) {
		return err
	}
	if err != nil {
		c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a line of the journal of transactions isn't a record", slog.Int64("end", end), slog.Any("error", err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case end <= c.unsettled.At(): // learnt meanwhile
	case err != nil:
		c.unsettled.Skip(end)
	default:
		c.unsettled.Learn(r, end, time.Now())
	}
	return nil
}

func (c *Coordinator) finishAll(ctx context.Context, owed []Record) error {
	for _, r := range owed {
		if err := c.finish(ctx, r); err != nil {
			return fmt.Errorf("acknowledge a transaction that is committed: %w", err)
		}
	}
	return nil
}

// finish a transaction, or wait until somebody else here has.
func (c *Coordinator) finish(ctx context.Context, r Record) error {
	for {
		c.mu.Lock()
		flight, busy := c.flights[r.Ack]
		if !busy {
			if !c.unsettled.Owes(r.Ack) {
				c.mu.Unlock()
				return nil
			}
			flight = make(chan struct{})
			c.flights[r.Ack] = flight
		}
		c.mu.Unlock()
		if !busy {
			return c.acknowledge(ctx, r, flight)
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// acknowledge a transaction in all of its journals.
func (c *Coordinator) acknowledge(ctx context.Context, r Record, flight chan struct{}) error {
	var err error
	for _, j := range r.Journals {
		if _, err = c.cfg.Journals.Append(ctx, j, bytes.NewReader(r.Frame()), true); err != nil && !errors.Is(err, ErrGone) {
			break
		}
		err = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.unsettled.Acknowledged(r.Ack)
	}
	delete(c.flights, r.Ack)
	close(flight)
	return err
}

// Run finishes what others have left, and writes checkpoints, until ctx is done; but not while it is idle, which is asked
// every second.
func (c *Coordinator) Run(ctx context.Context, busy func() bool) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	failing := false
	for {
		var err error
		if busy() {
			err = c.round(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "committed transactions can't be acknowledged for now", slog.Any("error", err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round does once what there is to do.
func (c *Coordinator) round(ctx context.Context) error {
	if err := c.catchUp(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	overdue := c.unsettled.Overdue(time.Now().Add(-c.cfg.Grace))
	c.mu.Unlock()
	if err := c.finishAll(ctx, overdue); err != nil {
		return err
	}
	c.mu.Lock()
	checkpoint, due := c.unsettled.Checkpoint()
	c.mu.Unlock()
	if !due {
		return nil
	}
	line, err := checkpoint.AppendLine(nil)
	if err == nil {
		_, err = c.cfg.Records.Add(ctx, line, checkpoint.Checkpoint)
	}
	return err
}
