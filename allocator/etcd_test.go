package allocator

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/internal/embedetcd/etcdtest"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testDecoder decodes items as decimals with their rule, members as JSON and assignments as text.
type testDecoder struct{}

func (testDecoder) DecodeItem(_ string, value []byte) (ItemValue, error) {
	replicas, rule, _ := strings.Cut(string(value), " ")
	n, err := strconv.Atoi(replicas)
	if err != nil {
		return nil, errBadValue
	}
	return testItem{Replicas: n, Rule: rule}, nil
}

func (testDecoder) DecodeMember(_ MemberID, value []byte) (MemberValue, error) {
	var m testMember
	if json.Unmarshal(value, &m) != nil {
		return nil, errBadValue
	}
	return m, nil
}

func (testDecoder) DecodeAssignment(_ AssignmentID, value []byte) (any, error) {
	if string(value) == "bad" {
		return nil, errBadValue
	}
	return string(value), nil
}

// cluster is an etcd with a mirror of /p and any number of members.
type cluster struct {
	t      *testing.T
	etcd   *etcdtest.Etcd
	client *clientv3.Client
	keys   *keyspace.KeySpace
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, etcd: etcdtest.New(t)}
	c.client = c.etcd.Client(t)
	c.keys = c.mirror()
	return c
}

// mirror starts a key space that is watched until the test ends.
func (c *cluster) mirror() *keyspace.KeySpace {
	c.t.Helper()
	keys, err := keyspace.Load(c.t.Context(), keyspace.Config{
		Client: c.client, Prefix: "/p", Logger: slog.New(slog.DiscardHandler),
		Decode: func(kv *mvccpb.KeyValue) (any, error) { return Decode("/p", testDecoder{}, kv) },
	})
	require.NoError(c.t, err)
	c.run("watch", keys.Watch)
	return keys
}

// run runs fn until the test ends, or the returned function is called.
func (c *cluster) run(name string, fn func(context.Context) error) func() {
	c.t.Helper()
	g := task.New(context.Background(), "test")
	g.Go(name, fn)
	stop := func() {
		g.Cancel()
		require.NoError(c.t, g.Wait())
	}
	c.t.Cleanup(stop)
	return stop
}

// node is a process: a lease, its member and its allocator.
type node struct {
	lease    *Lease
	member   *Announcement
	registry *prometheus.Registry
	crash    func() // stops the allocator, and nothing else
}

func (n *node) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no metric", name)
	return 0
}

func (c *cluster) start(suffix string, limit int) *node {
	c.t.Helper()
	return c.startIn("z", suffix, limit)
}

