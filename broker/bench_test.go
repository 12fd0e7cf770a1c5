package broker_test

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// BenchmarkAppend appends by one RPC each, client and broker in one process: 64
// writers against one, in both modes. "discard" is a gRPC server that takes the same
// messages and does nothing with them: the limit of the path.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{256, 4 << 10, 64 << 10} {
		for _, writers := range []int{1, 64} {
			name := fmt.Sprintf("size=%d/writers=%d", size, writers)
			b.Run("discard/"+name, func(b *testing.B) { benchAppend(b, newDiscard(b), writers, size) })
			for _, mode := range []spool.Mode{spool.Replicated, spool.Synced} {
				b.Run(mode.String()+"/"+name, func(b *testing.B) {
					server := brokertest.New(b, brokertest.Config{
						Mode: mode, Quiet: true,
						Adjust: func(c *broker.Config) { c.Registerer = nil },
					})
					spec := brokertest.Spec("a/journal")
					spec.Fragment.Length = 64 << 20
					spec.Fragment.CompressionCodec = protocol.CompressionCodec_NONE
					server.Create(spec)
					benchAppend(b, server.Client(), writers, size)
				})
			}
		}
	}
}

func benchAppend(b *testing.B, client protocol.JournalClient, writers, size int) {
	b.Helper()
	content := make([]byte, size)
	var next atomic.Int64
	var g errgroup.Group
	b.SetBytes(int64(size))
	b.ResetTimer()
	for range writers {
		g.Go(func() error {
			for next.Add(1) <= int64(b.N) {
				r, err := appendWith(b.Context(), client, &protocol.AppendRequest{Journal: "a/journal"}, string(content))
				if err != nil {
					return err
				}
				if r.GetStatus() != protocol.Status_OK {
					return r.GetStatus().Err()
				}
			}
			return nil
		})
	}
	require.NoError(b, g.Wait())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkAppendStream appends 256 B each on one stream, as many in a message as a client
// with many writers has.
func BenchmarkAppendStream(b *testing.B) {
	for _, mode := range []spool.Mode{spool.Replicated, spool.Synced} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/batch=%d", mode, batch), func(b *testing.B) { benchAppendStream(b, mode, batch) })
		}
	}
}

func benchAppendStream(b *testing.B, mode spool.Mode, batch int) {
	b.Helper()
	server := brokertest.New(b, brokertest.Config{
		Mode: mode, Quiet: true,
		Adjust: func(c *broker.Config) { c.Registerer = nil },
	})
	spec := brokertest.Spec("a/journal")
	spec.Fragment.Length = 64 << 20
	spec.Fragment.CompressionCodec = protocol.CompressionCodec_NONE
	server.Create(spec)
	s := newStreamed(b.Context(), b, server)
	s.open("a/journal")
	content := make([]byte, 256)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	b.ResetTimer()
	var g errgroup.Group
	g.Go(func() error {
		for sent := 0; sent < b.N; {
			m := new(streaming.AppendStreamRequest)
			for range min(batch, b.N-sent) {
				sent++
				m.Appends = append(m.Appends, &streamPart{Sequence: uint64(sent), Handle: 1, Content: content})
			}
			if err := s.stream.Send(m); err != nil {
				return err
			}
		}
		return s.stream.CloseSend()
	})
	results, err := s.rest()
	require.ErrorIs(b, err, io.EOF)
	require.NoError(b, g.Wait())
	require.Len(b, results, b.N)
	require.Equal(b, int64(256*b.N), results[b.N-1].GetEnd())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

// discard takes appends and does nothing with them.
type discard struct {
	protocol.UnimplementedJournalServer
}

func (discard) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return stream.SendAndClose(new(protocol.AppendResponse))
		}
	}
}

func newDiscard(b *testing.B) protocol.JournalClient {
	b.Helper()
	ln := brokertest.Listen(b)
	server := grpc.NewServer()
	protocol.RegisterJournalServer(server, discard{})
	var g errgroup.Group
	g.Go(func() error { return server.Serve(ln) })
	conn, err := grpc.NewClient("unix://"+ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, conn.Close())
		server.Stop()
		require.NoError(b, g.Wait())
	})
	return protocol.NewJournalClient(conn)
}
