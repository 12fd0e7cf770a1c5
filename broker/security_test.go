package broker_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/certs/certstest"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestCheckAddress: who lets in everyone may listen where only this machine can reach.
func TestCheckAddress(t *testing.T) {
	keys := parseKeys(t, sharedSecret)
	files := certs.Files{Cert: "c", Key: "k"}
	mutual := certs.Files{Cert: "c", Key: "k", CA: "a"}
	for _, c := range []struct {
		name             string
		security         auth.Security
		network, address string
		refused          bool
	}{
		{"loopback", auth.Security{}, "tcp", "127.0.0.1:8080", false},
		{"another loopback", auth.Security{}, "tcp", "127.7.7.7:8080", false},
		{"loopback of IPv6", auth.Security{}, "tcp", "[::1]:8080", false},
		{"loopback by name", auth.Security{}, "tcp", "localhost:8080", false},
		{"a unix socket", auth.Security{}, "unix", "/run/broker.sock", false},
		{"all addresses", auth.Security{}, "tcp", "0.0.0.0:8080", true},
		{"all addresses of IPv6", auth.Security{}, "tcp", "[::]:8080", true},
		{"no host", auth.Security{}, "tcp", ":8080", true},
		{"a name", auth.Security{}, "tcp", "broker.example:8080", true},
		{"a name that looks like loopback", auth.Security{}, "tcp", "127.0.0.1.example:8080", true},
		{"TLS authenticates no client", auth.Security{Server: files}, "tcp", "10.0.0.1:8080", true},
		{"mTLS does", auth.Security{Server: mutual}, "tcp", "10.0.0.1:8080", false},
		{"tokens do", auth.Security{Keys: keys}, "tcp", "10.0.0.1:8080", false},
		{"not if they may be missing", auth.Security{Keys: parseKeys(t, "AA== "+sharedSecret)}, "tcp", "10.0.0.1:8080", true},
		{"said to be insecure", auth.Security{Insecure: true}, "tcp", "10.0.0.1:8080", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.security.CheckAddress(c.network, c.address)
			if !c.refused {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.address+" isn't a loopback address, and clients aren't authenticated")
			require.ErrorAs(t, err, new(*auth.ExposedError))
		})
	}
	require.Error(t, auth.Security{}.CheckAddress("tcp", "no port"))
}

// configOf a broker that New takes.
func configOf(t *testing.T) broker.Config {
	t.Helper()
	var taken broker.Config
	brokertest.New(t, brokertest.Config{Quiet: true, Adjust: func(c *broker.Config) { taken = *c }})
	taken.Registerer = nil // It has the metrics of the broker that runs.
	return taken
}

