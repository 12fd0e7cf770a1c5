package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/protocol"
)

// syncTimeout bounds how long an epoch is being formed: a peer that is down is found
// out sooner by its lease.
const syncTimeout = 20 * time.Second

// handover bounds how long one primary waits for what is on its way before it gives way, and the next
// for that.
const handover = time.Second

var errRouteChanged = status.Error(codes.Unavailable, "the journal's route has changed")

// errAgain tells that a journal is to be resolved again, at a revision or later.
type errAgain struct{ revision int64 }

func (errAgain) Error() string { return "the journal's route has changed" }

// ensureSynced makes the pipeline of the present route, with the tenure in hand, unless there is
// one. The error is an errAgain if we aren't the primary any more, an *epoch.MissingError or
// *epoch.FutureError if no epoch can be formed, or one of RPCs and disks.
func (r *replica) ensureSynced(n *tenure) error {
	e := r.env.entry(r.id)
	if e == nil || !r.isPrimary(e) {
		r.retire(n)
		return errAgain{}
	}
	if p := n.pipeline; p != nil && p.failure() == nil && protocol.RouteEquivalent(p.route, e.route) && r.accepts(p.epoch.Number) &&
		r.spool.State().End-p.epoch.Start < epoch.Span/2 {
		return nil
	}
	if n.failed.stands(e.route, r.env.now()) {
		return n.failed.err
	}
	err := r.sync(n, e, nil)
	n.failed.note(e.route, err, r.env.now())
	return err
}

func (r *replica) isPrimary(e *entry) bool {
	p := int(e.route.GetPrimary())
	return p >= 0 && protocol.CompareProcessIDs(e.route.GetMembers()[p], r.env.self) == 0
}

// dropPipeline ends the pipeline, if there is one, and with it what is on its way.
func (r *replica) dropPipeline(n *tenure, err error) {
	p := n.pipeline
	if p == nil {
		return
	}
	n.pipeline = nil
	r.leads.Store(false)
	if p.idle() {
		p.end()
	}
	r.failPipeline(p, err)
}

// retire ends the pipeline in order, if there is one: what was sent is acknowledged first, unless that
// takes long.
func (r *replica) retire(n *tenure) {
	if p := n.pipeline; p != nil && p.failure() == nil {
		cut := time.AfterFunc(handover, p.cancel)
		_ = r.drain(p) // If it has failed so have its appends.
		cut.Stop()
	}
	r.dropPipeline(n, errRouteChanged)
}

// former decides which epoch follows a list. A nil former lets the only member of the last one
// go on with it, and else forms the next.
type former func(l epoch.List, reports []epoch.Report, floor int64) (epoch.Epoch, error)

// jumpTo an offset which is greater than the head, that an append has named.
func jumpTo(offset int64) former {
	return func(l epoch.List, reports []epoch.Report, _ int64) (epoch.Epoch, error) {
		return l.Jump(reports, offset)
	}
}

// resetTo an offset, as bytes are given up.
func resetTo(offset int64) former {
	return func(l epoch.List, reports []epoch.Report, _ int64) (epoch.Epoch, error) {
		return l.Reset(reports, offset)
	}
}

// sync makes a new pipeline, with the tenure in hand: it polls the members, writes the epoch that
// they form to etcd, and aligns them (R1).
func (r *replica) sync(n *tenure, e *entry, form former) error {
	r.retire(n)
	if err := r.spool.Failed(); err != nil {
		return r.diskFailed(fmt.Errorf("journal %s: %w", r.id.Journal, err))
	}
	ctx, cancel := context.WithTimeout(r.group.Context(), syncTimeout)
	defer cancel()
	defer r.holdFor(holder{end: cancel})()
	if n.revision > 0 {
		var err error
		if e, err = r.env.entryAt(ctx, r.id, n.revision); err != nil {
			return err
		}
		if e == nil || !r.isPrimary(e) {
			return errAgain{}
		}
	}
	s := syncer{replica: r, tenure: n, entry: e, form: form}
	p, err := s.run(ctx)
	r.noteSync(err)
	if err != nil {
		s.cancel()
		return err
	}
	n.pipeline = p
	r.leads.Store(true)
	// What was written before and is of the epoch counts from now on, once it is durable.
	if err := r.makeDurable(ctx); err != nil {
		return err
	}
	state := r.spool.State()
	return r.diskFailed(r.acknowledge(&ackedHead{end: state.End, registers: state.Registers, codec: state.Codec, epoch: p.epoch.Number, sole: len(p.peers) == 0}))
}

