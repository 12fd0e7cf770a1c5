package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// appendSource yields the messages of an append: its parameters, its content, an
// empty one to commit, then io.EOF.
type appendSource interface {
	Recv() (*protocol.AppendRequest, error)
}

// append drives the append state machine over the messages of a source. It holds
// nothing when it returns.
func (b *Broker) append(ctx context.Context, source appendSource) (*protocol.AppendResponse, error) {
	first, err := source.Recv()
	if err != nil {
		return nil, err
	}
	d := appendDriver{
		broker: b,
		source: source,
		fsm:    newAppendFSM(first),
		body:   newBody(b.gatherDir, b.cfg.GatherMemory, b.gather),
	}
	defer d.close()
	for d.fsm.step != stepDone {
		d.do(ctx)
	}
	return d.fsm.response, d.fsm.err
}

// appendDriver has what one append holds.
type appendDriver struct {
	broker *Broker
	source appendSource
	fsm    *appendFSM
	body   *body

	message *protocol.AppendRequest // last one received
	replay  *replaySource           // the source, once the append was forwarded; or nil
	pace    pace
	patient context.Context    //nolint:containedctx // of waiting for the allocator; nil before that
	hasten  context.CancelFunc // ends it
}

// do what the next step asks for.
func (d *appendDriver) do(ctx context.Context) {
	f := d.fsm
	switch f.step {
	case stepResolve:
		f.onResolved(d.broker.resolve(ctx, resolveParams{
			journal: f.req.GetJournal(), header: f.req.GetHeader(), revision: f.revision, append: true,
		}))
	case stepResume:
		f.onCommitted(d.broker.resumeFull(ctx, f.resolved))
	case stepAwaitAllocator:
		f.onAllocated(d.awaitAllocator(ctx))
	case stepAwaitRoute:
		f.onRouted(d.awaitRoute(ctx))
	case stepProxy:
		f.onProxied(d.proxy(ctx))
	case stepReceive:
		f.onMessage(d.receive())
	case stepGather:
		f.onGathered(d.gather(ctx))
	case stepAwaitIndex:
		f.onIndex(d.awaitStores(ctx))
	case stepBarrier:
		f.onBarrier(f.resolved.replica.barrier(d.ticket()))
	case stepCommit:
		f.onCommitted(f.resolved.replica.commit(ctx, d.ticket()))
	case stepDone:
	}
}

// awaitStores waits until the stores were listed, and for content until the first of them is healthy: so
// that nothing is taken which couldn't be stored. Who asks for the head alone isn't held up by that.
func (d *appendDriver) awaitStores(ctx context.Context) error {
	if err := d.fsm.resolved.replica.awaitIndex(ctx); err != nil || d.fsm.size == 0 {
		return err
	}
	return d.broker.awaitHealthy(ctx, d.fsm.resolved.spec)
}

// receive the next message of a client that is fast enough.
func (d *appendDriver) receive() (*protocol.AppendRequest, error) {
	began := time.Now()
	m, err := d.source.Recv()
	if err == nil && len(m.GetContent()) > 0 {
		err = d.pace.received(len(m.GetContent()), time.Since(began), d.broker.cfg.MinAppendRate)
	}
	d.message = m
	return m, err
}

// gather the content of a message, once the journal's rate allows it. It tells whether that took time.
func (d *appendDriver) gather(ctx context.Context) (bool, error) {
	r, content := d.fsm.resolved.replica, d.message.GetContent()
	delay, err := r.throttle(ctx, d.broker.cfg.appendRate(d.fsm.resolved.spec.GetMaxAppendRate()), int64(len(content)))
	if err == nil {
		if err = d.broker.disk.failed(d.body.write(content, true)); err != nil {
			err = &notAppliedError{err: err}
		}
	}
	return delay, err
}

// throttle waits until so many bytes may be taken, unless the replica is given up before: then the append
// goes elsewhere. It tells whether it waited.
func (r *replica) throttle(ctx context.Context, perSec, n int64) (bool, error) {
	delay := r.rate.take(r.env.now(), perSec, n)
	if delay == 0 {
		return false, nil
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.closed:
	case <-ctx.Done():
		r.rate.giveBack(n) // Or who goes away would hold up all others for it.
		return true, context.Cause(ctx)
	}
	return true, nil
}

