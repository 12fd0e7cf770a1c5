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

// forwardRun passes a stream on, in both directions, until either side ends.
func (s *service) forwardRun(stream runStream, res resolved) error {
	peer, err := s.app.peer(res)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(consumer.Forward(stream.Context()))
	defer cancel()
	to, err := peer.Run(ctx, grpc.MaxCallRecvMsgSize(maxForwarded))
	if err != nil {
		return err
	}
	open := &shardv1.RunRequest_Open{Shard: res.Spec.GetId(), Header: res.Header}
	if err := to.Send(&shardv1.RunRequest{Kind: &shardv1.RunRequest_Open_{Open: open}}); err != nil {
		return broken(to, err)
	}
	s.app.receivers.Go("receive", func(context.Context) error {
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				_ = to.CloseSend() // Receive tells how it ends.
				return nil
			}
			if err == nil {
				err = to.Send(m)
			}
			if err != nil {
				cancel()
				return nil //nolint:nilerr // It is told by the other direction.
			}
		}
	})
	for {
		m, err := to.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
}

// broken is why a stream can't be sent to.
func broken(to grpc.BidiStreamingClient[shardv1.RunRequest, shardv1.RunResponse], err error) error {
	if _, cause := to.Recv(); cause != nil && !errors.Is(cause, io.EOF) {
		return cause
	}
	return status.Error(codes.Unavailable, err.Error())
}
