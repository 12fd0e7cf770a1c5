package broker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// setStores of a journal, by which a broker lists them anew.
func setStores(ctx context.Context, t *testing.T, b *brokertest.Broker, spec *protocol.JournalSpec, stores ...string) {
	t.Helper()
	listed, err := listAll(ctx, b.Client(), &protocol.ListRequest{Selector: nameSelector(spec.GetName())})
	require.NoError(t, err)
	spec.Fragment.Stores = stores
	r, err := b.Client().Apply(ctx, &protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{
		{Upsert: spec, ExpectModRevision: listed[0].GetModRevision()},
	}})
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
}

// storedBegins are where the fragments begin that a broker knows to be stored.
func storedBegins(ctx context.Context, t *testing.T, b *brokertest.Broker) []int64 {
	t.Helper()
	r, err := b.Client().ListFragments(ctx, &protocol.FragmentsRequest{Journal: "a/journal"})
	require.NoError(t, err)
	out := []int64{}
	for _, f := range r.GetFragments() {
		if f.GetSpec().GetModTime() != 0 {
			out = append(out, f.GetSpec().GetBegin())
		}
	}
	return out
}

// TestStoreThatWasSeenEmpty: a listing that was made at the wrong moment lets no reader skip what is stored. Those who
// can't know, as the store is broken, are told so, or wait.
func TestStoreThatWasSeenEmpty(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	spec := brokertest.Spec("a/journal")
	spec.Fragment.Length = 1 << 10
	spec.Fragment.RefreshInterval = durationpb.New(time.Hour)
	b.Create(spec)
	at := int64(0)
	extend := func() {
		require.Equal(t, at, mustAppend(ctx, t, b, "a/journal", pattern(at, at+2000)).GetCommit().GetBegin())
		at += 2000
	}
	extend()
	extend()
	extend()
	awaitStored(ctx, t, b, "a/journal", 2)

	dir := filepath.Join(b.Dir, "fragments", "a", "journal")
	require.NoError(t, os.Rename(dir, dir+".away"))
	// What was just stored stays known for one listing.
	stores := []string{"file:///", "file:///other/"}
	for n := 0; len(storedBegins(ctx, t, b)) != 0; n++ {
		before := listings(t, b)
		setStores(ctx, t, b, spec, stores[:2-n%2]...)
		awaitCondition(ctx, t, func() bool { return listings(t, b) > before })
	}
	require.NoError(t, os.Rename(dir+".away", dir))
	extend()
	awaitCondition(ctx, t, func() bool { return len(storedBegins(ctx, t, b)) == 1 })
	require.Equal(t, []int64{4000}, storedBegins(ctx, t, b))

	require.NoError(t, os.Rename(dir, dir+".away"))
	require.NoError(t, os.Symlink(filepath.Base(dir), dir)) // to itself
	messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal", Offset: 16})
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "too many levels of symbolic links")
	require.ErrorContains(t, err, "whether offsets [16, 4000) are stored isn't known")
	require.Empty(t, messages)

	g := task.New(ctx, "test")
	g.Go("reader", func(ctx context.Context) error { return readPattern(ctx, b, 24, at) })
	// What is in no store isn't touched by that.
	require.Equal(t, pattern(6000, at), mustRead(ctx, t, b, "a/journal", 6000))
	// It is there again at once: a directory that is away for a moment would be an empty one.
	require.NoError(t, os.Symlink(filepath.Base(dir)+".away", dir+".link"))
	require.NoError(t, os.Rename(dir+".link", dir))
	require.NoError(t, g.Wait())
	require.Equal(t, pattern(0, at), mustRead(ctx, t, b, "a/journal", 0))
}

// TestPrunedBegin: what was removed from the stores on purpose is gone over, and the stores are asked once for all
// who read there.
func TestPrunedBegin(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	spec := brokertest.Spec("a/journal")
	spec.Fragment.Length = 1 << 10
	spec.Fragment.RefreshInterval = durationpb.New(time.Hour)
	b.Create(spec)
	for at := int64(0); at < 8000; at += 2000 {
		mustAppend(ctx, t, b, "a/journal", pattern(at, at+2000))
	}
	awaitStored(ctx, t, b, "a/journal", 3)
	found, err := filepath.Glob(filepath.Join(b.Dir, "fragments", "a", "journal", fmt.Sprintf("%016x-*", 0)))
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, os.Remove(found[0]))
	b.Restart()                            // The spool had dropped it.
	mustRead(ctx, t, b, "a/journal", 8000) // The stores are listed by now.
	before := listings(t, b)
	for range 5 {
		messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal", Offset: 8})
		require.NoError(t, err)
		require.EqualValues(t, 2000, messages[0].GetOffset())
	}
	require.InDelta(t, before+1, listings(t, b), 0)
}

// TestReadOverPruned: what retention removed is no hole that a member of a former epoch may still fill. Readers go over it
// at once, however young the next fragment is, and the epoch leaves the list.
func TestReadOverPruned(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.RetentionGrace = 1 }})
	ctx := bounded(t)
	spec := brokertest.Spec("a/journal")
	spec.Fragment.Length = 1 << 10
	spec.Fragment.RefreshInterval = durationpb.New(time.Second)
	spec.Fragment.Retention = durationpb.New(time.Second)
	spec.Labels = protocol.MustLabelSet(broker.LabelRetention, broker.RetentionEnforced)
	b.Create(spec)
	for at := int64(0); at < 8000; at += 2000 {
		mustAppend(ctx, t, b, "a/journal", pattern(at, at+2000))
	}
	pruned := func() bool { begins := storedBegins(ctx, t, b); return len(begins) > 0 && begins[0] > 0 }
	awaitCondition(ctx, t, pruned)

	brokertest.New(t, brokertest.Config{Join: b, Suffix: "other"})
	spec.Replication = 2
	setStores(ctx, t, b, spec, "file:///")
	awaitCondition(ctx, t, func() bool {
		listed, err := listAll(ctx, b.Client(), &protocol.ListRequest{Selector: nameSelector("a/journal")})
		require.NoError(t, err)
		return len(listed[0].GetRoute().GetMembers()) == 2
	})
	mustAppend(ctx, t, b, "a/journal", pattern(8000, 10000))
	list := epochsOf(ctx, t, b, "a/journal")
	last, _ := list.Last()
	require.Greater(t, last.Number, int64(1), "another route began another epoch")
	stream, err := b.Client().Read(ctx, &protocol.ReadRequest{Journal: "a/journal", Block: true})
	require.NoError(t, err)
	first, err := stream.Recv()
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, first.GetStatus())
	require.Positive(t, first.GetOffset())
	awaitCondition(ctx, t, func() bool { return len(epochsOf(ctx, t, b, "a/journal")) == 1 })
}

// epochsOf a journal, as etcd has them.
func epochsOf(ctx context.Context, t *testing.T, b *brokertest.Broker, journal string) epoch.List {
	t.Helper()
	resp, err := b.Etcd.Get(ctx, broker.DefaultPrefix+"/epochs/"+journal)
	require.NoError(t, err)
	require.Len(t, resp.Kvs, 1)
	l, _, err := epoch.Decode(resp.Kvs[0].GetValue())
	require.NoError(t, err)
	return l
}

// listings of file:/// that a broker has made.
func listings(t *testing.T, b *brokertest.Broker) float64 {
	t.Helper()
	families, err := b.Metrics.Gather()
	require.NoError(t, err)
	n := 0.0
	for _, f := range families {
		if f.GetName() != "gazette_store_operation_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "operation" && l.GetValue() == "list" {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}
