package broker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// unread is a stream of whose results none is sent.
func unread() *appendStream {
	return &appendStream{broker: &Broker{cfg: Config{GatherMemory: 1 << 10}, gather: newBudget(1 << 20)}}
}

// apply an append with these registers, which are its result's, too.
func (s *appendStream) apply(tb testing.TB, registers *protocol.LabelSet) {
	tb.Helper()
	a := &streamAppend{of: &streamRun{lane: new(lane)}}
	a.union = registers
	require.NoError(tb, s.gather(a, []byte("x")))
	s.admit(a)
	a.result = outcome{applied: true, registers: registers}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer(a)
}

func largeSet(size int) *protocol.LabelSet {
	return &protocol.LabelSet{Labels: []*protocol.Label{{Name: "large", Value: strings.Repeat("x", size)}}}
}

// TestStreamOfUnreadResults: a client that reads no results is received from no longer once there are many, though all
// its appends have one; and is again when it has read some.
func TestStreamOfUnreadResults(t *testing.T) {
	s := unread()
	for !s.full() {
		s.apply(t, nil)
		require.LessOrEqual(t, len(s.results), maxStreamAppends)
	}
	require.Zero(t, s.flying)
	require.Len(t, s.results, maxStreamAppends)
	s.sent(s.results[:1])
	require.False(t, s.full())
}

// TestStreamOfLargeResults: results count by the bytes of their registers, too, and a message has no more of them than
// clients take.
func TestStreamOfLargeResults(t *testing.T) {
	s, set := unread(), largeSet(1<<20-1<<10)
	for !s.full() {
		s.apply(t, set)
		require.LessOrEqual(t, len(s.results), maxStreamBytes/proto.Size(set)+1)
	}
	require.Zero(t, s.bytes)
	require.Equal(t, 1, batchOf(s.results))
	s.sent(s.results)
	require.Zero(t, s.unsentBytes)
	require.False(t, s.full())

	small := make([]*streaming.AppendStreamResponse_Result, 2*maxResults)
	require.Equal(t, maxResults, batchOf(small))
	require.Equal(t, 7, batchOf(small[:7]))
	for i := range small {
		small[i] = &streaming.AppendStreamResponse_Result{Registers: largeSet(100 << 10)}
	}
	require.Equal(t, 10, batchOf(small))
}

// TestStreamOfLargeChecks: appends that wait count by what they ask of registers.
func TestStreamOfLargeChecks(t *testing.T) {
	s := unread()
	for !s.full() {
		a := new(streamAppend)
		a.check = &protocol.LabelSelector{Exclude: largeSet(1 << 20)}
		require.NoError(t, s.gather(a, []byte("x")))
		s.admit(a)
		require.LessOrEqual(t, s.flying, maxStreamBytes>>20)
	}
}

// TestStreamKeepsLittleOfAnOpen: of a header nothing is kept that could be large, nor of fields that aren't known; what
// decides about the run is.
func TestStreamKeepsLittleOfAnOpen(t *testing.T) {
	unknown := protoreflect.RawFields("\xfa\x07\x81\x80\x01" + strings.Repeat("u", 16<<10+1))
	h := &protocol.Header{
		ProcessId: &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "broker"},
		Route:     &protocol.Route{Primary: -1},
		Etcd:      &protocol.Header_Etcd{ClusterId: 1, MemberId: 2, Revision: 3, RaftTerm: 4},
	}
	for i := range 1000 {
		h.Route.Members = append(h.Route.Members, &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "broker-" + strings.Repeat("m", 100) + string(rune('a'+i/26/26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))})
	}
	want := &streaming.AppendStreamRequest_Open{Handle: 7, Journal: "a/journal", MinEtcdRevision: 9, DoNotProxy: true, Header: proto.CloneOf(h)}
	want.Header.Route = protocol.EmptyRoute()
	o := proto.CloneOf(want)
	o.Header = h
	for _, m := range []proto.Message{o, h, h.GetProcessId(), h.GetEtcd()} {
		m.ProtoReflect().SetUnknown(unknown)
	}
	begun, _, err := newIntake().open(o)
	require.NoError(t, err)
	require.True(t, proto.Equal(want, begun.open), "%v", begun.open)
	require.NoError(t, begun.open.GetHeader().Validate())
}

// TestGroupRefusesLargeRegisters: an append whose registers no spool would hold fails by itself, and no other of its
// group.
func TestGroupRefusesLargeRegisters(t *testing.T) {
	g := newGroup(headView{end: 100, openBegin: 40, indexEnd: 100})
	spec := scenarioArgs{t: t}.resolution().spec
	add := func(union *protocol.LabelSet) *ticket {
		k := &ticket{spec: spec, size: 5, small: []byte("xxxxx"), union: union}
		require.Equal(t, rulingJoined, g.add(k))
		return k
	}
	half := func(name string) *protocol.LabelSet {
		return &protocol.LabelSet{Labels: []*protocol.Label{{Name: name, Value: strings.Repeat("x", 600<<10)}}}
	}
	first, too, last := add(half("a")), add(half("b")), add(nil)
	require.EqualValues(t, 105, first.result.response.GetCommit().GetEnd())
	require.ErrorContains(t, too.result.err, "its registers would take 12288")
	require.EqualValues(t, 110, last.result.response.GetCommit().GetEnd())
	require.Len(t, g.head.registers.GetLabels(), 1)
}