// noteSync keeps what stands in the way of an epoch, for readers and operators, and logs when
// that changes.
func (r *replica) noteSync(err error) {
	var missing *epoch.MissingError
	waiting := errors.As(err, &missing)
	if !waiting {
		missing = nil
	}
	was := r.missing.Swap(missing)
	switch {
	case waiting && (was == nil || was.Error() != missing.Error()):
		r.log.LogAttrs(r.group.Context(), slog.LevelError, "journal waits for the brokers that hold it", slog.Any("error", err))
	case err == nil && was != nil:
		r.log.LogAttrs(r.group.Context(), slog.LevelInfo, "journal waits no longer")
	}
}

// syncer forms one epoch.
type syncer struct {
	replica *replica
	tenure  *tenure
	entry   *entry
	form    former
	peers   []*peer
}

func (s *syncer) run(ctx context.Context) (*pipeline, error) {
	r, list := s.replica, s.entry.epochs
	self := r.report()
	if list.Continues(self) && len(s.entry.route.GetMembers()) == 1 && s.ours() && r.accepts(self.Epoch) && s.form == nil {
		last, _ := list.Last()
		return newPipeline(s.entry.route, last, nil), nil
	}
	if err := list.CheckFuture(self); err != nil {
		return nil, s.judge(ctx, err)
	}
	if err := r.promise(list.Next()); err != nil {
		return nil, err
	}
	reports, err := s.poll(ctx, list.Next())
	if err != nil {
		return nil, s.judge(ctx, err)
	}
	// The list is judged by what the spool holds now that it can't change any more.
	form := s.form
	if form == nil {
		form = epoch.List.Form
	}
	if self, err = r.durableReport(ctx); err != nil {
		return nil, err
	}
	next, err := form(list, append(reports, self), s.entry.spec.GetSuspend().GetOffset())
	if err != nil {
		return nil, s.judge(ctx, err)
	}
	list = list.Append(next, r.covers)
	if err := s.record(ctx, list); err != nil {
		return nil, err
	}
	if err := s.align(list); err != nil {
		return nil, err
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, "epoch began", slog.Int64("epoch", next.Number), slog.Int64("start", next.Start),
		slog.Int("members", len(next.Members)), slog.Bool("reset", next.Reset))
	return newPipeline(s.entry.route, next, s.peers), nil
}

// judge why no epoch was formed. That this spool knows an epoch which isn't in the list, or a peer one, tells of a loss
// only if the list is what etcd has: it may not have been seen here yet that another broker was the primary.
func (s *syncer) judge(ctx context.Context, err error) error {
	future, fenced := new(epoch.FutureError), errPeerFenced{}
	if !errors.As(err, &future) && !errors.As(err, &fenced) {
		return err
	}
	known, revision, unread := s.replica.env.epochsRevision(ctx, s.replica.id.Journal)
	switch {
	case unread != nil:
		return unread
	case known != s.entry.epochsRevision:
		return errAgain{revision}
	default:
		return err
	}
}

// errPeerFenced tells that a peer has promised a later epoch than the one that it is polled for.
type errPeerFenced struct{ error }

func (e errPeerFenced) Unwrap() error { return e.error }

// ours tells whether our assignment is of our present lease. If so nobody else can have polled us
// and be about to write an epoch: its write compares its own assignment, which was gone before
// ours was made.
func (s *syncer) ours() bool {
	a := s.entry.primaryAssignment()
	return a != nil && a.key.Lease == s.replica.env.leaseID()
}

// covers tells whether the stores hold a range. Where there are none its members have all that there will
// ever be of it.
func (r *replica) covers(begin, end int64) bool {
	return !holdsStores(r.currentSpec()) || r.index.Covers(begin, end)
}

