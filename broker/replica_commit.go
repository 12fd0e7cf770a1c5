package broker

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// replicateChunk is how much content a message to a peer has at the most.
const replicateChunk = 256 << 10

// commit an append, together with those that wait when its turn comes. It returns once the
// outcome is known; ctx ends it only while it waits.
func (r *replica) commit(ctx context.Context, t *ticket) outcome {
	t.finished = make(chan struct{})
	r.queue.push(t)
	select {
	case <-t.finished:
	case n := <-r.tenure:
		r.settleAll(r.lead(n))
	case <-r.closed:
		if r.queue.remove(t) {
			return outcome{again: true}
		}
	case <-ctx.Done():
		if r.queue.remove(t) {
			return outcome{err: context.Cause(ctx)}
		}
	}
	<-t.finished // By whoever took it.
	return t.result
}

// dispatch has appends that are in the queue led, with all that wait there, and returns what is to be
// settled. It is for streams, which settle beside. Those that nobody took have their outcome when it returns.
func (r *replica) dispatch(ctx context.Context, tickets []*ticket) ([]*sentGroup, *pipeline) {
	select {
	case n := <-r.tenure:
		return r.lead(n)
	case <-r.closed:
		for _, t := range tickets {
			if r.queue.remove(t) {
				t.complete(outcome{again: true})
			}
		}
	case <-ctx.Done():
		for _, t := range tickets {
			if r.queue.remove(t) {
				t.complete(outcome{err: context.Cause(ctx)})
			}
		}
	}
	return nil, nil
}

// lead decides about all appends that wait and sends them, and gives the tenure back. It
// returns the groups that are to be settled by the caller, and their pipeline.
func (r *replica) lead(n *tenure) ([]*sentGroup, *pipeline) {
	defer r.release(n)
	tickets := r.queue.take()
	if len(tickets) == 0 {
		return nil, nil
	}
	if err := r.ensureSynced(n); err != nil {
		r.failSync(n, tickets, err)
		return nil, nil
	}
	l := leader{replica: r, tenure: n, pipeline: n.pipeline}
	if len(l.pipeline.peers) > 0 {
		defer r.holdFor(holder{end: l.pipeline.cancel})() // A peer that hangs keeps nobody from the tenure.
	}
	l.run(tickets)
	return l.sent, l.pipeline
}

// leader sends the groups that a row of appends makes.
type leader struct {
	replica  *replica
	tenure   *tenure
	pipeline *pipeline
	sent     []*sentGroup
}

// run until all are sent. If that fails on the way, the rest has to be resolved again.
func (l *leader) run(tickets []*ticket) {
	g := newGroup(l.replica.head())
	for i := 0; i < len(tickets); {
		t := tickets[i]
		v := g.add(t)
		if v == rulingJoined {
			i++
			continue
		}
		if len(g.tickets) > 0 {
			if !l.send(g) {
				l.giveUp(tickets[i:])
				return
			}
			g = newGroup(l.replica.head())
			continue
		}
		if o, done := l.prepare(v, t); done {
			if t.run != nil && !o.again {
				t.run.failed.Store(true)
			}
			t.complete(o)
			i++
		}
		if l.pipeline != l.tenure.pipeline || l.pipeline.failure() != nil {
			l.giveUp(tickets[i:])
			return
		}
		g = newGroup(l.replica.head())
	}
	if len(g.tickets) > 0 {
		l.send(g)
	}
}

// giveUp what isn't sent: the journal is to be resolved again.
func (l *leader) giveUp(rest []*ticket) {
	for _, t := range rest {
		if t.run != nil && t.run.failed.Load() {
			t.complete(outcome{notApplied: true})
			continue
		}
		t.complete(outcome{again: true})
	}
}

// send writes a group here and sends it to all peers; false if that failed, and the group with it.
func (l *leader) send(g *group) bool {
	r, p := l.replica, l.pipeline
	s := &sentGroup{group: g, asked: len(p.peers) > 0}
	err := l.write(s)
	if err == nil && p.enqueue(s) {
		p.last = s
		l.sent = append(l.sent, s)
		return true
	}
	cause := err
	if nothing, ok := errors.AsType[*notAppliedError](err); ok {
		cause = nothing.err // Of this group alone: others are on their way.
	}
	if err == nil {
		err = p.failure()
	} else {
		r.failPipeline(p, cause)
	}
	r.completeFailed(s, err)
	return false
}