// TestRefusedConfigs: what doesn't fit together is told before anything is served.
func TestRefusedConfigs(t *testing.T) {
	open, err := net.Listen("tcp", "0.0.0.0:0") // It is never served.
	require.NoError(t, err)
	defer open.Close()
	cfg := configOf(t)
	for name, c := range map[string]struct {
		change func(*broker.Config)
		want   string
	}{
		"an exposed listener":       {func(c *broker.Config) { c.Listeners = []net.Listener{open} }, "isn't a loopback address"},
		"an exposed debug listener": {func(c *broker.Config) { c.Debug.Listener = open }, "isn't a loopback address"},
		"one of a broker with keys": {func(c *broker.Config) {
			c.Security.Keys, c.Debug.Listener = parseKeys(t, sharedSecret), open
		}, "security: debug: " + open.Addr().String() + " isn't a loopback address, and clients aren't authenticated"},
		"private without a listener": {func(c *broker.Config) { c.Debug.Private = true }, "debug: Private needs a Listener"},
		"private profiling": {func(c *broker.Config) {
			c.Debug = broker.Debug{Listener: c.Listeners[0], Private: true, Profiling: true}
		}, "debug: Profiling is of the shared port"},
		"a key alone":             {func(c *broker.Config) { c.Security.Server.Key = "k" }, "security: server: there is a key (k), and no certificate"},
		"a peer's key alone":      {func(c *broker.Config) { c.Security.Peer.Key = "k" }, "security: peer: there is a key (k), and no certificate"},
		"a CA alone":              {func(c *broker.Config) { c.Security.Server.CA = "a" }, "security: server: there is a CA (a), and no certificate"},
		"http with a certificate": {func(c *broker.Config) { c.Security.Server = certs.Files{Cert: "c", Key: "k"} }, "its scheme has to be https"},
		"https without one":       {func(c *broker.Config) { c.Endpoint = "https://localhost:1" }, "its scheme has to be http,"},
		"files that aren't there": {func(c *broker.Config) {
			c.Security.Server, c.Endpoint = certs.Files{Cert: "/none", Key: "/none"}, "https://localhost:1"
		}, "server's certificates: open /none"},
		"a peer's CA that isn't there": {func(c *broker.Config) { c.Security.Peer.CA = "/none" }, "peer's certificates: open /none"},
		"an origin with a path":        {func(c *broker.Config) { c.AllowOrigins = []string{"*", "https://x.example/page"} }, `allowed origin "https://x.example/page" isn't one`},
		"a host with a port":           {func(c *broker.Config) { c.AllowedHosts = []string{"x.example", "x.example:80"} }, `allowed host "x.example:80" isn't one`},
		"an origin without a scheme":   {func(c *broker.Config) { c.AllowOrigins = []string{"x.example"} }, `allowed origin "x.example" isn't one`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := cfg
			c.change(&changed)
			_, err := broker.New(changed)
			require.ErrorContains(t, err, c.want)
		})
	}
	require.Equal(t, "http", auth.Security{}.Scheme())
	require.Equal(t, "https", auth.Security{Server: certs.Files{Cert: "c", Key: "k"}}.Scheme())
}

// encrypted is a broker with TLS, and the URL of its port.
func encrypted(t *testing.T, server certs.Files) (*brokertest.Broker, string) {
	t.Helper()
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) {
		c.Security.Server = server
		c.Endpoint = strings.Replace(c.Endpoint, "http:", "https:", 1)
	}})
	return b, strings.Replace(b.URL(), "http:", "https:", 1)
}

// clientOf certificates.
func clientOf(t *testing.T, f certs.Files) *tls.Config {
	t.Helper()
	s, err := certs.Load(f, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s.Client()
}

// answer to a request over HTTP, whole.
type answer struct {
	code            int
	proto, location string
	text            string
}

// get over HTTPS, with what Go's client offers by itself: h2 and http/1.1.
func get(ctx context.Context, t *testing.T, url string, config *tls.Config) (answer, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Proto, resp.Header.Get("Location"), string(text)}, err
}

// TestTLS: gRPC and HTTP share a port with TLS; the unix socket has none.
func TestTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	b, url := encrypted(t, ca.Issue("server", certs.Files{}))
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "hello") // over the unix socket

	conn, err := grpc.NewClient(strings.TrimPrefix(url, "https://"), grpc.WithTransportCredentials(credentials.NewTLS(clientOf(t, certs.Files{CA: ca.File}))))
	require.NoError(t, err)
	defer conn.Close()
	r, err := appendWith(ctx, protocol.NewJournalClient(conn), &protocol.AppendRequest{Journal: "a/journal"}, ", world")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
	require.Equal(t, []string{url}, r.GetHeader().GetRoute().GetEndpoints())

	got, err := get(ctx, t, url+"/a/journal", clientOf(t, certs.Files{CA: ca.File}))
	require.NoError(t, err)
	require.Equal(t, "hello, world", got.text)
	require.Equal(t, "HTTP/1.1", got.proto)
	require.Equal(t, url+"/a/journal", got.location)

	_, err = get(ctx, t, url+"/a/journal", clientOf(t, certs.Files{}))
	require.ErrorContains(t, err, "certificate signed by unknown authority")
	_, err = get(ctx, t, b.URL()+"/a/journal", nil)
	require.Error(t, err, "HTTP without TLS")
}

