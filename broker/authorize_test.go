package broker_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

var sharedSecret = base64.StdEncoding.EncodeToString([]byte("the secret of all these tests"))

func parseKeys(tb testing.TB, text string) *auth.Keyring {
	tb.Helper()
	k, err := auth.ParseKeys(text)
	require.NoError(tb, err)
	return k
}

// token of capabilities for the journals that a selector's text selects.
func token(tb testing.TB, c auth.Capability, selector string, life time.Duration) string {
	tb.Helper()
	scope, err := protocol.ParseLabelSelector(selector)
	require.NoError(tb, err)
	text, err := parseKeys(tb, sharedSecret).Sign(auth.Claims{Capability: c, Scope: scope, Expiry: time.Now().Add(life)}, time.Now())
	require.NoError(tb, err)
	return text
}

// guarded is a broker that demands tokens. The harness's own may do everything.
func guarded(tb testing.TB, keys string) *brokertest.Broker {
	tb.Helper()
	return brokertest.New(tb, brokertest.Config{
		Token:  token(tb, auth.All, "", time.Hour),
		Adjust: func(c *broker.Config) { c.Security.Keys, c.Debug.Profiling = parseKeys(tb, keys), true },
	})
}

// call a method of gRPC by its name, with an empty message.
func call(ctx context.Context, conn *grpc.ClientConn, method string) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(new(protocol.ListRequest)) // An error is told by RecvMsg.
	_ = stream.CloseSend()
	return stream.RecvMsg(new(protocol.ListResponse))
}

// methods of Gazette's service.
func methods() []string {
	var out []string
	for _, m := range protocol.Journal_ServiceDesc.Methods {
		out = append(out, m.MethodName)
	}
	for _, s := range protocol.Journal_ServiceDesc.Streams {
		out = append(out, s.StreamName)
	}
	return out
}

// TestEveryMethodNeedsAToken: without one, with one that isn't good, and with one of
// every other capability, each is refused, whatever its deadline.
func TestEveryMethodNeedsAToken(t *testing.T) {
	b := guarded(t, sharedSecret)
	need := map[string]auth.Capability{
		"List": auth.List, "Apply": auth.Apply, "Read": auth.Read, "ListFragments": auth.Read,
		"FragmentStoreHealth": auth.Read, "Append": auth.Append, "Replicate": auth.Replicate,
	}
	for _, method := range methods() {
		want, ok := need[method]
		require.True(t, ok, "method %s has no capability", method)
		for _, deadline := range []time.Duration{30 * time.Second, time.Hour} {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			for text, conn := range map[string]*grpc.ClientConn{
				"missing or empty Authorization token":                                             b.Dial(""),
				"invalid Authorization token: it isn't a JSON Web Token with these claims":         b.Dial("guess"),
				"Authorization token doesn't allow this: it lacks the capability " + want.String(): b.Dial(token(t, auth.All&^want, "", time.Hour)),
				"invalid Authorization token: it has expired":                                      b.Dial(token(t, auth.All, "", -time.Minute)),
			} {
				err := call(ctx, conn, "/protocol.Journal/"+method)
				require.Equal(t, codes.Unauthenticated, status.Code(err), "%s: %v", method, err)
				require.Equal(t, text, status.Convert(err).Message(), method)
			}
			err := call(ctx, b.Dial(token(t, want, "", time.Hour)), "/protocol.Journal/"+method)
			require.NotEqual(t, codes.Unauthenticated, status.Code(err), "%s: %v", method, err)
		}
	}
	for _, method := range []string{"/protocol.Journal/Else", "/Else", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"} {
		err := call(bounded(t), b.Dial(""), method)
		require.Equal(t, codes.Unimplemented, status.Code(err), "%s: %v", method, err)
	}
	require.Positive(t, b.Metric("broadsheet_broker_denied_total"))
}

