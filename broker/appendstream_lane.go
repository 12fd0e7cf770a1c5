package broker

import (
	"context"
	"slices"
	"time"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// lane has the appends of a stream to one journal, whatever their runs: they are applied, and
// answered, in the order in which they came. A task runs it while it has appends that wait.
//
// Invariant: no append is applied before one that came earlier, and no result is told before that of
// one that came earlier: of flying, which are in order, only the first is answered.
type lane struct {
	journal string

	// Of the task that runs it.
	roster *roster    // at which it was resolved; nil if it is to be
	found  resolution // of the primary, if it is here
	seen   int64      // revision of etcd that it was found at
	proxy  *laneProxy // to the primary elsewhere; or nil

	// Under appendStream.mu.
	runs     int             // handles that are open to it
	queue    []*streamAppend // that wait
	flying   []*streamAppend // that were given away, in order
	retry    []*streamAppend // that are to be resolved again, in order
	attempt  *attempt
	revision int64 // at which to resolve
	resumed  bool
	blocked  error // why it has to wait for another route; nil once it hasn't
	pause    time.Duration
	until    time.Time // for how long it waits for that
	running  bool
	header   *protocol.Header // of results
}

// enter a run into its lane, and let the one before it on its handle go.
func (s *appendStream) enter(begun, before *streamRun) {
	name, _ := protocol.SplitMeta(begun.open.GetJournal())
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	if l == nil {
		l = &lane{journal: name, attempt: new(attempt)}
		s.lanes[name] = l
	}
	l.runs++
	l.revision = max(l.revision, begun.open.GetMinEtcdRevision(), begun.open.GetHeader().GetEtcd().GetRevision())
	begun.lane = l
	if before != nil {
		before.lane.runs--
		s.retire(before.lane)
	}
}

// retire a lane that no handle is open to, once it is idle; with mu held.
func (s *appendStream) retire(l *lane) {
	if l.runs > 0 || l.running || len(l.queue) > 0 || len(l.flying) > 0 {
		return
	}
	delete(s.lanes, l.journal)
	if l.proxy != nil {
		l.proxy.end()
		l.proxy = nil
		s.proxies--
	}
}

// enqueue appends in their lanes.
func (s *appendStream) enqueue(appends []*streamAppend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range appends {
		a.of.lane.queue = append(a.of.lane.queue, a)
		s.start(a.of.lane)
	}
}

// start the task of a lane that has something to do; with mu held.
func (s *appendStream) start(l *lane) {
	if l.running || len(l.queue) == 0 || l.attempt.stopped.Load() {
		return
	}
	l.running = true
	s.group.Go("append "+l.journal, func(ctx context.Context) error {
		for {
			batch, attempt := s.next(l)
			if len(batch) == 0 {
				return nil
			}
			s.dispatch(ctx, l, batch, attempt)
		}
	})
}

// next appends of a lane; none if its task is to end.
func (s *appendStream) next(l *lane) ([]*streamAppend, *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.queue) == 0 || l.attempt.stopped.Load() {
		l.running = false
		s.retire(l)
		return nil, nil
	}
	batch := l.queue
	l.queue = nil
	l.flying = append(l.flying, batch...)
	return batch, l.attempt
}

// dispatch appends to who is their journal's primary.
func (s *appendStream) dispatch(ctx context.Context, l *lane, batch []*streamAppend, t *attempt) {
	for len(batch) > 0 {
		// Each run says for itself whether it may be forwarded.
		n := 1
		for n < len(batch) && sameTerms(batch[0].of.open, batch[n].of.open) {
			n++
		}
		s.dispatchAlike(ctx, l, batch[:n], t)
		batch = batch[n:]
	}
}

func sameTerms(a, b *streaming.AppendStreamRequest_Open) bool {
	return a == b || a.GetDoNotProxy() == b.GetDoNotProxy() && (a.GetHeader() == nil) == (b.GetHeader() == nil)
}