func (c *cluster) startIn(zone, suffix string, limit int) *node {
	c.t.Helper()
	n := &node{registry: prometheus.NewRegistry()}
	var err error
	n.lease, err = OpenLease(c.t.Context(), LeaseConfig{Client: c.client, TTL: 600 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(c.t, err)
	n.member, err = Announce(c.t.Context(), AnnounceParams{
		Client: c.client, Key: MemberKey("/p", zone, suffix), Value: memberValue(limit, false), Lease: n.lease.ID(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(c.t, err)
	a, err := New(Config{
		Client: c.client, KeySpace: c.mirror(), Prefix: "/p", Self: MemberID{Zone: zone, Suffix: suffix},
		Logger: slog.New(slog.DiscardHandler), Registerer: n.registry,
	})
	require.NoError(c.t, err)
	n.crash = c.run("allocator", a.Run)
	return n
}

func memberValue(limit int, exits bool) string {
	b, err := json.Marshal(testMember{Limit: limit, Exits: exits})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (c *cluster) put(key, value string) {
	c.t.Helper()
	_, err := c.client.Put(c.t.Context(), key, value)
	require.NoError(c.t, err)
}

// items makes n items that want one replica each.
func (c *cluster) items(n int) {
	c.t.Helper()
	for i := 0; i < n; i += 500 {
		var ops []clientv3.Op
		for j := i; j < min(n, i+500); j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/p/items/i%05d", j), "1"))
		}
		_, err := c.client.Txn(c.t.Context()).Then(ops...).Commit()
		require.NoError(c.t, err)
	}
}

// await waits until the assignments in the mirror are as ok wants them.
func (c *cluster) await(ok func(byMember map[string]int) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for {
		changed := c.keys.Changed()
		got := make(map[string]int)
		c.keys.View().Ascend("/p/assign/", func(kv keyspace.KeyValue) bool {
			got[kv.Value.(Assignment).ID.Member.Suffix]++
			return true
		})
		if ok(got) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.Fail(c.t, "not as wanted", "%v", got)
		}
	}
}

// settled holds that nothing is written once every mirror has seen all there is:
// what a further change brings about is just that change's own revisions.
func (c *cluster) settled(nodes ...*node) {
	c.t.Helper()
	rounds := func() float64 {
		n := 0.0
		for _, x := range nodes {
			n += x.metric(c.t, "gazette_allocator_converge_total")
		}
		return n
	}
	r, err := c.client.Get(c.t.Context(), "/p/items/i00000")
	require.NoError(c.t, err)
	revision := r.Header.GetRevision()
	value := string(r.Kvs[0].GetValue())
	for range 5 { // each makes the leader plan again, over the same assignments
		before := rounds()
		c.put("/p/items/i00000", value)
		revision++
		require.Eventually(c.t, func() bool { return rounds() > before }, time.Minute, time.Millisecond)
	}
	r, err = c.client.Get(c.t.Context(), "/p/items/i00000")
	require.NoError(c.t, err)
	require.Equal(c.t, revision, r.Header.GetRevision(), "the allocator wrote at its fixed point")
}

func TestAllocateAndSettle(t *testing.T) {
	c := newCluster(t)
	c.items(1000)
	n := c.start("one", 2000)
	c.await(func(m map[string]int) bool { return m["one"] == 1000 })

	r, err := c.client.Get(t.Context(), "/p/assign/", clientv3.WithPrefix())
	require.NoError(t, err)
	revisions := make(map[int64]int)
	for _, kv := range r.Kvs {
		require.Empty(t, kv.GetValue())
		require.Equal(t, int64(n.lease.ID()), kv.GetLease())
		require.True(t, strings.HasSuffix(string(kv.GetKey()), "#z#one#0"))
		revisions[kv.GetModRevision()]++
	}
	require.Greater(t, len(revisions), 1000/128)
	require.Less(t, len(revisions), 1000/40, "assignments are written in batches")
	for _, n := range revisions {
		require.LessOrEqual(t, n, 128)
	}
	c.settled(n)
	require.InDelta(t, 1000, n.metric(t, "gazette_allocator_assignment_added_total"), 0)
	require.InDelta(t, 1000, n.metric(t, "gazette_allocator_items"), 0)
	require.Zero(t, n.metric(t, "broadsheet_allocator_conflicts_total"))

	// An item that goes takes its assignment along.
	_, err = c.client.Delete(t.Context(), "/p/items/i00001")
	require.NoError(t, err)
	c.await(func(m map[string]int) bool { return m["one"] == 999 })
	c.settled(n)
}

func TestLeaderOnlyWritesAndIsFollowed(t *testing.T) {
	c := newCluster(t)
	first, second := c.start("first", 150), c.start("second", 150)
	c.items(100)
	c.await(func(m map[string]int) bool { return m["first"] == 50 && m["second"] == 50 })
	require.Zero(t, second.metric(t, "gazette_allocator_converge_total"), "only the leader plans")
	c.settled(first, second)

	// The leader dies: its keys go with its lease, and the second takes over.
	first.crash()
	require.NoError(t, first.lease.Close(t.Context()))
	c.await(func(m map[string]int) bool { return m["first"] == 0 && m["second"] == 100 })
	c.settled(second)
}

func TestGracefulLeave(t *testing.T) {
	c := newCluster(t)
	first := c.start("first", 100)
	c.items(10)
	c.await(func(m map[string]int) bool { return m["first"] == 10 })
	second := c.start("second", 100)
	require.NoError(t, first.member.Update(t.Context(), memberValue(100, true)))
	c.await(func(m map[string]int) bool { return m["first"] == 0 && m["second"] == 10 })
	c.settled(first) // it leads while it is there
	require.NoError(t, first.lease.Close(t.Context()))
	c.items(20)
	c.await(func(m map[string]int) bool { return m["first"] == 0 && m["second"] == 20 })
	c.settled(second)
}

// TestReplicasOverZones has several allocators, of which the one that leads dies while
// items of three replicas are moved to a new member and become ready one by one.
func TestReplicasOverZones(t *testing.T) {
	const items = 120
	c := newCluster(t)
	var nodes []*node
	for i := range 4 {
		nodes = append(nodes, c.startIn(fmt.Sprint("z", i%2), fmt.Sprint("m", i), 2*items))
	}
	for i := range items {
		c.put(fmt.Sprintf("/p/items/i%05d", i), "3 all")
	}
	c.run("sync", c.makeReady)
	whole := func(without string) func(map[string]int) bool {
		return func(m map[string]int) bool {
			total, even := 0, true
			for suffix, n := range m {
				total += n
				even = even && (suffix == without || n > 0)
			}
			return total == 3*items && even && m[without] == 0 && c.atRest(3)
		}
	}
	c.await(whole("none"))
	c.checkZones(3)
	nodes = append(nodes, c.startIn("z1", "m4", 2*items))
	c.await(func(m map[string]int) bool { return m["m4"] > 0 })
	nodes[0].crash()
	require.NoError(t, nodes[0].lease.Close(t.Context()))
	c.await(whole("m0"))
	c.checkZones(3)
	require.NoError(t, nodes[2].member.Update(t.Context(), memberValue(2*items, true)))
	// The only other zone leaves: one is better than too few replicas.
	c.await(func(m map[string]int) bool { return m["m2"] == 0 && m["m1"]+m["m3"]+m["m4"] == 3*items && c.atRest(3) })
	c.settled(nodes[1:]...)
	require.Zero(t, nodes[4].metric(t, "gazette_allocator_converge_total"), "only the leader plans")
}

// makeReady makes assignments ready, as those who hold them would.
func (c *cluster) makeReady(ctx context.Context) error {
	const most = 100 // that etcd takes at once
	for ctx.Err() == nil {
		changed := c.keys.Changed()
		var found []clientv3.Cmp
		var ready []clientv3.Op
		c.keys.View().Ascend("/p/assign/", func(kv keyspace.KeyValue) bool {
			if len(kv.Raw) == 0 {
				found = append(found, clientv3.Compare(clientv3.ModRevision(kv.Key), "=", kv.ModRevision))
				ready = append(ready, clientv3.OpPut(kv.Key, "ready", clientv3.WithLease(clientv3.LeaseID(kv.Lease))))
			}
			return len(found) < most
		})
		if len(found) > 0 { // If one of them has changed, that wakes us.
			_, _ = c.client.Txn(ctx).If(found...).Then(ready...).Commit()
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// atRest tells whether all assignments are ready and no slots are left to pack.
func (c *cluster) atRest(replicas int) bool {
	rest := true
	c.keys.View().Ascend("/p/assign/", func(kv keyspace.KeyValue) bool {
		rest = rest && string(kv.Raw) == "ready" && kv.Value.(Assignment).ID.Slot < replicas
		return rest
	})
	return rest
}

// checkZones holds that each item has replicas in two zones and one primary.
func (c *cluster) checkZones(replicas int) {
	c.t.Helper()
	zones, primaries, count := make(map[string]map[string]bool), make(map[string]int), make(map[string]int)
	c.keys.View().Ascend("/p/assign/", func(kv keyspace.KeyValue) bool {
		id := kv.Value.(Assignment).ID
		if zones[id.Item] == nil {
			zones[id.Item] = make(map[string]bool)
		}
		zones[id.Item][id.Member.Zone] = true
		count[id.Item]++
		if id.Slot == 0 {
			primaries[id.Item]++
		}
		return true
	})
	for item, z := range zones {
		require.Len(c.t, z, 2, item)
		require.Equal(c.t, 1, primaries[item], item)
		require.Equal(c.t, replicas, count[item], item)
	}
}

func TestNoRoomIsReported(t *testing.T) {
	c := newCluster(t)
	n := c.start("one", 3)
	c.items(5)
	c.await(func(m map[string]int) bool { return m["one"] == 3 })
	unplaced := func() bool {
		return testutil.GatherAndCompare(n.registry, strings.NewReader(`
# HELP broadsheet_allocator_unplaced_items Items that aren't where they should be, by reason.
# TYPE broadsheet_allocator_unplaced_items gauge
broadsheet_allocator_unplaced_items{reason="all replicas are in one zone"} 0
broadsheet_allocator_unplaced_items{reason="fewer members than replicas"} 0
broadsheet_allocator_unplaced_items{reason="no member has room"} 2
broadsheet_allocator_unplaced_items{reason="no member that it requires has room"} 0
`), "broadsheet_allocator_unplaced_items") == nil
	}
	require.Eventually(t, unplaced, time.Minute, time.Millisecond)
	c.settled(n)
	// A member that comes takes them.
	c.start("two", 3)
	c.await(func(m map[string]int) bool { return m["one"] == 3 && m["two"] == 2 })
}

// TestKeyThatDoesNotDecodeStopsNothing has an item that the mirror can't show: the
// removal of its assignment always conflicts, and everything else goes on.
func TestKeyThatDoesNotDecodeStopsNothing(t *testing.T) {
	c := newCluster(t)
	c.put("/p/items/i99999", "bad")
	c.put("/p/assign/i99999#z#one#0", "")
	n := c.start("one", 100)
	c.items(10)
	c.await(func(m map[string]int) bool { return m["one"] == 11 })
	c.settled(n)
	conflicts := n.metric(t, "broadsheet_allocator_conflicts_total")
	require.NotZero(t, conflicts)
	require.Less(t, conflicts, 50.0, "it isn't tried again and again")

	c.put("/p/items/i99999", "0")
	c.await(func(m map[string]int) bool { return m["one"] == 10 })
}

// TestRacingChanges changes items while the allocator writes: transactions conflict
// and are made again, and in the end all is right.
func TestRacingChanges(t *testing.T) {
	c := newCluster(t)
	n := c.start("one", 10_000)
	c.items(500)
	for i := range 200 {
		switch i % 3 {
		case 0:
			c.put(fmt.Sprintf("/p/items/i%05d", i), "0")
		case 1:
			_, err := c.client.Delete(t.Context(), fmt.Sprintf("/p/items/i%05d", i))
			require.NoError(t, err)
		default:
			c.put(fmt.Sprintf("/p/items/new%05d", i), "1")
		}
	}
	c.await(func(m map[string]int) bool { return m["one"] == 500-67-67+66 })
	c.put("/p/items/i00000", "1")
	c.await(func(m map[string]int) bool { return m["one"] == 500-66-67+66 })
	c.settled(n)
}

func TestEtcdRestart(t *testing.T) {
	c := newCluster(t)
	n := c.start("one", 100)
	c.items(5)
	c.await(func(m map[string]int) bool { return m["one"] == 5 })
	c.etcd.Stop(t)
	c.etcd.Start(t)
	c.items(10)
	c.await(func(m map[string]int) bool { return m["one"] == 10 })
	c.settled(n)
}

func TestConfigIsValidated(t *testing.T) {
	ok := Config{Client: &clientv3.Client{}, KeySpace: &keyspace.KeySpace{}, Prefix: "/p", Self: MemberID{Zone: "z", Suffix: "s"}, Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, ok.Validate())
	for want, change := range map[string]func(*Config){
		"Client is missing":   func(c *Config) { c.Client = nil },
		"KeySpace is missing": func(c *Config) { c.KeySpace = nil },
		"Prefix is missing":   func(c *Config) { c.Prefix = "" },
		"Self":                func(c *Config) { c.Self.Suffix = "a#b" },
		"MaxTxnOps":           func(c *Config) { c.MaxTxnOps = 3 },
		"Logger is missing":   func(c *Config) { c.Logger = nil },
	} {
		bad := ok
		change(&bad)
		_, err := New(bad)
		require.ErrorContains(t, err, want)
	}
}
