package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestSuspendAndResume: a journal with content keeps one replica, one without keeps none; what may be done
// with it then; and an append resumes it where it was.
func TestSuspendAndResume(t *testing.T) {
	t.Run("one broker", func(t *testing.T) { suspendAndResume(t, "a") })
	t.Run("three brokers", func(t *testing.T) { suspendAndResume(t, "a", "b", "c") })
}

func suspendAndResume(t *testing.T, zones ...string) {
	t.Helper()
	replicas := len(zones)
	b := brokertest.NewFleet(t, brokertest.Config{}, zones...)[replicas-1]
	ctx := bounded(t)
	b.Create(replicated("a/journal", int32(replicas)), replicated("an/empty", int32(replicas)))
	persistAppend(ctx, t, b, "a/journal", "hello")
	persistAppend(ctx, t, b, "an/empty", "")
	request := func(journal string, how protocol.AppendRequest_Suspend, content string) *protocol.AppendResponse {
		t.Helper()
		r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: journal, Suspend: how}, content)
		require.NoError(t, err)
		require.NoError(t, r.Validate())
		return r
	}
	level := func(journal string, want protocol.JournalSpec_Suspend_Level, members int) {
		t.Helper()
		awaitCondition(ctx, t, func() bool {
			j := listOne(ctx, t, b, journal)
			return j.GetSpec().GetSuspend().GetLevel() == want && len(j.GetRoute().GetMembers()) == members
		})
	}

	// Not all of it was stored for long enough.
	require.Equal(t, protocol.Status_OK, request("a/journal", protocol.AppendRequest_SUSPEND_IF_FLUSHED, "").GetStatus())
	level("a/journal", protocol.JournalSpec_Suspend_NONE, replicas)
	require.Equal(t, protocol.Status_NOT_ALLOWED, request("a/journal", protocol.AppendRequest_SUSPEND_NOW, "content").GetStatus())

	request("a/journal", protocol.AppendRequest_SUSPEND_NOW, "")
	level("a/journal", protocol.JournalSpec_Suspend_PARTIAL, 1)
	require.EqualValues(t, 5, listOne(ctx, t, b, "a/journal").GetSpec().GetSuspend().GetOffset())
	require.Equal(t, "hello", mustReadTo(ctx, t, b, "a/journal", 0, 5))
	require.Equal(t, protocol.Status_SUSPENDED, request("a/journal", protocol.AppendRequest_SUSPEND_NO_RESUME, "x").GetStatus())
	require.Equal(t, protocol.Status_SUSPENDED, request("a/journal", protocol.AppendRequest_SUSPEND_NOW, "").GetStatus())
	require.Equal(t, protocol.Status_OK, request("a/journal", protocol.AppendRequest_SUSPEND_KEEP, "").GetStatus())
	level("a/journal", protocol.JournalSpec_Suspend_PARTIAL, 1)

	request("an/empty", protocol.AppendRequest_SUSPEND_IF_FLUSHED, "")
	level("an/empty", protocol.JournalSpec_Suspend_FULL, 0)
	for _, how := range []protocol.AppendRequest_Suspend{
		protocol.AppendRequest_SUSPEND_NO_RESUME, protocol.AppendRequest_SUSPEND_IF_FLUSHED,
		protocol.AppendRequest_SUSPEND_NOW, protocol.AppendRequest_SUSPEND_KEEP,
	} {
		require.Equal(t, protocol.Status_SUSPENDED, request("an/empty", how, "").GetStatus(), how)
	}
	messages, err := readAll(ctx, b.Client(), &protocol.ReadRequest{Journal: "an/empty"})
	require.NoError(t, err)
	require.Equal(t, protocol.Status_SUSPENDED, messages[0].GetStatus())

	resumes(ctx, t, b, "a/journal", 5, replicas)
	resumes(ctx, t, b, "an/empty", 0, replicas)
}

// resumes a journal by an ordinary append.
func resumes(ctx context.Context, t *testing.T, b *brokertest.Broker, journal string, begin int64, replicas int) {
	t.Helper()
	r := persistAppend(ctx, t, b, journal, " world")
	require.Equal(t, begin, r.GetCommit().GetBegin())
	awaitCondition(ctx, t, func() bool {
		j := listOne(ctx, t, b, journal)
		return j.GetSpec().GetSuspend().GetLevel() == protocol.JournalSpec_Suspend_NONE && len(j.GetRoute().GetMembers()) == replicas
	})
	require.Equal(t, " world", mustReadTo(ctx, t, b, journal, begin, begin+6))
}