// send a request over HTTP with a token; it returns the answer's status and text.
func send(t *testing.T, b *brokertest.Broker, method, path, bearer, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), method, b.URL()+path, strings.NewReader(body))
	require.NoError(t, err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := b.HTTP().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if resp.StatusCode == http.StatusUnauthorized {
		require.Equal(t, "Bearer", resp.Header.Get("Www-Authenticate"))
	}
	return resp.StatusCode, string(text)
}

// TestHTTPNeedsAToken: the doors of HTTP and JSON are shut just as gRPC's is.
func TestHTTPNeedsAToken(t *testing.T) {
	b := guarded(t, sharedSecret)
	b.Create(brokertest.Spec("a/journal"))
	all := token(t, auth.All, "", time.Hour)
	code, text := send(t, b, http.MethodPut, "/a/journal", all, "hello")
	require.Equal(t, http.StatusNoContent, code, text)
	for _, c := range []struct {
		method, path, body string
		want               auth.Capability
		code               int
	}{
		{http.MethodGet, "/a/journal", "", auth.Read, http.StatusPartialContent},
		{http.MethodHead, "/a/journal", "", auth.Read, http.StatusPartialContent},
		{http.MethodPut, "/a/journal", "more", auth.Append, http.StatusNoContent},
		{http.MethodPost, "/v1/journals/list", "{}", auth.List, http.StatusOK},
		{http.MethodPost, "/v1/journals/read", `{"journal":"a/journal"}`, auth.Read, http.StatusOK},
		{http.MethodGet, "/debug/metrics", "", auth.List, http.StatusOK},
		{http.MethodGet, "/debug/vars", "", auth.List, http.StatusOK},
		{http.MethodGet, "/debug/requests", "", auth.List, http.StatusOK},
		{http.MethodGet, "/debug/events", "", auth.List, http.StatusOK},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			for want, bearer := range map[string]string{
				"missing or empty Authorization token":                                               "",
				"invalid Authorization token: it isn't a JSON Web Token with these claims":           "guess",
				"invalid Authorization token: it has expired":                                        token(t, auth.All, "", -time.Minute),
				"Authorization token doesn't allow this: it lacks the capability " + c.want.String(): token(t, auth.All&^c.want, "", time.Hour),
			} {
				code, text := send(t, b, c.method, c.path, bearer, c.body)
				require.Equal(t, http.StatusUnauthorized, code, text)
				switch {
				case c.method == http.MethodHead:
					require.Empty(t, text)
				case strings.HasPrefix(c.path, "/v1/"):
					require.Equal(t, `{"error":{"grpcCode":16,"httpCode":401,"message":"`+want+`","httpStatus":"Unauthorized","details":[]}}`+"\n", text)
				default:
					require.Contains(t, text, want+"\nhint: ")
				}
			}
			code, text := send(t, b, c.method, c.path, token(t, c.want, "", time.Hour), c.body)
			require.Equal(t, c.code, code, text)
		})
	}
	require.Equal(t, "hellomore", mustRead(bounded(t), t, b, "a/journal", 0))
	code, text = send(t, b, http.MethodGet, "/debug/metrics", token(t, auth.All, "name=a/journal", time.Hour), "")
	require.Equal(t, http.StatusUnauthorized, code)
	require.Contains(t, text, "it has a scope")
	code, _ = send(t, b, http.MethodGet, "/debug/ready", "", "")
	require.Equal(t, http.StatusOK, code)
}

// TestMissingIsAllowed: with AA== among the keys who has no token may do everything,
// and who has one that isn't good nothing.
func TestMissingIsAllowed(t *testing.T) {
	b := guarded(t, "AA== "+sharedSecret)
	b.Create(brokertest.Spec("a/journal"))
	code, text := send(t, b, http.MethodPut, "/a/journal", "", "hello")
	require.Equal(t, http.StatusNoContent, code, text)
	code, _ = send(t, b, http.MethodPut, "/a/journal", "guess", "hello")
	require.Equal(t, http.StatusUnauthorized, code)
	for conn, want := range map[*grpc.ClientConn]codes.Code{b.Dial(""): codes.OK, b.Dial("guess"): codes.Unauthenticated} {
		_, err := listAll(bounded(t), protocol.NewJournalClient(conn), new(protocol.ListRequest))
		require.Equal(t, want, status.Code(err), "%v", err)
	}
}

