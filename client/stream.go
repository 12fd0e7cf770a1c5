package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

const (
	// streamIdle is how long a stream without appends stays.
	streamIdle = 30 * time.Second
	// streamMissing is how long a broker that doesn't offer streams isn't asked again.
	streamMissing = 10 * time.Minute
	// maxBehind is how often in a row an append may come behind one of others that fails,
	// before it goes by an RPC of its own.
	maxBehind = 8
)

var (
	// errBehind is of an append that wasn't applied because one before it in its run on the
	// stream, somebody else's, wasn't.
	errBehind = errors.New("an append before it wasn't applied")
	// errNoStream is of an append that didn't go by a stream.
	errNoStream = errors.New("no append stream")
)

// streams are the AppendStreams of a client: one for each broker and authorization that
// appends go to.
type streams struct {
	tasks *task.Group

	mu      sync.Mutex
	closed  bool
	byKey   map[string]*appendStream
	missing map[*conn]time.Time // brokers that don't offer them, until when
}

func newStreams(tasks *task.Group) *streams {
	return &streams{tasks: tasks, byKey: make(map[string]*appendStream), missing: make(map[*conn]time.Time)}
}

// takes reports whether an append of these parameters can go by a stream.
func (s *streams) takes(p AppendParams) bool {
	return s != nil && p.Suspend == protocol.AppendRequest_SUSPEND_RESUME
}

// close keeps streams from being made. Those there are end with the group.
func (s *streams) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// appendByStream makes one append. Its error wraps errNoStream if the broker offers no
// streams; nothing was applied then.
func (c *Client) appendByStream(ctx context.Context, p AppendParams, content []byte) (*protocol.AppendResponse, error) {
	for range maxBehind {
		call, err := c.begin(ctx, p.Journal, CapabilityAppend, rolePrimary)
		if err != nil {
			return nil, fmt.Errorf("append to %s: %w", p.Journal, err)
		}
		a := &streamAppend{params: p, content: content, done: make(chan struct{})}
		s, err := c.streams.enqueue(call, a)
		if err != nil {
			call.end(nil)
			return nil, err
		}
		response, err := s.wait(ctx, a)
		call.learn(response.GetHeader())
		call.end(err)
		switch {
		case errors.Is(err, errBehind):
			continue
		case status.Code(err) == codes.Unimplemented && !errors.Is(err, ErrUnknownOutcome):
			return nil, errNoStream
		case err == nil:
			c.metrics.appendBytes.WithLabelValues(p.Journal).Add(float64(len(content)))
		}
		return response, err
	}
	return nil, errNoStream
}

// enqueue an append for the stream to a call's broker, which is begun if there is none.
func (s *streams) enqueue(k *call, a *streamAppend) (*appendStream, error) {
	md, _ := metadata.FromOutgoingContext(k.ctx)
	authorization := md.Get("authorization")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errPoolClosed
	}
	if until, ok := s.missing[k.conn]; ok {
		if time.Now().Before(until) {
			return nil, errNoStream
		}
		delete(s.missing, k.conn)
	}
	key := fmt.Sprintf("%p %q", k.conn, authorization)
	as := s.byKey[key]
	if as != nil {
		if ok, err := as.add(a); ok || err != nil {
			return as, err
		}
	}
	as = &appendStream{owner: s, key: key, pool: k.client.pool, conn: k.conn, fsm: newStreamFSM(), wake: make(chan struct{}, 1)}
	as.pool.hold(as.conn)
	ctx, cancel := context.WithCancelCause(s.tasks.Context())
	if len(authorization) != 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization[0])
	}
	as.cancel = cancel
	s.byKey[key] = as
	s.tasks.Go("append stream", func(context.Context) error { as.run(ctx); return nil })
	if _, err := as.add(a); err != nil {
		return nil, err
	}
	return as, nil
}

// forget a stream that has ended, and remember a broker that offers none.
func (s *streams) forget(as *appendStream, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[as.key] == as {
		delete(s.byKey, as.key)
	}
	now := time.Now()
	for c, until := range s.missing {
		if now.After(until) {
			delete(s.missing, c)
		}
	}
	if status.Code(err) == codes.Unimplemented {
		s.missing[as.conn] = now.Add(streamMissing)
	}
}

