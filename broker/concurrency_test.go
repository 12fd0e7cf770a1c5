package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// TestStalledWritersDelayNobody: writers who hold all memory that appends may be
// gathered in, and don't go on.
func TestStalledWritersDelayNobody(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) {
		c.GatherMemory, c.GatherTotal = 1<<10, 4<<10
		c.Grace = 50 * time.Millisecond
	}})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	for i := range 20 {
		// Some in memory, some in files already.
		stalled := beginAppend(ctx, t, b, "a/journal", strings.Repeat("s", 1+i*100))
		defer func() { _, _ = stalled.CloseAndRecv() }()
	}
	var want strings.Builder
	for i := range 50 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i*50))
		mustAppend(ctx, t, b, "a/journal", line)
		want.WriteString(line)
	}
	require.Equal(t, want.String(), mustRead(ctx, t, b, "a/journal", 0))
}

// TestIdleAppendEnds: a client that sends nothing for too long is told so.
func TestIdleAppendEnds(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.IdleTimeout = 200 * time.Millisecond }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	for _, content := range []string{"", "half"} {
		stream := beginAppend(ctx, t, b, "a/journal", "")
		if content != "" {
			_ = stream.Send(&protocol.AppendRequest{Content: []byte(content)}) // It may have ended already.
		}
		err := stream.RecvMsg(new(protocol.AppendResponse))
		require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
	}
	require.Empty(t, mustRead(ctx, t, b, "a/journal", 0))
}

// TestFlowControl: appends to a journal with a rate are held up, and tell so; other journals aren't.
func TestFlowControl(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	slow := brokertest.Spec("slow/journal")
	slow.MaxAppendRate = 1_000
	b.Create(slow, brokertest.Spec("fast/journal"))
	content := strings.Repeat("x", 1_500)
	began := time.Now()
	require.EqualValues(t, 1, mustAppend(ctx, t, b, "slow/journal", content).GetDelayedChunks())
	require.GreaterOrEqual(t, time.Since(began), 450*time.Millisecond, "what is over a second's worth")
	require.Zero(t, mustAppend(ctx, t, b, "fast/journal", content).GetDelayedChunks())

	gone, leave := context.WithCancel(ctx)
	s := newStreamed(gone, t, b)
	s.open("slow/journal", "fast/journal")
	s.append(whole(1, content))
	require.EqualValues(t, 1, s.next().GetSequence())
	s.append(whole(1, strings.Repeat("x", 1_000_000)), whole(2, content))
	require.EqualValues(t, 3, s.next().GetSequence(), "the other journal doesn't wait")
	leave()
	_, err := s.rest()
	require.Equal(t, codes.Canceled, status.Code(err))
}

// TestSlowClients are told so, if that is asked for.
func TestSlowClients(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.MinAppendRate = 1 << 20 }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	stream := beginAppend(ctx, t, b, "a/journal", "drip")
	await(ctx, t, 1100*time.Millisecond)
	require.NoError(t, stream.Send(&protocol.AppendRequest{Content: []byte("drip")}))
	err := stream.RecvMsg(new(protocol.AppendResponse))
	require.ErrorContains(t, err, "client stream didn't sustain the minimum append data rate")
	appendAtOnce(ctx, t, b, "a/journal", "quick")
	require.Equal(t, "quick", mustRead(ctx, t, b, "a/journal", 0))
}

