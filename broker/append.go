package broker

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/fragments/spool"
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
		body:   body{dir: b.gatherDir, limit: b.cfg.GatherMemory, budget: b.gather},
	}
	defer d.body.close()
	for d.fsm.step != stepDone {
		d.do(ctx)
		if d.pipeline != nil && !d.fsm.step.holdsPipeline() {
			d.rests = d.pipeline.last
			d.replica().release(d.pipeline)
			d.pipeline = nil
		}
	}
	return d.fsm.response, d.fsm.err
}

// appendDriver has what one append holds.
type appendDriver struct {
	broker *Broker
	source appendSource
	fsm    *appendFSM
	body   body

	message  *protocol.AppendRequest // last one received
	pipeline *pipeline               // nil unless it is ours
	rests    *spool.Commit           // newest append when the pipeline was given back
}

func (d *appendDriver) replica() *replica { return d.fsm.resolved.replica }

// do what the next step asks for.
func (d *appendDriver) do(ctx context.Context) {
	f := d.fsm
	switch f.step {
	case stepResolve:
		f.onResolved(d.broker.resolve(ctx, resolveParams{
			journal: f.req.GetJournal(), header: f.req.GetHeader(), revision: f.revision, append: true,
		}))
	case stepReceive:
		var err error
		d.message, err = d.source.Recv()
		f.onMessage(d.message, err)
	case stepGather:
		f.onGathered(localError(d.body.write(d.message.GetContent(), true)))
	case stepAwaitIndex:
		f.onIndex(d.replica().awaitIndex(ctx))
	case stepBarrier:
		f.onView(d.replica().durableHead(), d.checkLease())
	case stepAcquire:
		d.acquire(ctx)
	case stepRoll:
		f.onRolled(d.replica().roll())
	case stepWrite:
		f.onWritten(d.replica().write(d.pipeline, &d.body, f.registers))
	case stepSettle:
		f.onSettled(d.settle(ctx))
	case stepDone:
	}
}

func (d *appendDriver) acquire(ctx context.Context) {
	p, err := d.replica().acquire(ctx)
	if err != nil {
		d.fsm.onView(headView{}, err)
		return
	}
	d.pipeline = p
	d.fsm.onView(d.replica().head(), nil)
}

// settle waits for durability, and answers only while our lease says that nobody
// else can have been made the primary.
func (d *appendDriver) settle(ctx context.Context) error {
	if err := d.replica().settle(ctx, d.rests); err != nil {
		return err
	}
	return d.checkLease()
}

func (d *appendDriver) checkLease() error {
	if d.broker.leaseIsValid() {
		return nil
	}
	return status.Error(codes.Unavailable, fmt.Sprintf(
		"journal %s: the lease of this broker has run out, so the outcome of the append isn't known", d.replica().id.Journal))
}
