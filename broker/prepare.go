package broker

import (
	"fmt"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// prepare does what a ruling asks for before its append can be decided about. All that was sent
// before is acknowledged then. It returns the append's outcome, if it has one now.
func (l *leader) prepare(v ruling, t *ticket) (outcome, bool) {
	r := l.replica
	if err := r.drain(l.pipeline); err != nil {
		return outcome{again: true}, true
	}
	var err error
	switch v {
	case rulingRoll:
		err = l.roll(r.spool.State().End)
	case rulingForward:
		err = l.roll(t.spec.GetSuspend().GetOffset())
	case rulingReset:
		err = l.jump(t.offset)
	case rulingResume:
		return r.resume(l.tenure, t)
	case rulingSuspend:
		return r.suspend(l, t)
	case rulingJoined, rulingFull:
	}
	switch {
	case err != nil && v == rulingRoll && l.pipeline.failure() != nil:
		return outcome{again: true}, true // A peer is gone; the append isn't written anywhere.
	case err != nil:
		return outcome{err: beforeWrite(rpcStatus(err, r.id.Journal))}, true
	}
	return outcome{}, false
}

// roll closes the open fragment at every member, and begins the next at an offset which is the
// journal's end or greater. All is acknowledged.
func (l *leader) roll(begin int64) error {
	r, p := l.replica, l.pipeline
	end := r.spool.State().End
	if err := r.roll(begin); err != nil {
		return err
	}
	state := r.spool.State()
	r.acked.Store(&ackedHead{end: state.End, registers: state.Registers, codec: state.Codec, epoch: p.epoch.Number, sole: len(p.peers) == 0})
	if len(p.peers) == 0 {
		return nil
	}
	p.told = end
	err := p.send(&protocol.ReplicateRequest{
		Proposal: proposal(r.id.Journal, state), Registers: state.Registers, Watermark: end,
	}, nil)
	if err != nil {
		r.failPipeline(p, err)
	}
	return err
}

// jump makes an epoch that starts at an offset above the head.
func (l *leader) jump(offset int64) error {
	r := l.replica
	e := r.env.entry(r.id)
	if e == nil {
		return errAgain{}
	}
	err := r.sync(l.tenure, e, jumpTo(offset))
	if err == nil {
		l.pipeline = l.tenure.pipeline
	}
	return err
}

// roll closes the open fragment, with the tenure in hand, and begins the next. Offsets up to begin
// are skipped.
func (r *replica) roll(begin int64) error {
	err := r.spool.Roll(spool.RollOptions{
		Codec: r.currentSpec().GetFragment().GetCompressionCodec(),
		Begin: begin,
	})
	if err != nil {
		return r.diskFailed(fmt.Errorf("journal %s: close its open fragment: %w", r.id.Journal, err))
	}
	r.publish(0)
	notify(r.full)
	return nil
}
