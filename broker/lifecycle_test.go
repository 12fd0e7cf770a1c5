package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// beginAppend sends the parameters and content of an append that isn't committed.
func beginAppend(ctx context.Context, tb testing.TB, b *brokertest.Broker, journal, content string) grpc.ClientStreamingClient[protocol.AppendRequest, protocol.AppendResponse] {
	tb.Helper()
	stream, err := b.Client().Append(ctx)
	require.NoError(tb, err)
	require.NoError(tb, stream.Send(&protocol.AppendRequest{Journal: journal}))
	if content != "" {
		require.NoError(tb, stream.Send(&protocol.AppendRequest{Content: []byte(content)}))
	}
	return stream
}

// commitAppend commits an append, and returns its outcome.
func commitAppend(stream grpc.ClientStreamingClient[protocol.AppendRequest, protocol.AppendResponse]) (*protocol.AppendResponse, error) {
	_ = stream.Send(new(protocol.AppendRequest)) // The outcome tells if it failed.
	return stream.CloseAndRecv()
}

// stopInBackground stops the broker, and returns a channel that is closed when it has.
func stopInBackground(g *task.Group, b *brokertest.Broker) <-chan struct{} {
	stopped := make(chan struct{})
	g.Go("stop", func(context.Context) error {
		defer close(stopped)
		b.Stop()
		return nil
	})
	return stopped
}

// awaitNotReady returns once the broker has begun to stop.
func awaitNotReady(ctx context.Context, t *testing.T, b *brokertest.Broker) {
	t.Helper()
	for {
		r, err := b.Client().List(ctx, &protocol.ListRequest{Watch: true})
		require.NoError(t, err)
		for err == nil {
			_, err = r.Recv()
		}
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Unavailable {
			return // A watch ends only when the broker stops.
		}
		require.NoError(t, err)
	}
}

// TestStopWithAppendInFlight: an append that was begun may end within the grace.
func TestStopWithAppendInFlight(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	stream := beginAppend(ctx, t, b, "a/journal", "hello")
	g := task.New(ctx, "test")
	watch := make(chan struct{})
	g.Go("watch", func(context.Context) error {
		awaitNotReady(ctx, t, b)
		close(watch)
		return nil
	})
	stopped := stopInBackground(g, b)
	<-watch
	r, err := commitAppend(stream)
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
	<-stopped
	require.NoError(t, g.Wait())
	b.Restart()
	require.Equal(t, "hello", mustRead(ctx, t, b, "a/journal", 0))
}

// TestStopCutsStalledAppend: one that doesn't end is cut off, and leaves nothing.
func TestStopCutsStalledAppend(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.Grace = 50 * time.Millisecond }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "whole")
	stream := beginAppend(ctx, t, b, "a/journal", "half")
	b.Stop()
	_, err := commitAppend(stream)
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	b.Restart()
	require.Equal(t, "whole", mustRead(ctx, t, b, "a/journal", 0))
	left, err := os.ReadDir(filepath.Join(b.Dir, "broker", "gather"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestStopEndsReads: blocking reads and watches get EOF.
func TestStopEndsReads(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "hello")
	read, err := b.Client().Read(ctx, &protocol.ReadRequest{Journal: "a/journal", Block: true})
	require.NoError(t, err)
	for range 2 { // metadata and content
		_, err := read.Recv()
		require.NoError(t, err)
	}
	watch, err := b.Client().List(ctx, &protocol.ListRequest{Watch: true})
	require.NoError(t, err)
	for range 2 { // the snapshot and its end
		_, err := watch.Recv()
		require.NoError(t, err)
	}
	b.Stop()
	_, err = read.Recv()
	require.ErrorIs(t, err, io.EOF)
	_, err = watch.Recv()
	require.ErrorIs(t, err, io.EOF)
}

// deleteJournal deletes a journal, whatever its revision.
func deleteJournal(ctx context.Context, t *testing.T, b *brokertest.Broker, name string) {
	t.Helper()
	r, err := b.Client().Apply(ctx, &protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{{Delete: name, ExpectModRevision: -1}}})
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
}

// TestDeletedJournal: its readers get EOF, its spool goes, and a journal that is made
// anew under its name begins at zero.
func TestDeletedJournal(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "old content")
	read, err := b.Client().Read(ctx, &protocol.ReadRequest{Journal: "a/journal", Offset: -1, Block: true})
	require.NoError(t, err)
	require.NotEmpty(t, b.SpoolFiles("a/journal"))

	deleteJournal(ctx, t, b, "a/journal")
	_, err = read.Recv()
	require.ErrorIs(t, err, io.EOF)
	messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal"})
	require.NoError(t, err)
	require.Equal(t, protocol.Status_JOURNAL_NOT_FOUND, messages[0].GetStatus())
	awaitCondition(ctx, t, func() bool { return len(b.SpoolFiles("a/journal")) == 0 })

	b.Create(brokertest.Spec("a/journal"))
	require.Empty(t, mustRead(ctx, t, b, "a/journal", 0))
	require.Zero(t, mustAppend(ctx, t, b, "a/journal", "new").GetCommit().GetBegin())
}

