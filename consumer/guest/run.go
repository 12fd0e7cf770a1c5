package guest

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
)

// partBytes is how many bytes of messages are sent at once; a message that is larger is sent by itself.
const partBytes = 1 << 20

type runStream = grpc.BidiStreamingServer[shardv1.RunRequest, shardv1.RunResponse]

// Run as of the protocol.
func (s *service) Run(stream runStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	if open == nil {
		return status.Error(codes.InvalidArgument, "the first request isn't Open")
	}
	res, err := s.app.resolve(stream.Context(), open.GetShard(), open.GetHeader())
	if err != nil {
		return err
	}
	if res.kept == nil {
		res.Done()
		return s.forwardRun(stream, res)
	}
	defer res.Done()
	gauge := s.app.metrics.programs.WithLabelValues(res.Spec.GetId())
	gauge.Inc()
	defer gauge.Dec()
	r := &run{
		stream: stream, res: res, desk: res.kept.desk,
		requests: make(chan received), responses: make(chan *shardv1.RunResponse), sending: make(chan error),
	}
	s.app.receivers.Go("receive", func(context.Context) error {
		r.receive()
		return nil
	})
	s.app.receivers.Go("send", func(context.Context) error {
		r.sendAll()
		return nil
	})
	return r.serve(stream.Context())
}

// received of a program.
type received struct {
	request *shardv1.RunRequest
	err     error
}

// run is a program on a stream. All but receive and sendAll is of the stream's goroutine, which neither receives nor sends by itself:
// a program that doesn't read what it is sent doesn't keep the shard here.
type run struct {
	stream    runStream
	res       resolved
	desk      *desk
	requests  chan received
	responses chan *shardv1.RunResponse
	sending   chan error // how a response was sent

	token    string // of the transaction that is being sent
	sent     int    // messages of it
	finished bool   // all of it was sent
	promised string // the transaction that was answered, and isn't told of yet
	parts    *shardv1.Changes
	size     int // of the parts
	ended    bool
}

