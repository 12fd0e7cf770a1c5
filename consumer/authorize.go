package consumer

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// capabilities that the methods of the service Shard need.
var capabilities = map[string]auth.Capability{
	shards.Shard_List_FullMethodName:     auth.List,
	shards.Shard_Stat_FullMethodName:     auth.Read,
	shards.Shard_GetHints_FullMethodName: auth.Read,
	shards.Shard_Apply_FullMethodName:    auth.Apply,
	shards.Shard_Unassign_FullMethodName: auth.Apply,
}

// door lets requests in by their tokens: those of gRPC and JSON alike.
type door struct {
	keys   *auth.Keyring // nil lets everyone in
	wanted map[string]auth.Capability
	denied *prometheus.CounterVec // by reason
}

func newDoor(cfg Config, m *metrics) *door {
	wanted := maps.Clone(capabilities)
	for method, c := range cfg.Capabilities {
		if _, ours := wanted[method]; !ours {
			wanted[method] = c
		}
	}
	return &door{keys: cfg.Keys, wanted: wanted, denied: m.denied}
}

// tokenKey is the context key of the token that a request was let in by.
type tokenKey struct{}

// admit lets in a request whose header Authorization allows what is wanted. Its context then has the token's claims,
// and ends when the token does. An error is of gRPC's code Unauthenticated.
func (d *door) admit(ctx context.Context, authorization []string, want auth.Capability) (context.Context, context.CancelFunc, error) {
	if d.keys == nil {
		return ctx, func() {}, nil
	}
	now := time.Now()
	token, err := auth.Bearer(authorization)
	if errors.Is(err, auth.ErrMissing) && d.keys.AllowsMissing() {
		return ctx, func() {}, nil
	}
	var claims auth.Claims
	if err == nil {
		claims, err = d.keys.Verify(token, want, now)
	}
	if err != nil {
		return nil, nil, d.deny(err)
	}
	ctx = context.WithValue(auth.NewContext(ctx, claims), tokenKey{}, token)
	ctx, cancel := context.WithDeadline(ctx, claims.Deadline(now))
	return ctx, cancel, nil
}

// deny counts a refusal, and makes it an error of gRPC.
func (d *door) deny(err error) error {
	reason := "invalid"
	if errors.Is(err, auth.ErrMissing) {
		reason = "missing"
	} else if _, lacks := errors.AsType[*auth.CapabilityError](err); lacks {
		reason = "capability"
	}
	d.denied.WithLabelValues(reason).Inc()
	return status.Error(codes.Unauthenticated, err.Error())
}

// admitCall is admit for a method of gRPC.
func (d *door) admitCall(ctx context.Context, method string) (context.Context, context.CancelFunc, error) {
	want, known := d.wanted[method]
	if !known && d.keys != nil {
		return nil, nil, status.Errorf(codes.Unimplemented, "method %s: what a token must allow for it isn't configured", method)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return d.admit(ctx, md.Get(auth.Header), want)
}

// admittedStream is a stream in the context that it was let in with.
type admittedStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // the stream's
}

// Context as of grpc.ServerStream.
func (s *admittedStream) Context() context.Context { return s.ctx }

// forwarded is the context of a request that is passed on to another host, with the token that it came with.
func forwarded(ctx context.Context) context.Context {
	if token, ok := ctx.Value(tokenKey{}).(string); ok {
		return auth.WithToken(ctx, token)
	}
	return ctx
}

// scopeOf is the selector of the shards that a request may know of. What the host does of its own accord may know all.
func scopeOf(ctx context.Context) *protocol.LabelSelector {
	claims, _ := auth.FromContext(ctx)
	return claims.Scope
}

// mayChange tells whether a request may change a shard. As in Gazette that is told by its id alone, so that no label
// which a change would set can let it in.
func mayChange(ctx context.Context, id string) bool {
	return scopeOf(ctx).Matches(&protocol.LabelSet{Labels: []*protocol.Label{{Name: shards.MetaLabelID, Value: id}}})
}
