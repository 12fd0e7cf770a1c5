package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

// TestReadReturnsEachByteOnce reads a journal from a model of a broker that cuts
// fragments and chunks anywhere, and breaks off anywhere, in any way that may happen
// to a stream.
func TestReadReturnsEachByteOnce(t *testing.T) {
	breaks := []error{io.EOF, status.Error(codes.Unavailable, ""), status.Error(codes.Canceled, ""), status.Error(codes.DeadlineExceeded, "")}
	rapid.Check(t, func(t *rapid.T) {
		journal := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "journal")
		length := int64(len(journal))
		begin := rapid.Int64Range(0, length).Draw(t, "begin")
		end := rapid.Int64Range(max(begin, 1), length).Draw(t, "end")
		fsm := newReadFSM(&protocol.ReadRequest{Journal: "a/journal", Offset: begin, EndOffset: end})

		var got []byte
		receive := func(m *protocol.ReadResponse) {
			content, err := fsm.receive(m)
			require.NoError(t, err)
			got = append(got, content...)
		}
		for !fsm.complete() {
			req := fsm.begin(false)
			require.Equal(t, begin+int64(len(got)), req.GetOffset())
			at, header := req.GetOffset(), readHeader()
			for at < end && !rapid.Bool().Draw(t, "break before metadata") {
				until := rapid.Int64Range(at+1, length).Draw(t, "until")
				receive(&protocol.ReadResponse{
					Header: header, Offset: at, WriteHead: length,
					Fragment: &protocol.Fragment{Journal: "a/journal", End: until, CompressionCodec: protocol.CompressionCodec_NONE},
				})
				header = nil
				for limit := min(until, end); at < limit && rapid.IntRange(0, 9).Draw(t, "break before content") != 0; {
					n := rapid.Int64Range(1, limit-at).Draw(t, "chunk")
					receive(&protocol.ReadResponse{Offset: at, Content: journal[at : at+n]})
					at += n
				}
				if at < min(until, end) {
					break
				}
			}
			what, err := fsm.ended(rapid.SampledFrom(breaks).Draw(t, "how"))
			if what == readEnds {
				require.ErrorIs(t, err, io.EOF)
				require.True(t, fsm.complete())
			}
		}
		require.Equal(t, journal[begin:end], append([]byte{}, got...))
		require.LessOrEqual(t, fsm.head, length)
	})
}

func readHeader() *protocol.Header {
	return &protocol.Header{
		Route: protocol.EmptyRoute(),
		Etcd:  &protocol.Header_Etcd{ClusterId: 1, MemberId: 2, Revision: 3, RaftTerm: 4},
	}
}

// FuzzRead has a broker send arbitrary messages: the reader never panics, never goes
// back, and returns no more bytes than its offset advanced by.
func FuzzRead(f *testing.F) {
	for _, m := range []*protocol.ReadResponse{
		{Header: readHeader(), WriteHead: 9, Fragment: &protocol.Fragment{Journal: "a/journal", End: 9, CompressionCodec: protocol.CompressionCodec_NONE}},
		{Content: []byte("abc")},
		{Status: protocol.Status_SUSPENDED, Header: readHeader()},
	} {
		b, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(b, b, int64(0))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, offset int64) {
		req := &protocol.ReadRequest{Journal: "a/journal", Offset: offset}
		if req.Validate() != nil {
			return
		}
		fsm := newReadFSM(req)
		fsm.begin(false)
		for _, b := range [][]byte{first, second} {
			m := new(protocol.ReadResponse)
			if proto.Unmarshal(b, m) != nil {
				return
			}
			before := fsm.offset
			content, err := fsm.receive(m)
			require.GreaterOrEqual(t, fsm.offset, before)
			if err != nil {
				require.Empty(t, content)
				return
			}
			if len(content) != 0 {
				require.Equal(t, before+int64(len(content)), fsm.offset)
			}
		}
	})
}

const readOfSix = `rpc Read
recv journal: "a/journal" block: true
send $H(7) write_head: 6 $F(0,6)
send content: "abcdef"
recv gone`

func TestReaderCloseEndsAReadThatWaits(t *testing.T) {
	s := newScene(t)
	s.server.load(readOfSix)
	s.server.advance()
	r := s.client.NewReader(t.Context(), &protocol.ReadRequest{Journal: "a/journal", Block: true})
	p := make([]byte, 4)
	n, err := r.Read(p)
	require.NoError(t, err)
	require.Equal(t, "abcd", string(p[:n]))
	require.EqualValues(t, 4, r.Offset(), "what was received isn't what was returned")
	n, err = r.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = r.Read(p)
	require.NoError(t, err)
	require.Equal(t, "ef", string(p[:n]))

	failed := make(chan error, 1)
	go func() {
		_, err := r.Read(p)
		failed <- err
	}()
	require.NoError(t, r.Close())
	require.EqualError(t, <-failed, "read a/journal: reader is closed")
	require.NoError(t, r.Close())
	require.Empty(t, s.server.settle())
}

func TestReaderEndsWithItsContext(t *testing.T) {
	s := newScene(t)
	s.server.load(readOfSix)
	s.server.advance()
	cause := errors.New("statement canceled")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := s.client.NewReader(ctx, &protocol.ReadRequest{Journal: "a/journal", Block: true})
	_, err := io.ReadFull(r, make([]byte, 6))
	require.NoError(t, err)
	cancel(cause)
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, cause)
	require.Empty(t, s.pauses, "it isn't taken for a broken stream")
	require.Empty(t, s.server.settle())
}

func TestReaderWriteTo(t *testing.T) {
	script := `rpc Read
recv journal: "a/journal" end_offset: 6
send $H(7) write_head: 6 $F(0,6)
send content: "abc"
send offset: 3 content: "def"`
	for name, w := range map[string]io.Writer{"whole": new(bytes.Buffer), "fails": failingWriter{}} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.server.load(script)
			s.server.advance()
			r := s.client.NewReader(t.Context(), &protocol.ReadRequest{Journal: "a/journal", EndOffset: 6})
			defer r.Close()
			n, err := io.Copy(w, r)
			if b, ok := w.(*bytes.Buffer); ok {
				require.NoError(t, err)
				require.EqualValues(t, 6, n)
				require.Equal(t, "abcdef", b.String())
				return
			}
			require.EqualError(t, err, "write content of a/journal: full")
			require.EqualValues(t, 1, n)
			require.EqualValues(t, 1, r.Offset(), "what wasn't written is still to be read")
		})
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 1, errors.New("full") }
