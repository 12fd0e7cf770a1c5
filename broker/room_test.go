package broker_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

const (
	trailerDetail = "broadsheet-detail"
	noRoom        = "no broker has room: by their --broker.limit they take 2 journals, and they have as many"
)

func roomFor(journals int, alone bool) brokertest.Config {
	return brokertest.Config{Quiet: true, Adjust: func(c *broker.Config) { c.JournalLimit, c.Alone = journals, alone }}
}

// applied sends changes, and tells why they were refused.
func applied(t *testing.T, b *brokertest.Broker, changes ...*protocol.ApplyRequest_Change) error {
	t.Helper()
	r, err := b.Client().Apply(t.Context(), &protocol.ApplyRequest{Changes: changes})
	if err == nil {
		require.Equal(t, protocol.Status_OK, r.GetStatus())
	}
	return err
}

func upserts(names ...string) []*protocol.ApplyRequest_Change {
	var out []*protocol.ApplyRequest_Change
	for _, name := range names {
		out = append(out, &protocol.ApplyRequest_Change{Upsert: brokertest.Spec(name)})
	}
	return out
}

// TestBrokerAloneRefusesWhatItHasNoRoomFor: whole changes only, and only those that ask for more than there is.
func TestBrokerAloneRefusesWhatItHasNoRoomFor(t *testing.T) {
	b := brokertest.New(t, roomFor(2, true))
	err := applied(t, b, upserts("room/a", "room/b", "room/c")...)
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	require.ErrorContains(t, err, "journal room/c: there is no room: the broker takes 2 journals (--broker.limit), and would have 3")
	b.Create(brokertest.Spec("room/a"), brokertest.Spec("room/b"))
	require.ErrorContains(t, applied(t, b, upserts("room/c")...), "would have 3")
	// One that goes makes room for one that comes, in the same changes.
	gone := &protocol.ApplyRequest_Change{Delete: "room/a", ExpectModRevision: -1}
	require.NoError(t, applied(t, b, append(upserts("room/c"), gone)...))

	// With a limit that is below what there is, what is there can be changed, and made less.
	b.Stop()
	b2 := brokertest.New(t, brokertest.Config{Quiet: true, Join: b, Suffix: "next", Adjust: func(c *broker.Config) { c.JournalLimit, c.Alone = 1, true }})
	changed := upserts("room/b")
	changed[0].ExpectModRevision = -1
	require.NoError(t, applied(t, b2, changed...))
	require.ErrorContains(t, applied(t, b2, upserts("room/d")...), "would have 3")
}

// TestJournalsWithoutRoomAreRefusedWithTheReason: in a fleet they are made, and whoever asks for them is told what they
// lack, through every door, until there is a broker for them.
func TestJournalsWithoutRoomAreRefusedWithTheReason(t *testing.T) {
	b := brokertest.New(t, roomFor(2, false))
	b.Create(brokertest.Spec("room/a"), brokertest.Spec("room/b"))
	require.NoError(t, applied(t, b, upserts("room/c")...))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	require.Equal(t, noRoom, appendRefused(t, b, "room/c"))
	read, err := b.Client().Read(ctx, &protocol.ReadRequest{Journal: "room/c"})
	require.NoError(t, err)
	r, err := read.Recv()
	require.NoError(t, err)
	require.Equal(t, protocol.Status_INSUFFICIENT_JOURNAL_BROKERS, r.GetStatus())
	_, err = read.Recv()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []string{noRoom}, read.Trailer().Get(trailerDetail))

	var trailer metadata.MD
	listed, err := b.Client().ListFragments(ctx, &protocol.FragmentsRequest{Journal: "room/c"}, grpc.Trailer(&trailer))
	require.NoError(t, err)
	require.Equal(t, protocol.Status_INSUFFICIENT_JOURNAL_BROKERS, listed.GetStatus())
	require.Equal(t, []string{noRoom}, trailer.Get(trailerDetail))

	stream, err := streaming.NewJournalClient(b.Dial("")).AppendStream(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&streaming.AppendStreamRequest{
		Opens:   []*streaming.AppendStreamRequest_Open{{Handle: 1, Journal: "room/c"}},
		Appends: []*streaming.AppendStreamRequest_Append{{Sequence: 1, Handle: 1, Content: []byte("x\n")}},
	}))
	m, err := stream.Recv()
	require.NoError(t, err)
	require.Len(t, m.GetResults(), 1)
	require.Equal(t, protocol.Status_NO_JOURNAL_PRIMARY_BROKER, m.GetResults()[0].GetStatus())
	require.Equal(t, noRoom, m.GetResults()[0].GetError())

	for _, method := range []string{http.MethodPut, http.MethodGet} {
		req, err := http.NewRequestWithContext(ctx, method, b.URL()+"/room/c", strings.NewReader("x\n"))
		require.NoError(t, err)
		resp, err := b.HTTP().Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Contains(t, string(text), noRoom, method)
		require.Contains(t, string(text), "hint: raise --broker.limit of the brokers, or start another one", method)
	}

	brokertest.New(t, brokertest.Config{Quiet: true, Join: b, Suffix: "other"})
	watch, err := b.Client().List(ctx, &protocol.ListRequest{Watch: true})
	require.NoError(t, err)
	awaitSnapshot(t, watch, 0, func(s snapshot) bool {
		j := s.journals["room/c"]
		return j != nil && j.GetRoute().GetPrimary() != -1
	})
}

// appendRefused is the detail with which an append is refused.
func appendRefused(t *testing.T, b *brokertest.Broker, journal string) string {
	t.Helper()
	stream, err := b.Client().Append(t.Context())
	require.NoError(t, err)
	for _, m := range []*protocol.AppendRequest{{Journal: journal}, {Content: []byte("x\n")}, {}} {
		if stream.Send(m) != nil {
			break // it has answered
		}
	}
	r, err := stream.CloseAndRecv()
	require.NoError(t, err)
	require.Contains(t, []protocol.Status{
		protocol.Status_NO_JOURNAL_PRIMARY_BROKER, protocol.Status_INSUFFICIENT_JOURNAL_BROKERS,
	}, r.GetStatus())
	return strings.Join(stream.Trailer().Get(trailerDetail), "")
}

// TestJournalOfMoreBrokersThanThereAre tells how many it lacks.
func TestJournalOfMoreBrokersThanThereAre(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	spec := brokertest.Spec("room/a")
	spec.Replication = 3
	require.NoError(t, applied(t, b, &protocol.ApplyRequest_Change{Upsert: spec}))
	require.Equal(t, fmt.Sprintf("it is to be held by %d brokers, and %d take journals", 3, 1), appendRefused(t, b, "room/a"))
}