func (s *appendStream) dispatchAlike(ctx context.Context, l *lane, batch []*streamAppend, t *attempt) {
	f := s.resolve(ctx, l, batch[0].of.open)
	if f.step == stepProxy {
		s.forward(ctx, l, f.resolved, batch)
		return
	}
	if f.step == stepDone {
		s.refuse(batch, outcome{response: f.response, err: f.err})
		return
	}
	r, size := f.resolved.replica, int64(0)
	for _, a := range batch {
		size += a.size
	}
	if size > 0 {
		// As Append does, nothing is taken that couldn't be stored.
		if err := s.broker.awaitHealthy(ctx, f.resolved.spec); err != nil {
			f.gathered = true
			f.onIndex(err)
			s.refuse(batch, outcome{response: f.response, err: f.err})
			return
		}
	}
	if _, err := r.throttle(ctx, s.broker.cfg.appendRate(f.resolved.spec.GetMaxAppendRate()), size); err != nil {
		s.refuse(batch, outcome{err: err})
		return
	}
	tickets := make([]*ticket, 0, len(batch))
	for _, a := range batch {
		a.spec, a.attempt = f.resolved.spec, t
		tickets = append(tickets, &a.ticket)
	}
	r.queue.push(tickets...)
	groups, p := r.dispatch(ctx, tickets)
	if len(groups) == 0 {
		return
	}
	forDisk := r.env.mode == spool.Synced || slices.ContainsFunc(groups, func(g *sentGroup) bool { return g.synced })
	if len(p.peers) == 0 && !forDisk {
		r.settleAll(groups, p) // There is nothing to wait for.
		return
	}
	s.group.Go("settle "+l.journal, func(context.Context) error {
		r.settleAll(groups, p)
		return nil
	})
}

// resolve the primary of a lane's journal, unless nothing has changed since it was. The machine that
// is returned is at stepCommit, stepProxy or stepDone.
func (s *appendStream) resolve(ctx context.Context, l *lane, o *streaming.AppendStreamRequest_Open) *appendFSM {
	s.mu.Lock()
	revision, resumed, blocked, pause, until := l.revision, l.resumed, l.blocked, l.pause, l.until
	l.resumed = false
	s.mu.Unlock()
	if now := s.broker.roster.Load(); blocked == nil && l.roster == now && now.view.Revision() >= revision && !l.found.replica.isClosed() {
		return &appendFSM{step: stepCommit, resolved: l.found}
	}
	d := appendDriver{broker: s.broker, fsm: newAppendFSM(&protocol.AppendRequest{
		Journal: o.GetJournal(), Header: o.GetHeader(), DoNotProxy: o.GetDoNotProxy(), MinEtcdRevision: revision,
	}), body: new(body)}
	d.body.budget = s.broker.gather
	defer d.close()
	d.fsm.resumed = resumed
	if blocked != nil && d.fsm.step == stepResolve {
		d.patient, d.hasten = context.WithDeadline(ctx, until)
		d.fsm.step, d.fsm.blocked, d.fsm.pause, d.fsm.revision = stepAwaitRoute, blocked, pause, max(revision, l.seen+1)
	}
	l.roster = nil
	for {
		f := d.fsm
		switch f.step {
		case stepDone, stepProxy:
			s.noteHeader(l, f.resolved.header)
			return f
		case stepReceive: // It is the primary.
			f.gathered, f.step = true, stepAwaitIndex
		case stepBarrier, stepCommit:
			l.dropProxy(s)
			f.step = stepCommit
			s.noteHeader(l, f.resolved.header)
			l.found, l.seen = f.resolved, f.resolved.header.GetEtcd().GetRevision()
			if now := s.broker.roster.Load(); now.state == f.resolved.header.GetEtcd() {
				l.roster = now
			}
			return f
		default:
			f.gathered = f.gathered && f.step != stepResolve // It may have to be forwarded.
			d.do(ctx)
		}
	}
}

func (s *appendStream) noteHeader(l *lane, h *protocol.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h != nil {
		l.header = h
	}
}

// refuse appends: the first of each run has an outcome, and those after it aren't applied.
func (s *appendStream) refuse(batch []*streamAppend, o outcome) {
	for _, a := range batch {
		if a.run.failed.Swap(true) {
			a.complete(outcome{notApplied: true})
		} else {
			a.complete(o)
		}
	}
}

// finished is called once an append has its outcome.
func (s *appendStream) finished(a *streamAppend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.done = true
	l := a.of.lane
	for len(l.flying) > 0 && l.flying[0].done {
		first := l.flying[0]
		l.flying = l.flying[1:]
		o := first.result
		if o.again || len(l.retry) > 0 {
			// What came after it isn't applied either, and is told after it.
			l.retry = append(l.retry, first)
			l.revision, l.resumed = max(l.revision, o.revision), l.resumed || o.resumed
			if o.blocked != nil {
				if l.blocked == nil {
					l.until = time.Now().Add(routePatience)
				}
				l.blocked, l.pause = o.blocked, o.pause
			}
			continue
		}
		l.blocked = nil
		s.answer(first)
	}
	if len(l.flying) > 0 {
		return
	}
	if len(l.retry) > 0 {
		for _, a := range l.retry {
			a.done, a.result, a.proxied = false, outcome{}, nil
		}
		l.queue = slices.Concat(l.retry, l.queue)
		l.retry, l.attempt = nil, new(attempt)
	}
	s.start(l)
	s.retire(l)
}
