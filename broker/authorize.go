package broker

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// capabilities that gRPC's methods need. One that isn't here is refused.
var capabilities = map[string]auth.Capability{
	protocol.Journal_List_FullMethodName:                auth.List,
	protocol.Journal_Apply_FullMethodName:               auth.Apply,
	protocol.Journal_Read_FullMethodName:                auth.Read,
	protocol.Journal_ListFragments_FullMethodName:       auth.Read,
	protocol.Journal_FragmentStoreHealth_FullMethodName: auth.Read,
	protocol.Journal_Append_FullMethodName:              auth.Append,
	protocol.Journal_Replicate_FullMethodName:           auth.Replicate,
	streaming.Journal_AppendStream_FullMethodName:       auth.Append,
}

// door lets requests in by their tokens: those of gRPC, HTTP and JSON alike.
type door struct {
	keys   *auth.Keyring // nil lets everyone in
	now    func() time.Time
	denied *prometheus.CounterVec // by reason
	others []string               // how methods begin that others let requests in to; set before anything is served
}

// tokenKey is the context key of the token that a request was let in by.
type tokenKey struct{}

// admit lets in a request whose header Authorization allows what is wanted. Its context
// then has the token's claims, and ends when the token does. An error is of gRPC's code
// Unauthenticated.
func (d *door) admit(ctx context.Context, authorization []string, want auth.Capability) (context.Context, context.CancelFunc, error) {
	if d.keys == nil {
		return ctx, func() {}, nil
	}
	now := d.now()
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
	if want == auth.Replicate {
		// Brokers sign these for each other, for streams that stay: ending one would fail
		// appends that nothing is wrong with.
		return ctx, func() {}, nil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, claims.Deadline(now), errExpired)
	return ctx, cancel, nil
}

// deny counts a refusal, and makes it an error of gRPC.
func (d *door) deny(err error) error {
	reason := "invalid"
	switch {
	case errors.Is(err, auth.ErrMissing):
		reason = "missing"
	case isCapabilityError(err):
		reason = "capability"
	}
	d.denied.WithLabelValues(reason).Inc()
	return status.Error(codes.Unauthenticated, err.Error())
}

func isCapabilityError(err error) bool {
	_, ok := errors.AsType[*auth.CapabilityError](err)
	return ok
}

// errExpired ends a request whose token has.
var errExpired error = expiredError{}

type expiredError struct{}

// Error tells that the token has expired.
func (expiredError) Error() string { return "the Authorization token has expired" }

// GRPCStatus as of status.FromError.
func (e expiredError) GRPCStatus() *status.Status {
	return status.New(codes.DeadlineExceeded, e.Error())
}

// verdictKey is the context key of the error with which a stream is to be refused, or
// of nil if it was let in.
type verdictKey struct{}

type verdict struct{ err error }

// maxDenied is the longest deadline of a stream that tap refuses by itself.
const maxDenied = time.Minute

// tap lets a stream of gRPC in, or refuses it before any message of it is received.
// It is called before anything is set up for the stream, on the goroutine that reads
// the connection.
func (d *door) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if d.keys == nil {
		return endable(ctx), nil
	}
	if d.isOther(info.FullMethodName) {
		return endable(context.WithValue(ctx, verdictKey{}, verdict{})), nil
	}
	var err error
	want, ok := capabilities[info.FullMethodName]
	if !ok {
		err = status.Errorf(codes.Unimplemented, "method %s isn't one of this broker", info.FullMethodName)
	} else {
		var admitted context.Context
		// The stream's own context, of which this is made, ends with the stream.
		if admitted, _, err = d.admit(ctx, info.Header.Get(auth.Header), want); err == nil {
			return endable(context.WithValue(admitted, verdictKey{}, verdict{})), nil
		}
	}
	// For a stream that is refused here gRPC doesn't release the timer of its deadline.
	// So that nobody can pile those up, one with a long deadline is refused later.
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) > maxDenied {
		return endable(context.WithValue(ctx, verdictKey{}, verdict{err})), nil
	}
	return nil, err
}

// interceptors refuse what tap did not let in.
func (d *door) interceptors() []grpc.ServerOption {
	if d.keys == nil {
		return nil
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := verdictOf(ctx); err != nil {
				return nil, err
			}
			return handle(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := verdictOf(stream.Context()); err != nil {
				return err
			}
			return handle(srv, stream)
		}),
	}
}

// verdictOf a stream. One that never came through tap is refused.
func verdictOf(ctx context.Context) error {
	if v, ok := ctx.Value(verdictKey{}).(verdict); ok {
		return v.err
	}
	return status.Error(codes.Unauthenticated, auth.ErrMissing.Error())
}

// signatureTTL is how long a signed URL may be used that a request asks for: not much
// longer than the request's token.
func (d *door) signatureTTL(ctx context.Context, asked time.Duration) time.Duration {
	claims, ok := auth.FromContext(ctx)
	if !ok {
		return asked
	}
	return min(asked, max(claims.Expiry.Sub(d.now()), fragmentURLTTL))
}

// scopeOf is the selector of the journals that a request may know of. What the broker
// does of its own accord may know all of them.
func scopeOf(ctx context.Context) *protocol.LabelSelector {
	claims, _ := auth.FromContext(ctx)
	return claims.Scope
}