// rollBack what was written of a group that failed. If that is possible nobody has any of it: it was proposed to
// no peer, and the spool doesn't have it.
func (r *replica) rollBack(err error) error {
	if rollback := r.spool.Rollback(); rollback != nil {
		return errors.Join(err, r.diskFailed(rollback))
	}
	return &notAppliedError{err: err}
}

// write the contents of a group to the spool and to the peers. The error is a *notAppliedError if nothing
// of the group can come back.
func (l *leader) write(s *sentGroup) error {
	r, p := l.replica, l.pipeline
	content := groupContent{writes: s.writes, pool: r.env.chunks}
	var last mem.Buffer = mem.SliceBuffer(nil) // goes with the proposal
	for content.more() {
		chunk, err := content.chunk()
		if err != nil {
			return r.rollBack(fmt.Errorf("journal %s: %w", r.id.Journal, err))
		}
		last = chunk
		if err = r.writeSpool(chunk.ReadOnlyData()); err == nil && content.more() {
			err = p.sendContent(chunk, r.spool.Delta()-int64(chunk.Len()))
		}
		if err != nil || content.more() {
			chunk.Free() // Streams have references of their own.
		}
		if err != nil {
			return r.rollBack(err)
		}
	}
	defer last.Free()
	delta := r.spool.Delta()
	var registers *protocol.LabelSet
	if s.changed {
		registers = s.head.registers
	}
	commit, err := r.spool.Commit(registers)
	if err != nil {
		return r.rollBack(r.diskFailed(fmt.Errorf("journal %s: append to its spool: %w", r.id.Journal, err)))
	}
	s.commit = commit
	if !s.asked {
		return nil
	}
	return p.propose(r, s, last, delta-int64(last.Len()))
}

func (r *replica) writeSpool(p []byte) error {
	if err := r.spool.Write(p); err != nil {
		return r.diskFailed(fmt.Errorf("journal %s: append to its spool: %w", r.id.Journal, err))
	}
	return nil
}

// sendContent to all peers.
func (p *pipeline) sendContent(content mem.Buffer, delta int64) error {
	if len(p.peers) == 0 {
		return nil
	}
	return p.send(&protocol.ReplicateRequest{ContentDelta: delta}, content)
}

// propose the spool's fragment, of which a group is the end, with the last of its content, to all peers.
func (p *pipeline) propose(r *replica, g *sentGroup, content mem.Buffer, delta int64) error {
	state := r.spool.State()
	p.told = state.Watermark
	req := &protocol.ReplicateRequest{
		Proposal: proposal(r.id.Journal, state), Registers: state.Registers, Acknowledge: true, Watermark: state.Watermark,
		Synced: g.synced,
	}
	if content.Len() > 0 {
		req.ContentDelta = delta
	}
	return p.send(req, content)
}

// proposal that a spool's open fragment is.
func proposal(journal string, s spool.State) *protocol.Fragment {
	f := &protocol.Fragment{Journal: journal, Begin: s.Begin, End: s.End, CompressionCodec: s.Codec, Sum: new(protocol.SHA1Sum)}
	if s.End > s.Begin {
		f.Sum = protocol.SumFromDigest(s.Sum)
	}
	return f
}

// groupContent yields the contents of a group in chunks.
type groupContent struct {
	writes []*ticket
	pool   *chunkPool
	reader io.Reader // of the write that is too large for memory
	left   int64     // of reader
}

// more tells whether another chunk follows.
func (c *groupContent) more() bool { return c.left > 0 || len(c.writes) > 0 }

// chunk returns the next, which the caller frees. There has to be more. What an append holds in
// memory is never changed, and so may stay with a stream for longer than the append does.
func (c *groupContent) chunk() (mem.Buffer, error) {
	switch {
	case c.left > 0:
		return c.fromReader()
	case c.writes[0].small == nil:
		t := c.writes[0]
		c.writes, c.reader, c.left = c.writes[1:], t.content, t.size
		return c.fromReader()
	case len(c.writes) == 1 || len(c.writes[0].small) >= replicateChunk/4:
		small := c.writes[0].small
		c.writes = c.writes[1:]
		return mem.SliceBuffer(small), nil
	}
	buf := c.pool.Get(0)
	for len(c.writes) > 0 && c.writes[0].small != nil && len(*buf)+len(c.writes[0].small) <= replicateChunk {
		*buf = append(*buf, c.writes[0].small...)
		c.writes = c.writes[1:]
	}
	return mem.NewBuffer(buf, c.pool), nil
}

