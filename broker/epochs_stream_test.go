package broker

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/wire"
)

// replicate as of replicator: it has a pair of streams rather than a connection.
func (p *process) replicate(ctx context.Context, id *protocol.ProcessSpec_ID, _, _ string) (*peer, error) {
	w := p.node.world
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return protocol.CompareProcessIDs(n.id, id) == 0 })
	to := w.nodes[i].process
	if to == nil || to.dead || p.dead {
		return nil, errors.New("it is down")
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &pairedStream{
		world: w, from: p, to: to, ctx: ctx, cancel: cancel, requests: make(chan *protocol.ReplicateRequest, 64),
		responses: make(chan *protocol.ReplicateResponse, 1024), ended: make(chan struct{}),
	}
	serving, end := context.WithCancelCause(ctx)
	context.AfterFunc(to.ctx, cancel)
	go s.serve(context.WithValue(serving, endKey{}, end))
	return &peer{id: id, stream: s, cancel: cancel}, nil
}

// pairedStream is the client's side of a Replicate RPC within the process.
type pairedStream struct {
	world     *world
	from, to  *process
	ctx       context.Context // lifetime of the stream
	cancel    context.CancelFunc
	requests  chan *protocol.ReplicateRequest
	responses chan *protocol.ReplicateResponse
	closing   sync.Once
	ended     chan struct{} // closed when the server's side returned
	err       error         // with which it did
}

func (s *pairedStream) Send(req *protocol.ReplicateRequest) error {
	s.world.disturb(s)
	select {
	case s.requests <- proto.CloneOf(req):
		return nil
	case <-s.ended:
		return io.EOF
	case <-s.ctx.Done():
		return io.EOF
	}
}

// SendMsg sends a wire.Outgoing.
func (s *pairedStream) SendMsg(m any) error {
	out, ok := m.(*wire.Outgoing)
	if !ok {
		return errors.New("it is no wire.Outgoing")
	}
	req := proto.CloneOf(out.Message.(*protocol.ReplicateRequest))
	if out.Content != nil {
		req.Content = slices.Clone(out.Content.ReadOnlyData())
	}
	return s.Send(req)
}

func (s *pairedStream) Recv() (*protocol.ReplicateResponse, error) {
	select {
	case resp := <-s.responses:
		s.world.disturb(s)
		return resp, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	case <-s.ended:
	}
	select {
	case resp := <-s.responses:
		return resp, nil
	default:
	}
	if s.err == nil {
		return nil, io.EOF
	}
	return nil, s.err
}

func (s *pairedStream) CloseSend() error {
	s.closing.Do(func() { close(s.requests) })
	return nil
}

// serve as Broker.replicate does, once it has seen as much of etcd as the primary.
func (s *pairedStream) serve(ctx context.Context) {
	defer close(s.ended)
	server := &pairedServer{pairedStream: s, ctx: ctx}
	first, err := server.Recv()
	if err != nil {
		s.err = err
		return
	}
	e, _ := s.to.entryAt(ctx, spool.ID{}, first.GetHeader().GetEtcd().GetRevision())
	s.world.mu.Lock()
	r := s.to.replica
	s.world.mu.Unlock()
	var header *protocol.Header
	if e != nil {
		header = e.header()
		header.ProcessId = s.to.node.id
	}
	switch {
	case e == nil || r == nil:
		s.err = errors.New("the journal isn't assigned here")
	case !protocol.RouteEquivalent(e.route, first.GetHeader().GetRoute()):
		s.err = server.Send(&protocol.ReplicateResponse{Status: protocol.Status_WRONG_ROUTE, Header: header})
	default:
		if s.err = r.awaitOpen(ctx); s.err == nil {
			s.err = s.to.broker.follow(ctx, resolution{replica: r, header: header}, server, first.GetPoll().GetEpoch())
		}
	}
}

// pairedServer is the other side.
type pairedServer struct {
	grpc.ServerStream
	*pairedStream
	ctx context.Context
}

func (s *pairedServer) Context() context.Context { return s.ctx }

// RecvMsg receives into a wire.Incoming.
func (s *pairedServer) RecvMsg(m any) error {
	in, ok := m.(*wire.Incoming)
	if !ok {
		return errors.New("it is no wire.Incoming")
	}
	req, err := s.Recv()
	if err != nil {
		return err
	}
	proto.Reset(in.Message)
	proto.Merge(in.Message, req)
	return nil
}

func (s *pairedServer) Recv() (*protocol.ReplicateRequest, error) {
	select {
	case req, ok := <-s.requests:
		if !ok {
			return nil, io.EOF
		}
		return req, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// Send an answer, unless the process that gives it has crashed meanwhile: nobody may rely then on what
// it wrote since.
func (s *pairedServer) Send(resp *protocol.ReplicateResponse) error {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if s.to.dead {
		return errors.New("it is down")
	}
	select {
	case s.responses <- proto.CloneOf(resp):
		return nil
	default:
		return errors.New("too many answers wait")
	}
}

func (s *pairedServer) SendMsg(any) error { return errors.ErrUnsupported }

// disturb a message, if it is its turn: one of the two crashes, or the stream is cut.
func (w *world) disturb(s *pairedStream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trouble == 0 {
		return
	}
	if w.trouble--; w.trouble > 0 {
		return
	}
	switch w.chaos.IntN(3) {
	case 0:
		s.from.crash()
	case 1:
		s.to.crash()
	default:
		s.cancel()
	}
}
