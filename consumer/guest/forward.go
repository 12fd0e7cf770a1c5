package guest

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
)

// maxForwarded is the largest message that a host takes of another one, in bytes.
const maxForwarded = 64 << 20

// headed is a request that names the host which passes it on.
type headed interface {
	*shardv1.TakeRequest | *shardv1.CommitRequest | *shardv1.ReadRequest
	proto.Message
}

// peer of a resolution: the host that has the shard.
func (a *App) peer(res resolved) (shardv1.ShardClient, error) {
	conn, err := (*a.host.Load()).Peer(res.Header)
	if err != nil {
		return nil, asStatus(err)
	}
	return shardv1.NewShardClient(conn), nil
}

// forward a request to the host that has the shard.
func forward[Q headed, R any](ctx context.Context, a *App, res resolved, req Q,
	call func(shardv1.ShardClient, context.Context, Q, ...grpc.CallOption) (*R, error),
) (*R, error) {
	peer, err := a.peer(res)
	if err != nil {
		return nil, err
	}
	switch r := any(req).(type) {
	case *shardv1.TakeRequest:
		r.Header = res.Header
	case *shardv1.CommitRequest:
		r.Header = res.Header
	case *shardv1.ReadRequest:
		r.Header = res.Header
	}
	return call(peer, consumer.Forward(ctx), req, grpc.MaxCallRecvMsgSize(maxForwarded))
}

// errStopping tells whoever waits at another host by this one that this one ends.
var errStopping = status.Error(codes.Unavailable, "this host is stopping: try again in a moment, by another host if there is one")

// forwardTake is forward of a request that waits, though no longer than this host runs.
func forwardTake(ctx context.Context, a *App, res resolved, req *shardv1.TakeRequest) (*shardv1.TakeResponse, error) {
	stopping := (*a.host.Load()).Stopping()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stopping, cancel)()
	out, err := forward(waiting, a, res, req, shardv1.ShardClient.Take)
	if err != nil && ctx.Err() == nil && stopping.Err() != nil {
		return nil, errStopping
	}
	return out, err
}

// forwardRun passes a stream on, in both directions, until either side ends, or this host begins to stop. It returns then whether the
// program receives or not: neither direction is waited for, and both end with the stream.
func (s *service) forwardRun(stream runStream, res resolved) error {
	stopping := (*s.app.host.Load()).Stopping()
	ctx, cancel := context.WithCancel(consumer.Forward(stream.Context()))
	defer cancel()
	defer context.AfterFunc(stopping, cancel)()
	ended := make(chan error, 1)
	to, err := s.forwardOpen(ctx, res)
	if err != nil {
		ended <- err
	} else {
		s.app.receivers.Go("receive", func(context.Context) error {
			if !receiveTo(stream, to) {
				cancel()
			}
			return nil
		})
		s.app.receivers.Go("send", func(context.Context) error {
			ended <- sendFrom(to, stream)
			return nil
		})
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = status.FromContextError(ctx.Err()).Err()
	}
	if err != nil && stream.Context().Err() == nil && stopping.Err() != nil {
		return errStopping
	}
	return err
}

type peerStream = grpc.BidiStreamingClient[shardv1.RunRequest, shardv1.RunResponse]

// forwardOpen opens the stream to the host that has the shard.
func (s *service) forwardOpen(ctx context.Context, res resolved) (peerStream, error) {
	peer, err := s.app.peer(res)
	if err != nil {
		return nil, err
	}
	to, err := peer.Run(ctx, grpc.MaxCallRecvMsgSize(maxForwarded))
	if err != nil {
		return nil, err
	}
	open := &shardv1.RunRequest_Open{Shard: res.Spec.GetId(), Header: res.Header}
	if err := to.Send(&shardv1.RunRequest{Kind: &shardv1.RunRequest_Open_{Open: open}}); err != nil {
		return nil, broken(to, err)
	}
	return to, nil
}

// receiveTo passes on what the program says. It is false if that ended before the program had said all.
func receiveTo(stream runStream, to peerStream) bool {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			_ = to.CloseSend() // Receive tells how it ends.
			return true
		}
		if err == nil {
			err = to.Send(m)
		}
		if errors.Is(err, io.EOF) {
			return true // The other host has ended it, and says why.
		}
		if err != nil {
			return false
		}
	}
}

// sendFrom passes on what the other host says, until it ends the stream.
func sendFrom(to peerStream, stream runStream) error {
	for {
		m, err := to.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = stream.Send(m)
		}
		if err != nil {
			return err
		}
	}
}

// broken is why a stream can't be sent to.
func broken(to peerStream, err error) error {
	if _, cause := to.Recv(); cause != nil && !errors.Is(cause, io.EOF) {
		return cause
	}
	return status.Error(codes.Unavailable, err.Error())
}
