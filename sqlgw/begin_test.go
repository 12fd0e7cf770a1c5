package sqlgw

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
)

// unsure is a broker of acme/j, up to 100, which lists a fragment of it, or none, and says of offset 0 what it is told to.
type unsure struct {
	protocol.UnimplementedJournalServer

	name    string       // of the journal
	begin   atomic.Int64 // of the fragment, which ends at 100; there is none at 100
	answers chan *protocol.ReadResponse
	turnsUp bool // with a read what wasn't listed is
	reads   atomic.Int64
}

func (u *unsure) header() *protocol.Header {
	id := &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "broker"}
	return &protocol.Header{
		ProcessId: id, Route: &protocol.Route{Members: []*protocol.ProcessSpec_ID{id}},
		Etcd: &protocol.Header_Etcd{ClusterId: 1, MemberId: 1, Revision: 9, RaftTerm: 1},
	}
}

func (u *unsure) fragment() *protocol.Fragment {
	return &protocol.Fragment{
		Journal: u.name, Begin: u.begin.Load(), End: 100, CompressionCodec: protocol.CompressionCodec_NONE,
		Sum: &protocol.SHA1Sum{Part1: 1}, BackingStore: "file:///", ModTime: 1,
	}
}

func (u *unsure) List(_ *protocol.ListRequest, s grpc.ServerStreamingServer[protocol.ListResponse]) error {
	spec := &protocol.JournalSpec{
		Name: u.name, Replication: 1, Fragment: &protocol.JournalSpec_Fragment{
			Length: 1 << 20, CompressionCodec: protocol.CompressionCodec_NONE, RefreshInterval: durationpb.New(time.Minute),
		},
	}
	return s.Send(&protocol.ListResponse{
		Header: u.header(), Journals: []*protocol.ListResponse_Journal{{Spec: spec, ModRevision: 7, CreateRevision: 7, Route: u.header().GetRoute()}},
	})
}

func (u *unsure) ListFragments(context.Context, *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	r := &protocol.FragmentsResponse{Header: u.header()}
	if u.begin.Load() < 100 {
		r.Fragments = append(r.Fragments, &protocol.FragmentsResponse_XFragment{Spec: u.fragment()})
	}
	return r, nil
}

func (u *unsure) Read(req *protocol.ReadRequest, s grpc.ServerStreamingServer[protocol.ReadResponse]) error {
	u.reads.Add(1)
	if u.turnsUp {
		u.begin.Store(0)
	}
	select {
	case r := <-u.answers:
		r.Header = u.header()
		return s.Send(r)
	case <-s.Context().Done():
		return context.Cause(s.Context())
	}
}

func (u *unsure) Append(s grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	for {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	at := u.fragment()
	at.Begin, at.Sum, at.BackingStore, at.ModTime = at.GetEnd(), nil, "", 0
	return s.SendAndClose(&protocol.AppendResponse{Header: u.header(), Commit: at, Registers: &protocol.LabelSet{}})
}

func newUnsure(t *testing.T, begin int64) (*unsure, *Gateway) {
	t.Helper()
	u := &unsure{name: "acme/j", answers: make(chan *protocol.ReadResponse, 8)}
	u.begin.Store(begin)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	protocol.RegisterJournalServer(server, u)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + l.Addr().String()})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, brokers.Close())
		server.Stop()
		require.NoError(t, <-served)
	})
	g := &Gateway{cfg: Config{Brokers: brokers}}
	g.revisions.list = brokers.List
	return u, g
}

// TestBeginThatIsntKnown: nothing is answered while what is below the first listed fragment may be with a broker that is away.
func TestBeginThatIsntKnown(t *testing.T) {
	_, g := newUnsure(t, 60)
	g.begins.patience = 200 * time.Millisecond
	_, err := g.fragments(t.Context(), "acme/j", 100)
	told, ok := errors.AsType[*pgwire.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "57P03", told.Code)
	require.Contains(t, told.Message, "journal acme/j")
	require.Contains(t, told.Message, "below offset 60")
}

