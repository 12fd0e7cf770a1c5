package calls_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"broadsheet.dev/broadsheet/internal/calls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 30 * time.Second
	tick     = time.Millisecond
)

// text is a message.
type text = wrapperspb.StringValue

// echo answers with what it gets, and fails if that is "fail".
func echo(in *text) (*text, error) {
	if in.GetValue() == "fail" {
		return nil, status.Error(codes.NotFound, "no such word")
	}
	return in, nil
}

// echoService is the service test.Echo, with Once and Each.
func echoService() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "test.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Once",
			Handler: func(srv any, ctx context.Context, decode func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
				in := new(text)
				if err := decode(in); err != nil {
					return nil, err
				}
				info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/test.Echo/Once"}
				return around(ctx, in, info, func(context.Context, any) (any, error) { return echo(in) })
			},
		}},
		Streams: []grpc.StreamDesc{{
			StreamName: "Each", ClientStreams: true, ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				for {
					in := new(text)
					err := stream.RecvMsg(in)
					if errors.Is(err, io.EOF) {
						return nil
					}
					if err == nil {
						in, err = echo(in)
					}
					if err == nil {
						err = stream.SendMsg(in)
					}
					if err != nil {
						return err
					}
				}
			},
		}},
	}
}

// serve the service, watched by r.
func serve(t *testing.T, r *calls.Recorder) *grpc.ClientConn {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	server := grpc.NewServer(r.ServerOptions()...)
	server.RegisterService(echoService(), struct{}{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-ended)
	})
	conn, err := grpc.NewClient("unix://"+ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// counted are the metrics, but for how long calls took.
func counted(t *testing.T, r *calls.Recorder) []string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(r))
	families, err := registry.Gather()
	require.NoError(t, err)
	var out []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			out = append(out, fmt.Sprintf("%s{%s} %v", strings.TrimPrefix(f.GetName(), "grpc_server_"), strings.Join(labels, " "), n))
		}
	}
	slices.Sort(out)
	return out
}

func page(r *calls.Recorder, query string) string {
	w := httptest.NewRecorder()
	r.Page().ServeHTTP(w, httptest.NewRequest("GET", "/debug/requests"+query, nil))
	return w.Body.String()
}

// TestCalls: calls that run, end and fail are counted, and shown.
func TestCalls(t *testing.T) {
	r := calls.New()
	require.Equal(t, "no calls yet\n", page(r, ""))
	conn := serve(t, r)
	for range 12 {
		require.NoError(t, conn.Invoke(t.Context(), "/test.Echo/Once", wrapperspb.String("word"), new(text)))
	}
	err := conn.Invoke(t.Context(), "/test.Echo/Once", wrapperspb.String("fail"), new(text))
	require.Equal(t, codes.NotFound, status.Code(err))

	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Echo/Each")
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, stream.SendMsg(wrapperspb.String("word")))
		require.NoError(t, stream.RecvMsg(new(text)))
	}
	running := page(r, "?method=Each")
	require.Regexp(t, `^/test\.Echo/Each\n  running: 1\n    \S+ runs since \S+ from \S+, received 3, sent (2|3)\n\n$`, running)
	require.NoError(t, stream.CloseSend())
	require.ErrorIs(t, stream.RecvMsg(new(text)), io.EOF)

	// A client knows how its call ended a moment before the server's handler has.
	require.Eventually(t, func() bool { return !strings.Contains(page(r, ""), "running: 1") }, patience, tick)
	require.Equal(t, []string{
		"handled_total{NotFound Once test.Echo unary} 1",
		"handled_total{OK Each test.Echo bidi_stream} 1",
		"handled_total{OK Once test.Echo unary} 12",
		"handling_seconds{Each test.Echo bidi_stream} 1",
		"handling_seconds{Once test.Echo unary} 13",
		"msg_received_total{Each test.Echo bidi_stream} 3",
		"msg_received_total{Once test.Echo unary} 13",
		"msg_sent_total{Each test.Echo bidi_stream} 3",
		"msg_sent_total{Once test.Echo unary} 12",
		"started_total{Each test.Echo bidi_stream} 1",
		"started_total{Once test.Echo unary} 13",
	}, counted(t, r))

	shown := page(r, "?method=Once")
	require.Contains(t, shown, "  running: 0\n  ended: 13, of which the last are\n")
	ended, failed, ok := strings.Cut(shown, "  failed: 1, of which the last are\n")
	require.True(t, ok, shown)
	require.Contains(t, failed, `received 1, sent 0: NotFound "no such word"`)
	_, last, _ := strings.Cut(ended, "of which the last are\n")
	last, _, _ = strings.Cut(last, "or longer")
	require.Equal(t, 10, strings.Count(last, " from "), shown)
}

// TestJournals: the page names the journal that a call's first message does, and bounds what a client says.
func TestJournals(t *testing.T) {
	r := calls.New()
	long := strings.Repeat("é", 1000)
	handle := func(context.Context, any) (any, error) { return nil, errors.New(long) }
	for _, o := range []string{"a/journal", long} {
		_, err := r.Unary(t.Context(), named(o), &grpc.UnaryServerInfo{FullMethod: "/test.Echo/Once"}, handle)
		require.Error(t, err)
	}
	shown := page(r, "")
	require.Contains(t, shown, `journal "a/journal": Unknown "é`)
	require.NotContains(t, shown, strings.Repeat("é", 257))
}

type named string

func (n named) GetJournal() string { return string(n) }
