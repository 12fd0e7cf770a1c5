package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// service is the gRPC service Journal of a broker.
type service struct {
	protocol.UnimplementedJournalServer
	broker *Broker
}

// observe counts a request, and makes its error one of gRPC: a plain error is of
// code Unknown, with its text.
func (b *Broker) observe(operation string, run func() (protocol.Status, error)) error {
	b.metrics.started.WithLabelValues(operation).Inc()
	s, err := run()
	label := s.String()
	if err != nil {
		label = "error"
	}
	b.metrics.completed.WithLabelValues(operation, label).Inc()
	return rpcError(err)
}

func rpcError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	default:
		return err
	}
}

// List as of the protocol.
func (s *service) List(req *protocol.ListRequest, stream grpc.ServerStreamingServer[protocol.ListResponse]) error {
	return s.broker.observe("List", func() (protocol.Status, error) {
		return protocol.Status_OK, s.broker.list(stream.Context(), req, stream.Send)
	})
}

// Apply as of the protocol.
func (s *service) Apply(ctx context.Context, req *protocol.ApplyRequest) (*protocol.ApplyResponse, error) {
	var r *protocol.ApplyResponse
	err := s.broker.observe("Apply", func() (protocol.Status, error) {
		var err error
		r, err = s.broker.apply(ctx, req)
		return r.GetStatus(), err
	})
	return r, err
}

// Read as of the protocol.
func (s *service) Read(req *protocol.ReadRequest, stream grpc.ServerStreamingServer[protocol.ReadResponse]) error {
	return s.broker.observe("Read", func() (protocol.Status, error) {
		last := protocol.Status_OK
		err := s.broker.read(stream.Context(), req, func(r *protocol.ReadResponse) error {
			last = r.GetStatus()
			return stream.Send(r)
		})
		stream.SetTrailer(s.explained(last, req.GetJournal()))
		return last, err
	})
}

// Append as of the protocol.
func (s *service) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	return s.broker.observe("Append", func() (protocol.Status, error) {
		source := newPatientSource(stream, s.broker.cfg.IdleTimeout)
		defer source.stop()
		r, err := s.broker.append(stream.Context(), source)
		if _, nothing := errors.AsType[*notAppliedError](err); nothing {
			stream.SetTrailer(metadata.Pairs(trailerNotApplied, "true"))
		}
		if err != nil {
			return protocol.Status_OK, err
		}
		stream.SetTrailer(s.explained(r.GetStatus(), source.journal))
		return r.GetStatus(), stream.SendAndClose(r)
	})
}

// Replicate as of the protocol.
func (s *service) Replicate(stream grpc.BidiStreamingServer[protocol.ReplicateRequest, protocol.ReplicateResponse]) error {
	return s.broker.observe("Replicate", func() (protocol.Status, error) { return s.broker.replicate(stream) })
}

// ListFragments as of the protocol.
func (s *service) ListFragments(ctx context.Context, req *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	var r *protocol.FragmentsResponse
	err := s.broker.observe("ListFragments", func() (protocol.Status, error) {
		var err error
		r, err = s.broker.listFragments(ctx, req)
		_ = grpc.SetTrailer(ctx, s.explained(r.GetStatus(), req.GetJournal())) // which it is without, at worst
		return r.GetStatus(), err
	})
	return r, err
}

// FragmentStoreHealth as of the protocol.
func (s *service) FragmentStoreHealth(ctx context.Context, req *protocol.FragmentStoreHealthRequest) (*protocol.FragmentStoreHealthResponse, error) {
	var r *protocol.FragmentStoreHealthResponse
	err := s.broker.observe("FragmentStoreHealth", func() (protocol.Status, error) {
		var err error
		r, err = s.broker.storeHealth(ctx, req)
		return r.GetStatus(), err
	})
	return r, err
}

// trailerNotApplied tells a client that its append failed and left nothing behind, though it was committed: by an
// error of gRPC alone it couldn't know.
const trailerNotApplied = "broadsheet-not-applied"

// trailerDetail tells a client, in words, why a request was refused with a status that doesn't say it.
const trailerDetail = "broadsheet-detail"

// explained is the trailer of a response with a status.
func (s *service) explained(refusal protocol.Status, journal string) metadata.MD {
	if detail := s.broker.explain(refusal, journal); detail != "" {
		return metadata.Pairs(trailerDetail, detail)
	}
	return nil
}

// endKey is the context key of what ends a stream.
type endKey struct{}

// endable gives each stream a context that the server can end: a receive that waits
// for a client can't be given up in another way.
func endable(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	return endableContext{context.WithValue(ctx, endKey{}, cancel)}
}

// endableContext tells gRPC that a stream which was ended for being idle has run
// into a deadline: gRPC itself then answers with that code.
type endableContext struct{ context.Context } //nolint:containedctx // it is a context

// Err as of context.Context.
func (c endableContext) Err() error {
	err := c.Context.Err()
	if err != nil && errors.Is(context.Cause(c.Context), errIdle) {
		return context.DeadlineExceeded
	}
	return err
}

// patientSource is an append's stream that ends when nothing was received for a time.
//
// Its timer isn't set again for each message, of which a small append has four: when it
// fires it looks since when the present one is awaited.
type patientSource struct {
	stream interface {
		Recv() (*protocol.AppendRequest, error)
		Context() context.Context
	}
	patience time.Duration
	journal  string // that the first message names
	begun    time.Time
	awaited  atomic.Int64 // since when Recv runs, from begun on and at least 1; 0 if it doesn't
	timer    *time.Timer  // ends the stream

	mu      sync.Mutex
	stopped bool // the timer isn't set again
}

func newPatientSource(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse], patience time.Duration) *patientSource {
	s := &patientSource{stream: stream, patience: patience, begun: time.Now()}
	if end, ok := stream.Context().Value(endKey{}).(context.CancelCauseFunc); ok {
		fired := make(chan struct{}) // closed once there is a timer to set again
		s.timer = time.AfterFunc(patience, func() { <-fired; s.look(end) })
		close(fired)
	}
	return s
}

// errIdle ends a request of which nothing was received for too long. Whoever answers with it, be it gRPC or who finds it as the
// cause, answers with the same code.
var errIdle = status.Error(codes.DeadlineExceeded, "nothing was received for too long")

// look whether the patience has ended, or else when to look again.
func (s *patientSource) look(end context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	left := s.patience
	if since := s.awaited.Load(); since != 0 {
		left -= time.Since(s.begun) - time.Duration(since)
	}
	if left <= 0 {
		end(errIdle)
		return
	}
	s.timer.Reset(left)
}

// Recv as of grpc.
func (s *patientSource) Recv() (*protocol.AppendRequest, error) {
	s.awaited.Store(max(1, int64(time.Since(s.begun))))
	defer s.awaited.Store(0)
	m, err := s.stream.Recv()
	if name := m.GetJournal(); name != "" && s.journal == "" {
		s.journal = name
	}
	return m, err
}

func (s *patientSource) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