// poll the other members, and return what they report.
func (s *syncer) poll(ctx context.Context, next int64) ([]epoch.Report, error) {
	r := s.replica
	header := s.entry.header()
	for i, id := range s.entry.route.GetMembers() {
		if i == int(s.entry.route.GetPrimary()) {
			continue
		}
		p, err := r.env.members.replicate(r.group.Context(), id, s.entry.route.EndpointOf(i), r.id.Journal)
		if err != nil {
			return nil, status.Errorf(codes.Unavailable, "journal %s: replicate to broker %s: %s", r.id.Journal, memberID(id), err)
		}
		s.peers = append(s.peers, p)
		h := &protocol.Header{ProcessId: id, Route: header.GetRoute(), Etcd: header.GetEtcd()}
		err = p.stream.Send(&protocol.ReplicateRequest{
			Header: h, DeprecatedJournal: r.id.Journal,
			Poll: &protocol.ReplicateRequest_Poll{Epoch: next, CreateRevision: r.id.CreateRevision},
		})
		if err != nil {
			return nil, s.broken(p, err)
		}
	}
	// Whoever doesn't answer in time is cut off.
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	var reports []epoch.Report
	for _, p := range s.peers {
		resp, err := p.stream.Recv()
		switch {
		case status.Code(err) == codes.Aborted:
			return nil, errPeerFenced{s.broken(p, err)}
		case err != nil:
			return nil, s.broken(p, err)
		}
		report, err := s.reportOf(p, resp)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func (s *syncer) broken(p *peer, err error) error {
	return status.Errorf(codes.Unavailable, "journal %s: %s", s.replica.id.Journal, status.Convert(p.failed(err)).Message())
}

// reportOf a peer that was polled.
func (s *syncer) reportOf(p *peer, resp *protocol.ReplicateResponse) (epoch.Report, error) {
	r := s.replica
	if err := resp.Validate(); err != nil {
		return epoch.Report{}, status.Errorf(codes.Internal, "journal %s: answer of broker %s: %s", r.id.Journal, memberID(p.id), err)
	}
	if resp.GetStatus() != protocol.Status_OK {
		if theirs := resp.GetHeader().GetEtcd().GetRevision(); theirs > s.entry.header().GetEtcd().GetRevision() {
			return epoch.Report{}, errAgain{theirs}
		}
		return epoch.Report{}, status.Errorf(codes.Unavailable, "journal %s: broker %s answers %s", r.id.Journal, memberID(p.id), resp.GetStatus())
	}
	st := resp.GetState()
	if st == nil {
		return epoch.Report{}, status.Errorf(codes.FailedPrecondition, "journal %s: broker %s knows no epochs", r.id.Journal, memberID(p.id))
	}
	return epoch.Report{
		Member: epoch.Member{Broker: brokerOf(p.id), Disk: epoch.Disk(st.GetDisk())},
		Epoch:  st.GetEpoch(), End: st.GetEnd(), Suspect: st.GetSuspect(), Registers: presentSet(st.GetRegisters()),
		Fresh: st.GetEpoch() == 0 && st.GetEnd() == 0,
	}, nil
}

// record the list in etcd, if it is still as we know it and we are still the primary.
func (s *syncer) record(ctx context.Context, l epoch.List) error {
	r := s.replica
	revision, ok, err := r.env.recordEpochs(ctx, s.entry, l)
	if err != nil {
		return err
	}
	s.tenure.revision = revision
	if !ok {
		return errAgain{revision}
	}
	return nil
}

// align the members, this one among them.
func (s *syncer) align(l epoch.List) error {
	r := s.replica
	req := &protocol.ReplicateRequest{Align: &protocol.ReplicateRequest_Align{Epochs: l.Proto(r.id.CreateRevision)}}
	for _, p := range s.peers {
		if err := p.stream.Send(req); err != nil {
			return s.broken(p, err)
		}
	}
	if err := r.align(l); err != nil {
		return err
	}
	for _, p := range s.peers {
		resp, err := p.stream.Recv()
		if err != nil {
			return s.broken(p, err)
		}
		if resp.GetStatus() != protocol.Status_OK {
			return status.Errorf(codes.Unavailable, "journal %s: broker %s answers %s to align", r.id.Journal, memberID(p.id), resp.GetStatus())
		}
	}
	return nil
}

// cancel the streams of a sync that failed.
func (s *syncer) cancel() {
	for _, p := range s.peers {
		p.cancel()
	}
}

// failSync tells appends why there is no pipeline.
func (r *replica) failSync(n *tenure, tickets []*ticket, err error) {
	var again errAgain
	var missing *epoch.MissingError
	switch {
	case errors.As(err, &again):
		r.completeAll(tickets, outcome{again: true, revision: again.revision})
	case errors.As(err, &missing):
		r.failMissing(n, tickets, missing)
	case passes(rpcStatus(err, r.id.Journal)):
		// Nothing of them is written anywhere.
		r.completeAll(tickets, outcome{again: true, blocked: err, pause: max(minResync, n.failed.until.Sub(r.env.now()))})
	default:
		r.completeAll(tickets, outcome{err: beforeWrite(rpcStatus(err, r.id.Journal))})
	}
}

// passes tells whether an epoch may be formed by the same brokers later, or by others: one of them couldn't be reached,
// or another primary has polled it.
func passes(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.Aborted
}

func (r *replica) completeAll(tickets []*ticket, o outcome) {
	for _, t := range tickets {
		if t.run != nil {
			switch {
			case t.run.failed.Load():
				t.complete(outcome{notApplied: true})
				continue
			case !o.again:
				t.run.failed.Store(true)
			}
		}
		t.complete(o)
	}
}

// failMissing answers appends to a journal that waits for its members. One of them may be an
// operator's, who gives up what they hold (R7).
func (r *replica) failMissing(n *tenure, tickets []*ticket, missing *epoch.MissingError) {
	for i, t := range tickets {
		if !r.resets(r.env.entry(r.id), t) {
			continue
		}
		err := r.giveUpMissing(n, t)
		if again, ok := errors.AsType[errAgain](err); ok {
			r.completeAll(tickets, outcome{again: true, revision: again.revision})
			return
		}
		if err != nil {
			r.completeAll(tickets[i:i+1], outcome{err: rpcStatus(err, r.id.Journal)})
			tickets = slices.Delete(slices.Clone(tickets), i, i+1)
			break
		}
		r.log.LogAttrs(r.group.Context(), slog.LevelWarn, "head was reset: what the missing brokers hold is given up",
			slog.Int64("offset", t.offset), slog.Any("missing", missing))
		r.completeAll(tickets[:i], outcome{again: true})
		r.completeAll(tickets[i:], outcome{again: true}) // The reset itself is then a barrier at the offset.
		return
	}
	r.completeAll(tickets, outcome{err: status.Errorf(codes.Unavailable, "journal %s: %s", r.id.Journal, missing)})
}

// resets tells whether an append resets the head of a journal that waits.
func (r *replica) resets(e *entry, t *ticket) bool {
	return t.offset != 0 && t.size == 0 && e != nil && t.offset == r.bound(e.epochs)
}

// giveUpMissing resets the head as an append asks for. The stores are listed anew before that: the offset has to be
// above all that they have.
func (r *replica) giveUpMissing(n *tenure, t *ticket) error {
	ctx, cancel := context.WithTimeout(r.group.Context(), syncTimeout)
	defer cancel()
	release := r.holdFor(holder{end: cancel}) // Stores that hang keep nobody from the tenure.
	l, err := r.relist(ctx, nil)
	release()
	e := r.env.entry(r.id)
	switch {
	case err != nil:
		return err
	case l.err != nil:
		return &indexError{r.id.Journal, l.err}
	case !r.resets(e, t):
		return status.Errorf(codes.Unavailable, "journal %s: its head can't be reset to offset %d any more", r.id.Journal, t.offset)
	}
	return r.sync(n, e, resetTo(t.offset))
}

// bound is the offset at which the journal's head may be reset.
func (r *replica) bound(l epoch.List) int64 {
	_, stored, _ := r.index.StoredBounds()
	return l.Bound(stored)
}

// rpcStatus gives an error that has no code of gRPC one.
func rpcStatus(err error, journal string) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if _, ok := errors.AsType[*epoch.FutureError](err); ok {
		return status.Errorf(codes.DataLoss, "journal %s: %s", journal, err)
	}
	return status.Errorf(codes.Unavailable, "journal %s: %s", journal, err)
}
