package guest_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// patient makes a host that gives whatever runs all the time, so that one which waits for it doesn't stop within a test.
func patient(c *consumer.Config) { c.Grace = time.Hour }

// awaitProgram waits until a shard's host says how it is with its program.
func awaitProgram(t *testing.T, h *consumertest.Host, says string) {
	t.Helper()
	for {
		r, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard"}) // It waits while there is no primary.
		require.NoError(t, err)
		if string(r.GetExtension()) == `{"program":"`+says+`"}` {
			return
		}
	}
}

// awaitCount waits until a counter of a host, with a value of one of its labels, is at least n.
func awaitCount(t *testing.T, h *consumertest.Host, name, value string, n float64) {
	t.Helper()
	for t.Context().Err() == nil {
		families, err := h.Metrics.Gather()
		require.NoError(t, err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				has := false
				for _, l := range m.GetLabel() {
					has = has || l.GetValue() == value
				}
				if f.GetName() == name && has && m.GetCounter().GetValue() >= n {
					return
				}
			}
		}
	}
}

func run(ctx context.Context, t *testing.T, c shardv1.ShardClient) shardv1.Shard_RunClient {
	t.Helper()
	stream, err := c.Run(ctx)
	require.NoError(t, err)
	say(t, stream, &shardv1.RunRequest{Kind: &shardv1.RunRequest_Open_{Open: &shardv1.RunRequest_Open{Shard: "a-shard"}}})
	return stream
}

func say(t *testing.T, to shardv1.Shard_RunClient, r *shardv1.RunRequest) {
	t.Helper()
	require.NoError(t, to.Send(r))
}

func hear(t *testing.T, from shardv1.Shard_RunClient) *shardv1.RunResponse {
	t.Helper()
	r, err := from.Recv()
	require.NoError(t, err)
	return r
}

// TestStopWhileForwarded: who waits at another host is told at once that the host which passed it on stops, over gRPC and HTTP, whether it
// has the shard or waits for it; and that host waits for nobody.
func TestStopWhileForwarded(t *testing.T) {
	w := newWorld(t)
	one := w.host(1)
	one.Apply(spec())
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.hostWith(2, guest.Config{}, patient)
	c := w.dial(two)
	has := run(t.Context(), t, c)
	require.NotNil(t, hear(t, has).GetOpened())
	waits := run(t.Context(), t, c)
	g := task.New(t.Context(), "programs")
	var rpc, code int
	var told map[string]any
	g.Go("take", func(ctx context.Context) error {
		_, err := c.Take(ctx, &shardv1.TakeRequest{Shard: "a-shard", WaitMs: 60_000})
		rpc = int(status.Code(err))
		if !strings.Contains(status.Convert(err).Message(), "this host is stopping: try again") {
			return err
		}
		return nil
	})
	g.Go("get", func(context.Context) error {
		r, err := two.HTTP().Get(two.URL() + "/v1/shards/transaction?shard=a-shard&wait=1m")
		if err != nil {
			return err
		}
		code, told = answer(t, r)
		return nil
	})
	awaitCount(t, one, "grpc_server_started_total", "Run", 2)
	awaitCount(t, one, "grpc_server_started_total", "Take", 2)
	two.Stop()
	for _, s := range []shardv1.Shard_RunClient{has, waits} {
		_, err := s.Recv()
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
		require.ErrorContains(t, err, "this host is stopping: try again")
	}
	require.NoError(t, g.Wait())
	require.Equal(t, int(codes.Unavailable), rpc)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, told["error"], "this host is stopping")
	require.NotEmpty(t, told["hint"])
	awaitProgram(t, one, "none is connected")
}

// addBytes to the source: so many lines of so many bytes.
func (w *world) addBytes(lines, size int) {
	w.t.Helper()
	var text bytes.Buffer
	for n := range lines {
		fmt.Fprintf(&text, "{\"n\":%d,\"x\":%q}\n", n, strings.Repeat("x", size))
	}
	_, err := w.client.Append(w.t.Context(), client.AppendParams{Journal: "some/in"}, &text)
	require.NoError(w.t, err)
}

// TestDeafProgram: a program that doesn't receive what it is sent, from the shard's host or by another one, doesn't keep the shard from
// another life.
func TestDeafProgram(t *testing.T) {
	w := newWorld(t)
	hasty := guest.Config{Patience: time.Millisecond, MaxBytes: 8 << 20}
	one := w.hostWith(1, hasty, patient)
	s := spec()
	s.MinTxnDuration, s.MaxTxnDuration = durationpb.New(time.Hour), durationpb.New(time.Hour)
	one.Apply(s)
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.hostWith(2, hasty, patient)
	w.addBytes(200, 20<<10)
	for i, h := range []*consumertest.Host{one, two} {
		conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(h.URL(), "http://"),
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStaticStreamWindowSize(64<<10))
		require.NoError(t, err)
		deaf := run(t.Context(), t, shardv1.NewShardClient(conn))
		require.NotNil(t, hear(t, deaf).GetOpened())
		require.NotEmpty(t, hear(t, deaf).GetMessages().GetMessages())
		awaitCount(t, one, "gazette_shard_read_bytes_total", "a-shard", float64((i+1)*200*20<<10)) // which is more than is sent unread

		s.Labels = protocol.MustLabelSet("edited", strconv.Itoa(i))
		one.Apply(s)
		awaitProgram(t, one, "none is connected")
		require.NoError(t, conn.Close())
	}
}

// slowLogs are recovery logs that are never played to their end.
type slowLogs struct{}

func (slowLogs) NewPlayer(*recoverylog.FSMHints, string) (consumer.Player, error) {
	return slowLogs{}, nil
}
func (slowLogs) CaughtUp() <-chan struct{}                               { return nil }
func (slowLogs) TakeOver() error                                         { return nil }
func (slowLogs) Recorder(ctx context.Context) (consumer.Recorder, error) { return nil, ctx.Err() }
func (slowLogs) Play(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestTakeWhileRecovering: whoever would take a transaction doesn't wait for longer than it wants to. A host that is stopped meanwhile
// doesn't play what is left of the log.
func TestTakeWhileRecovering(t *testing.T) {
	w := newWorld(t)
	one := w.hostWith(1, guest.Config{}, func(c *consumer.Config) { c.RecoveryLogs, c.Grace = slowLogs{}, time.Hour })
	one.Apply(spec())
	one.AwaitCode("a-shard", shards.ReplicaStatus_STANDBY) // It has the log taken over, which is to be played to its end yet.
	two := w.hostWith(2, guest.Config{}, nil)
	for _, h := range []*consumertest.Host{one, two} {
		_, err := w.dial(h).Take(t.Context(), &shardv1.TakeRequest{Shard: "a-shard", WaitMs: 1})
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
		require.ErrorContains(t, err, "shard a-shard: its primary doesn't serve yet")
	}
}
