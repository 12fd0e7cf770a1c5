package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// streamBroker is a model of the broker's side: journals in memory, runs that fail.
type streamBroker struct {
	journals map[string]string
	names    map[uint32]string
	failed   map[uint32]bool
	// decide what becomes of an append, before the rules of runs are applied; nil is OK.
	decide func(journal string, a *streaming.AppendStreamRequest_Append) *streaming.AppendStreamResponse_Result
}

func newStreamBroker() *streamBroker {
	return &streamBroker{journals: make(map[string]string), names: make(map[uint32]string), failed: make(map[uint32]bool)}
}

func (b *streamBroker) take(m *streaming.AppendStreamRequest) []*streaming.AppendStreamResponse_Result {
	for _, o := range m.GetOpens() {
		b.names[o.GetHandle()], b.failed[o.GetHandle()] = o.GetJournal(), false
	}
	var out []*streaming.AppendStreamResponse_Result
	for _, a := range m.GetAppends() {
		out = append(out, b.append(a))
	}
	return out
}

func (b *streamBroker) append(a *streaming.AppendStreamRequest_Append) *streaming.AppendStreamResponse_Result {
	journal := b.names[a.GetHandle()]
	if b.failed[a.GetHandle()] {
		return &streaming.AppendStreamResponse_Result{Sequence: a.GetSequence(), NotApplied: true}
	}
	if b.decide != nil {
		if r := b.decide(journal, a); r != nil {
			r.Sequence, b.failed[a.GetHandle()] = a.GetSequence(), true
			return r
		}
	}
	begin := int64(len(b.journals[journal]))
	if at := a.GetOffset(); at != 0 && at != begin {
		b.failed[a.GetHandle()] = true
		return &streaming.AppendStreamResponse_Result{Sequence: a.GetSequence(), Status: protocol.Status_WRONG_APPEND_OFFSET, Header: readHeader()}
	}
	b.journals[journal] += string(a.GetContent())
	return &streaming.AppendStreamResponse_Result{
		Sequence: a.GetSequence(), Begin: begin, End: begin + int64(len(a.GetContent())), Header: readHeader(),
	}
}

// TestStreamModel: whatever is batched, refused, delayed across journals and broken, each
// append gets one result that is true, and none stands past one of its run that failed.
func TestStreamModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fsm, broker := newStreamFSM(), newStreamBroker()
		refusals := []*streaming.AppendStreamResponse_Result{
			nil, nil, nil, {Status: protocol.Status_REGISTER_MISMATCH}, {Error: "broken", Code: int32(codes.Unavailable)}, {Unknown: true},
		}
		broker.decide = func(string, *streaming.AppendStreamRequest_Append) *streaming.AppendStreamResponse_Result {
			if r := rapid.SampledFrom(refusals).Draw(t, "refusal"); r != nil {
				return &streaming.AppendStreamResponse_Result{Status: r.GetStatus(), Error: r.GetError(), Code: r.GetCode(), Unknown: r.GetUnknown()}
			}
			return nil
		}
		var all, queue []*streamAppend
		results := map[string][]*streaming.AppendStreamResponse_Result{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				journal := rapid.SampledFrom([]string{"j/one", "j/two"}).Draw(t, "journal")
				a := &streamAppend{params: AppendParams{Journal: journal}, content: fmt.Appendf(nil, "<%d>", len(all)), done: make(chan struct{})}
				all, queue = append(all, a), append(queue, a)
			case 2:
				m, n := fsm.batch(queue)
				for i, r := range broker.take(m) {
					journal := queue[i].params.Journal
					results[journal] = append(results[journal], r)
				}
				queue = queue[n:]
			case 3:
				for journal, rs := range results { // any journal's results may come first
					n := rapid.IntRange(0, len(rs)).Draw(t, "results")
					require.NoError(t, fsm.receive(&streaming.AppendStreamResponse{Results: rs[:n]}))
					results[journal] = rs[n:]
				}
			}
		}
		fsm.broken(status.Error(codes.Unavailable, "gone"))
		require.True(t, fsm.idle())
		checkStreamed(t, broker, all)
	})
}

