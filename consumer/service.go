package consumer

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

// service is the gRPC service Shard of a host.
type service struct {
	shards.UnimplementedShardServer

	host *Host
}

func (s *service) register(to grpc.ServiceRegistrar) { shards.RegisterShardServer(to, s) }

// answer of an RPC.
type answer interface{ GetStatus() shards.Status }

// observe counts a request, and makes its error one of gRPC: a plain error is of code Unknown, with its text.
func observe[A answer](h *Host, operation string, run func() (A, error)) (A, error) {
	h.metrics.started.WithLabelValues(operation).Inc()
	a, err := run()
	label := "error"
	if err == nil {
		label = a.GetStatus().String()
	}
	h.metrics.completed.WithLabelValues(operation, label).Inc()
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		err = status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		err = status.Error(codes.DeadlineExceeded, err.Error())
	}
	return a, err
}

// List as of the protocol.
func (s *service) List(ctx context.Context, req *shards.ListRequest) (*shards.ListResponse, error) {
	return observe(s.host, "List", func() (*shards.ListResponse, error) { return s.host.list(ctx, req) })
}

// Apply as of the protocol.
func (s *service) Apply(ctx context.Context, req *shards.ApplyRequest) (*shards.ApplyResponse, error) {
	return observe(s.host, "Apply", func() (*shards.ApplyResponse, error) { return s.host.apply(ctx, req) })
}

// Stat as of the protocol.
func (s *service) Stat(ctx context.Context, req *shards.StatRequest) (*shards.StatResponse, error) {
	return observe(s.host, "Stat", func() (*shards.StatResponse, error) { return s.host.stat(ctx, req) })
}

// GetHints as of the protocol.
func (s *service) GetHints(ctx context.Context, req *shards.GetHintsRequest) (*shards.GetHintsResponse, error) {
	return observe(s.host, "GetHints", func() (*shards.GetHintsResponse, error) { return s.host.getHints(ctx, req) })
}

// Unassign as of the protocol.
func (s *service) Unassign(ctx context.Context, req *shards.UnassignRequest) (*shards.UnassignResponse, error) {
	return observe(s.host, "Unassign", func() (*shards.UnassignResponse, error) { return s.host.unassign(ctx, req) })
}

// list the shards that a selector matches, and that the request may know of.
func (h *Host) list(ctx context.Context, req *shards.ListRequest) (*shards.ListResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	now := h.directory()
	r := &shards.ListResponse{Header: h.header(now, protocol.EmptyRoute())}
	now.shards(func(s shardItem) {
		if !req.GetSelector().Matches(s.Labels) || !scopeOf(ctx).Matches(s.Labels) {
			return
		}
		one := &shards.ListResponse_Shard{Spec: s.Spec, ModRevision: s.modRevision, CreateRevision: s.createRevision}
		one.Route, one.Status = now.route(now.assignments(s.Spec.GetId()))
		r.Shards = append(r.Shards, one)
	})
	return r, nil
}

// stat tells how far a shard is, once it has read what the request asks for; the primary does.
func (h *Host) stat(ctx context.Context, req *shards.StatRequest) (*shards.StatResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	res, err := h.Resolve(ctx, ResolveArgs{
		Shard: req.GetShard(), MayProxy: req.GetHeader() == nil, ReadThrough: req.GetReadThrough(), ProxyHeader: req.GetHeader(),
	})
	if err != nil {
		return nil, err
	}
	defer res.Done()
	if res.Status == shards.Status_OK && res.Shard == nil {
		conn, err := h.Peer(res.Header)
		if err != nil {
			return nil, err
		}
		return shards.NewShardClient(conn).Stat(forwarded(ctx), &shards.StatRequest{
			Header: res.Header, Shard: req.GetShard(), ReadThrough: req.GetReadThrough(), Extension: req.GetExtension(),
		})
	}
	r := &shards.StatResponse{Status: res.Status, Header: res.Header}
	if res.Shard != nil {
		now := res.Shard.Progress()
		r.ReadThrough, r.PublishAt = now.ReadThrough, now.PublishAt
		if teller, ok := h.cfg.Application.(Teller); ok {
			if r.Extension, err = tell(ctx, teller, res, req.GetExtension()); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// tell is Tell, a panic of which is an error: it is called for a request, which nobody else would rescue.
func tell(ctx context.Context, t Teller, res Resolution, asked []byte) (told []byte, err error) { //nolint:nonamedreturns // set as it recovers
	defer recovered(&err)
	told, err = t.Tell(ctx, res.Shard, res.Store, asked)
	return told, inApplication("Tell", err)
}

// getHints of a shard, as etcd has them.
func (h *Host) getHints(ctx context.Context, req *shards.GetHintsRequest) (*shards.GetHintsResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	now := h.directory()
	r := &shards.GetHintsResponse{Header: h.header(now, protocol.EmptyRoute())}
	s, ok := now.shard(req.GetShard())
	if !ok || !scopeOf(ctx).Matches(s.Labels) {
		r.Status = shards.Status_SHARD_NOT_FOUND
		return r, nil
	}
	hints, err := h.fetchHints(ctx, s.Spec)
	if err != nil {
		return nil, err
	}
	of := func(x *recoverylog.FSMHints) *shards.GetHintsResponse_ResponseHints {
		return &shards.GetHintsResponse_ResponseHints{Hints: x}
	}
	r.PrimaryHints = of(hints.primary)
	for _, b := range hints.backups {
		r.BackupHints = append(r.BackupHints, of(b))
	}
	return r, nil
}
