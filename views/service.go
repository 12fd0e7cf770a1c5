package views

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/views/keep"
	"broadsheet.dev/broadsheet/views/rowcodec"
	"broadsheet.dev/broadsheet/views/viewspb"
)

// service is the gRPC service of an App.
type service struct {
	viewspb.UnimplementedViewsServiceServer

	app  *App
	host atomic.Pointer[Host]
}

// found is who has a view.
type found struct {
	view   *view                      // nil if another host has it
	ctx    context.Context            //nolint:containedctx // of the call, and of the shard here
	peer   viewspb.ViewsServiceClient // of that host
	header *protocol.Header           // for the request to it
	done   func()
}

// find who has a view. The caller calls done.
func (s *service) find(ctx context.Context, id int64, header *protocol.Header) (*found, error) {
	host := s.host.Load()
	if host == nil {
		return nil, status.Error(codes.Unavailable, "the host of views doesn't serve yet")
	}
	res, err := (*host).Resolve(ctx, consumer.ResolveArgs{Shard: keep.ShardID(id), MayProxy: header == nil, ProxyHeader: header})
	if err != nil {
		return nil, err
	}
	f := &found{ctx: ctx, done: res.Done}
	switch {
	case res.Status != shards.Status_OK:
		res.Done()
		return nil, s.unavailable(id, res.Status)
	case res.Shard == nil:
		conn, err := (*host).Peer(res.Header)
		if err != nil {
			res.Done()
			return nil, err
		}
		f.peer, f.header, f.ctx = viewspb.NewViewsServiceClient(conn), res.Header, consumer.Forward(ctx)
		return f, nil
	}
	v, ok := res.Store.(*view)
	if !ok {
		res.Done()
		return nil, status.Errorf(codes.FailedPrecondition, "shard %d isn't of a view", id)
	}
	here, cancel := context.WithCancelCause(ctx)
	// The shard ends as soon as it is to, however slow who reads is: states say so then.
	stop := context.AfterFunc(res.Shard.Context(), func() { cancel(errMoved); res.Done() })
	f.view, f.ctx = v, here
	f.done = func() { stop(); cancel(nil); res.Done() }
	return f, nil
}

// errMoved is of a request for a view that is another host's now, or will be somebody's.
var errMoved = status.Error(codes.Unavailable, "the view isn't kept here any more")

// unavailable is the error of a shard that nobody has now: Aborted if it is this host's and has failed, which it may do again. How it went
// when it was this host's before doesn't matter.
func (s *service) unavailable(id int64, why shards.Status) error {
	if failure := s.app.failure(id); failure != nil && why == shards.Status_SHARD_STOPPED {
		return status.Errorf(codes.Aborted, "its shard has failed: %v", failure)
	}
	return status.Errorf(codes.Unavailable, "its shard is %s", why)
}

// inCall is the error of a request, as gRPC has it.
func inCall(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok && status.Code(err) != codes.Unknown {
		return err
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errMoved), errors.Is(err, store.ErrClosed):
		return errMoved
	case errors.Is(cause, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(cause, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

// Stat as of the protocol.
func (s *service) Stat(ctx context.Context, req *viewspb.StatRequest) (*viewspb.StatResponse, error) {
	f, err := s.find(ctx, req.GetView(), req.GetHeader())
	if err != nil {
		return nil, err
	}
	defer f.done()
	if f.view == nil {
		return f.peer.Stat(f.ctx, &viewspb.StatRequest{View: req.GetView(), Header: f.header})
	}
	at, err := f.view.await(f.ctx, nil)
	if err != nil {
		return nil, inCall(f.ctx, err)
	}
	defer at.release()
	return &viewspb.StatResponse{State: at.tell()}, nil
}

// Read as of the protocol.
func (s *service) Read(req *viewspb.ReadRequest, to viewspb.ViewsService_ReadServer) error {
	f, err := s.find(to.Context(), req.GetView(), req.GetHeader())
	if err != nil {
		return err
	}
	defer f.done()
	if f.view == nil {
		from, err := f.peer.Read(f.ctx, &viewspb.ReadRequest{View: req.GetView(), AtLeast: req.GetAtLeast(), Header: f.header}, grpc.MaxCallRecvMsgSize(maxMessage))
		return pass(from, to, err)
	}
	f.view.metrics.readers.Inc()
	defer f.view.metrics.readers.Dec()
	return inCall(f.ctx, f.view.read(f.ctx, req.GetAtLeast(), to))
}

// Subscribe as of the protocol.
func (s *service) Subscribe(req *viewspb.SubscribeRequest, to viewspb.ViewsService_SubscribeServer) error {
	f, err := s.find(to.Context(), req.GetView(), req.GetHeader())
	if err != nil {
		return err
	}
	defer f.done()
	if f.view == nil {
		ctx, cancel := context.WithCancelCause(f.ctx)
		defer cancel(nil)
		defer context.AfterFunc((*s.host.Load()).Stopping(), func() { cancel(errMoved) })()
		from, err := f.peer.Subscribe(ctx, &viewspb.SubscribeRequest{View: req.GetView(), After: req.After, Until: req.Until, Header: f.header}, grpc.MaxCallRecvMsgSize(maxMessage))
		if err = pass(from, to, err); errors.Is(context.Cause(ctx), errMoved) {
			return errMoved
		}
		return err
	}
	f.view.metrics.readers.Inc()
	defer f.view.metrics.readers.Dec()
	return inCall(f.ctx, f.view.subscribe(f.ctx, req, to))
}

// pass the answers of another host on.
func pass[M any](from grpc.ServerStreamingClient[M], to grpc.ServerStreamingServer[M], err error) error {
	for err == nil {
		var m *M
		if m, err = from.Recv(); err == nil {
			err = to.Send(m)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// tell what state it is.
func (s *state) tell() *viewspb.State {
	out := &viewspb.State{Epoch: s.epoch.number, Cut: s.cut, Rows: s.epoch.rows}
	for _, c := range s.shape.Columns {
		out.Columns = append(out.Columns, &viewspb.Column{Name: c.Name, Type: c.Type, Engine: c.Engine})
	}
	return out
}

// read streams a state.
func (v *view) read(ctx context.Context, atLeast map[string]int64, to viewspb.ViewsService_ReadServer) error {
	at, err := v.await(ctx, atLeast)
	if err != nil {
		return err
	}
	defer at.release()
	if err := to.Send(&viewspb.ReadResponse{State: at.tell()}); err != nil {
		return err
	}
	return at.rows(ctx, func(chunk []byte) error { return to.Send(&viewspb.ReadResponse{Rows: chunk}) })
}

// rows of a state, in chunks, which are their receiver's.
func (s *state) rows(ctx context.Context, send func(chunk []byte) error) error {
	from, to := all(keyRow)
	var chunk []byte
	take := func(_, value []byte) (bool, error) {
		if s.shape.Kind == Rows.String() {
			chunk = append(chunk, value...)
		} else {
			chunk = rowcodec.AppendChunk(chunk, value)
		}
		return len(chunk) >= chunkSize, nil
	}
	return s.scan(ctx, from, to, take, func() error {
		if len(chunk) == 0 {
			return nil
		}
		sent := chunk
		chunk = nil
		return send(sent)
	})
}
