package consumer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestRPCs: what the service answers, and what it refuses.
func TestRPCs(t *testing.T) {
	w := newWorld(t, "some/in")
	h := w.host(&tally{v: newVault()}, nil)
	ctx, c := t.Context(), h.Client()

	spec := consumertest.Spec("a-shard", "some/in")
	spec.Labels = protocol.MustLabelSet("some-label", "x")
	apply := func(changes ...*shards.ApplyRequest_Change) (*shards.ApplyResponse, error) {
		return c.Apply(ctx, &shards.ApplyRequest{Changes: changes})
	}
	r, err := apply(&shards.ApplyRequest_Change{Upsert: spec})
	require.NoError(t, err)
	require.NoError(t, r.Validate())
	r, err = apply(&shards.ApplyRequest_Change{Upsert: spec})
	require.NoError(t, err)
	require.Equal(t, shards.Status_ETCD_TRANSACTION_FAILED, r.GetStatus(), "it is there already")
	_, err = apply(&shards.ApplyRequest_Change{Upsert: spec}, &shards.ApplyRequest_Change{Delete: "a-shard", ExpectModRevision: -1})
	require.ErrorContains(t, err, "shard a-shard is changed twice (by Changes[1])")
	_, err = apply(&shards.ApplyRequest_Change{Upsert: new(shards.ShardSpec)})
	require.ErrorContains(t, err, "Changes[0].Upsert.Id: invalid length")
	for value, want := range map[string]string{
		"some/in":    "isn't <journal>=<offset>",
		"some/in=-1": "is no offset",
		"some/in=1":  "there is no label broadsheet.dev/dead-letters",
	} {
		bad := consumertest.Spec("b-shard", "some/in")
		bad.Labels = protocol.MustLabelSet(consumer.LabelSkip, value)
		_, err = apply(&shards.ApplyRequest_Change{Upsert: bad})
		require.ErrorContains(t, err, want)
	}

	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	listed := h.List(ctx, "a-shard")
	require.Equal(t, h.URL(), listed.GetRoute().GetEndpoints()[0])
	require.Positive(t, listed.GetCreateRevision())
	list, err := c.List(ctx, &shards.ListRequest{Selector: &protocol.LabelSelector{Include: protocol.MustLabelSet("some-label", "y")}})
	require.NoError(t, err)
	require.NoError(t, list.Validate())
	require.Empty(t, list.GetShards())

	stat, err := c.Stat(ctx, &shards.StatRequest{Shard: "b-shard"})
	require.NoError(t, err)
	require.NoError(t, stat.Validate())
	require.Equal(t, shards.Status_SHARD_NOT_FOUND, stat.GetStatus())
	hints, err := c.GetHints(ctx, &shards.GetHintsRequest{Shard: "b-shard"})
	require.NoError(t, err)
	require.NoError(t, hints.Validate())
	require.Equal(t, shards.Status_SHARD_NOT_FOUND, hints.GetStatus())
	hints, err = c.GetHints(ctx, &shards.GetHintsRequest{Shard: "a-shard"})
	require.NoError(t, err)
	require.NoError(t, hints.Validate())
	require.Nil(t, hints.GetPrimaryHints().GetHints())

	r, err = apply(&shards.ApplyRequest_Change{Delete: "a-shard", ExpectModRevision: listed.GetModRevision()})
	require.NoError(t, err)
	require.Equal(t, shards.Status_OK, r.GetStatus())
	require.Nil(t, h.List(ctx, "a-shard"))
}

