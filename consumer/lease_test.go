package consumer_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// TestLostLeases: a primary whose lease is gone doesn't know at once that another host runs its shard. What both do comes
// out as if one did it.
func TestLostLeases(t *testing.T) {
	w := newWorld(t, "some/in", "some/out")
	v := newVault()
	var hosts []*consumertest.Host
	for i := range 2 {
		hosts = append(hosts, w.host(&tally{v: v, out: "some/out"}, func(c *consumertest.Config) {
			c.Suffix = fmt.Sprintf("consumer-%d", i)
		}))
	}
	h := hosts[0]
	h.Apply(consumertest.Spec("a-shard", "some/in"))
	n := 0
	for range 4 {
		s := h.Await("a-shard", func(s *shards.ListResponse_Shard) bool {
			p := s.GetRoute().GetPrimary()
			return p >= 0 && s.GetStatus()[p].GetCode() == shards.ReplicaStatus_PRIMARY
		})
		primary := s.GetRoute().GetMembers()[s.GetRoute().GetPrimary()]
		w.publish("some/in", n, n+20)
		kv, err := h.Etcd.Get(t.Context(), allocator.MemberKey(consumertest.Prefix, primary.GetZone(), primary.GetSuffix()))
		require.NoError(t, err)
		require.Len(t, kv.Kvs, 1)
		_, err = h.Etcd.Revoke(t.Context(), clientv3.LeaseID(kv.Kvs[0].GetLease()))
		require.NoError(t, err)
		head := w.publish("some/in", n+20, n+40)
		n += 40
		readThrough(t, h, "a-shard", "some/in", head)
	}
	requireOnce(t, n, v.of("a-shard").seen)
	requireList(t, n, w.committed("some/out"))
}