// receive what the program says, until the stream ends.
func (r *run) receive() {
	for {
		m, err := r.stream.Recv()
		select {
		case r.requests <- received{m, err}:
		case <-r.stream.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// sendAll that is to be sent, until the stream ends.
func (r *run) sendAll() {
	for {
		var m *shardv1.RunResponse
		select {
		case m = <-r.responses:
		case <-r.stream.Context().Done():
			return
		}
		err := r.stream.Send(m)
		select {
		case r.sending <- err:
		case <-r.stream.Context().Done():
			return
		}
	}
}

// serve the program: first it waits for the seat.
func (r *run) serve(ctx context.Context) error {
	gone := r.res.Shard.Context().Done()
	if !r.desk.trySeat() {
		// Whoever says something before it has the shard is refused; whoever goes away doesn't get it.
		select {
		case r.desk.seat <- struct{}{}:
			r.desk.seated()
		case in := <-r.requests:
			if errors.Is(in.err, io.EOF) {
				return nil
			}
			if in.err != nil {
				return in.err
			}
			return status.Error(codes.FailedPrecondition, "the shard has another program: wait for Opened")
		case <-gone:
			return errMoved(r.res.Spec.GetId())
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	defer r.desk.leaveSeat()
	if err := r.send(&shardv1.RunResponse{Kind: &shardv1.RunResponse_Opened_{Opened: new(shardv1.RunResponse_Opened)}}); err != nil {
		return err
	}
	for {
		v := r.desk.look()
		if err := r.show(v); err != nil {
			return err
		}
		if r.ended && r.promised == "" {
			return nil
		}
		select {
		case <-v.wake:
		case in := <-r.requests:
			if err := r.take(ctx, in); err != nil {
				return err
			}
		case <-gone:
			return errMoved(r.res.Spec.GetId())
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// send to the program, while the shard is here.
func (r *run) send(m *shardv1.RunResponse) error {
	gone, ended := r.res.Shard.Context().Done(), r.stream.Context()
	select {
	case r.responses <- m:
	case <-ended.Done():
		return status.FromContextError(ended.Err()).Err()
	}
	select {
	case err := <-r.sending:
		return err
	case <-gone:
		return errMoved(r.res.Spec.GetId())
	case <-ended.Done():
		return status.FromContextError(ended.Err()).Err()
	}
}

// show the program what it hasn't seen of the desk.
func (r *run) show(v view) error {
	if r.promised != "" && r.promised == v.last {
		told := &shardv1.RunResponse_Committed{Token: r.promised}
		if err := r.send(&shardv1.RunResponse{Kind: &shardv1.RunResponse_Committed_{Committed: told}}); err != nil {
			return err
		}
		r.promised = ""
	}
	if r.ended || v.token == "" {
		return nil // It wants no more.
	}
	if v.token != r.token {
		r.token, r.sent, r.finished = v.token, 0, false
	}
	for r.sent < len(v.messages) {
		part := partOf(v.messages[r.sent:])
		if err := r.send(&shardv1.RunResponse{Kind: &shardv1.RunResponse_Messages_{
			Messages: &shardv1.RunResponse_Messages{Messages: part},
		}}); err != nil {
			return err
		}
		r.sent += len(part)
	}
	if !v.whole || r.finished {
		return nil
	}
	r.finished = true
	r.desk.give(v.token)
	return r.send(&shardv1.RunResponse{Kind: &shardv1.RunResponse_Finish_{Finish: &shardv1.RunResponse_Finish{Token: v.token}}})
}

// partOf messages that is sent at once.
func partOf(all []*shardv1.Message) []*shardv1.Message {
	size := 0
	for i, m := range all {
		if size += len(m.GetDocument()) + entryCost; size > partBytes && i > 0 {
			return all[:i]
		}
	}
	return all
}

// take what the program says.
func (r *run) take(ctx context.Context, in received) error {
	if errors.Is(in.err, io.EOF) {
		r.ended = true // It answers no more, and waits for what it has answered.
		return nil
	}
	if in.err != nil {
		return in.err
	}
	switch kind := in.request.GetKind().(type) {
	case *shardv1.RunRequest_Get_:
		if len(kind.Get.GetKeys()) == 0 {
			return r.send(&shardv1.RunResponse{Kind: &shardv1.RunResponse_Entries_{Entries: new(shardv1.RunResponse_Entries)}})
		}
		return r.read(ctx, kind.Get.GetKeys(), nil)
	case *shardv1.RunRequest_Scan_:
		return r.read(ctx, nil, kind.Scan)
	case *shardv1.RunRequest_Commit_:
		return r.commit(ctx, kind.Commit)
	case *shardv1.RunRequest_Fail_:
		f, err := checkFailure(r.desk, kind.Fail.GetToken(), kind.Fail.GetFailure())
		if err != nil {
			return err
		}
		return r.answer(kind.Fail.GetToken(), answer{failure: f})
	case *shardv1.RunRequest_Open_:
		return status.Error(codes.InvalidArgument, "the shard is open already")
	}
	return status.Error(codes.InvalidArgument, "the request says nothing that is known here")
}

func (r *run) read(ctx context.Context, keys [][]byte, s *shardv1.RunRequest_Scan) error {
	out, err := read(ctx, r.res, keys, s)
	if err != nil {
		return err
	}
	return r.send(&shardv1.RunResponse{Kind: &shardv1.RunResponse_Entries_{Entries: out}})
}

// commit a part of a transaction's changes, and with the last one the transaction.
func (r *run) commit(ctx context.Context, c *shardv1.RunRequest_Commit) error {
	if c.GetToken() == "" || c.GetToken() != r.token || !r.finished {
		return errWrongToken(c.GetToken())
	}
	if r.parts == nil {
		r.parts = new(shardv1.Changes)
	}
	if r.size += sizeOf(c.GetChanges()); r.size > maxChanges {
		return errTooLarge()
	}
	r.parts.Deletes = append(r.parts.Deletes, c.GetChanges().GetDeletes()...)
	r.parts.Puts = append(r.parts.Puts, c.GetChanges().GetPuts()...)
	r.parts.Publishes = append(r.parts.Publishes, c.GetChanges().GetPublishes()...)
	if c.GetMore() {
		return nil
	}
	checked, err := check(ctx, r.res.kept.outputs, r.parts)
	if err != nil {
		return err
	}
	r.parts, r.size = nil, 0
	return r.answer(c.GetToken(), answer{changes: checked})
}

func (r *run) answer(token string, a answer) error {
	if !r.finished || token != r.token || !r.desk.answered(token, a) {
		return errWrongToken(token)
	}
	r.token, r.finished, r.promised = "", false, token
	return nil
}

func errWrongToken(token string) error {
	return status.Errorf(codes.FailedPrecondition, "token %q isn't that of the transaction: answer a Finish once, with its token", token)
}