// TestUnassign: a healthy primary is taken away unless only failed ones are meant, and the shard runs again.
func TestUnassign(t *testing.T) {
	w := newWorld(t, "some/in")
	h := w.host(&tally{v: newVault()}, nil)
	ctx, c := t.Context(), h.Client()
	h.Apply(consumertest.Spec("a-shard", "some/in"), consumertest.Spec("b-shard", "no/journal"))
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	require.Contains(t, h.AwaitCode("b-shard", shards.ReplicaStatus_FAILED).GetErrors()[0], "source no/journal: ")
	unassign := func(req *shards.UnassignRequest) []string {
		r, err := c.Unassign(ctx, req)
		require.NoError(t, err)
		require.NoError(t, r.Validate())
		return r.GetShards()
	}
	both := []string{"a-shard", "b-shard"}
	require.Equal(t, both, unassign(&shards.UnassignRequest{Shards: both, DryRun: true}))
	require.Empty(t, unassign(&shards.UnassignRequest{Shards: both[:1], OnlyFailed: true}))
	before, err := h.Etcd.Get(ctx, consumertest.Prefix+"/assign/a-shard#local#consumer#0")
	require.NoError(t, err)
	require.Equal(t, both[:1], unassign(&shards.UnassignRequest{Shards: both[:1]}))
	h.Await("a-shard", func(s *shards.ListResponse_Shard) bool {
		now, err := h.Etcd.Get(ctx, consumertest.Prefix+"/assign/a-shard#local#consumer#0")
		require.NoError(t, err)
		return len(now.Kvs) == 1 && now.Kvs[0].GetCreateRevision() > before.Kvs[0].GetCreateRevision() &&
			len(s.GetStatus()) == 1 && s.GetStatus()[0].GetCode() == shards.ReplicaStatus_PRIMARY
	})
	r, err := c.Unassign(ctx, &shards.UnassignRequest{Shards: []string{"c-shard"}})
	require.NoError(t, err)
	require.Equal(t, shards.Status_SHARD_NOT_FOUND, r.GetStatus())
}

// TestTokens: each method needs its capability, and shards out of a token's scope aren't there.
func TestTokens(t *testing.T) {
	w := newWorld(t, "some/in")
	keys, err := auth.ParseKeys("c2VjcmV0c2VjcmV0c2VjcmV0")
	require.NoError(t, err)
	v := newVault()
	open := w.host(&tally{v: v}, nil)
	open.Apply(consumertest.Spec("a-shard", "some/in"), consumertest.Spec("b-shard", "some/in"))
	h := w.host(&tally{v: v}, func(c *consumertest.Config) {
		c.Suffix = "guarded"
		c.Adjust = func(c *consumer.Config) { c.Keys = keys }
	})
	token := func(c auth.Capability, id string) string {
		claims := auth.Claims{Capability: c, Expiry: time.Now().Add(time.Hour)}
		if id != "" {
			claims.Scope = &protocol.LabelSelector{Include: protocol.MustLabelSet(shards.MetaLabelID, id)}
		}
		s, err := keys.Sign(claims, time.Now())
		require.NoError(t, err)
		return s
	}
	c, ctx := h.Client(), t.Context()
	_, err = c.List(ctx, new(shards.ListRequest))
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	_, err = c.List(auth.WithToken(ctx, token(auth.Read, "")), new(shards.ListRequest))
	require.Equal(t, codes.Unauthenticated, status.Code(err), "it needs LIST")
	r, err := c.List(auth.WithToken(ctx, token(auth.List, "a-shard")), new(shards.ListRequest))
	require.NoError(t, err)
	require.Len(t, r.GetShards(), 1)

	_, err = c.Stat(auth.WithToken(ctx, token(auth.List, "")), &shards.StatRequest{Shard: "a-shard"})
	require.Equal(t, codes.Unauthenticated, status.Code(err), "it needs READ")
	s, err := c.Stat(auth.WithToken(ctx, token(auth.Read, "b-shard")), &shards.StatRequest{Shard: "a-shard"})
	require.NoError(t, err)
	require.Equal(t, shards.Status_SHARD_NOT_FOUND, s.GetStatus())
	_, err = c.GetHints(auth.WithToken(ctx, token(auth.Apply, "")), &shards.GetHintsRequest{Shard: "a-shard"})
	require.Equal(t, codes.Unauthenticated, status.Code(err), "it needs READ")
	_, err = c.Apply(auth.WithToken(ctx, token(auth.Read, "")), new(shards.ApplyRequest))
	require.Equal(t, codes.Unauthenticated, status.Code(err), "it needs APPLY")
	_, err = c.Apply(auth.WithToken(ctx, token(auth.Apply, "b-shard")), &shards.ApplyRequest{Changes: []*shards.ApplyRequest_Change{
		{Delete: "a-shard", ExpectModRevision: -1},
	}})
	require.ErrorContains(t, err, "shard a-shard: it is out of its scope")
	_, err = c.Unassign(auth.WithToken(ctx, token(auth.Read, "")), new(shards.UnassignRequest))
	require.Equal(t, codes.Unauthenticated, status.Code(err), "it needs APPLY")
	u, err := c.Unassign(auth.WithToken(ctx, token(auth.Apply, "b-shard")), &shards.UnassignRequest{Shards: []string{"a-shard"}})
	require.NoError(t, err)
	require.Equal(t, shards.Status_SHARD_NOT_FOUND, u.GetStatus())
}

