package broker

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

const (
	// A stream isn't received from while so many of its appends, or so many bytes of them, have
	// no result that is sent. One append may have more.
	maxStreamAppends = 8192
	maxStreamBytes   = 8 << 20
	// spilledToll is how many of those bytes an append counts for that is gathered on disk: so a stream has 64
	// files at the most.
	spilledToll = maxStreamBytes / 64
	// maxResults is how many results a message has at the most, and maxResultBytes the weight from which on it takes
	// no more: clients take messages of 4 MiB.
	maxResults     = 512
	maxResultBytes = 1 << 20
)

// streamingService is the gRPC service broadsheet.v1.Journal of a broker.
type streamingService struct {
	streaming.UnimplementedJournalServer
	broker *Broker
}

// appendStreamServer is the server's side of an AppendStream RPC.
type appendStreamServer = grpc.BidiStreamingServer[streaming.AppendStreamRequest, streaming.AppendStreamResponse]

// AppendStream as of the protocol.
func (s *streamingService) AppendStream(stream appendStreamServer) error {
	return s.broker.observe("AppendStream", func() (protocol.Status, error) {
		return protocol.Status_OK, s.broker.appendStream(stream)
	})
}

// appendStream serves one AppendStream RPC. One task receives; one for each journal with
// appends that wait has them applied in their order; one sends results.
//
// Invariants:
//   - Each append that was received whole is, until its result is, either in the queue of its lane or
//     among its flying, and counted by flying and bytes.
//   - Each result is counted by unsent and unsentBytes until it is sent: a client that reads none
//     is received from no longer, as one whose appends have none.
type appendStream struct {
	broker *Broker
	stream appendStreamServer
	group  *task.Group
	intake *intake // of the task that receives

	room  chan struct{} // cap 1: an append has its result
	ready chan struct{} // cap 1: there are results to send
	quiet chan struct{} // cap 1: all results were sent

	mu          sync.Mutex
	lanes       map[string]*lane // by journal
	proxies     int              // lanes that forward
	flying      int              // appends without a result
	bytes       int64            // of them
	results     []*streaming.AppendStreamResponse_Result
	unsent      int   // results that aren't sent
	unsentBytes int64 // bytes that they count for
	receiving   bool  // a message is being taken
	sending     bool  // results are being sent
	ended       bool  // no more messages are taken
}

// streamAppend is an append of a stream.
type streamAppend struct {
	ticket

	of       *streamRun
	sequence uint64
	body     body
	held     int64                                  // bytes that it counts for
	proxied  *streaming.AppendStreamResponse_Result // of the primary elsewhere; or nil
	done     bool                                   // it has an outcome; under appendStream.mu
}

// appendStream serves a stream until its client ends it or the broker stops, and every append that was
// received whole has its result.
func (b *Broker) appendStream(stream appendStreamServer) error {
	s := &appendStream{
		broker: b, stream: stream, group: task.New(stream.Context(), "append stream"), intake: newIntake(),
		room: make(chan struct{}, 1), ready: make(chan struct{}, 1), quiet: make(chan struct{}, 1),
		lanes: make(map[string]*lane),
	}
	s.group.Go("send", s.send)
	received := make(chan error, 1)
	b.receivers.Go("receive appends", func(context.Context) error {
		received <- s.receive()
		return nil
	})
	var err error
	select {
	case err = <-received:
	case <-b.stopping:
		err = errStopping
	case <-s.group.Context().Done():
		err = context.Cause(s.group.Context())
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	if quiet := s.awaitQuiet(s.group.Context()); err == nil {
		err = quiet
	}
	s.group.Cancel()
	s.awaitOutcomes()
	if failed := s.group.Wait(); failed != nil {
		err = failed
	}
	return err
}

// receive messages until the client ends, or the stream does: nothing else ends a receive that
// waits. So the stream doesn't wait for this task, but the server's end does.
func (s *appendStream) receive() error {
	idle := s.patience()
	defer idle.Stop()
	defer func() {
		if p := s.intake.partial; p != nil {
			p.body.close()
		}
	}()
	for {
		if s.intake.partial == nil {
			idle.Stop()
		} else {
			idle.Reset(s.broker.cfg.IdleTimeout)
		}
		m, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			return s.intake.end()
		}
		if err != nil {
			return err
		}
		if !s.begin() {
			return errStopping
		}
		idle.Stop() // It is us that the client waits for.
		err = s.take(m)
		s.mu.Lock()
		s.receiving = false
		s.mu.Unlock()
		notify(s.quiet)
		notify(s.room)
		if err != nil {
			return err
		}
	}
}

// begin to take a message; false if the stream takes none any more.
func (s *appendStream) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiving = !s.ended
	return s.receiving
}

// patience returns the timer that ends a stream which stops in the middle of an append.
func (s *appendStream) patience() *time.Timer {
	end, ok := s.stream.Context().Value(endKey{}).(context.CancelCauseFunc)
	t := time.AfterFunc(time.Hour, func() {
		if ok {
			end(errIdle)
		}
	})
	t.Stop()
	return t
}