func checkStreamed(t *rapid.T, broker *streamBroker, all []*streamAppend) {
	failed := map[string]int{} // the last run of a journal that failed
	for _, a := range all {
		journal := a.params.Journal
		stands := strings.Count(broker.journals[journal], string(a.content))
		if a.sequence == 0 {
			require.Zero(t, stands, "it wasn't sent")
			continue
		}
		<-a.done
		switch {
		case a.err == nil:
			c := a.response.GetCommit()
			require.Equal(t, string(a.content), broker.journals[journal][c.GetBegin():c.GetEnd()])
			require.Less(t, failed[journal], a.run, "applied past a failure")
		case errors.Is(a.err, ErrUnknownOutcome):
			require.LessOrEqual(t, stands, 1)
			if status.Code(a.err) != codes.Unavailable { // the broker said so, it isn't the break
				failed[journal] = a.run
			}
		default:
			require.Zero(t, stands)
			failed[journal] = a.run
		}
	}
}

// TestStreamsHaveSoManyHandles: a lane that would have the number after the last isn't known.
func TestStreamsHaveSoManyHandles(t *testing.T) {
	fsm := newStreamFSM()
	first := AppendParams{Journal: "j/0"}
	for i := range maxHandles - 1 {
		p := AppendParams{Journal: fmt.Sprint("j/", i)}
		fsm.handles[laneOf(p)] = &streamHandle{number: uint32(i) + 1}
	}
	other := AppendParams{Journal: "another"}
	require.True(t, fsm.knows(other, 0))
	require.False(t, fsm.knows(other, 1), "the append before it may take the last")
	fsm.batch([]*streamAppend{{params: other, done: make(chan struct{})}})
	require.EqualValues(t, maxHandles, fsm.handles[laneOf(other)].number)
	require.False(t, fsm.knows(AppendParams{Journal: "one more"}, 0))
	require.True(t, fsm.knows(first, 9))
}

// TestStreamMessagesAreBounded: a broker takes messages of 4 MiB, and a larger one would end the
// stream with all that is on its way.
func TestStreamMessagesAreBounded(t *testing.T) {
	registers := protocol.MustLabelSet("author", strings.Repeat("x", 1000))
	for name, params := range map[string]func(i int) AppendParams{
		"offsets":   func(int) AppendParams { return AppendParams{Journal: "a/journal", Offset: 1 << 62} },
		"registers": func(int) AppendParams { return AppendParams{Journal: "a/journal", Union: registers} },
		"selectors": func(int) AppendParams {
			return AppendParams{Journal: "a/journal", Check: &protocol.LabelSelector{Exclude: registers}, Subtract: registers}
		},
		"journals": func(i int) AppendParams { return AppendParams{Journal: fmt.Sprint(strings.Repeat("j", 500), i)} },
	} {
		t.Run(name, func(t *testing.T) {
			fsm := newStreamFSM()
			var queue []*streamAppend
			appends := 2000
			if name == "offsets" {
				appends = 20000 // they are small
			}
			for i := range appends {
				queue = append(queue, &streamAppend{params: params(i), done: make(chan struct{})})
			}
			for len(queue) > 0 {
				m, n := fsm.batch(queue)
				require.LessOrEqual(t, proto.Size(m), streamBatch+4096)
				require.Positive(t, n)
				queue = queue[n:]
			}
		})
	}
}

