package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// snapshot of a watch.
type snapshot struct {
	header   *protocol.Header
	journals map[string]*protocol.ListResponse_Journal
	parts    int
}

// nextSnapshot receives messages up to the empty one.
func nextSnapshot(stream grpc.ServerStreamingClient[protocol.ListResponse]) (snapshot, error) {
	s := snapshot{journals: make(map[string]*protocol.ListResponse_Journal)}
	for {
		r, err := stream.Recv()
		switch {
		case err != nil:
			return s, err
		case r.Validate() != nil:
			return s, r.Validate()
		case (r.GetHeader() != nil) != (s.parts == 0):
			return s, errors.New("the first message of a snapshot has a header, and no other")
		case s.parts != 0 && len(r.GetJournals()) == 0:
			return s, nil
		case len(r.GetJournals()) > 25:
			return s, fmt.Errorf("%d journals in one message", len(r.GetJournals()))
		}
		if s.parts++; s.parts == 1 {
			s.header = r.GetHeader()
		}
		for _, j := range r.GetJournals() {
			s.journals[j.GetSpec().GetName()] = j
		}
	}
}

// awaitSnapshot receives snapshots until one is as it should be. Their revisions rise.
func awaitSnapshot(t *testing.T, stream grpc.ServerStreamingClient[protocol.ListResponse], after int64, holds func(snapshot) bool) snapshot {
	t.Helper()
	for {
		s, err := nextSnapshot(stream)
		require.NoError(t, err)
		require.NoError(t, s.header.Validate())
		require.Greater(t, s.header.GetEtcd().GetRevision(), after)
		after = s.header.GetEtcd().GetRevision()
		if holds(s) {
			return s
		}
	}
}

// served tells whether a snapshot has n journals with a primary.
func served(n int) func(snapshot) bool {
	return func(s snapshot) bool {
		for _, j := range s.journals {
			if j.GetRoute().GetPrimary() == -1 {
				return false
			}
		}
		return len(s.journals) == n
	}
}

func TestWatch(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	stream, err := b.Client().List(ctx, &protocol.ListRequest{Watch: true})
	require.NoError(t, err)
	s := awaitSnapshot(t, stream, 0, served(0))
	require.Equal(t, 1, s.parts)

	// A journal that is made, and then its assignment, are changes.
	b.Create(brokertest.Spec("a/journal"))
	s = awaitSnapshot(t, stream, s.header.GetEtcd().GetRevision(), served(1))
	require.Equal(t, []string{b.URL()}, s.journals["a/journal"].GetRoute().GetEndpoints())

	// Many journals come in parts.
	var specs []*protocol.JournalSpec
	for i := range 60 {
		specs = append(specs, brokertest.Spec(fmt.Sprintf("b/journal-%02d", i)))
	}
	b.Create(specs...)
	s = awaitSnapshot(t, stream, s.header.GetEtcd().GetRevision(), served(61))
	require.Equal(t, 3, s.parts)

	// A watch goes on from a snapshot once something has changed since.
	resumed, err := b.Client().List(ctx, &protocol.ListRequest{Watch: true, WatchResume: s.header, Selector: nameSelector("a/journal")})
	require.NoError(t, err)
	deleteJournal(ctx, t, b, "a/journal")
	last := awaitSnapshot(t, resumed, s.header.GetEtcd().GetRevision(), served(0))
	awaitSnapshot(t, stream, s.header.GetEtcd().GetRevision(), served(60))

	// What changes without the watched journals isn't told: the next snapshot is of
	// the last change.
	deleteJournal(ctx, t, b, "b/journal-00")
	b.Create(brokertest.Spec("a/journal"))
	awaitSnapshot(t, resumed, last.header.GetEtcd().GetRevision(), served(1))

	other := proto.Clone(s.header).(*protocol.Header)
	other.Etcd.ClusterId++
	refused, err := b.Client().List(ctx, &protocol.ListRequest{Watch: true, WatchResume: other})
	require.NoError(t, err)
	_, err = refused.Recv()
	require.ErrorContains(t, err, "watch can't be resumed")
}

