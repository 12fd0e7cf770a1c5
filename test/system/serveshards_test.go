package system_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// TestServeRunsShards: a server alone runs the shards of programs, at its one port of HTTP and gRPC, and each message counts once
// while the server is killed, and stopped.
func TestServeRunsShards(t *testing.T) {
	s := start(t)
	c, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + s.Broker})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	makeJournals(t, c)
	program := &counting{shard: "a-shard", hosts: []string{s.Broker}, client: &http.Client{Timeout: fleetPatience}}
	t.Cleanup(program.client.CloseIdleConnections)
	applyShard(t, s.Broker, &shards.ShardSpec{
		Id: program.shard, Sources: []*shards.ShardSpec_Source{{Journal: "some/in"}}, RecoveryLogPrefix: "recovery/logs", HintPrefix: "/hints",
		MaxTxnDuration: durationpb.New(100 * time.Millisecond),
	})
	const lines, keys = 200, 7
	ctx, cancel := context.WithTimeout(t.Context(), fleetPatience)
	defer cancel()
	ends := []func() error{
		func() error { s.Kill(); return nil },
		func() error { return s.Stop(ctx) },
	}
	for _, end := range ends {
		var text bytes.Buffer
		for n := range lines {
			fmt.Fprintf(&text, "{\"key\":\"k%d\"}\n", n%keys)
		}
		_, err := c.Append(ctx, client.AppendParams{Journal: "some/in"}, &text)
		require.NoError(t, err)
		for program.one(ctx) == 0 {
			require.NoError(t, ctx.Err())
		}
		require.NoError(t, end())
		require.NoError(t, s.Restart(ctx))
	}
	requireCounts(ctx, t, program, c, len(ends)*lines, keys)

	page := func(path string) string {
		r, err := program.client.Get("http://" + s.Broker + path) //nolint:noctx // of this test
		require.NoError(t, err)
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusOK, r.StatusCode, "%s", text)
		return string(text)
	}
	metrics := page("/debug/metrics")
	require.Contains(t, metrics, `gazette_shard_up{role="consumer",shard="a-shard",status="PRIMARY"} 1`)
	require.Contains(t, metrics, "gazette_allocator_members 1\n")
	require.Contains(t, metrics, "gazette_allocator_members{role=\"consumer\"} 1\n")
}
