package wire_test

import (
	"bytes"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func large() []byte { return bytes.Repeat([]byte("content "), 5000) }

// pieces of b as a transport would have it.
func pieces(b []byte) mem.BufferSlice {
	var out mem.BufferSlice
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		out = append(out, mem.SliceBuffer(bytes.Clone(b[:n])))
		b = b[n:]
	}
	return out
}

// TestOutgoing: an Outgoing has the meaning of the message with that content, however often
// it is sent.
func TestOutgoing(t *testing.T) {
	c, content := wire.NewCodec(), large()
	bare := &protocol.ReplicateRequest{ContentDelta: 7, Watermark: 9, Acknowledge: true}
	want := proto.Clone(bare).(*protocol.ReplicateRequest)
	want.Content = content
	o := &wire.Outgoing{Message: bare, Content: mem.SliceBuffer(content)}
	for range 2 {
		data, err := c.Marshal(o)
		require.NoError(t, err)
		var got protocol.ReplicateRequest
		require.NoError(t, proto.Unmarshal(data.Materialize(), &got))
		require.True(t, proto.Equal(want, &got))
	}
	data, err := c.Marshal(&wire.Outgoing{Message: bare})
	require.NoError(t, err)
	var got protocol.ReplicateRequest
	require.NoError(t, proto.Unmarshal(data.Materialize(), &got))
	require.True(t, proto.Equal(bare, &got))
	_, err = c.Marshal(&wire.Outgoing{Message: &protocol.ListRequest{}, Content: mem.SliceBuffer(content)})
	require.ErrorContains(t, err, "has no content")
}

// countingPool counts the buffers that came back.
type countingPool struct{ back int }

func (p *countingPool) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (p *countingPool) Put(*[]byte)       { p.back++ }

// TestContentIsFreedOnce: the pool has the content again once who made it and all streams that
// it was sent to are done with it.
func TestContentIsFreedOnce(t *testing.T) {
	pool, content := new(countingPool), large()
	o := &wire.Outgoing{Message: &protocol.ReplicateRequest{}, Content: mem.NewBuffer(&content, pool)}
	first, err := wire.NewCodec().Marshal(o)
	require.NoError(t, err)
	second, err := wire.NewCodec().Marshal(o)
	require.NoError(t, err)
	o.Content.Free()
	first.Free()
	require.Zero(t, pool.back)
	second.Free()
	require.Equal(t, 1, pool.back)
}

// TestContentBelongsToTheMessage: it is a copy of what was received, as that is used again.
func TestContentBelongsToTheMessage(t *testing.T) {
	content := large()
	b, err := proto.Marshal(&protocol.AppendRequest{Content: content})
	require.NoError(t, err)
	data := pieces(b)
	var got protocol.AppendRequest
	require.NoError(t, wire.NewCodec().Unmarshal(data, &got))
	for _, p := range data {
		clear(p.ReadOnlyData())
	}
	require.Equal(t, content, got.GetContent())
}

// TestIncoming: one message after the other, each as if it were the first.
func TestIncoming(t *testing.T) {
	in := &wire.Incoming{Message: new(protocol.ReplicateRequest)}
	for _, want := range []*protocol.ReplicateRequest{
		{Content: large(), ContentDelta: 3}, {Watermark: 8}, {Content: []byte("small")}, {}, {Content: large(), Acknowledge: true},
	} {
		b, err := proto.Marshal(want)
		require.NoError(t, err)
		require.NoError(t, wire.NewCodec().Unmarshal(pieces(b), in))
		require.True(t, proto.Equal(want, in.Message))
	}
}

// echo answers each append with how long its content was.
type echo struct {
	protocol.UnimplementedJournalServer
}

func (echo) Replicate(s grpc.BidiStreamingServer[protocol.ReplicateRequest, protocol.ReplicateResponse]) error {
	in := &wire.Incoming{Message: new(protocol.ReplicateRequest)}
	for {
		if err := s.RecvMsg(in); err != nil {
			return nil //nolint:nilerr // the client has ended
		}
		n := int64(len(in.Message.(*protocol.ReplicateRequest).GetContent()))
		if err := s.Send(&protocol.ReplicateResponse{Fragment: &protocol.Fragment{End: n}}); err != nil {
			return err
		}
	}
}

// TestOverConnection: the codec is one with which both sides of gRPC talk.
func TestOverConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(grpc.ForceServerCodecV2(wire.NewCodec()))
	protocol.RegisterJournalServer(s, echo{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.NewCodec())))
	require.NoError(t, err)
	stream, err := protocol.NewJournalClient(conn).Replicate(t.Context())
	require.NoError(t, err)
	for _, n := range []int{0, 5, 100 << 10, 1 << 20, 7} {
		require.NoError(t, stream.SendMsg(&wire.Outgoing{Message: new(protocol.ReplicateRequest), Content: mem.SliceBuffer(make([]byte, n))}))
		resp, err := stream.Recv()
		require.NoError(t, err)
		require.EqualValues(t, n, resp.GetFragment().GetEnd())
	}
	require.NoError(t, conn.Close())
	s.Stop()
	require.NoError(t, <-done)
}

// FuzzUnmarshal holds the codec against gRPC's.
func FuzzUnmarshal(f *testing.F) {
	for _, m := range []proto.Message{
		&protocol.AppendRequest{Content: large()}, &protocol.AppendRequest{Journal: "a/journal", Offset: 5, Content: []byte("x")},
		&protocol.ReplicateRequest{Content: large(), ContentDelta: 4, Watermark: 1 << 40},
	} {
		b, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(b, 0)
		f.Add(append(b, b...), minPadding)
		f.Add(b[:len(b)-1], minPadding)
	}
	theirs := encoding.GetCodecV2("proto")
	f.Fuzz(func(t *testing.T, b []byte, pad int) {
		if pad > 0 { // an unknown field makes it long enough to be decoded here
			b = append(bytes.Repeat([]byte{0xf8, 0x3f, 1}, min(pad, minPadding)), b...)
		}
		for _, m := range []proto.Message{new(protocol.AppendRequest), new(protocol.ReplicateRequest), new(protocol.ReadResponse), new(protocol.ListRequest)} {
			want := m.ProtoReflect().New().Interface()
			in := &wire.Incoming{Message: m.ProtoReflect().New().Interface()}
			wantErr := theirs.Unmarshal(pieces(b), want)
			err := wire.NewCodec().Unmarshal(pieces(b), m)
			require.Equal(t, wantErr == nil, err == nil)
			require.Equal(t, wantErr == nil, wire.NewCodec().Unmarshal(pieces(b), in) == nil)
			if err == nil {
				require.True(t, proto.Equal(want, m))
				require.True(t, proto.Equal(want, in.Message))
			}
		}
	})
}

const minPadding = 2000