// TestCancelAtEachStage: a client that goes away leaves neither bytes nor files, and
// the journal is as before.
func TestCancelAtEachStage(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.GatherMemory = 1 << 10 }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "before ")
	for name, content := range map[string]string{
		"before content": "",
		"in memory":      "some",
		"in a file":      strings.Repeat("much", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			cancelled, cancel := context.WithCancel(ctx)
			stream := beginAppend(cancelled, t, b, "a/journal", content)
			if content != "" {
				// A second chunk proves that the first was taken.
				require.NoError(t, stream.Send(&protocol.AppendRequest{Content: []byte("more")}))
			}
			cancel()
			_, err := stream.CloseAndRecv()
			require.Equal(t, codes.Canceled, status.Code(err))
		})
	}
	t.Run("without waiting for the outcome", func(t *testing.T) {
		// Whether it is appended isn't known, but if so then whole.
		cancelled, cancel := context.WithCancel(ctx)
		stream := beginAppend(cancelled, t, b, "a/journal", "perhaps ")
		require.NoError(t, stream.Send(new(protocol.AppendRequest)))
		require.NoError(t, stream.CloseSend())
		cancel()
	})
	mustAppend(ctx, t, b, "a/journal", "after")
	content := mustRead(ctx, t, b, "a/journal", 0)
	require.Equal(t, "before after", strings.ReplaceAll(content, "perhaps ", ""))
	left, err := os.ReadDir(filepath.Join(b.Dir, "broker", "gather"))
	require.NoError(t, err)
	require.Empty(t, left)
	b.Stop() // With no append left, it is done at once; goleak looks at the rest.
}

// TestReadsWhileRolling: readers who begin anywhere, while fragments are closed,
// stored and dropped beneath them, get every byte once and in order.
func TestReadsWhileRolling(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Mode: spool.Replicated})
	ctx := bounded(t)
	spec := brokertest.Spec("a/journal")
	spec.Fragment.Length = 1 << 10
	spec.Fragment.RefreshInterval = durationpb.New(time.Hour) // No listing mends what a drop tore.
	b.Create(spec)
	const total = 120_000
	mustAppend(ctx, t, b, "a/journal", pattern(0, 10)) // offset 0 can't be asked for
	g := task.New(ctx, "test")
	for range 4 {
		g.Go("writer", func(ctx context.Context) error {
			for {
				// The content at each offset follows from the offset.
				r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "")
				if err != nil {
					return err
				}
				if r.GetStatus() != protocol.Status_OK {
					return fmt.Errorf("asked for the head: %s", r.GetStatus())
				}
				at := r.GetCommit().GetEnd()
				if at >= total {
					return nil
				}
				r, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", Offset: at}, pattern(at, at+int64(1+rand.N(2000))))
				if err != nil {
					return err
				}
				// Another writer may have been there first.
				if s := r.GetStatus(); s != protocol.Status_OK && s != protocol.Status_WRONG_APPEND_OFFSET {
					return fmt.Errorf("append at offset %d: %s", at, s)
				}
			}
		})
	}
	for i := range 6 {
		g.Go("reader", func(ctx context.Context) error {
			return readPattern(ctx, b, int64(i)*7777, total)
		})
	}
	require.NoError(t, g.Wait())
	// Once more over everything that is stored by now.
	require.NoError(t, readPattern(ctx, b, 0, total))
}

// pattern is the content that a journal has in a range, in these tests.
func pattern(begin, end int64) string {
	var buf bytes.Buffer
	for at := begin &^ 7; at < end; at += 8 {
		fmt.Fprintf(&buf, "%07x\n", at/8)
	}
	return buf.String()[begin&7 : begin&7+end-begin]
}

// readPattern reads from begin to end, in reads that end anywhere.
func readPattern(ctx context.Context, b *brokertest.Broker, begin, end int64) error {
	for begin < end {
		limit := min(end, begin+1+rand.N[int64](100_000))
		stream, err := b.Client().Read(ctx, &protocol.ReadRequest{Journal: "a/journal", Offset: begin, EndOffset: limit, Block: true})
		if err != nil {
			return err
		}
		for {
			r, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if err := r.Validate(); err != nil {
				return err
			}
			if r.GetOffset() != begin {
				return fmt.Errorf("at offset %d, expected %d", r.GetOffset(), begin)
			}
			next := begin + int64(len(r.GetContent()))
			if got, want := string(r.GetContent()), pattern(begin, next); got != want {
				return fmt.Errorf("at offset %d: %q, expected %q", begin, got, want)
			}
			begin = next
		}
		if begin != limit {
			return fmt.Errorf("read ended at offset %d, expected %d", begin, limit)
		}
	}
	return nil
}
