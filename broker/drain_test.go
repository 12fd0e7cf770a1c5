package broker_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// TestDrain: brokers are stopped one after the other while appends go on. Each hands its journals
// over first, so that no append fails, and leaves no spool behind.
func TestDrain(t *testing.T) {
	const drain = 20 * time.Second
	fleet := brokertest.NewFleet(t, brokertest.Config{Adjust: func(c *broker.Config) { c.Drain = drain }}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 2))
	want := strings.Builder{}
	want.WriteString("first ")
	persistAppend(ctx, t, fleet[0], "a/journal", "first ")
	for i, leaving := range fleet {
		staying := fleet[(i+1)%3]
		writer := task.New(ctx, "writer")
		running := make(chan struct{})
		writer.Go("append", func(ctx context.Context) error {
			for n := 0; ctx.Err() == nil; n++ {
				text := fmt.Sprintf("%d-%d ", i, n)
				// It isn't tried again, whatever becomes of it.
				r, err := appendWith(bounded(t), staying.Client(), &protocol.AppendRequest{Journal: "a/journal"}, text)
				if err != nil || r.GetStatus() != protocol.Status_OK {
					return fmt.Errorf("append %s: %v, %w", text, r, err)
				}
				want.WriteString(text)
				if n == 0 {
					close(running)
				}
			}
			return nil
		})
		<-running
		began := time.Now()
		leaving.Stop()
		require.Less(t, time.Since(began), drain, "it wasn't drained")
		writer.Cancel()
		require.NoError(t, writer.Wait())
		require.Empty(t, leaving.SpoolFiles("a/journal"))
		require.Equal(t, want.String(), mustReadTo(ctx, t, staying, "a/journal", 0, int64(want.Len())))
		leaving.Restart()
	}
}

// TestDrainWithNobodyElse: a broker whose journals nobody can take stops at once, and keeps them.
func TestDrainWithNobodyElse(t *testing.T) {
	const drain = time.Hour
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.Drain = drain }})
	ctx := bounded(t)
	b.Create(replicated("a/journal", 1))
	persistAppend(ctx, t, b, "a/journal", "text")
	b.Restart()
	require.Equal(t, "text", mustReadTo(ctx, t, b, "a/journal", 0, 4))
}

// revocable is a driver whose first bucket can cease to permit writes of journals.
type revocable struct {
	store.Store

	revoked atomic.Bool
	refused chan struct{} // cap 1: a write was refused
}

func (r *revocable) Open(t store.Target) (store.Store, string, error) { return r, t.Host + "/", nil }

func (r *revocable) Put(ctx context.Context, path string, body io.Reader, size int64, e store.Encoding) error {
	if strings.HasPrefix(path, "first/a/") && r.revoked.Load() {
		select {
		case r.refused <- struct{}{}:
		default:
		}
		return fmt.Errorf("%w: HTTP 403", store.ErrNotAllowed)
	}
	return r.Store.Put(ctx, path, body, size, e)
}

// revocableStores are gs://first/, which can be revoked, and gs://second/.
func revocableStores(t *testing.T) (*store.Registry, *revocable) {
	t.Helper()
	files, err := store.NewRegistry(store.RegistryConfig{FileRoot: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	objects, err := files.Open("file:///")
	require.NoError(t, err)
	driver := &revocable{Store: objects, refused: make(chan struct{}, 1)}
	stores, err := store.NewRegistry(store.RegistryConfig{
		Entries: []store.Entry{{URL: "gs://first/"}, {URL: "gs://second/"}},
		Drivers: map[string]store.Driver{"gs": driver},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stores.Close()) })
	return stores, driver
}

// TestDrainToNextStore: the first store of a journal has ceased to permit writes. What is full waits for it for as
// long as the broker serves, and goes to the next store once it leaves: it isn't kept by a broker that is gone.
func TestDrainToNextStore(t *testing.T) {
	const drain = 50 * time.Second
	stores, driver := revocableStores(t)
	fleet := brokertest.NewFleet(t, brokertest.Config{Adjust: func(c *broker.Config) { c.Drain, c.Stores = drain, stores }}, "a", "b")
	ctx := bounded(t)
	spec := replicated("a/journal", 1)
	spec.Fragment.Stores = []string{"gs://first/", "gs://second/"}
	spec.Fragment.RefreshInterval = durationpb.New(time.Second)
	fleet[0].Create(spec)
	driver.revoked.Store(true)
	holder := fleet[0]
	persistAppend(ctx, t, fleet[0], "a/journal", "first ")
	persistAppend(ctx, t, fleet[0], "a/journal", "second ") // It closes the first fragment.
	select {
	case <-driver.refused:
	case <-ctx.Done():
		require.FailNow(t, "the first store was never asked")
	}
	staying := fleet[1]
	if len(fleet[1].SpoolFiles("a/journal")) > 0 {
		holder, staying = fleet[1], fleet[0]
	}
	require.NotEmpty(t, holder.SpoolFiles("a/journal"))

	began := time.Now()
	holder.Stop()
	require.Less(t, time.Since(began), drain, "it wasn't drained")
	require.Empty(t, holder.SpoolFiles("a/journal"))
	require.Equal(t, "first second ", mustReadTo(ctx, t, staying, "a/journal", 0, int64(len("first second "))))
	r, err := staying.Client().ListFragments(ctx, &protocol.FragmentsRequest{Journal: "a/journal"})
	require.NoError(t, err)
	stored := 0
	for _, f := range r.GetFragments() {
		if f.GetSpec().GetModTime() != 0 {
			require.Equal(t, "gs://second/", f.GetSpec().GetBackingStore())
			stored++
		}
	}
	require.Positive(t, stored)
}