// TestDeletedWhileStopped: the spool goes when the broker starts again.
func TestDeletedWhileStopped(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"), brokertest.Spec("b/journal"))
	mustAppend(ctx, t, b, "a/journal", "a")
	mustAppend(ctx, t, b, "b/journal", "b")
	b.Stop()
	_, err := b.Etcd.Delete(ctx, broker.DefaultPrefix+"/items/a/journal")
	require.NoError(t, err)
	b.Restart()
	awaitCondition(ctx, t, func() bool { return len(b.SpoolFiles("a/journal")) == 0 })
	require.Equal(t, "b", mustRead(ctx, t, b, "b/journal", 0))
}

// awaitCondition waits until something is so.
func awaitCondition(ctx context.Context, t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.FailNow(t, "it never was so")
		}
	}
}

// TestRecreatedOverStoredFragments: a journal that is made anew where a former one
// has stored fragments takes no appends, since its offsets would be given twice.
func TestRecreatedOverStoredFragments(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "hello")
	mustAppend(ctx, t, b, "a/journal", "world")
	awaitStored(ctx, t, b, "a/journal", 1)
	deleteJournal(ctx, t, b, "a/journal")
	kvs, err := b.Etcd.Get(ctx, broker.DefaultPrefix+"/epochs/a/journal")
	require.NoError(t, err)
	require.Empty(t, kvs.Kvs, "its epochs went with it")
	b.Create(brokertest.Spec("a/journal"))
	r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "x")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_INDEX_HAS_GREATER_OFFSET, r.GetStatus())
	// An operator says to go on at the end of what is stored.
	r, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", Offset: 5}, "")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
	require.EqualValues(t, 5, r.GetCommit().GetEnd())
	require.EqualValues(t, 6, mustAppend(ctx, t, b, "a/journal", "!").GetCommit().GetEnd())
	require.Equal(t, "hello!", mustRead(ctx, t, b, "a/journal", 0))
}

// config is that of a second broker over the first one's directory.
func config(t *testing.T, b *brokertest.Broker) broker.Config {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return broker.Config{
		ID:        &protocol.ProcessSpec_ID{Zone: "local", Suffix: "other"},
		Endpoint:  "http://" + ln.Addr().String(),
		Listeners: []net.Listener{ln},
		Etcd:      b.Etcd,
		Dir:       filepath.Join(b.Dir, "broker"),
		Stores:    b.Stores,
		Logger:    b.Logger(),
	}
}

// TestDirectoryIsLocked against a second broker.
func TestDirectoryIsLocked(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	second, err := broker.New(config(t, b))
	require.NoError(t, err)
	require.ErrorIs(t, second.Serve(bounded(t)), broker.ErrLocked)
	require.Error(t, second.Serve(bounded(t)), "a broker runs once")
}

// TestStoppedBeforeItServes is no failure.
func TestStoppedBeforeItServes(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	b.Stop()
	second, err := broker.New(config(t, b))
	require.NoError(t, err)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, second.Serve(stopped))
}

// TestEtcdOfAnotherTime: a directory isn't used with an etcd that can't know what is
// in it, since that would be taken for deleted.
func TestEtcdOfAnotherTime(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	b.Stop()
	path := filepath.Join(b.Dir, "broker", "ETCD")
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, tc := range []struct {
		content string
		err     error
	}{
		{`{"format":1,"cluster":"1","revision":1}`, broker.ErrOtherEtcd},
		{`{"format":2,"cluster":"1","revision":1}`, broker.ErrNewerFormat},
		{strings.Replace(string(good), `"prefix":"`, `"prefix":"/other`, 1), broker.ErrOtherPrefix},
		{strings.Replace(string(good), `"revision":`, `"revision":99`, 1), broker.ErrOlderEtcd},
		{`garbage`, nil},
		{`{}`, nil},
	} {
		require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o600))
		refused, err := broker.New(config(t, b))
		require.NoError(t, err)
		err = refused.Serve(bounded(t))
		require.ErrorContains(t, err, path)
		if tc.err != nil {
			require.ErrorIs(t, err, tc.err)
		}
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, tc.content, string(kept))
	}
	// Earlier programs noted no prefix.
	earlier := regexp.MustCompile(`"prefix":"[^"]*",`).ReplaceAllString(string(good), "")
	require.NotEqual(t, string(good), earlier)
	require.NoError(t, os.WriteFile(path, []byte(earlier), 0o600))
	b.Restart()
	b.Stop()
	noted, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(noted), `"prefix":"`)
	b.Restart()
}

