package broker_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's checksum of content
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// rawPrimary speaks the Replicate RPC to a broker as a primary does, message by message.
type rawPrimary struct {
	t      *testing.T
	broker *brokertest.Broker
	header *protocol.Header
	create int64 // revision of the journal
	stream grpc.BidiStreamingClient[protocol.ReplicateRequest, protocol.ReplicateResponse]
}

// newRawPrimary of a journal which has content.
func newRawPrimary(ctx context.Context, t *testing.T, b *brokertest.Broker, content string) *rawPrimary {
	t.Helper()
	b.Create(brokertest.Spec("a/journal"))
	listed, err := listAll(ctx, b.Client(), &protocol.ListRequest{Selector: nameSelector("a/journal")})
	require.NoError(t, err)
	return &rawPrimary{t: t, broker: b, header: mustAppend(ctx, t, b, "a/journal", content).GetHeader(), create: listed[0].GetCreateRevision()}
}

// poll begins a stream, and returns the first answer.
func (p *rawPrimary) poll(ctx context.Context, epoch int64) (*protocol.ReplicateResponse, error) {
	p.t.Helper()
	var err error
	p.stream, err = p.broker.Client().Replicate(ctx)
	require.NoError(p.t, err)
	require.NoError(p.t, p.stream.Send(&protocol.ReplicateRequest{
		Header: p.header, DeprecatedJournal: "a/journal",
		Poll: &protocol.ReplicateRequest_Poll{Epoch: epoch, CreateRevision: p.create},
	}))
	return p.stream.Recv()
}

// join has the broker join an epoch, alone.
func (p *rawPrimary) join(number, start int64, disk []byte) *protocol.ReplicateResponse_State {
	p.t.Helper()
	list := &protocol.EpochList{Version: protocol.EpochListVersion, CreateRevision: p.create}
	for n := int64(1); n <= number; n++ {
		e := &protocol.Epoch{Number: n, Members: []*protocol.Epoch_Member{{Id: p.broker.ID(), Disk: disk}}}
		if n > 1 {
			e.Start = start
		}
		list.Epochs = append(list.Epochs, e)
	}
	r := p.ask(&protocol.ReplicateRequest{Align: &protocol.ReplicateRequest_Align{Epochs: list}})
	require.Equal(p.t, protocol.Status_OK, r.GetStatus())
	return r.GetState()
}

func (p *rawPrimary) send(req *protocol.ReplicateRequest) {
	p.t.Helper()
	require.NoError(p.t, p.stream.Send(req))
}

func (p *rawPrimary) ask(req *protocol.ReplicateRequest) *protocol.ReplicateResponse {
	p.t.Helper()
	p.send(req)
	r, err := p.stream.Recv()
	require.NoError(p.t, err)
	return r
}

// proposal of a range with content.
func (p *rawPrimary) proposal(begin int64, content string) *protocol.ReplicateRequest {
	f := &protocol.Fragment{
		Journal: "a/journal", Begin: begin, End: begin + int64(len(content)),
		CompressionCodec: protocol.CompressionCodec_ZSTANDARD, Sum: new(protocol.SHA1Sum),
	}
	if content != "" {
		f.Sum = protocol.SumFromDigest(sha1.Sum([]byte(content))) //nolint:gosec // as above
	}
	return &protocol.ReplicateRequest{Proposal: f, Registers: new(protocol.LabelSet), Acknowledge: true}
}

// fails tells how the stream ends.
func (p *rawPrimary) fails(code codes.Code, text string) {
	p.t.Helper()
	_, err := p.stream.Recv()
	require.Equal(p.t, code, status.Code(err), "%v", err)
	require.ErrorContains(p.t, err, text)
}

