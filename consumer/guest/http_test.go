package guest_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestErrorsOfHTTP have one form, whoever refuses the request: what is wrong, gRPC's name of its code, and what to do. Those of list and stat
// are Gazette's.
func TestErrorsOfHTTP(t *testing.T) {
	w := newWorld(t)
	keys, err := auth.ParseKeys("c2VjcmV0c2VjcmV0c2VjcmV0")
	require.NoError(t, err)
	h := w.hostWith(1, guest.Config{}, func(c *consumer.Config) { c.Keys = keys })
	token := func(c auth.Capability) string {
		s, err := keys.Sign(auth.Claims{Capability: c, Expiry: time.Now().Add(time.Hour)}, time.Now())
		require.NoError(t, err)
		return "Bearer " + s
	}
	reads, all := token(auth.Read), token(auth.Read|auth.Append|auth.List)
	for _, c := range []struct {
		method, path, token, body string
		code                      int
		name, says, hint          string
	}{
		{http.MethodPost, "/v1/shards/nothing", all, ``, 404, "NotFound", "/v1/shards/nothing isn't there", "there are POST /v1/shards/list, "},
		{http.MethodPut, "/v1/shards/commit", all, ``, 405, "Unimplemented", "method PUT is not supported", "use POST"},
		{http.MethodGet, "/v1/shards/transaction?shard=a-shard", "", ``, 401, "Unauthenticated", "", "send a token that allows READ"},
		{http.MethodPost, "/v1/shards/commit", reads, `{}`, 401, "Unauthenticated", "", "APPEND"},
		{http.MethodPost, "/v1/shards/commit", all, `{"token": 1}`, 400, "InvalidArgument", "token: is a number (expected a string)", "correct the request"},
		{http.MethodPost, "/v1/shards/commit", all, `{"shard": "none", "token": "t"}`, 404, "NotFound", "shard none isn't there", "make it first"},
		{http.MethodPost, "/v1/shards/commit", all, strings.Repeat(" ", 3<<20+1), 400, "InvalidArgument", "has more than 3145728 bytes", "correct the request"},
		{http.MethodGet, "/v1/shards/transaction?shard=none", all, ``, 404, "NotFound", "shard none", "make it first"},
		{http.MethodGet, "/v1/shards/transaction?shard=none&wait=2m", all, ``, 400, "InvalidArgument", "wait: isn't of 0 to 1m0s", "correct"},
		{http.MethodGet, "/v1/shards/transaction?shard=none&wait=soon", all, ``, 400, "InvalidArgument", `wait: "soon" isn't a duration`, "correct"},
		{http.MethodGet, "/v1/shards/transaction?shard=none&lease=1us", all, ``, 400, "InvalidArgument", "lease: 1µs is less than a millisecond", "correct"},
		{http.MethodGet, "/v1/shards/state?shard=none&limit=1001", all, ``, 400, "InvalidArgument", "limit: isn't of 1 to 1000", "correct"},
		{http.MethodGet, "/v1/shards/state?shard=none&key=a&prefix=b", all, ``, 400, "InvalidArgument", "key: can't be with prefix", "correct"},
		{http.MethodGet, "/v1/shards/state?shard=none&kee=a", all, ``, 400, "InvalidArgument", "kee: isn't a parameter of this request", "correct"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, h.URL()+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		if c.token != "" {
			req.Header.Set(auth.Header, c.token)
		}
		r, err := h.HTTP().Do(req)
		require.NoError(t, err)
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		code, out := answer(t, r)
		require.Equal(t, c.code, code, "%s %s: %v", c.method, c.path, out)
		require.Equal(t, []string{"code", "error", "hint"}, slices.Sorted(maps.Keys(out)))
		require.Equal(t, c.name, out["code"])
		require.Contains(t, out["error"], c.says)
		require.Contains(t, out["hint"], c.hint)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL()+"/v1/shards/transaction?shard=none", nil)
	require.NoError(t, err)
	req.Header.Set(auth.Header, all)
	req.Header.Set("Sec-Fetch-Site", "same-site") // an image of some page
	r, err := h.HTTP().Do(req)
	require.NoError(t, err)
	code, out := answer(t, r)
	require.Equal(t, http.StatusForbidden, code)
	require.Contains(t, out["error"], "pages of other sites may not take transactions")
	for method, want := range map[string]int{http.MethodGet: 405, http.MethodPost: 401} {
		req, err := http.NewRequestWithContext(t.Context(), method, h.URL()+"/v1/shards/list", nil)
		require.NoError(t, err)
		r, err := h.HTTP().Do(req)
		require.NoError(t, err)
		code, out := answer(t, r)
		require.Equal(t, want, code)
		require.Equal(t, []string{"code", "details", "error", "message"}, slices.Sorted(maps.Keys(out)))
	}
}