// TestBeginThatWasRemoved: a begin that brokers know of is remembered, and nothing goes back behind it.
func TestBeginThatWasRemoved(t *testing.T) {
	u, g := newUnsure(t, 60)
	u.answers <- &protocol.ReadResponse{Offset: 60, WriteHead: 100, Fragment: u.fragment()} // It was removed.
	l, err := g.fragments(t.Context(), "acme/j", 100)
	require.NoError(t, err)
	require.EqualValues(t, 60, l.begin)
	reads := u.reads.Load()
	_, err = g.fragments(t.Context(), "acme/j", 100)
	require.NoError(t, err)
	require.Equal(t, reads, u.reads.Load(), "it is remembered")

	u.begin.Store(0)
	l, err = g.fragments(t.Context(), "acme/j", 100)
	require.NoError(t, err)
	require.EqualValues(t, 60, l.begin, "it never goes back")
}

// TestClockThatIsntKnown: while it isn't known where the clock journal begins nothing is read of it, or written to it: the last full mark
// may be below what is listed.
func TestClockThatIsntKnown(t *testing.T) {
	master := func() (*unsure, *Gateway, *clockmaster) {
		u, g := newUnsure(t, 60)
		u.name = clockJournal
		return u, g, newClockmaster(&g.cfg, &g.revisions, g.openRange, g.fragments)
	}
	_, g, m := master()
	g.begins.patience = 200 * time.Millisecond
	_, _, err := m.span(t.Context())
	told, ok := errors.AsType[*pgwire.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "57P03", told.Code)

	u, _, m := master()
	at := u.fragment()
	at.Begin = 0
	u.answers <- &protocol.ReadResponse{Offset: 0, WriteHead: 100, Fragment: at}
	u.turnsUp = true
	begin, end, err := m.span(t.Context())
	require.NoError(t, err)
	require.Equal(t, [2]int64{0, 100}, [2]int64{begin, end})
}

// TestBeginThatTurnsUp: what a broker doesn't list at first is waited for.
func TestBeginThatTurnsUp(t *testing.T) {
	u, g := newUnsure(t, 60)
	at := u.fragment()
	at.Begin = 0
	u.answers <- &protocol.ReadResponse{Offset: 0, WriteHead: 100, Fragment: at}
	u.turnsUp = true
	l, err := g.fragments(t.Context(), "acme/j", 100)
	require.NoError(t, err)
	require.Zero(t, l.begin)
	require.Len(t, l.fragments, 1)
}

// TestEmptyListing: a broker that has nothing of a journal says where it ends. One that has just got it knows of less than the head of
// the statement, and isn't believed.
func TestEmptyListing(t *testing.T) {
	u, g := newUnsure(t, 100)
	g.begins.patience = 500 * time.Millisecond
	notYet := func(head int64) *protocol.ReadResponse {
		return &protocol.ReadResponse{Status: protocol.Status_OFFSET_NOT_YET_AVAILABLE, Offset: head, WriteHead: head}
	}
	for range 3 {
		u.answers <- notYet(0)
	}
	_, err := g.fragments(t.Context(), "acme/j", 100)
	told, ok := errors.AsType[*pgwire.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "57P03", told.Code)
	require.Empty(t, u.answers)

	u, g = newUnsure(t, 100)
	u.answers <- notYet(40)
	u.answers <- notYet(100)
	l, err := g.fragments(t.Context(), "acme/j", 100)
	require.NoError(t, err)
	require.EqualValues(t, 100, l.begin)
	require.Empty(t, l.fragments)
	require.Empty(t, u.answers)
}

// TestAppendThatIsAwaited: a journal has gone on, even if what was appended was removed before anybody looked.
func TestAppendThatIsAwaited(t *testing.T) {
	u, g := newUnsure(t, 60)
	u.answers <- &protocol.ReadResponse{Offset: 60, WriteHead: 100, Fragment: u.fragment()}
	next, err := g.awaitAppend(t.Context(), "acme/j", 10)
	require.NoError(t, err)
	require.EqualValues(t, 60, next)
}