// TestDamagedSpool: its journal is refused by name, the others are served, and it is
// served once it is mended.
func TestDamagedSpool(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"), brokertest.Spec("b/journal"))
	mustAppend(ctx, t, b, "a/journal", "hello")
	mustAppend(ctx, t, b, "b/journal", "world")
	b.Stop()
	found, err := filepath.Glob(filepath.Join(b.Dir, "broker", "spool", "a_journal.*", "*.data"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	good, err := os.ReadFile(found[0])
	require.NoError(t, err)
	flipped := []byte(string(good))
	flipped[1] ^= 4
	require.NoError(t, os.WriteFile(found[0], flipped, 0o600))
	b.Restart()

	_, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "x")
	require.Equal(t, codes.Internal, status.Code(err))
	require.ErrorContains(t, err, "journal a/journal: open its spool")
	require.ErrorContains(t, err, filepath.Base(found[0]))
	_, err = readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal"})
	require.Equal(t, codes.Internal, status.Code(err))
	require.Equal(t, "world", mustRead(ctx, t, b, "b/journal", 0))

	require.NoError(t, os.WriteFile(found[0], good, 0o600))
	awaitCondition(ctx, t, func() bool {
		_, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "")
		return err == nil
	})
	require.Equal(t, "hello", mustRead(ctx, t, b, "a/journal", 0))
}

// TestDamagedFragment: a flipped bit of a stored fragment is an error, and none of its
// bytes are served. The rest of the journal is.
func TestDamagedFragment(t *testing.T) {
	for _, codec := range []protocol.CompressionCodec{protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP} {
		b := brokertest.New(t, brokertest.Config{})
		ctx := bounded(t)
		spec := brokertest.Spec("a/journal")
		spec.Fragment.CompressionCodec = codec
		b.Create(spec)
		content := strings.Repeat("some content to be damaged; ", 5000)
		mustAppend(ctx, t, b, "a/journal", content)
		mustAppend(ctx, t, b, "a/journal", "tail")
		awaitStored(ctx, t, b, "a/journal", 1)

		found, err := filepath.Glob(filepath.Join(b.Dir, "fragments", "a", "journal", "*"))
		require.NoError(t, err)
		require.Len(t, found, 1)
		object, err := os.ReadFile(found[0])
		require.NoError(t, err)
		object[len(object)-20] ^= 1 // near the end
		require.NoError(t, os.Remove(found[0]))
		require.NoError(t, os.WriteFile(found[0], object, 0o600))
		b.Restart()

		messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal"})
		require.Error(t, err)
		require.ErrorContains(t, err, filepath.Base(found[0]))
		require.Len(t, messages, 1, "metadata and no content")
		require.Equal(t, "tail", mustRead(ctx, t, b, "a/journal", int64(len(content))))
	}
}

// TestKilledUnderLoad: whatever was acknowledged is there after each kill, whole.
func TestKilledUnderLoad(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	spec := brokertest.Spec("a/journal")
	spec.Fragment.Length = 2048
	b.Create(spec)
	acknowledged := make(map[string]int64)
	for round := range 5 {
		g := task.New(ctx, "writers")
		acks := make(chan map[string]int64, 8)
		enough := make(chan struct{}, 1000)
		for w := range 8 {
			g.Go("writer", func(ctx context.Context) error {
				mine := make(map[string]int64)
				defer func() { acks <- mine }()
				for i := 0; ; i++ {
					line := fmt.Sprintf("round %d writer %d append %d %s\n", round, w, i, strings.Repeat("x", i%100))
					r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, line)
					if err != nil || r.GetStatus() != protocol.Status_OK {
						return nil
					}
					mine[line] = r.GetCommit().GetBegin()
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 50 {
			<-enough
		}
		b.Kill()
		require.NoError(t, g.Wait())
		for range 8 {
			maps.Copy(acknowledged, <-acks)
		}
		b.Restart()
		content := mustRead(ctx, t, b, "a/journal", 0)
		seen := make(map[string]bool)
		for line := range strings.Lines(content) {
			require.True(t, strings.HasPrefix(line, "round ") && strings.HasSuffix(line, "\n"), "torn: %q", line)
			require.False(t, seen[line], "twice: %q", line)
			seen[line] = true
		}
		for line, begin := range acknowledged {
			require.Equal(t, line, content[begin:begin+int64(len(line))])
		}
	}
	// What was closed, and found again by a restart, is stored in the end.
	awaitCondition(ctx, t, func() bool { return len(b.SpoolFiles("a/journal")) <= 2 })
}