func (c *groupContent) fromReader() (mem.Buffer, error) {
	buf := c.pool.Get(int(min(c.left, replicateChunk)))
	if _, err := io.ReadFull(c.reader, *buf); err != nil {
		c.pool.Put(buf)
		return nil, status.Errorf(codes.Internal, "read the gathered append: %s", err)
	}
	c.left -= int64(len(*buf))
	return mem.NewBuffer(buf, c.pool), nil
}

// settleAll settles the groups of a pipeline.
func (r *replica) settleAll(groups []*sentGroup, p *pipeline) {
	for _, g := range groups {
		r.settle(p, g)
	}
	if p != nil && len(p.peers) > 0 {
		r.tellWatermark(p)
	}
}

// settle returns once the group has its outcome. It doesn't end early: while a client may have gone, the
// bytes stay.
func (r *replica) settle(p *pipeline, g *sentGroup) {
	select {
	case <-g.done:
		return
	case p.settling <- struct{}{}:
	}
	defer func() { <-p.settling }()
	for !isClosed(g.done) {
		next := p.next()
		if next == nil {
			<-g.done // The pipeline failed, and somebody is about to say so.
			return
		}
		if err := r.await(p, next); err != nil {
			r.failPipeline(p, err)
			continue
		}
		if p.settled(next) {
			r.complete(next)
		}
	}
}

// await until every member has the group, and what was before it.
func (r *replica) await(p *pipeline, g *sentGroup) error {
	if err := awaitDurable(context.Background(), g.commit, g.synced); err != nil {
		return r.diskFailed(fmt.Errorf("journal %s: append up to offset %d: %w", r.id.Journal, g.head.end, err))
	}
	if g.asked {
		if err := p.receive(); err != nil {
			return err
		}
	}
	if !r.env.leaseIsValid() {
		return status.Error(codes.Unavailable, fmt.Sprintf("journal %s: the lease of this broker has run out", r.id.Journal))
	}
	return r.diskFailed(r.acknowledge(&ackedHead{end: g.head.end, registers: g.head.registers, codec: g.head.codec, epoch: p.epoch.Number, sole: len(p.peers) == 0}))
}

// awaitDurable waits until a commit is as durable here as the mode, or who appends, asks for.
func awaitDurable(ctx context.Context, c *spool.Commit, synced bool) error {
	if synced {
		return c.Synced(ctx)
	}
	return c.Durable(ctx)
}

// complete a group that every member has.
func (r *replica) complete(g *sentGroup) {
	close(g.done)
	for _, t := range g.tickets {
		t.complete(t.result)
	}
}

// failPipeline ends a pipeline with all that is on its way.
func (r *replica) failPipeline(p *pipeline, err error) {
	for _, g := range p.fail(err) {
		r.completeFailed(g, err)
	}
}

// completeFailed completes a group of which it isn't known who has it, unless the error is that nobody has. What
// only rested on others is to be decided again.
func (r *replica) completeFailed(g *sentGroup, err error) {
	g.failRuns()
	g.err = err
	close(g.done)
	for _, t := range g.tickets {
		o := outcome{again: true}
		begin, end, written := t.result.written(t)
		_, nothing := errors.AsType[*notAppliedError](err)
		switch {
		case t.result.notApplied, t.result.again:
			o = t.result
		case written && nothing:
			o = outcome{err: err}
		case written:
			o = outcome{err: unknownError(t.spec.GetName(), begin, end, err), unknown: true}
		case t.run != nil:
			o = outcome{err: err}
		}
		t.complete(o)
	}
}

// tellWatermark tells peers how far all members are, if nothing is about to follow that would (R8).
func (r *replica) tellWatermark(p *pipeline) {
	if !p.idle() {
		return
	}
	select {
	case n := <-r.tenure:
		defer r.release(n)
		if w := r.spool.State().Watermark; n.pipeline == p && p.failure() == nil && p.idle() && w > p.told {
			p.told = w
			if err := p.send(&protocol.ReplicateRequest{Watermark: w}, nil); err != nil {
				r.failPipeline(p, err)
			}
		}
	default: // Whoever has it sends more, and then comes here.
	}
}

// drain waits, with the tenure in hand, until all that was sent is acknowledged.
func (r *replica) drain(p *pipeline) error {
	if p.last != nil {
		r.settle(p, p.last)
	}
	return p.failure()
}