// appendStream drives one stream: run sends what is enqueued, as many appends in a message
// as have come, and a task beside it receives.
type appendStream struct {
	owner  *streams
	key    string
	pool   *pool
	conn   *conn
	cancel context.CancelCauseFunc
	wake   chan struct{} // has one when queue isn't empty

	mu    sync.Mutex
	fsm   *streamFSM
	queue []*streamAppend // that aren't sent
	ended bool            // takes no more
}

// add an append. It tells whether the stream takes any.
func (as *appendStream) add(a *streamAppend) (bool, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.ended {
		return false, nil
	}
	if !as.fsm.knows(a.params, len(as.queue)) {
		return false, errNoStream
	}
	as.queue = append(as.queue, a)
	select {
	case as.wake <- struct{}{}:
	default:
	}
	return true, nil
}

// wait for an append's result. If the context ends first, an append that is still in the
// queue is taken out of it.
func (as *appendStream) wait(ctx context.Context, a *streamAppend) (*protocol.AppendResponse, error) {
	select {
	case <-a.done:
		return a.response, a.err
	case <-ctx.Done():
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if i := slices.Index(as.queue, a); i >= 0 {
		as.queue = slices.Delete(as.queue, i, i+1)
		return nil, fmt.Errorf("append to %s: %w", a.params.Journal, context.Cause(ctx))
	}
	select {
	case <-a.done:
		return a.response, a.err
	default:
		return nil, fmt.Errorf("append to %s: %w: %w", a.params.Journal, ErrUnknownOutcome, context.Cause(ctx))
	}
}

// run the stream until it breaks, is idle, or the client is closed.
func (as *appendStream) run(ctx context.Context) {
	stream, err := streaming.NewJournalClient(as.conn.grpc).AppendStream(ctx)
	if err != nil {
		as.end(err)
		return
	}
	as.owner.tasks.Go("append stream results", func(context.Context) error {
		as.end(as.receive(stream))
		return nil
	})
	idle := time.NewTicker(streamIdle)
	defer idle.Stop()
	for used := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-as.wake:
			used = true
			if !as.send(stream) {
				return // and the receiver is told why
			}
		case <-idle.C:
			if !used && as.retire() {
				_ = stream.CloseSend()
				return
			}
			used = false
		}
	}
}

// send what is enqueued. It reports whether the stream goes on.
func (as *appendStream) send(stream grpc.BidiStreamingClient[streaming.AppendStreamRequest, streaming.AppendStreamResponse]) bool {
	for {
		as.mu.Lock()
		m, n := as.fsm.batch(as.queue)
		as.queue = slices.Delete(as.queue, 0, n)
		as.mu.Unlock()
		if n == 0 {
			return true
		}
		if err := stream.Send(m); err != nil {
			return false
		}
	}
}

// receive results until the stream ends, and return why it did.
func (as *appendStream) receive(stream grpc.BidiStreamingClient[streaming.AppendStreamRequest, streaming.AppendStreamResponse]) error {
	for {
		m, err := stream.Recv()
		if err == io.EOF { //nolint:errorlint // as gRPC returns it
			return status.Error(codes.Unavailable, "broker ended the append stream")
		}
		if err != nil {
			return err
		}
		as.mu.Lock()
		err = as.fsm.receive(m)
		as.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// retire a stream that nothing waits for.
func (as *appendStream) retire() bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.ended = len(as.queue) == 0 && as.fsm.idle()
	return as.ended
}

// end the stream, and with it all its appends. Those in the queue weren't sent.
func (as *appendStream) end(err error) {
	as.owner.forget(as, err)
	as.cancel(nil)
	as.mu.Lock()
	as.ended = true
	as.fsm.broken(err)
	for _, a := range as.queue {
		a.err = fmt.Errorf("append to %s: %w", a.params.Journal, status.Error(codes.Unavailable, "append stream ended: "+err.Error()))
		close(a.done)
	}
	as.queue = nil
	as.mu.Unlock()
	as.pool.release(as.conn)
}