// TestJSON is the gateway of List and Stat.
func TestJSON(t *testing.T) {
	w := newWorld(t, "some/in")
	h := w.host(&tally{v: newVault()}, func(c *consumertest.Config) {
		c.Adjust = func(c *consumer.Config) { c.AllowOrigins = []string{"https://example.com"} }
	})
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	do := func(method, path, body string) (int, http.Header, map[string]any) {
		req, err := http.NewRequestWithContext(t.Context(), method, h.URL()+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Origin", "https://example.com")
		r, err := h.HTTP().Do(req)
		require.NoError(t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		var out map[string]any
		if len(bytes.TrimSpace(text)) > 0 {
			require.NoError(t, json.Unmarshal(text, &out), "%s", text)
		}
		return r.StatusCode, r.Header, out
	}
	code, header, out := do(http.MethodPost, "/v1/shards/list", `{"selector":{"include":{"labels":[{"name":"id","value":"a-shard"}]}}}`)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "https://example.com", header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "OK", out["status"])
	require.Len(t, out["shards"], 1)
	require.InEpsilon(t, -1, out["header"].(map[string]any)["route"].(map[string]any)["primary"], 0)
	code, _, out = do(http.MethodPost, "/v1/shards/stat", `{"shard":"a-shard"}`)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, out, "readThrough")
	for _, c := range []struct {
		method, path, body string
		code               int
	}{
		{http.MethodPost, "/v1/shards/stat", `{"shard":"a"}`, http.StatusBadRequest},
		{http.MethodPost, "/v1/shards/stat", `{"shart":"a"}`, http.StatusBadRequest},
		{http.MethodPost, "/v1/shards/apply", `{}`, http.StatusNotFound},
		{http.MethodGet, "/v1/shards/list", ``, http.StatusMethodNotAllowed},
		{http.MethodOptions, "/v1/shards/list", ``, http.StatusNoContent},
	} {
		code, _, _ := do(c.method, c.path, c.body)
		require.Equal(t, c.code, code, "%v", c)
	}
}

// TestLargeRequest: requests have a bound, by default and as it is set.
func TestLargeRequest(t *testing.T) {
	w := newWorld(t)
	h := w.host(&tally{v: newVault()}, func(cfg *consumertest.Config) {
		cfg.Adjust = func(c *consumer.Config) { c.MaxMessage = 1 << 10 }
	})
	selector := func(n int) *shards.ListRequest {
		return &shards.ListRequest{Selector: &protocol.LabelSelector{
			Include: protocol.MustLabelSet("some-label", strings.Repeat("x", n)),
		}}
	}
	_, err := h.Client().List(t.Context(), selector(900))
	require.NoError(t, err)
	_, err = h.Client().List(t.Context(), selector(1<<10))
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
}

// TestReadThroughOfNoSource: what a shard doesn't read is refused at once, by whichever host is asked.
func TestReadThroughOfNoSource(t *testing.T) {
	w := newWorld(t, "some/in", "other/in")
	v := newVault()
	one := w.host(&tally{v: v}, nil)
	one.Apply(consumertest.Spec("a-shard", "some/in"))
	one.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	two := w.host(&tally{v: v}, func(c *consumertest.Config) { c.Suffix = "other" })
	for _, h := range []*consumertest.Host{one, two} {
		for _, offset := range []int64{0, 1} {
			_, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard", ReadThrough: map[string]int64{"some/in": 0, "other/in": offset}})
			require.Equal(t, codes.InvalidArgument, status.Code(err))
			require.ErrorContains(t, err, "shard a-shard: journal other/in isn't one of its sources")
		}
	}
}

// TestPanicOfTell is an error of the request, and of nothing else.
func TestPanicOfTell(t *testing.T) {
	w := newWorld(t, "some/in")
	h := w.host(&teller{tally{v: newVault()}}, nil)
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	_, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard", Extension: []byte("panic")})
	require.ErrorContains(t, err, "panic: asked for")
	r, err := h.Client().Stat(t.Context(), &shards.StatRequest{Shard: "a-shard"})
	require.NoError(t, err)
	require.Equal(t, shards.Status_OK, r.GetStatus())
}

// teller panics if it is asked to.
type teller struct{ tally }

func (*teller) Tell(_ context.Context, _ *consumer.Shard, _ store.Store, asked []byte) ([]byte, error) {
	if len(asked) > 0 {
		panic("asked for")
	}
	return nil, nil
}
