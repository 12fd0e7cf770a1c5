package broker

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/wire"
)

// maxUnanswered bounds the proposals of a stream that wait for the disk.
const maxUnanswered = 256

// replicateServer is the server's side of a Replicate RPC.
type replicateServer = grpc.BidiStreamingServer[protocol.ReplicateRequest, protocol.ReplicateResponse]

// replicate serves a primary of which this broker is a peer: it answers its poll, joins its epoch,
// and then takes its appends until either side ends the stream or a later epoch is
// polled for.
func (b *Broker) replicate(stream replicateServer) (protocol.Status, error) {
	first, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	if err := first.Validate(); err != nil {
		return 0, err
	}
	name := first.GetProposal().GetJournal()
	if first.GetPoll() != nil {
		name = first.GetDeprecatedJournal()
	}
	if first.GetHeader() == nil || name == "" {
		return 0, errors.New("replicate stream: first message has no header, or names no journal")
	}
	ctx := stream.Context()
	res, err := b.resolve(ctx, resolveParams{journal: name, header: first.GetHeader()})
	if err != nil {
		return 0, err
	}
	if res.status == protocol.Status_OK && !protocol.RouteEquivalent(res.header.GetRoute(), first.GetHeader().GetRoute()) {
		res.status = protocol.Status_WRONG_ROUTE
	}
	switch {
	case res.status != protocol.Status_OK:
		return res.status, stream.Send(&protocol.ReplicateResponse{Status: res.status, Header: res.header})
	case first.GetPoll() == nil:
		return 0, status.Errorf(codes.FailedPrecondition,
			"journal %s: its primary forms no epochs, and spools here outlive a crash: it is no broker of this kind", name)
	case first.GetPoll().GetCreateRevision() != res.replica.id.CreateRevision:
		return 0, status.Errorf(codes.Aborted, "journal %s: it was made again", name)
	}
	if err := res.replica.awaitOpen(ctx); err != nil {
		return 0, err
	}
	return protocol.Status_OK, b.follow(ctx, res, stream, first.GetPoll().GetEpoch())
}

// follow a primary that polls for an epoch.
func (b *Broker) follow(ctx context.Context, res resolution, stream replicateServer, number int64) error {
	r := res.replica
	if err := r.preempt(number); err != nil {
		return err
	}
	n, err := r.acquire(ctx)
	if errors.Is(err, errReplicaClosed) {
		return errStopping
	}
	if err != nil {
		return err
	}
	defer r.release(n)
	r.dropPipeline(n, epoch.ErrFenced)
	end := func() {}
	if cancel, ok := ctx.Value(endKey{}).(context.CancelCauseFunc); ok {
		end = func() { cancel(epoch.ErrFenced) }
	}
	defer r.holdFor(holder{end: end, follows: true})()
	if !r.promises(number) {
		return status.Errorf(codes.Aborted, "journal %s: %s", r.id.Journal, epoch.ErrFenced)
	}
	f := follower{replica: r, stream: stream, header: res.header}
	// The replica is given up, or the broker stops.
	defer context.AfterFunc(r.group.Context(), end)()
	defer context.AfterFunc(b.life, end)()
	return f.run(ctx)
}

// follower is a replica that takes the appends of another broker, with the tenure in hand.
type follower struct {
	replica *replica
	stream  replicateServer
	header  *protocol.Header // for the first answer; then nil

	epoch   int64 // that was joined; 0 before
	group   *task.Group
	answers chan unanswered // nil while they are given at once
}

// unanswered is a proposal that is to be answered once it is durable.
type unanswered struct {
	commit *spool.Commit
	synced bool // whatever the mode is
	resp   *protocol.ReplicateResponse
}

func (f *follower) run(ctx context.Context) error {
	if err := f.replica.makeDurable(ctx); err != nil {
		return err
	}
	if err := f.stream.Send(&protocol.ReplicateResponse{Header: f.header, State: f.state()}); err != nil {
		return err
	}
	f.group = task.New(ctx, "replicate "+f.replica.id.Journal)
	if f.replica.env.mode == spool.Synced {
		f.answerBeside()
	}
	err := f.receive(f.group.Context())
	if f.answers != nil {
		close(f.answers)
	}
	err = errors.Join(err, f.group.Wait())
	if f.replica.spool.Delta() > 0 {
		err = errors.Join(err, f.replica.diskFailed(f.replica.spool.Rollback()))
	}
	return err
}

// answerBeside begins to answer proposals in a task, as that waits for the disk. It goes on to the stream's end.
func (f *follower) answerBeside() {
	f.answers = make(chan unanswered, maxUnanswered)
	f.group.Go("answer", f.answer)
}

func (f *follower) state() *protocol.ReplicateResponse_State {
	r := f.replica.report()
	return &protocol.ReplicateResponse_State{
		Disk: r.Disk[:], Epoch: r.Epoch, End: r.End, Suspect: r.Suspect, Promised: f.replica.promised(), Registers: r.Registers,
	}
}

// receive until the primary ends the stream. All messages come into the same memory: what stays
// of one is a copy.
func (f *follower) receive(ctx context.Context) error {
	req := new(protocol.ReplicateRequest)
	in := &wire.Incoming{Message: req}
	for {
		err := f.stream.RecvMsg(in)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if err := req.ValidateAligned(); err != nil {
			return err
		}
		if req.GetAlign() != nil {
			err = f.align(req.GetAlign())
		} else {
			err = f.apply(ctx, req)
		}
		if err != nil {
			return err
		}
	}
}

