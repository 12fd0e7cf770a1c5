package guest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestOutputs: where a program may publish to, by the labels of its shard and by its token; by the shard's host and by another one.
func TestOutputs(t *testing.T) {
	w := newWorld(t)
	keys, err := auth.ParseKeys("c2VjcmV0c2VjcmV0c2VjcmV0")
	require.NoError(t, err)
	guarded := func(c *consumer.Config) { c.Keys = keys }
	token := func(c auth.Capability, id string) string {
		claims := auth.Claims{Capability: c, Expiry: time.Now().Add(time.Hour)}
		if id != "" {
			claims.Scope = &protocol.LabelSelector{Include: protocol.MustLabelSet(shards.MetaLabelID, id)}
		}
		s, err := keys.Sign(claims, time.Now())
		require.NoError(t, err)
		return s
	}
	h := w.hostWith(1, guest.Config{}, guarded)
	c, all := w.dial(h), auth.Read|auth.Append
	apply := func(labels ...string) {
		s := spec()
		s.Labels = protocol.MustLabelSet(labels...)
		r, err := h.Client().Apply(auth.WithToken(t.Context(), token(auth.Apply, "")), &shards.ApplyRequest{
			Changes: []*shards.ApplyRequest_Change{{Upsert: s, ExpectModRevision: -1}},
		})
		require.NoError(t, err)
		require.Equal(t, shards.Status_OK, r.GetStatus())
	}
	apply()
	for _, bad := range []string{token(auth.Read, ""), token(auth.Append, ""), "nonsense"} {
		_, err := c.Take(auth.WithToken(t.Context(), bad), &shardv1.TakeRequest{Shard: "a-shard"})
		require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
		_, err = c.Commit(auth.WithToken(t.Context(), bad), &shardv1.CommitRequest{Shard: "a-shard"})
		require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
	}
	_, err = c.Take(auth.WithToken(t.Context(), token(all, "b-shard")), &shardv1.TakeRequest{Shard: "a-shard"})
	require.Equal(t, codes.NotFound, status.Code(err), "it isn't told of: %v", err)

	// publish a message for the transaction that there is; whatever an edit of the shard ends is done again.
	var has *shardv1.TakeResponse
	publish := func(as string, to *shardv1.Publish) error {
		to.Document = []byte(`{"key":"k"}`)
		for {
			var err error
			if has == nil {
				has, err = c.Take(auth.WithToken(t.Context(), token(all, "")), &shardv1.TakeRequest{Shard: "a-shard", WaitMs: 60_000})
			}
			if err == nil {
				_, err = c.Commit(auth.WithToken(t.Context(), as), &shardv1.CommitRequest{
					Shard: "a-shard", Token: has.GetToken(), Changes: &shardv1.Changes{Publishes: []*shardv1.Publish{to}},
				})
			}
			code := status.Code(err)
			if code != codes.PermissionDenied {
				has = nil // That is over. One that is refused is still ours.
			}
			if code != codes.Unavailable && code != codes.Aborted {
				return err
			}
		}
	}
	scoped := token(all, "a-shard")
	w.add(0, 1)
	err = publish(scoped, &shardv1.Publish{Journal: "some/out"})
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "token isn't for all shards, so the shard needs the label broadsheet.dev/outputs")
	err = publish(token(all, ""), &shardv1.Publish{Journal: "recovery/logs/a-shard"})
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "journal recovery/logs/a-shard is a recovery log")
	require.NoError(t, publish(token(all, ""), &shardv1.Publish{Journal: "some/out"}))
	_, err = c.Read(auth.WithToken(t.Context(), token(auth.Read, "a-shard")), &shardv1.ReadRequest{Shard: "a-shard"})
	require.NoError(t, err)

	apply(guest.LabelOutputs, "dead/", guest.LabelOutputs, "some/ou", guest.LabelOutputs, "recovery/")
	w.add(1, 2)
	for _, as := range []string{scoped, token(all, "")} {
		for to, says := range map[string]string{
			"some/out": "journal some/out isn't among the shard's labels", "recovery/logs/a-shard": "is a recovery log",
		} {
			err = publish(as, &shardv1.Publish{Journal: to})
			require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
			require.ErrorContains(t, err, says)
		}
		err = publish(as, &shardv1.Publish{Selector: "name=some/out"})
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	}
	require.NoError(t, publish(scoped, &shardv1.Publish{Journal: "dead/letters"}))
	require.Equal(t, []string{"k"}, w.committed("some/out"))
	require.Equal(t, []string{"k"}, w.committed("dead/letters"))
}