// take a message: runs that begin, then appends.
func (s *appendStream) take(m *streaming.AppendStreamRequest) error {
	for _, o := range m.GetOpens() {
		begun, before, err := s.intake.open(o)
		if err != nil {
			return err
		}
		s.enter(begun, before)
	}
	var whole []*streamAppend
	defer func() { s.enqueue(whole) }()
	for _, p := range m.GetAppends() {
		a, err := s.intake.append(p)
		if err != nil {
			return err
		}
		if err := s.gather(a, p.GetContent()); err != nil {
			return err
		}
		if s.intake.partial != nil {
			continue
		}
		if s.full() {
			s.enqueue(whole)
			whole = nil
			if err := s.awaitRoom(); err != nil {
				a.body.close()
				return err
			}
		}
		s.admit(a)
		whole = append(whole, a)
	}
	return nil
}

// gather the content of an append, or a part of it.
func (s *appendStream) gather(a *streamAppend, content []byte) error {
	if a.body.budget == nil {
		a.body = body{dir: s.broker.gatherDir, limit: s.broker.cfg.GatherMemory, budget: s.broker.gather}
	}
	if len(content) == 0 {
		return nil
	}
	if err := a.body.write(content, true); err != nil {
		a.body.close()
		return s.broker.disk.failed(err)
	}
	return nil
}

// admit an append that was received whole.
func (s *appendStream) admit(a *streamAppend) {
	a.size = a.body.size
	a.small, a.content = a.body.content()
	a.held = int64(len(a.small))
	if a.content != nil {
		a.held = spilledToll
	}
	a.held += int64(proto.Size(a.check) + proto.Size(a.union) + proto.Size(a.subtract))
	a.finish = func(*ticket) { s.finished(a) }
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying++
	s.bytes += a.held
}

func (s *appendStream) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flying+s.unsent >= maxStreamAppends || s.bytes+s.unsentBytes >= maxStreamBytes
}

// awaitRoom for another append.
func (s *appendStream) awaitRoom() error {
	for s.full() {
		select {
		case <-s.room:
		case <-s.group.Context().Done():
			return context.Cause(s.group.Context())
		}
	}
	return nil
}

// answer an append, with mu held: its result is sent.
func (s *appendStream) answer(a *streamAppend) {
	a.body.close()
	s.flying--
	s.bytes -= a.held
	r := a.wireResult()
	if r.GetError() == "" {
		r.Error = s.broker.explain(r.GetStatus(), a.of.lane.journal)
	}
	s.results = append(s.results, r)
	s.unsent++
	s.unsentBytes += weight(r)
	notify(s.room)
	notify(s.ready)
}

// weight is how many bytes a result counts for: those of what has no bound of its own.
func weight(r *streaming.AppendStreamResponse_Result) int64 {
	return int64(proto.Size(r.GetRegisters()) + len(r.GetError()) + len(r.GetStoreHealthError()))
}

// wireResult of an append that has its outcome.
func (a *streamAppend) wireResult() *streaming.AppendStreamResponse_Result {
	r, o := a.proxied, a.result
	if r == nil {
		r = new(streaming.AppendStreamResponse_Result)
		header := a.of.lane.header
		switch {
		case o.notApplied:
			r.NotApplied = true
		case o.err != nil:
			st := status.Convert(rpcError(o.err))
			r.Error, r.Code, r.Unknown = st.Message(), int32(st.Code()), o.unknown //nolint:gosec // codes are few
		case o.applied:
			r.Begin, r.End = o.begin, o.end
			if a.checks() || a.setsRegisters() {
				r.Registers = presentSet(o.registers)
			}
		default:
			r.Status, r.Registers, r.StoreHealthError = o.response.GetStatus(), o.response.GetRegisters(), o.response.GetStoreHealthError()
			r.Header = header
		}
		if !a.of.told {
			r.Header = header
		}
	}
	a.of.told = a.of.told || r.GetHeader() != nil
	r.Sequence = a.sequence
	return r
}

// send results as they come, until the stream ends.
func (s *appendStream) send(ctx context.Context) error {
	for {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
		results := s.results
		s.results, s.sending = nil, true
		s.mu.Unlock()
		for len(results) > 0 {
			n := batchOf(results)
			if err := s.stream.Send(&streaming.AppendStreamResponse{Results: results[:n]}); err != nil {
				return err
			}
			s.sent(results[:n])
			results = results[n:]
		}
		s.mu.Lock()
		s.sending = false
		s.mu.Unlock()
		notify(s.quiet)
	}
}

// batchOf results is how many of them go into a message.
func batchOf(results []*streaming.AppendStreamResponse_Result) int {
	size := int64(0)
	for n, r := range results {
		if size += weight(r); n == maxResults || n > 0 && size > maxResultBytes {
			return n
		}
	}
	return len(results)
}

// sent tells that results are, which makes room for other appends.
func (s *appendStream) sent(results []*streaming.AppendStreamResponse_Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range results {
		s.unsent--
		s.unsentBytes -= weight(r)
	}
	notify(s.room)
}

// awaitQuiet until no message is being taken and every append has its result, which is sent.
func (s *appendStream) awaitQuiet(ctx context.Context) error {
	for {
		s.mu.Lock()
		quiet := s.flying == 0 && len(s.results) == 0 && !s.sending && !s.receiving
		s.mu.Unlock()
		if quiet {
			return nil
		}
		select {
		case <-s.quiet:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaitOutcomes of all appends, though nobody may be told any more: they hold memory and files.
func (s *appendStream) awaitOutcomes() {
	for {
		s.mu.Lock()
		done := s.flying == 0 && !s.receiving
		s.mu.Unlock()
		if done {
			return
		}
		<-s.room
	}
}

// errManyProxies refuses to forward for too many journals of one stream.
var errManyProxies = status.Error(codes.ResourceExhausted, "append stream: too many of its journals have their primary elsewhere")
