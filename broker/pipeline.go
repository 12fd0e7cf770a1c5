package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/wire"
)

// tenure is the right to write a journal's spool. There is one for each replica, and whoever
// took it off replica.tenure is the only one to write, roll or align: an append that leads
// others, a sync, or the replication of another broker's appends.
type tenure struct {
	pipeline *pipeline // of this broker as the primary; nil if it is to be made
	revision int64     // of etcd at which this broker last wrote the journal's epochs
	failed   syncFailure
}

// syncFailure is why no pipeline could be made last, and until when that isn't tried again for
// the same route: each attempt may cost an epoch.
type syncFailure struct {
	route *protocol.Route
	err   error
	pause time.Duration
	until time.Time
}

const minResync, maxResync = 50 * time.Millisecond, 2 * time.Second

// note the outcome of an attempt.
func (f *syncFailure) note(route *protocol.Route, err error, now time.Time) {
	if again := new(errAgain); err == nil || errors.As(err, again) {
		*f = syncFailure{}
		return
	}
	f.route, f.err, f.pause = route, err, min(max(minResync, 2*f.pause), maxResync)
	f.until = now.Add(f.pause)
}

// stands tells whether the failure is also that of an attempt made now.
func (f *syncFailure) stands(route *protocol.Route, now time.Time) bool {
	return f.err != nil && now.Before(f.until) && protocol.RouteEquivalent(route, f.route)
}

// pipeline is an epoch in which this broker is the primary: every member is aligned.
//
// Groups are sent, by who has the tenure, and settled in that order, by who has the right to:
// so the next group is on its way while the one before is acknowledged.
type pipeline struct {
	route *protocol.Route
	epoch epoch.Epoch
	peers []*peer

	last *sentGroup // last that was sent; of the tenure
	told int64      // watermark that peers were told; of the tenure

	settling chan struct{} // cap 1: the right to settle, and so to receive from peers

	mu       sync.Mutex
	inFlight []*sentGroup
	failed   error
}

// sentGroup is a group that was written here and sent to all peers.
type sentGroup struct {
	*group
	commit *spool.Commit // of all that was written so far; nil if nothing was since the pipeline began
	asked  bool          // each peer answers
}

// peer is the stream to another member.
type peer struct {
	id     *protocol.ProcessSpec_ID
	stream replicateStream
	cancel context.CancelFunc
}

// replicateStream is the client's side of a Replicate RPC.
type replicateStream interface {
	Send(*protocol.ReplicateRequest) error
	SendMsg(any) error // of a wire.Outgoing
	Recv() (*protocol.ReplicateResponse, error)
	CloseSend() error
}

func newPipeline(route *protocol.Route, e epoch.Epoch, peers []*peer) *pipeline {
	return &pipeline{route: route, epoch: e, peers: peers, told: e.Start, settling: make(chan struct{}, 1)}
}

// failure is why the pipeline ended, or nil.
func (p *pipeline) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// enqueue a group that was sent; false if the pipeline failed meanwhile, and with it the group.
func (p *pipeline) enqueue(g *sentGroup) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return false
	}
	p.inFlight = append(p.inFlight, g)
	return true
}

// next group to settle; nil if there is none.
func (p *pipeline) next() *sentGroup {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.inFlight) == 0 {
		return nil
	}
	return p.inFlight[0]
}

// idle tells whether all that was sent is settled.
func (p *pipeline) idle() bool { return p.next() == nil }

// settled takes the first group off, and tells whether it was there: if not, the pipeline has failed
// with it.
func (p *pipeline) settled(g *sentGroup) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.inFlight) == 0 || p.inFlight[0] != g {
		return false
	}
	p.inFlight = p.inFlight[1:]
	return true
}

// fail ends the pipeline and returns the groups that end with it. Runs with an append in one of
// them have failed before anybody can learn of it.
func (p *pipeline) fail(err error) []*sentGroup {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return nil
	}
	p.failed = err
	groups := p.inFlight
	p.inFlight = nil
	for _, g := range groups {
		g.failRuns()
	}
	p.cancel()
	return groups
}

// cancel the streams to all peers, so that whoever uses them goes on.
func (p *pipeline) cancel() {
	for _, peer := range p.peers {
		peer.cancel()
	}
}

// failRuns so that nothing is applied past an append of the group.
func (g *group) failRuns() {
	for _, t := range g.tickets {
		if t.run != nil {
			t.run.failed.Store(true)
		}
	}
}

// end of a pipeline that is in order: peers are told that nothing follows.
func (p *pipeline) end() {
	for _, peer := range p.peers {
		_ = peer.stream.CloseSend() // A stream that is broken has ended as well.
		peer.cancel()
	}
}

// send a message to all peers, with content unless that is nil. None of them copies it.
func (p *pipeline) send(req *protocol.ReplicateRequest, content mem.Buffer) error {
	out := &wire.Outgoing{Message: req, Content: content}
	for _, peer := range p.peers {
		if err := peer.stream.SendMsg(out); err != nil {
			return p.broken(peer, err)
		}
	}
	return nil
}

// broken says why nothing can be sent to a peer. The cause is told by Recv, which two may not wait in: gRPC would
// wake one of them only. So who hasn't the right to settle leaves that to who has.
func (p *pipeline) broken(peer *peer, err error) error {
	select {
	case p.settling <- struct{}{}:
		defer func() { <-p.settling }()
		return peer.failed(err)
	default:
		return peer.unavailable("its stream has ended")
	}
}

// receive one answer of each peer, which has to be OK.
func (p *pipeline) receive() error {
	for _, peer := range p.peers {
		resp, err := peer.stream.Recv()
		if err != nil {
			return peer.failed(err)
		}
		if s := resp.GetStatus(); s != protocol.Status_OK {
			return fmt.Errorf("broker %s answers %s (its fragment ends at offset %d)", memberID(peer.id), s, resp.GetFragment().GetEnd())
		}
	}
	return nil
}

// failed says why a stream broke, for the client of an append: whether it was applied isn't known. The
// cause of a failed Send is told by Recv, which nobody else may be in.
func (p *peer) failed(err error) error {
	if err == io.EOF { //nolint:errorlint // it is what gRPC returns
		if _, cause := p.stream.Recv(); cause != nil {
			err = cause
		}
	}
	return p.unavailable(status.Convert(err).Message())
}

func (p *peer) unavailable(why string) error {
	return status.Errorf(codes.Unavailable, "replicate to broker %s: %s", memberID(p.id), why)
}