// TestRequestsEndWithTheirToken: reads that block, watches, and appends that stall.
func TestRequestsEndWithTheirToken(t *testing.T) {
	b := guarded(t, sharedSecret)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(bounded(t), t, b, "a/journal", "hello")
	short := func(t *testing.T) string {
		t.Helper()
		return token(t, auth.All, "", 2*time.Second)
	}
	ends := func(name string, run func(ctx context.Context, client protocol.JournalClient) error) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(bounded(t), protocol.NewJournalClient(b.Dial(short(t))))
			require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
		})
	}
	ends("read", func(ctx context.Context, client protocol.JournalClient) error {
		_, err := readAll(ctx, client, &protocol.ReadRequest{Journal: "a/journal", Block: true})
		return err
	})
	ends("watch", func(ctx context.Context, client protocol.JournalClient) error {
		stream, err := client.List(ctx, &protocol.ListRequest{Watch: true})
		for err == nil {
			_, err = stream.Recv()
		}
		return err
	})
	ends("append", func(ctx context.Context, client protocol.JournalClient) error {
		stream, err := client.Append(ctx)
		if err == nil {
			err = stream.Send(&protocol.AppendRequest{Journal: "a/journal"})
		}
		if err == nil {
			err = stream.RecvMsg(new(protocol.AppendResponse))
		}
		return err
	})
	t.Run("GET", func(t *testing.T) {
		t.Parallel()
		req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, b.URL()+"/a/journal?block=true", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+short(t))
		resp, err := b.HTTP().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "hello", string(text))
		require.Equal(t, "the Authorization token has expired", resp.Trailer.Get("X-Close-Error"))
	})
	t.Run("PUT", func(t *testing.T) {
		t.Parallel()
		r, w := io.Pipe()
		defer w.Close()
		req, err := http.NewRequestWithContext(bounded(t), http.MethodPut, b.URL()+"/a/journal", r)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+short(t))
		resp, err := b.HTTP().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		require.Contains(t, string(text), "the Authorization token has expired\nhint: ")
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		code, text := send(t, b, http.MethodPost, "/v1/journals/read", short(t), `{"journal":"a/journal","block":true}`)
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, text, `"content":"aGVsbG8="`)
		require.True(t, strings.HasSuffix(text, `{"error":{"grpcCode":4,"httpCode":504,"message":"the Authorization token has expired",`+
			`"httpStatus":"Gateway Timeout","details":[]}}`+"\n"), text)
	})
}

// TestIdleAppendWithAToken is ended with the same code as one that needs none.
func TestIdleAppendWithAToken(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{
		Token: token(t, auth.All, "", time.Hour),
		Adjust: func(c *broker.Config) {
			c.Security.Keys = parseKeys(t, sharedSecret)
			c.IdleTimeout = 50 * time.Millisecond
		},
	})
	b.Create(brokertest.Spec("a/journal"))
	stream, err := b.Client().Append(bounded(t))
	require.NoError(t, err)
	require.NoError(t, stream.Send(&protocol.AppendRequest{Journal: "a/journal"}))
	err = stream.RecvMsg(new(protocol.AppendResponse))
	require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
}

// TestSignedURLsEndWithTheToken, or soon after.
func TestSignedURLsEndWithTheToken(t *testing.T) {
	b := guarded(t, sharedSecret)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(bounded(t), t, b, "a/journal", "one")
	mustAppend(bounded(t), t, b, "a/journal", "two")
	awaitStored(bounded(t), t, b, "a/journal", 1)
	client := protocol.NewJournalClient(b.Dial(token(t, auth.Read, "", time.Minute)))
	r, err := client.ListFragments(bounded(t), &protocol.FragmentsRequest{Journal: "a/journal", SignatureTTL: durationpb.New(24 * time.Hour)})
	require.NoError(t, err)
	require.NotEmpty(t, r.GetFragments()[0].GetSignedUrl())
}
