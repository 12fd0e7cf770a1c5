package auth

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// Header has the token of a request, in HTTP and, in lower case, in gRPC.
const Header = "authorization"

// claimsKey is the context key of a request's claims.
type claimsKey struct{}

// NewContext returns a context of a request that was let in by a token.
func NewContext(ctx context.Context, c Claims) context.Context {
	return context.WithValue(ctx, claimsKey{}, c)
}

// FromContext returns the claims of the request; false if no token was needed, as for
// what a server does of its own accord.
func FromContext(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(claimsKey{}).(Claims)
	return c, ok
}

// WithToken returns a context whose gRPC requests send the token, and no other.
func WithToken(ctx context.Context, token string) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(Header, "Bearer "+token)
	return metadata.NewOutgoingContext(ctx, md)
}
