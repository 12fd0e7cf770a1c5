package consumer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestVisitors: a host that asks nobody for a token answers on loopback to its own names, and to no page of another site; one that does answers
// whoever has a token.
func TestVisitors(t *testing.T) {
	w := newWorld(t)
	keys, err := auth.ParseKeys("c2VjcmV0c2VjcmV0c2VjcmV0")
	require.NoError(t, err)
	for name, k := range map[string]*auth.Keyring{"open": nil, "asks": keys} {
		h := w.host(&tally{v: newVault()}, func(c *consumertest.Config) {
			c.Suffix = name
			c.Adjust = func(c *consumer.Config) {
				c.Keys, c.AllowedHosts, c.AllowOrigins = k, []string{"Consumer.Internal"}, []string{"https://app.example"}
			}
		})
		for _, c := range []struct {
			host, origin string
			welcome      bool
		}{
			{"", "", true},
			{"localhost:8080", "", true},
			{"consumer.internal", "", true},
			{"localhost", "https://app.example", true},
			{"localhost:8080", "http://localhost:8080", true},
			{"evil.example", "", false},
			{"127.0.0.1.evil.example:80", "", false},
			{"localhost", "https://evil.example", false},
			{"localhost", "null", false},
		} {
			for _, path := range []string{"/v1/shards/list", "/v1/shards/commit", "/debug/metrics"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL()+path, http.NoBody)
				require.NoError(t, err)
				req.Host = c.host
				if c.origin != "" {
					req.Header.Set("Origin", c.origin)
				}
				r, err := h.HTTP().Do(req)
				require.NoError(t, err)
				require.NoError(t, r.Body.Close())
				require.Equal(t, !c.welcome && k == nil, r.StatusCode == http.StatusForbidden, "%s %+v %s: %s", name, c, path, r.Status)
			}
		}
	}
}
