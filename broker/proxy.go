package broker

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// proxyHeader is what a broker that forwards a request tells the one that it forwards to: who
// that is, and what etcd was seen at.
func proxyHeader(h *protocol.Header, member int) *protocol.Header {
	return &protocol.Header{ProcessId: h.GetRoute().GetMembers()[member], Route: h.GetRoute(), Etcd: h.GetEtcd()}
}

// peerFor returns a client of a member of a route, and the context with which to call it.
func (b *Broker) peerFor(ctx context.Context, res resolution, member int, want auth.Capability) (context.Context, protocol.JournalClient, error) {
	route := res.header.GetRoute()
	client, err := b.env.peers.client(route.EndpointOf(member))
	if err == nil {
		ctx, err = b.signer.proxy(ctx, want, res.spec.GetName())
	}
	if err != nil {
		return ctx, nil, status.Errorf(codes.Unavailable, "journal %s: forward to broker %s: %s",
			res.spec.GetName(), memberID(route.GetMembers()[member]), err)
	}
	return ctx, client, nil
}

// proxyAppend forwards an append to the primary, message by message. It tells whether that may have been committed: an
// append isn't applied before its source has ended.
func (b *Broker) proxyAppend(ctx context.Context, res resolution, first *protocol.AppendRequest, source appendSource) (*protocol.AppendResponse, bool, error) {
	primary := int(res.header.GetRoute().GetPrimary())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, client, err := b.peerFor(ctx, res, primary, auth.Append)
	if err != nil {
		return nil, false, err
	}
	stream, err := client.Append(ctx)
	if err != nil {
		return nil, false, err
	}
	req := &protocol.AppendRequest{
		Header: proxyHeader(res.header, primary), Journal: first.GetJournal(), Offset: first.GetOffset(),
		CheckRegisters: first.GetCheckRegisters(), UnionRegisters: first.GetUnionRegisters(),
		SubtractRegisters: first.GetSubtractRegisters(), Suspend: first.GetSuspend(), MinEtcdRevision: first.GetMinEtcdRevision(),
		Synced: first.GetSynced(),
	}
	for {
		if err := stream.Send(req); err != nil {
			if !errors.Is(err, io.EOF) {
				return nil, false, err
			}
			r, err := outcomeOf(stream) // It has answered, or broken off.
			return r, false, err
		}
		req, err = source.Recv()
		switch {
		case errors.Is(err, io.EOF):
			r, err := outcomeOf(stream)
			return r, true, err
		case err != nil:
			return nil, false, err
		}
		if req.GetJournal() != "" {
			return nil, false, errors.New("append stream: only the first message may name a journal")
		}
	}
}

// outcomeOf an append that was forwarded: an error is a *notAppliedError if the primary says that it left nothing behind.
func outcomeOf(stream grpc.ClientStreamingClient[protocol.AppendRequest, protocol.AppendResponse]) (*protocol.AppendResponse, error) {
	r, err := stream.CloseAndRecv()
	if err != nil && len(stream.Trailer().Get(trailerNotApplied)) > 0 {
		err = &notAppliedError{err: err, said: true}
	}
	return r, err
}

// memberToRead picks the member that a read is forwarded to: one of our own zone, if there is any.
func (b *Broker) memberToRead(route *protocol.Route) int {
	for i, m := range route.GetMembers() {
		if m.GetZone() == b.cfg.ID.GetZone() && route.EndpointOf(i) != "" {
			return i
		}
	}
	for i := range route.GetMembers() {
		if route.EndpointOf(i) != "" {
			return i
		}
	}
	return -1
}

// mayProxy tells whether a request that we can't serve may be forwarded to who can.
func mayProxy(res resolution, h *protocol.Header, doNotProxy bool) bool {
	return res.status == protocol.Status_NOT_JOURNAL_BROKER && h == nil && !doNotProxy
}

// proxyRead forwards a read to a member, and its answers as they come. It ends when the broker stops.
func (b *Broker) proxyRead(ctx context.Context, res resolution, req *protocol.ReadRequest, send func(*protocol.ReadResponse) error) error {
	member := b.memberToRead(res.header.GetRoute())
	if member < 0 {
		return send(&protocol.ReadResponse{Status: protocol.Status_INSUFFICIENT_JOURNAL_BROKERS, Header: res.header})
	}
	ctx, client, err := b.peerFor(ctx, res, member, auth.Read)
	if err != nil {
		return err
	}
	forwarded := &protocol.ReadRequest{
		Header: proxyHeader(res.header, member), Journal: req.GetJournal(), Offset: req.GetOffset(), Block: req.GetBlock(),
		MetadataOnly: req.GetMetadataOnly(), EndOffset: req.GetEndOffset(), BeginModTime: req.GetBeginModTime(),
		MinEtcdRevision: req.GetMinEtcdRevision(),
	}
	// What ends with us ends the stream, which has no other way out of a receive.
	watch := task.New(ctx, "proxy "+req.GetJournal())
	defer watch.Cancel()
	watch.Go("stop", func(ctx context.Context) error {
		select {
		case <-b.stopping:
			watch.Cancel()
		case <-ctx.Done():
		}
		return nil
	})
	stream, err := client.Read(watch.Context(), forwarded)
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF), err != nil && isClosed(b.stopping):
			return nil
		case err != nil:
			return err
		}
		if err := send(resp); err != nil {
			return err
		}
	}
}

// proxyFragments forwards a listing of fragments to a member.
func (b *Broker) proxyFragments(ctx context.Context, res resolution, req *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	member := b.memberToRead(res.header.GetRoute())
	if member < 0 {
		return &protocol.FragmentsResponse{Status: protocol.Status_INSUFFICIENT_JOURNAL_BROKERS, Header: res.header}, nil
	}
	ctx, client, err := b.peerFor(ctx, res, member, auth.Read)
	if err != nil {
		return nil, err
	}
	return client.ListFragments(ctx, &protocol.FragmentsRequest{
		Header: proxyHeader(res.header, member), Journal: req.GetJournal(), BeginModTime: req.GetBeginModTime(),
		EndModTime: req.GetEndModTime(), NextPageToken: req.GetNextPageToken(), PageLimit: req.GetPageLimit(),
		SignatureTTL: req.GetSignatureTTL(),
	})
}
