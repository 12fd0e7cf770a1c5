package broker_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

func replicated(name string, replication int32) *protocol.JournalSpec {
	spec := brokertest.Spec(name)
	spec.Replication = replication
	return spec
}

// TestFleet: an append to any broker is read at every broker.
func TestFleet(t *testing.T) {
	for _, mode := range []spool.Mode{spool.Synced, spool.Replicated} {
		t.Run(mode.String(), func(t *testing.T) {
			fleet := brokertest.NewFleet(t, brokertest.Config{Mode: mode}, "a", "b", "c")
			ctx := bounded(t)
			fleet[0].Create(replicated("a/journal", 3))
			want := ""
			for i, b := range append(fleet, fleet...) {
				text := string(rune('a'+i)) + "-text "
				end := persistAppend(ctx, t, b, "a/journal", text).GetCommit().GetEnd()
				want += text
				require.EqualValues(t, len(want), end)
			}
			for _, b := range fleet {
				require.Equal(t, want, mustReadTo(ctx, t, b, "a/journal", 0, int64(len(want))))
			}
		})
	}
}

// TestFleetOutlivesBrokers: brokers are killed and come back, one after the other, and no
// acknowledged byte is missing.
func TestFleetOutlivesBrokers(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 3))
	var want strings.Builder
	for i := range 6 {
		victim := fleet[i%3]
		text := string(rune('a'+i)) + "-text "
		persistAppend(ctx, t, victim, "a/journal", text)
		want.WriteString(text)
		victim.Kill()
		victim.Restart()
	}
	end := persistAppend(ctx, t, fleet[0], "a/journal", "").GetCommit().GetEnd()
	for i, b := range fleet {
		// An append of which nothing is known is made again, and then may stand there twice.
		words := slices.Compact(strings.Fields(mustReadTo(ctx, t, b, "a/journal", 0, end)))
		require.Equal(t, strings.Fields(want.String()), words, "at broker %d", i)
	}
}

// persistAppend appends once the journal has its brokers.
func persistAppend(ctx context.Context, tb testing.TB, b *brokertest.Broker, journal, content string) *protocol.AppendResponse {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: journal}, content)
		switch {
		case status.Code(err) == codes.Unavailable:
			tb.Log(err)
		case err != nil:
			require.NoError(tb, err)
		case r.GetStatus() == protocol.Status_OK:
			require.NoError(tb, r.Validate())
			return r
		default:
			require.Contains(tb, []protocol.Status{
				protocol.Status_INSUFFICIENT_JOURNAL_BROKERS, protocol.Status_NO_JOURNAL_PRIMARY_BROKER,
				protocol.Status_NOT_JOURNAL_PRIMARY_BROKER, // who it was forwarded to isn't any more
			}, r.GetStatus())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.FailNow(tb, "nobody took it")
		}
	}
}

// mustReadTo returns the content of a journal between offsets, for which it waits.
func mustReadTo(ctx context.Context, tb testing.TB, b *brokertest.Broker, journal string, begin, end int64) string {
	tb.Helper()
	messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: journal, Offset: begin, EndOffset: end, Block: true})
	require.NoError(tb, err)
	var content strings.Builder
	for _, m := range messages {
		require.Equal(tb, protocol.Status_OK, m.GetStatus())
		content.Write(m.GetContent())
	}
	return content.String()
}

// TestReassignedSpoolIsStored: what a broker holds of a journal that went to others is stored, and then
// its spool is gone.
func TestReassignedSpoolIsStored(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{}, "a", "b")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 2))
	persistAppend(ctx, t, fleet[0], "a/journal", "hello ")
	// One of the two is to go, and nothing was stored so far.
	current := listOne(ctx, t, fleet[0], "a/journal")
	spec := current.GetSpec()
	spec.Replication = 1
	_, err := fleet[0].Client().Apply(ctx, &protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{{
		ExpectModRevision: current.GetModRevision(), Upsert: spec,
	}}})
	require.NoError(t, err)
	awaitCondition(ctx, t, func() bool { return len(listOne(ctx, t, fleet[0], "a/journal").GetRoute().GetMembers()) == 1 })
	persistAppend(ctx, t, fleet[1], "a/journal", "world")
	awaitCondition(ctx, t, func() bool {
		files := 0
		for _, b := range fleet {
			if len(b.SpoolFiles("a/journal")) > 0 {
				files++
			}
		}
		return files == 1
	})
	for _, b := range fleet {
		require.Equal(t, "hello world", mustReadTo(ctx, t, b, "a/journal", 0, 11))
	}
}

// TestResetGivesUpWhatIsLost: the only broker that held the newest bytes loses its disk. Nobody goes on
// by himself; an operator's reset does, at an offset that was never handed out.
func TestResetGivesUpWhatIsLost(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "lost")
	b.Kill()
	require.NoError(t, os.RemoveAll(filepath.Join(b.Dir, "broker", "spool")))
	b.Restart()
	_, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "x")
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, err, "local#broker")
	head, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "a/journal", Offset: -1})
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OFFSET_NOT_YET_AVAILABLE, head[0].GetStatus())
	bound := head[0].GetWriteHead()
	require.Equal(t, epoch.Span, bound)
	_, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", Offset: bound - 1}, "")
	require.Equal(t, codes.Unavailable, status.Code(err))
	r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{
		Journal: "a/journal", Offset: bound, Suspend: protocol.AppendRequest_SUSPEND_KEEP,
	}, "")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
	require.Equal(t, bound, r.GetCommit().GetEnd())

	// Who was fenced stays fenced: registers that were lost match no check, until they are set.
	check := &protocol.LabelSelector{Include: protocol.MustLabelSet("author", "alice")}
	r, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", CheckRegisters: check}, "no")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_REGISTER_MISMATCH, r.GetStatus())
	r, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{
		Journal: "a/journal", UnionRegisters: protocol.MustLabelSet("author", "alice"),
	}, "one ")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
	r, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal", CheckRegisters: check}, "two")
	require.NoError(t, err)
	require.Equal(t, protocol.Status_OK, r.GetStatus())
	require.Equal(t, "one two", mustReadTo(ctx, t, b, "a/journal", 0, bound+7), "a reader goes over what was given up")
}

// listOne is the listing of a journal.
func listOne(ctx context.Context, tb testing.TB, b *brokertest.Broker, name string) *protocol.ListResponse_Journal {
	tb.Helper()
	all, err := listAll(ctx, b.Client(), &protocol.ListRequest{Selector: nameSelector(name)})
	require.NoError(tb, err)
	require.Len(tb, all, 1)
	return all[0]
}