// TestStreamViolations: what a broker mustn't send.
func TestStreamViolations(t *testing.T) {
	for want, results := range map[string][]*streaming.AppendStreamResponse_Result{
		"result of append 9, which has none to come": {{Sequence: 9}},
		"result of append 1, which has none to come": {{Sequence: 1, End: 1}, {Sequence: 1, End: 1}},
		"result of append 2 before that of 1":        {{Sequence: 2, End: 1}},
		"committed [3, 5) of an append of 1 bytes":   {{Sequence: 1, Begin: 3, End: 5}},
		"committed [-1, 0)":                          {{Sequence: 1, Begin: -1}},
		"Header: Route":                              {{Sequence: 1, End: 1, Header: &protocol.Header{Route: &protocol.Route{}}}},
		"Status":                                     {{Sequence: 1, End: 1, Status: 99}},
	} {
		fsm := newStreamFSM()
		var queue []*streamAppend
		for range 2 {
			queue = append(queue, &streamAppend{params: AppendParams{Journal: "a/journal"}, content: []byte("x"), done: make(chan struct{})})
		}
		fsm.batch(queue)
		err := fsm.receive(&streaming.AppendStreamResponse{Results: results})
		require.ErrorContains(t, err, want)
		fsm.broken(err)
		require.ErrorIs(t, queue[1].err, ErrUnknownOutcome)
		require.False(t, isLost(queue[1].err), "it isn't repeated")
	}
}

// streamService serves the model, and counts the appends that came by RPCs of their own.
type streamService struct {
	streaming.UnimplementedJournalServer
	mu             sync.Mutex
	broker         *streamBroker
	streams, rpcs  int
	authorizations []string
	begin          func() error // of a stream
	after          func() error // a message was taken, before its results are sent
}

func (s *streamService) AppendStream(stream grpc.BidiStreamingServer[streaming.AppendStreamRequest, streaming.AppendStreamResponse]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	s.mu.Lock()
	s.streams++
	s.authorizations = append(s.authorizations, strings.Join(md.Get("authorization"), ","))
	s.mu.Unlock()
	if s.begin != nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		results := s.broker.take(m)
		s.mu.Unlock()
		if s.after != nil {
			if err = s.after(); err != nil {
				return err
			}
		}
		if err = stream.Send(&streaming.AppendStreamResponse{Results: results}); err != nil {
			return err
		}
	}
}

// rpcAppends serves RPCs of their own from the same journals.
type rpcAppends struct {
	protocol.UnimplementedJournalServer
	s *streamService
}

func (r rpcAppends) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	var journal string
	var content []byte
	var offset int64
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		journal, content, offset = journal+m.GetJournal(), append(content, m.GetContent()...), offset+m.GetOffset()
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.rpcs++
	begin := int64(len(r.s.broker.journals[journal]))
	if offset != 0 && offset != begin {
		return stream.SendAndClose(&protocol.AppendResponse{Header: readHeader(), Status: protocol.Status_WRONG_APPEND_OFFSET})
	}
	r.s.broker.journals[journal] += string(content)
	return stream.SendAndClose(&protocol.AppendResponse{
		Header:    readHeader(),
		Commit:    &protocol.Fragment{Journal: journal, Begin: begin, End: begin + int64(len(content)), CompressionCodec: protocol.CompressionCodec_NONE},
		Registers: new(protocol.LabelSet),
	})
}