// TestMutualTLS: who shows no certificate, or another's, gets no answer to anything.
func TestMutualTLS(t *testing.T) {
	ca, other := certstest.New(t, "ca"), certstest.New(t, "other")
	b, url := encrypted(t, ca.Issue("server", certs.Files{CA: ca.File}))
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "hello")
	known := clientOf(t, ca.Issue("client", certs.Files{CA: ca.File}))
	got, err := get(ctx, t, url+"/a/journal", known)
	require.NoError(t, err)
	require.Equal(t, "hello", got.text)
	stranger := clientOf(t, other.Issue("stranger", certs.Files{CA: ca.File}))
	own := stranger.Certificates[0]
	stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	for name, config := range map[string]*tls.Config{"anonymous": clientOf(t, certs.Files{CA: ca.File}), "stranger": stranger} {
		for _, path := range []string{"/a/journal", "/debug/ready"} {
			_, err := get(ctx, t, url+path, config)
			require.ErrorContains(t, err, "tls: ", name)
		}
		conn, err := grpc.NewClient(strings.TrimPrefix(url, "https://"), grpc.WithTransportCredentials(credentials.NewTLS(config)))
		require.NoError(t, err)
		defer conn.Close()
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err = listAll(short, protocol.NewJournalClient(conn), new(protocol.ListRequest))
		require.Contains(t, []codes.Code{codes.Unavailable, codes.DeadlineExceeded}, status.Code(err), "%s: %v", name, err)
	}
}

// TestDebugPort: diagnostics have a port of their own, and the shared one as much of
// them as it is to have.
func TestDebugPort(t *testing.T) {
	for name, c := range map[string]struct {
		debug  broker.Debug
		shared map[string]int
	}{
		"as it is":       {broker.Debug{}, map[string]int{"ready": 200, "metrics": 200, "pprof/": 404, "vars": 404, "requests": 404, "events": 404}},
		"with profiling": {broker.Debug{Profiling: true}, map[string]int{"ready": 200, "metrics": 200, "pprof/": 200, "pprof/goroutine": 200, "pprof/cmdline": 404, "vars": 200, "requests": 200, "events": 200}},
		"private":        {broker.Debug{Private: true}, map[string]int{"ready": 200, "metrics": 404, "pprof/": 404}},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			b := brokertest.New(t, brokertest.Config{Adjust: func(cfg *broker.Config) {
				cfg.Debug = c.debug
				cfg.Debug.Listener = ln
			}})
			for path, want := range c.shared {
				got, err := get(bounded(t), t, b.URL()+"/debug/"+path, nil)
				require.NoError(t, err)
				require.Equal(t, want, got.code, "%s: %s", path, got.text)
			}
			own := "http://" + ln.Addr().String()
			for path, want := range map[string]int{
				"/debug/ready": 200, "/debug/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/symbol": 200,
				"/debug/pprof/cmdline": 404, "/debug/vars": 200, "/debug/requests": 200, "/debug/events": 200, "/a/journal": 404,
			} {
				got, err := get(bounded(t), t, own+path, nil)
				require.NoError(t, err)
				require.Equal(t, want, got.code, "%s: %s", path, got.text)
			}
			b.Stop()
			_, err = get(bounded(t), t, own+"/debug/ready", nil)
			require.Error(t, err, "the port is closed with the broker")
		})
	}
}

// TestDebugPages: what is told of the process itself, to who may list all journals.
func TestDebugPages(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.Debug.Profiling = true }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "text")
	_, err := b.Client().FragmentStoreHealth(ctx, &protocol.FragmentStoreHealthRequest{FragmentStore: "bucket"})
	require.Error(t, err)
	page := func(path string) string {
		got, err := get(ctx, t, b.URL()+path, nil)
		require.NoError(t, err)
		require.Equal(t, 200, got.code, got.text)
		return got.text
	}
	var vars map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(page("/debug/vars")), &vars))
	require.Contains(t, vars, "memstats")
	require.NotContains(t, vars, "cmdline", "it may have keys in it")
	requests := page("/debug/requests")
	require.Regexp(t, `received 3, sent 1, journal "a/journal": OK`, requests)
	require.Regexp(t, `(?m)^/protocol\.Journal/FragmentStoreHealth$`, requests)
	require.Contains(t, requests, "FragmentStore")
	require.Contains(t, page("/debug/events"), `msg="broker is listening"`)
	require.Positive(t, b.Metric("grpc_server_handled_total"))
}