// TestRouteChangesWakeWatches though no spec has changed.
func TestRouteChangesWakeWatches(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	stream, err := b.Client().List(ctx, &protocol.ListRequest{Watch: true})
	require.NoError(t, err)
	s := awaitSnapshot(t, stream, 0, served(1))
	revokeLease(ctx, t, b)
	gone := func(s snapshot) bool { return s.journals["a/journal"].GetRoute().GetPrimary() == -1 }
	s = awaitSnapshot(t, stream, s.header.GetEtcd().GetRevision(), gone)
	awaitSnapshot(t, stream, s.header.GetEtcd().GetRevision(), served(1))
}

// revokeLease takes the broker's lease from it.
func revokeLease(ctx context.Context, t *testing.T, b *brokertest.Broker) {
	t.Helper()
	r, err := b.Etcd.Get(ctx, broker.DefaultPrefix+"/members/", clientv3.WithPrefix())
	require.NoError(t, err)
	require.Len(t, r.Kvs, 1)
	_, err = b.Etcd.Revoke(ctx, clientv3.LeaseID(r.Kvs[0].GetLease()))
	require.NoError(t, err)
}

// TestLostLease: the broker gets another one, and serves its journals again.
func TestLostLease(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.LeaseTTL = 3e9 }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "before")
	revokeLease(ctx, t, b)
	awaitCondition(ctx, t, func() bool {
		r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "+")
		return err == nil && r.GetStatus() == protocol.Status_OK && r.GetHeader().GetEtcd().GetRevision() > 0
	})
	b.Create(brokertest.Spec("b/journal"))
	mustAppend(ctx, t, b, "b/journal", "x")
	require.Contains(t, mustRead(ctx, t, b, "a/journal", 0), "before")
}

// TestEtcdIsAway: without etcd appends go on until the broker's lease has run out, and no longer. Reads go on.
func TestEtcdIsAway(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.LeaseTTL = 3e9 }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	want := "before "
	mustAppend(ctx, t, b, "a/journal", want)
	b.StopEtcd()
	awaitCondition(ctx, t, func() bool {
		r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "then ")
		if err != nil {
			require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
			require.ErrorContains(t, err, "lease of this broker has run out")
			return true
		}
		require.Equal(t, protocol.Status_OK, r.GetStatus())
		want += "then "
		return false
	})
	_, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "never ")
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.Equal(t, want, mustReadTo(ctx, t, b, "a/journal", 0, int64(len(want))))
	b.Kill()
}

// TestHeaders: requests that name a revision wait for it, and those that were meant
// for somebody else are refused.
func TestHeaders(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	header := mustAppend(ctx, t, b, "a/journal", "x").GetHeader()

	ahead := header.GetEtcd().GetRevision() + 1
	done := make(chan error, 1)
	go func() {
		_, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", MinEtcdRevision: ahead}, "y")
		done <- err
	}()
	_, err := b.Etcd.Put(ctx, "/elsewhere", "") // Not a key of brokers: but a revision.
	require.NoError(t, err)
	require.NoError(t, <-done)

	mine := proto.Clone(header).(*protocol.Header)
	r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", Header: mine}, "z")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())

	other := proto.Clone(header).(*protocol.Header)
	other.ProcessId = &protocol.ProcessSpec_ID{Zone: "local", Suffix: "other"}
	_, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", Header: other}, "z")
	require.ErrorContains(t, err, "request is for process local#other, and this is local#broker")

	other = proto.Clone(header).(*protocol.Header)
	other.Etcd.ClusterId = 17
	_, err = readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal", Header: other})
	require.ErrorContains(t, err, "request is from etcd cluster 11")
}

// TestStoreHealth: how a store does is told, also of one that no operator allows.
func TestStoreHealth(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	for _, tc := range []struct {
		url, prefix string
		remove      bool
		want        string
	}{
		{url: "file:///"},
		{url: "file:///", remove: true, prefix: "a/"},
		{url: "s3://bucket/", want: "no entry allows it"},
	} {
		r, err := b.Client().FragmentStoreHealth(ctx, &protocol.FragmentStoreHealthRequest{
			FragmentStore: tc.url, CheckDelete: tc.remove, CheckDeletePrefix: tc.prefix,
		})
		require.NoError(t, err)
		require.NoError(t, r.Validate())
		require.Equal(t, tc.want == "", r.GetStatus() == protocol.Status_OK, "%v", r)
		require.Contains(t, r.GetStoreHealthError(), tc.want)
	}
	_, err := b.Client().FragmentStoreHealth(ctx, &protocol.FragmentStoreHealthRequest{FragmentStore: "bucket"})
	require.ErrorContains(t, err, "FragmentStore")
}

