package client_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/direct"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// partitions of what is published.
const partitions = 3

// TestPublishAndReadBack publishes messages to mapped partitions in the background, small
// ones by streams if the broker offers them, over a restart of the broker, and reads
// them back: stored fragments from their store, the head from the broker.
func TestPublishAndReadBack(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	selector := &protocol.LabelSelector{Include: protocol.MustLabelSet("kind", "message")}
	for i := range partitions {
		spec := brokertest.Spec(fmt.Sprintf("acme/messages/part-%03d", i))
		spec.Labels = protocol.MustLabelSet("content-type", "application/x-ndjson", "kind", "message")
		spec.Fragment.Length, spec.Fragment.CompressionCodec = 4<<10, protocol.CompressionCodec_ZSTANDARD
		b.Create(spec)
	}
	metrics := prometheus.NewRegistry()
	c, err := client.Dial(t.Context(), client.Config{
		Endpoint: b.Endpoint(), AppendStreams: true, Metrics: metrics,
		Routes:    client.RouteCache{Size: 10},
		Fragments: &direct.Config{FileRoot: filepath.Join(b.Dir, "fragments")},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })

	tasks := task.New(t.Context(), "test")
	list := c.NewWatchedList(selector)
	tasks.Go("list", list.Run)
	t.Cleanup(func() {
		tasks.Cancel()
		require.NoError(t, tasks.Wait())
	})
	_, err = list.Await(t.Context(), func(s *client.Snapshot) bool { return len(s.Journals) == partitions })
	require.NoError(t, err)

	service, err := async.New(t.Context(), c, async.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close()) })
	want := map[string][]string{}
	run, followed := service.NewRun(async.AtLeastOnce), mapping.Follow(list)
	for i := range 3000 {
		if i == 1500 {
			require.NoError(t, run.Wait(t.Context())) // so that no outcome is unknown
			b.Restart()
		}
		key := fmt.Sprintf("key-%d", i)
		p, err := followed.Map(mapping.Rendezvous, []byte(key))
		require.NoError(t, err)
		w, err := run.Start(t.Context(), client.AppendParams{Journal: p.Journal})
		require.NoError(t, err)
		_, err = fmt.Fprintf(w, "{\"key\":%q}\n", key)
		require.NoError(t, err)
		_, err = w.Release()
		require.NoError(t, err)
		want[p.Journal] = append(want[p.Journal], fmt.Sprintf("{\"key\":%q}", key))
		if i%100 == 0 { // or they'd all be one append
			require.NoError(t, run.Wait(t.Context()))
		}
	}
	require.NoError(t, run.Wait(t.Context()))
	require.Len(t, want, partitions)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for journal, lines := range want {
		awaitStored(ctx, t, c, journal)
		barrier, err := c.Barrier(ctx, journal)
		require.NoError(t, err)
		r := c.NewReader(ctx, &protocol.ReadRequest{Journal: journal, EndOffset: barrier.Head})
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, lines, strings.Split(strings.TrimSuffix(string(content), "\n"), "\n"))
	}
	require.Positive(t, sum(t, metrics, "gazette_read_fragment_bytes_total"), "some of it came from the store")
	require.GreaterOrEqual(t, sum(t, metrics, "gazette_read_bytes_total"), sum(t, metrics, "gazette_append_bytes_total"))
}

// awaitStored waits until a journal has a fragment that only its store has.
func awaitStored(ctx context.Context, t *testing.T, c *client.Client, journal string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		listed, err := c.ListAllFragments(ctx, &protocol.FragmentsRequest{Journal: journal})
		require.NoError(t, err)
		if slices.ContainsFunc(listed, func(f *protocol.FragmentsResponse_XFragment) bool { return f.GetSpec().GetModTime() != 0 }) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("nothing was stored")
		}
	}
}

func sum(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	total := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}
