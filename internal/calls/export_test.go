package calls

import (
	"context"

	"google.golang.org/grpc"
)

// Unary is the interceptor of unary calls.
func (r *Recorder) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	return r.unary(ctx, req, info, handle)
}