func newStreamScene(t *testing.T, cfg Config) (*streamService, *Client) {
	t.Helper()
	s := &streamService{broker: newStreamBroker()}
	cfg.Endpoint = serveGRPC(t, func(r grpc.ServiceRegistrar) {
		protocol.RegisterJournalServer(r, rpcAppends{s: s})
		streaming.RegisterJournalServer(r, s)
	})
	cfg.AppendStreams = true
	c, err := Dial(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return s, c
}

func TestAppendsShareAStream(t *testing.T) {
	s, c := newStreamScene(t, Config{})
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 20 {
				// Every fourth is refused, which may leave others behind; they're sent again.
				p, text := AppendParams{Journal: fmt.Sprintf("a/journal-%d", w%2)}, fmt.Sprintf("<%d.%d>", w, i)
				if i%4 == 3 {
					p.Offset = 1 << 40
				}
				r, err := c.Append(t.Context(), p, strings.NewReader(text))
				if i%4 == 3 {
					require.ErrorIs(t, err, protocol.Status_WRONG_APPEND_OFFSET.Err())
					continue
				}
				require.NoError(t, err)
				s.mu.Lock()
				require.Equal(t, text, s.broker.journals[p.Journal][r.GetCommit().GetBegin():r.GetCommit().GetEnd()])
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, s.streams)
	require.Less(t, s.rpcs, 32*5, "few had to give up, and those that are refused only")
	text := s.broker.journals["a/journal-0"] + s.broker.journals["a/journal-1"]
	require.Equal(t, 32*15, strings.Count(text, "<"))

	// What is large, or suspends, has an RPC of its own.
	before := s.rpcs
	_, err := c.Append(t.Context(), AppendParams{Journal: "a/large"}, bytes.NewReader(make([]byte, maxStreamed+1)))
	require.NoError(t, err)
	_, err = c.Append(t.Context(), AppendParams{Journal: "a/large", Suspend: protocol.AppendRequest_SUSPEND_KEEP}, nil)
	require.NoError(t, err)
	require.Equal(t, before+2, s.rpcs)
	require.Len(t, s.broker.journals["a/large"], maxStreamed+1)
	_, err = c.Append(t.Context(), AppendParams{Journal: "a/large"}, bytes.NewReader(make([]byte, maxStreamed)))
	require.NoError(t, err)
	require.Equal(t, before+2, s.rpcs)
}

func TestABrokerWithoutStreamsIsntAskedAgain(t *testing.T) {
	s, c := newStreamScene(t, Config{})
	s.begin = func() error { return status.Error(codes.Unimplemented, "unknown method AppendStream") }
	for range 5 {
		_, err := c.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
		require.NoError(t, err)
	}
	require.Equal(t, "xxxxx", s.broker.journals["a/journal"])
	require.Equal(t, 1, s.streams)
	require.Equal(t, 5, s.rpcs)
}

// TestAStreamThatBreaks leaves what it took unknown, which isn't repeated but by who asked.
func TestAStreamThatBreaks(t *testing.T) {
	s, c := newStreamScene(t, Config{})
	breaks := 1
	s.after = func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if breaks--; breaks >= 0 {
			return status.Error(codes.Unavailable, "shutting down")
		}
		return nil
	}
	_, err := c.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.Equal(t, "x", s.broker.journals["a/journal"])
	_, err = c.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("y"))
	require.NoError(t, err)
	require.Equal(t, 2, s.streams)
	s.mu.Lock()
	breaks = 1
	s.mu.Unlock()
	_, err = c.AppendAtLeastOnce(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("z"))
	require.NoError(t, err)
	require.Equal(t, "xyzz", s.broker.journals["a/journal"])

	// An offset that the first attempt took refuses the second: nobody knows, still.
	s.mu.Lock()
	breaks = 1
	s.mu.Unlock()
	_, err = c.AppendAtLeastOnce(t.Context(), AppendParams{Journal: "a/journal", Offset: 4}, strings.NewReader("!"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorIs(t, err, protocol.Status_WRONG_APPEND_OFFSET.Err())
	require.Zero(t, s.rpcs)
}

func TestAStreamedAppendEndsWithItsContext(t *testing.T) {
	s, c := newStreamScene(t, Config{})
	release := make(chan struct{})
	took := make(chan struct{}, 1)
	s.after = func() error { took <- struct{}{}; <-release; return nil }
	cause := errors.New("statement canceled")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Append(ctx, AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
		failed <- err
	}()
	<-took
	cancel(cause)
	err := <-failed
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorIs(t, err, cause)
	close(release)
	_, err = c.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("y"))
	require.NoError(t, err, "the stream goes on")
	require.Equal(t, 1, s.streams)
	_, err = c.Append(ctx, AppendParams{Journal: "a/journal"}, strings.NewReader("z"))
	require.ErrorIs(t, err, cause)
}

// bearer authorizes by a name that depends on the journal.
type bearer struct{}

func (bearer) Authorization(_ context.Context, journal string, capability uint32) (string, error) {
	switch journal {
	case "a/secret":
		return "", errors.New("no key")
	case "a/open":
		return "", nil
	}
	return fmt.Sprintf("Bearer %s %d", journal, capability), nil
}

