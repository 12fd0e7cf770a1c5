package broker

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// listed yields messages, and then an error. All content comes in the same memory.
type listed struct {
	contents []string
	end      error
	buf      [64]byte
}

func (l *listed) Recv() (*protocol.AppendRequest, error) {
	if len(l.contents) == 0 {
		return nil, l.end
	}
	n := copy(l.buf[:], l.contents[0])
	l.contents = l.contents[1:]
	return &protocol.AppendRequest{Content: l.buf[:n]}, nil
}

// drainSource returns the contents that a source yields until its end.
func drainSource(t *testing.T, s appendSource) []string {
	t.Helper()
	out := []string{}
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out = append(out, string(m.GetContent()))
	}
}

// TestReplaySource: an append is yielded again as often as wanted, unless it has too much, or its client failed.
func TestReplaySource(t *testing.T) {
	const limit, free = 3*messageToll + 8, 5*messageToll + 10
	all := newBudget(free)
	s := &replaySource{source: &listed{contents: []string{"one", "two", ""}, end: io.EOF}, budget: all, limit: limit}
	m, err := s.Recv()
	require.NoError(t, err)
	require.Equal(t, "one", string(m.GetContent()))
	for range 3 {
		require.True(t, s.rewind())
		require.Equal(t, []string{"one", "two", ""}, drainSource(t, s))
	}
	require.EqualValues(t, free-6-3*messageToll, all.free.Load())

	// Another one is too large for what is left, and goes on.
	large := &replaySource{source: &listed{contents: []string{"123", "45"}, end: io.EOF}, budget: all, limit: limit}
	require.Equal(t, []string{"123", "45"}, drainSource(t, large))
	require.False(t, large.rewind())
	large.close()
	s.close()
	require.EqualValues(t, free, all.free.Load())

	large = &replaySource{source: &listed{contents: []string{"12345", "6789", ""}, end: io.EOF}, budget: all, limit: limit}
	require.Equal(t, []string{"12345", "6789", ""}, drainSource(t, large))
	require.False(t, large.rewind(), "of one append")
	require.EqualValues(t, free, all.free.Load())

	failed := &replaySource{source: &listed{end: context.Canceled}, budget: all, limit: limit}
	_, err = failed.Recv()
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, failed.rewind())
}

// TestReplayChargesMessages: messages without any content, or with little, take of the budget too.
func TestReplayChargesMessages(t *testing.T) {
	for _, content := range []string{"", "x"} {
		all := newBudget(1 << 20)
		many := slices.Repeat([]string{content}, 1<<20/messageToll+1)
		s := &replaySource{source: &listed{contents: many, end: io.EOF}, budget: all, limit: 1 << 20}
		require.Equal(t, many, drainSource(t, s))
		require.False(t, s.rewind(), "they are too many to be kept: %q", content)
		require.EqualValues(t, 1<<20, all.free.Load())
	}
}

// TestBodySource: what was gathered is yielded in messages, from memory and from a file.
func TestBodySource(t *testing.T) {
	for _, size := range []int{0, 3, bodyChunk, bodyChunk + 1, 3 * bodyChunk} {
		b := newBody(t.TempDir(), bodyChunk, newBudget(1<<30))
		content := strings.Repeat("x", size)
		require.NoError(t, b.write([]byte(content), true))
		s := newBodySource(b)
		for range 2 {
			got := drainSource(t, s)
			require.Empty(t, got[len(got)-1], "it commits")
			require.Equal(t, content, strings.Join(got, ""))
			require.Len(t, got, (size+bodyChunk-1)/bodyChunk+1)
			require.True(t, s.rewind())
		}
		b.close()
	}
}

// unreachable is a replicator to nobody.
type unreachable struct{}

func (unreachable) replicate(context.Context, *protocol.ProcessSpec_ID, string, string) (*peer, error) {
	return nil, status.Error(codes.Unavailable, "connection refused")
}

// TestFailedSyncIsNoOutcome: while no epoch can be formed appends are to wait, as nothing of them is written; and
// those after them in a run aren't refused.
func TestFailedSyncIsNoOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		l.append("one")
		synctest.Wait()
		l.env.members = unreachable{}
		d := l.env.directories.(*loneDirectories)
		alone := d.now.Load()
		d.change(func(e *entry) {
			e.route = &protocol.Route{Members: []*protocol.ProcessSpec_ID{l.env.self, {Zone: "zone", Suffix: "other"}}}
		})
		ticket := l.ticket("two")
		ticket.run = new(run)
		for range 3 {
			o := l.commit(t.Context(), ticket)
			require.True(t, o.again)
			require.ErrorContains(t, o.blocked, "connection refused")
			require.GreaterOrEqual(t, o.pause, minResync)
			require.False(t, ticket.run.failed.Load())
			require.NoError(t, wait(t.Context(), o.pause))
		}
		require.EqualValues(t, 3, l.spool.State().End)
		d.now.Store(alone)
		l.append("two")
		require.EqualValues(t, 6, l.spool.State().End)
		require.NoError(t, l.close())
	})
}