// TestSpecsOfOtherPrograms: what this release can't do it says, journal by journal.
func TestSpecsOfOtherPrograms(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	put := func(name string, change func(*protocol.JournalSpec)) {
		spec := brokertest.Spec(name)
		change(spec)
		value, err := proto.Marshal(spec)
		require.NoError(t, err)
		_, err = b.Etcd.Put(ctx, broker.DefaultPrefix+"/items/"+name, string(value))
		require.NoError(t, err)
	}
	put("three/replicas", func(s *protocol.JournalSpec) { s.Replication = 3 })
	put("is/suspended", func(s *protocol.JournalSpec) {
		s.Suspend = &protocol.JournalSpec_Suspend{Level: protocol.JournalSpec_Suspend_FULL, Offset: 100}
	})
	put("far/stores", func(s *protocol.JournalSpec) { s.Fragment.Stores = []string{"s3://bucket/"} })
	_, err := b.Etcd.Put(ctx, broker.DefaultPrefix+"/items/not/a-spec", "garbage")
	require.NoError(t, err)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "x")

	outcomes := make(map[string]string)
	for _, name := range []string{"three/replicas", "is/suspended", "far/stores", "not/a-spec"} {
		var r *protocol.AppendResponse
		awaitCondition(ctx, t, func() bool {
			r, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: name, Suspend: protocol.AppendRequest_SUSPEND_NO_RESUME}, "x")
			return r.GetStatus() != protocol.Status_NO_JOURNAL_PRIMARY_BROKER
		})
		require.NoError(t, err)
		outcomes[name] = r.GetStatus().String()
	}
	require.Equal(t, map[string]string{
		"three/replicas": "INSUFFICIENT_JOURNAL_BROKERS",
		"is/suspended":   "SUSPENDED",
		"far/stores":     "FRAGMENT_STORE_UNHEALTHY",
		"not/a-spec":     "JOURNAL_NOT_FOUND",
	}, outcomes)

	// What isn't local may be in a store that can't be asked.
	_, err = readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "far/stores"})
	require.Equal(t, codes.Unavailable, status.Code(err))
	_, err = b.Client().ListFragments(ctx, &protocol.FragmentsRequest{Journal: "far/stores"})
	require.Equal(t, codes.Unavailable, status.Code(err))
	messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "is/suspended"})
	require.NoError(t, err)
	require.Equal(t, protocol.Status_SUSPENDED, messages[0].GetStatus())
	fragments, err := b.Client().ListFragments(ctx, &protocol.FragmentsRequest{Journal: "is/suspended"})
	require.NoError(t, err)
	require.Equal(t, protocol.Status_SUSPENDED, fragments.GetStatus())
}

// TestTooManyChanges for one transaction of etcd.
func TestTooManyChanges(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	req := new(protocol.ApplyRequest)
	for i := range 2000 {
		req.Changes = append(req.Changes, &protocol.ApplyRequest_Change{Upsert: brokertest.Spec(fmt.Sprintf("a/journal-%04d", i))})
	}
	_, err := b.Client().Apply(bounded(t), req)
	require.ErrorContains(t, err, "too many operations")
}

// TestAdvertisedRoute: the assignment's value in etcd is the route without endpoints,
// in the bytes that other brokers expect, and keeps the lease.
func TestAdvertisedRoute(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	key := broker.DefaultPrefix + "/assign/a/journal#local#broker#0"
	awaitCondition(ctx, t, func() bool {
		r, err := b.Etcd.Get(ctx, key)
		require.NoError(t, err)
		return len(r.Kvs) == 1 && len(r.Kvs[0].GetValue()) != 0
	})
	r, err := b.Etcd.Get(ctx, key)
	require.NoError(t, err)
	require.Equal(t, "\x0a\x0f\x0a\x05local\x12\x06broker", string(r.Kvs[0].GetValue()))
	require.NotZero(t, r.Kvs[0].GetLease())
}
