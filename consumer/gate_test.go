package consumer_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestShared: a host without listeners is served by somebody else's servers, by its own rules, and while it serves.
func TestShared(t *testing.T) {
	keys, err := auth.ParseKeys("c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")
	require.NoError(t, err)
	w := newWorld(t, "some/in")
	var ln net.Listener
	h := w.host(&tally{v: newVault()}, func(cfg *consumertest.Config) {
		cfg.Adjust = func(c *consumer.Config) {
			ln, c.Listeners, c.Keys = c.Listeners[0], nil, keys
		}
	})
	var calls []string
	g := grpc.NewServer(grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		calls = append(calls, info.FullMethod)
		return next(ctx, req)
	}))
	h.RegisterServices(g)
	serving := task.New(context.WithoutCancel(t.Context()), "somebody else")
	serving.Go("serve", func(context.Context) error { return g.Serve(ln) })
	t.Cleanup(func() { g.Stop(); require.NoError(t, serving.Wait()) })
	list := func(path, token string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
		if token != "" {
			r.Header.Set(auth.Header, "Bearer "+token)
		}
		out := httptest.NewRecorder()
		h.Handler().ServeHTTP(out, r)
		return out.Code, out.Body.String()
	}

	_, err = h.Client().List(t.Context(), new(shards.ListRequest))
	require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
	code, _ := list("/v1/shards/list", "")
	require.Equal(t, http.StatusUnauthorized, code)
	token, err := keys.Sign(auth.Claims{Capability: auth.List | auth.Read | auth.Apply, Expiry: time.Now().Add(time.Hour)}, time.Now())
	require.NoError(t, err)
	ctx := auth.WithToken(t.Context(), token)
	_, err = h.Client().List(ctx, new(shards.ListRequest))
	require.NoError(t, err)
	require.Equal(t, []string{shards.Shard_List_FullMethodName, shards.Shard_List_FullMethodName}, calls, "the server's own interceptors see what is refused, too")
	code, body := list("/v1/shards/list", token)
	require.Equal(t, http.StatusOK, code)
	require.True(t, strings.HasPrefix(body, `{"status":"OK"`), body)

	// A request that waits ends with the host, and none gets through any more.
	_, err = h.Client().Apply(ctx, &shards.ApplyRequest{Changes: []*shards.ApplyRequest_Change{{Upsert: consumertest.Spec("a-shard", "some/in")}}})
	require.NoError(t, err)
	_, err = h.Client().Stat(ctx, &shards.StatRequest{Shard: "a-shard"})
	require.NoError(t, err)
	waiting := make(chan error, 1)
	serving.Go("wait", func(context.Context) error {
		r, err := h.Client().Stat(ctx, &shards.StatRequest{Shard: "a-shard", ReadThrough: map[string]int64{"some/in": 1}})
		if err == nil {
			err = r.GetStatus().Err()
		}
		waiting <- err
		return nil
	})
	h.Stop()
	require.Error(t, <-waiting)
	_, err = h.Client().List(ctx, new(shards.ListRequest))
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	code, body = list("/v1/shards/list", token)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "consumer is stopping")
}
