package async

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// Outcomes says what a run does about an append whose outcome is unknown.
type Outcomes int

const (
	// FailUnknown fails the append, with client.ErrUnknownOutcome: it may be applied, or
	// not, and is not repeated.
	FailUnknown Outcomes = iota
	// AtLeastOnce repeats the append until it certainly is applied: maybe more than
	// once. It is for content that readers can tell duplicates of, such as messages with
	// UUIDs.
	AtLeastOnce
)

// Run is one producer's sequence of writes to any journals. Its methods may be called
// concurrently, but the order of writes is only that of calls which follow one another.
// A run needs no end.
type Run struct {
	service  *Service
	outcomes Outcomes

	mu     sync.Mutex
	queues map[string]*queue // by journal, without meta, with appends, writes or a failure
}

// queue has the appends of a run to one journal.
//
// Invariants, under the run's mutex:
//   - appends are in the order of their writes; all but the last take no more writes.
//   - A task works on the first of them, and ends only when there is none.
//   - While there is a failure there are no appends, and none is added.
type queue struct {
	journal string
	// writing is a token: who holds it may have a write open, to the last append.
	writing chan struct{}
	users   int  // calls and writes that use the queue
	working bool // there is a task
	appends []*pending
	failure error
}

// pending is an append without an outcome.
type pending struct {
	params  client.AppendParams
	waitFor []Operation
	outcome *outcome
	body    body
	charged int64

	// Under the run's mutex:
	writes  int           // that were released
	open    chan struct{} // closed when the write that is open ends; it owns the body until then. nil if none is
	sealed  bool          // no more can join
	decided bool          // it has its outcome
}

// NewRun returns a run without failures.
func (s *Service) NewRun(o Outcomes) *Run {
	return &Run{service: s, outcomes: o, queues: make(map[string]*queue)}
}

// Start a write to a journal, of an append that waits for operations first. It waits
// itself, until the context ends, while another write to the journal isn't ended, or
// while the service holds its Limit: an operation that appends wait for must not need
// this call to return. The caller must Release or Discard the write, soon: it holds up
// the append, and other writes to the journal.
//
// If an append of the run to the journal has failed, Start returns a *NotAppliedError
// until Reset.
func (r *Run) Start(ctx context.Context, p client.AppendParams, waitFor ...Operation) (*Write, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := checkOperations(waitFor); err != nil {
		return nil, fmt.Errorf("append to %s: %w", p.Journal, err)
	}
	if err := r.service.budget.admit(ctx); err != nil {
		return nil, fmt.Errorf("append to %s: %w", p.Journal, err)
	}
	q := r.enter(p.Journal)
	select {
	case q.writing <- struct{}{}:
	case <-ctx.Done():
		r.leave(q)
		return nil, fmt.Errorf("append to %s: wait for another write: %w", p.Journal, context.Cause(ctx))
	}
	a, err := r.join(q, p, waitFor)
	if err != nil {
		<-q.writing
		r.leave(q)
		return nil, err
	}
	return &Write{run: r, queue: q, append: a, from: a.body.size()}, nil
}

func (r *Run) enter(journal string) *queue {
	journal, _ = protocol.SplitMeta(journal)
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queues[journal]
	if q == nil {
		q = &queue{journal: journal, writing: make(chan struct{}, 1)}
		r.queues[journal] = q
	}
	q.users++
	return q
}

func (r *Run) leave(q *queue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q.users--
	r.dropIfUnused(q)
}

func (r *Run) dropIfUnused(q *queue) {
	if q.users == 0 && !q.working && q.failure == nil {
		delete(r.queues, q.journal)
	}
}

// join the last append, or a new one. The caller holds the token.
func (r *Run) join(q *queue, p client.AppendParams, waitFor []Operation) (*pending, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.failure != nil {
		return nil, &NotAppliedError{Journal: q.journal, Reason: reasonEarlier, Cause: q.failure}
	}
	if n := len(q.appends); n != 0 && q.appends[n-1].takes(p, waitFor, r.service.cfg.CutOff) {
		q.appends[n-1].open = make(chan struct{})
		return q.appends[n-1], nil
	}
	a := &pending{
		params: p, waitFor: slices.Clone(waitFor), open: make(chan struct{}), charged: overhead,
		outcome: &outcome{journal: p.Journal, done: make(chan struct{})},
		body:    body{dir: r.service.cfg.Dir, bound: r.service.cfg.MemoryPerAppend, spilled: r.service.metrics.spills.Inc},
	}
	if !q.working {
		if err := r.service.spawn(q.journal, func(ctx context.Context) { r.work(ctx, q) }); err != nil {
			return nil, &NotAppliedError{Journal: q.journal, Reason: "it can't be begun", Cause: err}
		}
	}
	r.service.budget.charge()
	q.working, q.appends = true, append(q.appends, a)
	return a, nil
}

