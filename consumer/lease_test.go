package consumer_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
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

// TestWaitsForItsOwnLease: a process that was killed has left its announcement and its shards under a lease that goes on for
// a while. The next one of its name ends that, and begins each shard once: not by what the earlier one was given, too.
func TestWaitsForItsOwnLease(t *testing.T) {
	w := newWorld(t, "some/in")
	etcd, dir := w.broker.Etcd, t.TempDir()
	lease, err := allocator.OpenLease(t.Context(), allocator.LeaseConfig{
		Client: etcd, Dir: dir, TTL: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	spec := consumertest.Spec("a-shard", "some/in")
	item, err := proto.Marshal(spec)
	require.NoError(t, err)
	member, err := proto.Marshal(&shards.ConsumerSpec{
		ProcessSpec: &protocol.ProcessSpec{Id: &protocol.ProcessSpec_ID{Zone: "local", Suffix: "consumer"}, Endpoint: "http://gone:1"}, ShardLimit: 10,
	})
	require.NoError(t, err)
	_, err = etcd.Txn(t.Context()).Then(
		clientv3.OpPut(allocator.ItemKey(consumertest.Prefix, "a-shard"), string(item)),
		clientv3.OpPut(allocator.MemberKey(consumertest.Prefix, "local", "consumer"), string(member), clientv3.WithLease(lease.ID())),
		clientv3.OpPut(allocator.AssignmentKey(consumertest.Prefix, "a-shard", "local", "consumer", 0), "", clientv3.WithLease(lease.ID())),
	).Commit()
	require.NoError(t, err)

	v := newVault()
	h := w.host(&tally{v: v}, func(c *consumertest.Config) {
		c.Adjust = func(c *consumer.Config) { c.Dir = dir }
	})
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	readThrough(t, h, "a-shard", "some/in", w.publish("some/in", 0, 10))
	require.Equal(t, 1, v.of("a-shard").fence, "how often the store was opened")
}
