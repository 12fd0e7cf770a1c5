package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestContext: claims go with a request, and a token replaces one that was there.
func TestContext(t *testing.T) {
	_, ok := auth.FromContext(t.Context())
	require.False(t, ok)
	c, ok := auth.FromContext(auth.NewContext(t.Context(), auth.Claims{Subject: "me"}))
	require.True(t, ok)
	require.Equal(t, "me", c.Subject)

	ctx := metadata.AppendToOutgoingContext(t.Context(), "other", "kept", auth.Header, "Bearer old")
	md, _ := metadata.FromOutgoingContext(auth.WithToken(ctx, "new"))
	require.Equal(t, metadata.Pairs("other", "kept", "authorization", "Bearer new"), md)
	before, _ := metadata.FromOutgoingContext(ctx)
	require.Equal(t, []string{"Bearer old"}, before.Get(auth.Header))
	md, _ = metadata.FromOutgoingContext(auth.WithToken(t.Context(), "new"))
	require.Equal(t, metadata.Pairs("authorization", "Bearer new"), md)
}