func TestStreamsAreOfAnAuthorization(t *testing.T) {
	s, c := newStreamScene(t, Config{Credentials: bearer{}})
	for _, journal := range []string{"a/one", "a/two;meta", "a/one", "a/open"} {
		_, err := c.Append(t.Context(), AppendParams{Journal: journal}, strings.NewReader("x"))
		require.NoError(t, err)
	}
	require.Equal(t, []string{"Bearer a/one 16", "Bearer a/two 16", ""}, s.authorizations)
	_, err := c.Append(t.Context(), AppendParams{Journal: "a/secret"}, strings.NewReader("x"))
	require.EqualError(t, err, "append to a/secret: authorize: no key")

	s.begin = func() error { return status.Error(codes.Unauthenticated, "expired") }
	_, err = c.Append(t.Context(), AppendParams{Journal: "a/three"}, strings.NewReader("x"))
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.NotErrorIs(t, err, ErrUnknownOutcome)
}

func TestCloseEndsStreamedAppends(t *testing.T) {
	s, c := newStreamScene(t, Config{})
	took, release := make(chan struct{}, 1), make(chan struct{})
	s.after = func() error { took <- struct{}{}; <-release; return nil }
	failed := make(chan error, 1)
	go func() {
		_, err := c.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
		failed <- err
	}()
	<-took
	c.streams.close()
	c.tasks.Cancel()
	require.ErrorIs(t, <-failed, ErrUnknownOutcome)
	close(release)
	_, err := c.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
	require.ErrorIs(t, err, errPoolClosed)
}

// FuzzStream has a broker send arbitrary results: the client never panics, gives each
// append at most one result, and none but in the order sent.
func FuzzStream(f *testing.F) {
	for _, r := range []*streaming.AppendStreamResponse_Result{
		{Sequence: 1, Begin: 3, End: 4, Header: readHeader()},
		{Sequence: 1, Status: protocol.Status_REGISTER_MISMATCH, Registers: protocol.MustLabelSet("author", "one")},
		{Sequence: 2, NotApplied: true},
		{Sequence: 1, Unknown: true, Error: "gone", Code: 14},
	} {
		b, err := proto.Marshal(&streaming.AppendStreamResponse{Results: []*streaming.AppendStreamResponse_Result{r}})
		require.NoError(f, err)
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		fsm := newStreamFSM()
		var queue []*streamAppend
		for range 3 {
			queue = append(queue, &streamAppend{params: AppendParams{Journal: "a/journal"}, content: []byte("x"), done: make(chan struct{})})
		}
		fsm.batch(queue)
		for _, b := range [][]byte{first, second} {
			m := new(streaming.AppendStreamResponse)
			if proto.Unmarshal(b, m) != nil || fsm.receive(m) != nil {
				break
			}
		}
		last := true
		for _, a := range queue {
			has := a.response != nil
			require.False(t, has && !last, "a result before an earlier one")
			last = has
		}
		fsm.broken(io.ErrUnexpectedEOF)
		for _, a := range queue {
			<-a.done
			require.True(t, a.err != nil || a.response.GetCommit() != nil)
		}
	})
}

// TestStreamsComeBack: after one was idle, and after a broker without them had time to
// be renewed.
func TestStreamsComeBack(t *testing.T) {
	s, c := newStreamScene(t, Config{})
	put := func() {
		_, err := c.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
		require.NoError(t, err)
	}
	put()
	for _, as := range c.streams.byKey {
		require.True(t, as.retire())
	}
	put()
	require.Equal(t, 2, s.streams)

	c.streams.mu.Lock()
	c.streams.missing[c.pool.first] = time.Now().Add(time.Hour)
	c.streams.mu.Unlock()
	put()
	require.Equal(t, 1, s.rpcs)
	c.streams.mu.Lock()
	c.streams.missing[c.pool.first] = time.Now()
	c.streams.mu.Unlock()
	put()
	require.Equal(t, 1, s.rpcs)
	require.Empty(t, c.streams.missing)
}