// takes reports whether a write may become part of the append.
func (a *pending) takes(p client.AppendParams, waitFor []Operation, cutOff int64) bool {
	same := a.params.Journal == p.Journal && a.params.Suspend == p.Suspend && proto.Equal(a.params.Check, p.Check) && (a.params.Check == nil) == (p.Check == nil)
	return !a.sealed && same && isPlain(a.params) && isPlain(p) && a.body.size() < cutOff && isSubset(waitFor, a.waitFor)
}

// isPlain reports whether an append makes no difference to the conditions of the next.
func isPlain(p client.AppendParams) bool { return p.Offset == 0 && p.Union == nil && p.Subtract == nil }

// work appends until the queue is empty, or has failed.
func (r *Run) work(ctx context.Context, q *queue) {
	for {
		r.mu.Lock()
		if len(q.appends) == 0 {
			q.working = false
			r.dropIfUnused(q)
			r.mu.Unlock()
			return
		}
		a := q.appends[0]
		r.mu.Unlock()
		response, err := r.perform(ctx, q, a)
		r.decide(q, a, response, err)
	}
}

// perform an append, once all that it waits for is done and it has no open write.
func (r *Run) perform(ctx context.Context, q *queue, a *pending) (*protocol.AppendResponse, error) {
	if err := await(ctx, a.waitFor); err != nil {
		return nil, &NotAppliedError{Journal: q.journal, Reason: reasonDependency, Cause: closedOr(ctx, err)}
	}
	writes, err := r.seal(ctx, q, a)
	if err != nil {
		return nil, err
	}
	if writes == 0 {
		return nil, nil //nolint:nilnil // all writes were discarded: nobody asks
	}
	r.service.metrics.appends.Inc()
	do := r.service.appender.Append
	if r.outcomes == AtLeastOnce {
		do = r.service.appender.AppendAtLeastOnce
	}
	response, err := do(ctx, a.params, a.body.reader())
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return response, err
}

// seal an append, wait for the write that is open to it, and return how many were released.
// A later write of the run, to another append, holds up nothing.
func (r *Run) seal(ctx context.Context, q *queue, a *pending) (int, error) {
	r.mu.Lock()
	a.sealed = true
	open := a.open
	r.mu.Unlock()
	if open != nil {
		select {
		case <-open:
		case <-ctx.Done():
			return 0, &NotAppliedError{Journal: q.journal, Reason: "it wasn't begun", Cause: ErrClosed}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return a.writes, nil
}

// closedOr returns ErrClosed if the service's context has ended, or err.
func closedOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

// decide the first append. If it failed, so have all that follow it.
func (r *Run) decide(q *queue, a *pending, response *protocol.AppendResponse, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.outcome.response, a.outcome.err = response, err
	decided := q.appends[:1]
	q.appends = q.appends[1:]
	if err != nil {
		decided = append(decided, q.appends...)
		q.appends, q.failure = nil, err
	}
	for i, d := range decided {
		if i != 0 {
			d.outcome.err = &NotAppliedError{Journal: q.journal, Reason: reasonEarlier, Cause: err}
		}
		d.sealed, d.decided = true, true
		if d.open == nil { // or its write frees it
			r.free(d)
		}
		close(d.outcome.done)
	}
}

// free what an append holds.
func (r *Run) free(a *pending) {
	a.body.free()
	a.waitFor = nil
	r.service.budget.give(a.charged)
	a.charged = 0
}

// Reset says that the failure of a journal was seen, and returns it; nil if there is none.
// The journal can be used by the run again.
func (r *Run) Reset(journal string) error {
	journal, _ = protocol.SplitMeta(journal)
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queues[journal]
	if q == nil {
		return nil
	}
	failure := q.failure
	q.failure = nil
	r.dropIfUnused(q)
	return failure
}

// Pending returns the futures of all appends of the run, but those to a journal, "" for none,
// that have writes which were released, and no outcome.
func (r *Run) Pending(except string) []Operation {
	except, _ = protocol.SplitMeta(except)
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Operation
	for journal, q := range r.queues {
		if journal == except {
			continue
		}
		for _, a := range q.appends {
			if a.writes != 0 {
				out = append(out, &Future{outcome: a.outcome})
			}
		}
	}
	return out
}

// Wait until every append that is pending has an outcome, and return the first error
// among them, or the failure of a journal.
func (r *Run) Wait(ctx context.Context) error {
	if err := await(ctx, r.Pending("")); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.queues {
		if q.failure != nil {
			return q.failure
		}
	}
	return nil
}