// resumePatience bounds how long an append that has resumed a journal waits for its brokers.
const resumePatience = 10 * time.Second

// awaitAllocator waits for etcd to be seen at the next revision, in all for resumePatience, and tells whether
// that was in time.
func (d *appendDriver) awaitAllocator(ctx context.Context) (bool, error) {
	d.bePatient(ctx, resumePatience)
	_, err := d.broker.rosterAt(d.patient, d.fsm.revision)
	if d.patient.Err() != nil && ctx.Err() == nil {
		return false, nil
	}
	return true, err
}

// routePatience bounds how long an append waits, in all, for brokers with which it can be applied.
const routePatience = 10 * time.Second

// awaitRoute waits for etcd to be seen at the next revision, or for the machine's pause, in all for
// routePatience, and tells whether that was in time.
func (d *appendDriver) awaitRoute(ctx context.Context) (bool, error) {
	d.bePatient(ctx, routePatience)
	bound, cancel := context.WithTimeout(d.patient, d.fsm.pause)
	defer cancel()
	_, err := d.broker.rosterAt(bound, d.fsm.revision)
	switch {
	case err == nil:
	case ctx.Err() != nil || errors.Is(err, errStopping):
		return false, err
	case d.patient.Err() != nil:
		d.broker.log.LogAttrs(ctx, slog.LevelWarn, "append has waited in vain for the journal's brokers", slog.String("journal", d.fsm.req.GetJournal()),
			slog.Any("error", d.fsm.blocked))
		return false, nil
	default:
		d.fsm.revision = 0 // The pause is over.
	}
	return true, nil
}

// bePatient begins to count for how long the append waits.
func (d *appendDriver) bePatient(ctx context.Context, patience time.Duration) {
	if d.patient == nil {
		d.patient, d.hasten = context.WithTimeout(ctx, patience)
	}
}

// proxy forwards the append to the primary. It tells whether it can be sent to another, which it wasn't
// applied by.
func (d *appendDriver) proxy(ctx context.Context) (*protocol.AppendResponse, bool, error) {
	var source rewindable = d.replay
	if d.fsm.gathered {
		source = newBodySource(d.body)
	} else if d.replay == nil {
		d.replay = &replaySource{source: d.source, budget: d.broker.gather, limit: d.broker.cfg.GatherMemory}
		d.source, source = d.replay, d.replay
	}
	r, committed, err := d.broker.proxyAppend(ctx, d.fsm.resolved, d.fsm.req, source)
	again := source.rewind() && (err == nil || !committed)
	return r, again, err
}

func (d *appendDriver) close() {
	d.body.close()
	if d.replay != nil {
		d.replay.close()
	}
	if d.hasten != nil {
		d.hasten()
	}
}

// ticket of the append, for its turn.
func (d *appendDriver) ticket() *ticket {
	t := d.fsm.ticket()
	t.sum = d.body.digest()
	t.small, t.content = d.body.content()
	return t
}

// barrier answers with the head, if this broker is the only member of the journal's epoch: what
// it has acknowledged is all there is. What isn't OK is decided with the tenure in hand.
//
// The index is looked at before the head, which moves first: an index that is ahead would have the append
// refused, as if the stores had more than the journal.
func (r *replica) barrier(t *ticket) outcome {
	v := r.head()
	h, e := r.acked.Load(), r.env.entry(r.id)
	if h == nil || e == nil || r.missing.Load() != nil {
		return outcome{again: true}
	}
	if !h.sole || len(e.route.GetMembers()) != 1 || !r.isPrimary(e) || !r.accepts(h.epoch) {
		return outcome{again: true}
	}
	v.end, v.registers, v.codec = h.end, h.registers, h.codec
	if newGroup(v).add(t) != rulingJoined || t.result.response.GetStatus() != protocol.Status_OK {
		return outcome{again: true}
	}
	if !r.env.leaseIsValid() {
		return outcome{err: status.Error(codes.Unavailable, fmt.Sprintf("journal %s: the lease of this broker has run out", r.id.Journal))}
	}
	return t.result
}