// align joins the epoch that the primary has recorded.
func (f *follower) align(a *protocol.ReplicateRequest_Align) error {
	r := f.replica
	l, err := epoch.FromProto(a.GetEpochs())
	if err != nil {
		return fmt.Errorf("journal %s: align: %w", r.id.Journal, err)
	}
	if a.GetEpochs().GetCreateRevision() != r.id.CreateRevision {
		return status.Errorf(codes.Aborted, "journal %s: it was made again", r.id.Journal)
	}
	if err := r.align(l); err != nil {
		return err
	}
	last, _ := l.Last()
	f.epoch = last.Number
	return f.stream.Send(&protocol.ReplicateResponse{State: f.state()})
}

// apply what an aligned primary sends: content, then a proposal, then the watermark that
// goes with them.
func (f *follower) apply(ctx context.Context, req *protocol.ReplicateRequest) error {
	r := f.replica
	if f.epoch == 0 {
		return status.Errorf(codes.FailedPrecondition, "journal %s: an append before the epoch was joined", r.id.Journal)
	}
	if !r.accepts(f.epoch) {
		return status.Errorf(codes.Aborted, "journal %s: epoch %d: %s", r.id.Journal, f.epoch, epoch.ErrFenced)
	}
	if w := req.GetWatermark(); w > 0 {
		if err := f.acknowledge(w); err != nil {
			return err
		}
	}
	if len(req.GetContent()) > 0 {
		if d := r.spool.Delta(); d != req.GetContentDelta() {
			return fmt.Errorf("journal %s: invalid ContentDelta (%d; expected %d)", r.id.Journal, req.GetContentDelta(), d)
		}
		if err := r.spool.Write(req.GetContent()); err != nil {
			return r.diskFailed(fmt.Errorf("journal %s: append to its spool: %w", r.id.Journal, err))
		}
	}
	if req.GetProposal() == nil {
		return nil
	}
	return f.propose(ctx, req)
}

// acknowledge up to a watermark. What it speaks of was answered, and so is durable here.
func (f *follower) acknowledge(watermark int64) error {
	s := f.replica.spool.State()
	if watermark <= s.Watermark {
		return nil
	}
	if watermark > s.Durable {
		return fmt.Errorf("journal %s: watermark %d is above what is durable here (%d)", f.replica.id.Journal, watermark, s.Durable)
	}
	return f.replica.diskFailed(f.replica.acknowledge(&ackedHead{end: watermark, registers: s.Registers, codec: s.Codec, epoch: f.epoch}))
}

// propose applies a proposal, and answers it if that is asked for.
func (f *follower) propose(ctx context.Context, req *protocol.ReplicateRequest) error {
	r, p := f.replica, req.GetProposal()
	commit, action, err := f.applyProposal(p, presentSet(req.GetRegisters()))
	if err != nil {
		return r.diskFailed(fmt.Errorf("journal %s: apply a proposal: %w", r.id.Journal, err))
	}
	resp := new(protocol.ReplicateResponse)
	if action == proposalMismatch {
		s := r.spool.State()
		resp = &protocol.ReplicateResponse{
			Status: protocol.Status_PROPOSAL_MISMATCH, Fragment: proposal(r.id.Journal, s), Registers: s.Registers,
		}
		if !req.GetAcknowledge() {
			return fmt.Errorf("journal %s: proposal [%d, %d) doesn't fit the fragment here, [%d, %d)",
				r.id.Journal, p.GetBegin(), p.GetEnd(), s.Begin, s.End)
		}
	}
	if req.GetSynced() && f.answers == nil {
		f.answerBeside()
	}
	switch {
	case !req.GetAcknowledge():
		return nil
	case f.answers == nil:
		return f.stream.Send(resp)
	}
	select {
	case f.answers <- unanswered{commit, req.GetSynced(), resp}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// applyProposal decides about a proposal and carries that out.
func (f *follower) applyProposal(p *protocol.Fragment, registers *protocol.LabelSet) (*spool.Commit, proposalAction, error) {
	r := f.replica
	for rolled := false; ; rolled = true {
		v := spoolView{state: r.spool.State(), delta: r.spool.Delta()}
		v.next, v.sum = r.spool.Next()
		switch action := decideProposal(v, p, registers); {
		case action == proposalRoll && !rolled:
			if err := f.roll(v, p); err != nil {
				return nil, action, err
			}
		case action == proposalRollback:
			if err := r.spool.Rollback(); err != nil {
				return nil, action, err
			}
			c, err := r.spool.Commit(nil) // All that is there may be asked to be on disk.
			return c, action, err
		case action == proposalCommit:
			changed := registers
			if protocol.LabelSetsEqual(registers, v.state.Registers) {
				changed = nil
			}
			c, err := r.spool.Commit(changed)
			return c, action, err
		default:
			return nil, proposalMismatch, nil
		}
	}
}

// roll to the end of a proposal.
func (f *follower) roll(v spoolView, p *protocol.Fragment) error {
	r := f.replica
	if v.delta > 0 {
		if err := r.spool.Rollback(); err != nil {
			return err
		}
	}
	if err := r.spool.Roll(spool.RollOptions{Codec: p.GetCompressionCodec(), Begin: p.GetEnd()}); err != nil {
		return err
	}
	r.publish(0)
	notify(r.full)
	return nil
}

// answer proposals once they are durable. Those that wait at the same time share an fsync.
func (f *follower) answer(ctx context.Context) error {
	for a := range f.answers {
		if a.commit != nil {
			if err := awaitDurable(ctx, a.commit, a.synced); err != nil {
				return f.replica.diskFailed(fmt.Errorf("journal %s: append up to offset %d: %w", f.replica.id.Journal, a.commit.End, err))
			}
		}
		if err := f.stream.Send(a.resp); err != nil {
			return err
		}
	}
	return nil
}