// TestReplicateChoreography: a primary's messages, one after the other, and what a broker answers to each.
func TestReplicateChoreography(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	p := newRawPrimary(ctx, t, b, "abc")
	r, err := p.poll(ctx, 2)
	require.NoError(t, err)
	require.NoError(t, r.Validate())
	st := r.GetState()
	require.Equal(t, []int64{1, 3, 2}, []int64{st.GetEpoch(), st.GetEnd(), st.GetPromised()})
	joined := p.join(2, 3, st.GetDisk())
	require.Equal(t, []int64{2, 3, 2}, []int64{joined.GetEpoch(), joined.GetEnd(), joined.GetPromised()})

	// Content comes before its proposal, or with it.
	p.send(&protocol.ReplicateRequest{Content: []byte("de")})
	commit := p.proposal(3, "def")
	commit.Content, commit.ContentDelta = []byte("f"), 2
	require.Equal(t, protocol.Status_OK, p.ask(commit).GetStatus())

	// What was proposed before is proposed again: what came since is rolled back.
	p.send(&protocol.ReplicateRequest{Content: []byte("never")})
	require.Equal(t, protocol.Status_OK, p.ask(p.proposal(3, "def")).GetStatus())

	// What isn't here is answered with what is.
	for _, wrong := range []*protocol.ReplicateRequest{p.proposal(3, "defghi"), p.proposal(3, "xyz"), p.proposal(0, "def"), p.proposal(3, "de")} {
		r := p.ask(wrong)
		require.Equal(t, protocol.Status_PROPOSAL_MISMATCH, r.GetStatus())
		require.True(t, proto.Equal(p.proposal(3, "def").GetProposal(), r.GetFragment()), "%v", r)
		require.NoError(t, r.Validate())
	}

	// With the next fragment goes how far all have the one before. It isn't answered.
	roll := p.proposal(6, "")
	roll.Acknowledge, roll.Watermark = false, 6
	p.send(roll)
	commit = p.proposal(6, "gh")
	commit.Content = []byte("gh")
	require.Equal(t, protocol.Status_OK, p.ask(commit).GetStatus())
	require.Equal(t, "abcdef", mustReadTo(ctx, t, b, "a/journal", 0, 6), "readers don't see the rest yet")
	p.send(&protocol.ReplicateRequest{Watermark: 8})
	require.Equal(t, "abcdefgh", mustReadTo(ctx, t, b, "a/journal", 0, 8))

	p.send(&protocol.ReplicateRequest{Content: []byte("x"), ContentDelta: 5})
	p.fails(codes.Unknown, "invalid ContentDelta (5; expected 0)")
}

// TestReplicateRefusals: what a broker doesn't follow.
func TestReplicateRefusals(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	p := newRawPrimary(ctx, t, b, "abc")
	right := p.header
	p.header = proto.CloneOf(right)
	p.header.Route.Members = append(p.header.Route.Members, &protocol.ProcessSpec_ID{Zone: "z", Suffix: "other"})
	p.header.Route.Endpoints = nil
	r, err := p.poll(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, protocol.Status_WRONG_ROUTE, r.GetStatus())
	require.NoError(t, r.Validate())
	require.Len(t, r.GetHeader().GetRoute().GetMembers(), 1)

	p.header = right
	_, err = p.poll(ctx, 1)
	require.Equal(t, codes.Aborted, status.Code(err), "it has logged that: %v", err)
	r, err = p.poll(ctx, 4)
	require.NoError(t, err)
	disk := r.GetState().GetDisk()
	p.send(p.proposal(3, ""))
	p.fails(codes.FailedPrecondition, "an append before the epoch was joined")
	_, err = p.poll(ctx, 3)
	require.Equal(t, codes.Aborted, status.Code(err), "it has promised more: %v", err)
	p.create++
	_, err = p.poll(ctx, 5)
	require.ErrorContains(t, err, "it was made again")
	p.create--

	// One that joined an epoch of which etcd doesn't know says so, and takes no appends.
	_, err = p.poll(ctx, 5)
	require.NoError(t, err)
	p.join(5, 3, disk)
	p.send(&protocol.ReplicateRequest{Watermark: 9})
	p.fails(codes.Unknown, "watermark 9 is above what is durable here (3)")
	_, err = appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: "a/journal"}, "text")
	require.Equal(t, codes.DataLoss, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "it was restored from a backup")
}
