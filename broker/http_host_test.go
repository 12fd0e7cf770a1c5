package broker_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// visit with headers, and return the code and the text. Those that are empty aren't sent.
func visit(t *testing.T, method, url, host, origin string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), method, url, strings.NewReader("{}"))
	require.NoError(t, err)
	req.Host = host
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

// TestVisitors: by no other name than its own, and for no page of another site, does a broker that lets in everyone
// answer on loopback: not at the debug port, not to JSON, not to a journal.
func TestVisitors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) {
		c.Debug.Listener = ln
		c.AllowedHosts = []string{"Broker.Internal", "192.0.2.7"}
		c.AllowOrigins = []string{"https://app.example"}
	}})
	b.Create(brokertest.Spec("a/journal"))
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	for _, c := range []struct {
		host, origin string
		want         int // 0 is to be let in
	}{
		{host: ""}, // that of the URL
		{host: "localhost"},
		{host: "LOCALHOST.:8080"},
		{host: "app.localhost"},
		{host: "127.0.0.2:" + port},
		{host: "[::1]:80"},
		{host: "broker.internal:1234"},
		{host: "192.0.2.7"},
		{host: "evil.example", want: http.StatusForbidden},
		{host: "evil.example:" + port, want: http.StatusForbidden},
		{host: "localhost.evil.example", want: http.StatusForbidden},
		{host: "127.0.0.1.evil.example", want: http.StatusForbidden},
		{host: "192.0.2.8", want: http.StatusForbidden},
		{host: "localhost", origin: "https://app.example"},
		{host: "localhost:8080", origin: "http://localhost:8080"},
		{host: "localhost", origin: "https://evil.example", want: http.StatusForbidden},
		{host: "localhost", origin: "http://localhost:8080", want: http.StatusForbidden},
		{host: "localhost", origin: "null", want: http.StatusForbidden},
	} {
		for _, r := range []struct{ method, url string }{
			{http.MethodGet, b.URL() + "/a/journal"},
			{http.MethodPut, b.URL() + "/a/journal"},
			{http.MethodPost, b.URL() + "/v1/journals/list"},
			{http.MethodGet, b.URL() + "/debug/metrics"},
			{http.MethodGet, "http://" + ln.Addr().String() + "/debug/requests"},
		} {
			code, text := visit(t, r.method, r.url, c.host, c.origin)
			if c.want != 0 {
				require.Equal(t, c.want, code, "%+v %+v", c, r)
				require.Contains(t, text, "\nhint: ")
				continue
			}
			require.NotEqual(t, http.StatusForbidden, code, "%+v %+v: %s", c, r, text)
		}
	}
	// The own port of diagnostics asks for none, also of a broker that does.
	own, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	brokertest.New(t, brokertest.Config{
		Token: token(t, auth.All, "", time.Hour),
		Adjust: func(c *broker.Config) {
			c.Security.Keys, c.Debug.Listener = parseKeys(t, sharedSecret), own
		},
	})
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"localhost", "", http.StatusOK},
		{"evil.example", "", http.StatusForbidden},
		{"localhost", "https://evil.example", http.StatusForbidden},
	} {
		code, text := visit(t, http.MethodGet, "http://"+own.Addr().String()+"/debug/metrics", c.host, c.origin)
		require.Equal(t, c.want, code, "%+v: %s", c, text)
	}
	// Who shows a token is no page that happens to be open.
	code, text := visit(t, http.MethodGet, guarded(t, sharedSecret).URL()+"/debug/ready", "evil.example", "https://evil.example")
	require.Equal(t, http.StatusOK, code, text)
}
