package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// maxChunk is the most content of one message: 32 KiB with its envelope.
	maxChunk = 32<<10 - 32
	// fragmentURLTTL is how long the URL in a read's metadata may be used at least.
	fragmentURLTTL = time.Minute
)

// read answers a read by calling send for each message. It returns nil at the end
// of what was asked for, and also when the replica is given up or the broker stops:
// the client asks again.
func (b *Broker) read(ctx context.Context, req *protocol.ReadRequest, send func(*protocol.ReadResponse) error) error {
	if err := req.Validate(); err != nil {
		return err
	}
	for {
		res, err := b.resolve(ctx, resolveParams{journal: req.GetJournal(), header: req.GetHeader(), revision: req.GetMinEtcdRevision()})
		if err != nil {
			return err
		}
		if res.status == protocol.Status_OK {
			switch {
			case res.spec.GetSuspend().GetLevel() == protocol.JournalSpec_Suspend_FULL:
				res.status = protocol.Status_SUSPENDED
			case !res.spec.Flag().MayRead():
				res.status = protocol.Status_NOT_ALLOWED
			}
		}
		if mayProxy(res, req.GetHeader(), req.GetDoNotProxy()) {
			return b.proxyRead(ctx, res, req, send)
		}
		if res.status != protocol.Status_OK {
			return send(&protocol.ReadResponse{Status: res.status, Header: res.header})
		}
		r := reader{broker: b, replica: res.replica, req: req, send: send, header: res.header, offset: req.GetOffset()}
		err = res.replica.awaitIndex(ctx)
		var unlisted *indexError
		switch {
		case errors.Is(err, errReplicaClosed):
			continue
		case errors.As(err, &unlisted):
			r.unlisted = unlisted
		case err != nil:
			return err
		}
		return r.run(ctx)
	}
}

// reader is a read that is being served.
type reader struct {
	broker  *Broker
	replica *replica
	req     *protocol.ReadRequest
	send    func(*protocol.ReadResponse) error

	header   *protocol.Header // for the first message; then nil
	offset   int64            // next to send
	unlisted *indexError      // why the stores aren't known; or nil
	relisted bool             // the stores were listed anew, for what is below the head and isn't here
	missing  int64            // what a blocking read waits for, though it is below the head
	lookAt   time.Time        // when the stores are listed again for that
}

// run sends entry after entry.
func (r *reader) run(ctx context.Context) error {
	if bound, ok := r.replica.waitingBound(); ok && r.offset == -1 && !r.req.GetBlock() {
		// Where the journal ends is only with brokers that are missing. This is where it may be reset (R7).
		return r.send(&protocol.ReadResponse{
			Status: protocol.Status_OFFSET_NOT_YET_AVAILABLE, Header: r.takeHeader(), Offset: bound, WriteHead: bound,
		})
	}
	for {
		hit, err := r.replica.index.Query(r.offset)
		if err != nil {
			return err
		}
		r.offset = hit.Offset
		e := r.replica.env.entry(r.replica.id)
		action, offset := r.plan(e, hit)
		if r.unlisted != nil && action != readServe {
			// What isn't here may well be in a store.
			return status.Error(codes.Unavailable, r.unlisted.Error())
		}
		switch action {
		case readSeek:
			r.offset = offset
		case readConfirm:
			if more, err := r.confirm(ctx, e.epochsRevision, span{r.offset, offset}); !more {
				return err
			}
		case readUnavailable:
			if r.offset < r.replica.readableEnd(hit) {
				if err := r.lookAgain(ctx, hit); err != nil {
					return err
				}
				continue
			}
			return r.send(&protocol.ReadResponse{
				Status: protocol.Status_OFFSET_NOT_YET_AVAILABLE, Header: r.takeHeader(), Offset: offset, WriteHead: hit.End,
			})
		case readAwait:
			if more, err := r.await(ctx, hit); !more {
				return err
			}
		case readServe:
			if more, err := r.serve(ctx, hit); !more {
				return err
			}
		}
	}
}

// plan is planRead, by the journal's epochs as well. No entry is that of a replica which is about to be given up:
// what it hasn't may be elsewhere.
func (r *reader) plan(e *entry, hit fragments.Hit) (readAction, int64) {
	if hit.First && (e == nil || e.listsBelow(hit)) {
		hit.First = false // What is below may be with other members, or just stored by them.
	}
	action, offset := planRead(r.req, hit, r.broker.env.now())
	if hit.Outcome == fragments.Found {
		return action, offset
	}
	if e != nil {
		if at, ok := e.resetAbove(hit); ok {
			action, offset = readSeek, at
		}
	}
	switch {
	case action != readSeek:
	case e == nil:
		action, offset = readAwait, hit.Offset
	case holdsStores(e.spec) && !r.replica.holes.known(e.epochsRevision, span{hit.Offset, offset}):
		action = readConfirm
	}
	return action, offset
}

// relistAfter is how long a reader waits for what isn't in the index, though content beyond it is there,
// before the stores are listed again.
const relistAfter = time.Second

// confirm has the stores listed anew before a hole is gone over, for all that read there. It tells whether to go on:
// a read that blocks does until the stores can be listed.
func (r *reader) confirm(ctx context.Context, revision int64, s span) (bool, error) {
	l, err := r.relist(ctx)
	switch {
	case err != nil:
		return false, err
	case l.err == nil:
		if hole, ok := holeAround(l.stored, s); ok {
			r.replica.holes.note(revision, hole)
		}
		return true, nil
	case !r.req.GetBlock():
		return false, status.Errorf(codes.Unavailable, "%s: whether offsets [%d, %d) are stored isn't known",
			&indexError{r.replica.id.Journal, l.err}, s.begin, s.end)
	default:
		// Not until the index changes: it does with each append.
		return r.awaitUntil(ctx, nil, relistAfter)
	}
}

// relist has the stores listed anew.
func (r *reader) relist(ctx context.Context) (relisted, error) {
	l, err := r.replica.relist(ctx, r.broker.stopping)
	if errors.Is(err, errReplicaClosed) {
		err = errStopping
	}
	return l, err
}

// lookAgain has the stores listed anew, for a read that doesn't block of what is below the head and isn't
// here: other brokers store it. If that doesn't help it is an error.
func (r *reader) lookAgain(ctx context.Context, hit fragments.Hit) error {
	if r.relisted {
		return status.Errorf(codes.Unavailable, "journal %s: offset %d is below its head %d, and isn't stored yet: other brokers have it",
			r.replica.id.Journal, r.offset, r.replica.readableEnd(hit))
	}
	r.relisted = true
	l, err := r.relist(ctx)
	if err == nil && l.err != nil {
		err = status.Error(codes.Unavailable, (&indexError{r.replica.id.Journal, l.err}).Error())
	}
	return err
}

// readableEnd is the least offset that isn't known to be below the journal's head.
func (r *replica) readableEnd(hit fragments.Hit) int64 {
	return max(hit.End, r.spool.State().Watermark)
}

// await waits for the index to change, and tells whether to go on.
func (r *reader) await(ctx context.Context, hit fragments.Hit) (bool, error) {
	if hit.Outcome != fragments.Hole && hit.Offset >= hit.End {
		return r.awaitUntil(ctx, hit.Changed, 0)
	}
	// Another member holds it, or has stored it by now. The index may change all the time meanwhile.
	now := time.Now()
	if r.missing != hit.Offset || r.lookAt.IsZero() {
		r.missing, r.lookAt = hit.Offset, now.Add(relistAfter)
	}
	if !now.Before(r.lookAt) {
		r.replica.listing.again()
		r.lookAt = now.Add(relistAfter)
	}
	return r.awaitUntil(ctx, hit.Changed, r.lookAt.Sub(now))
}

// awaitUntil waits for a change, or at most for a time that isn't 0, and tells whether to go on.
func (r *reader) awaitUntil(ctx context.Context, changed <-chan struct{}, d time.Duration) (bool, error) {
	var due <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-changed:
		return true, nil
	case <-due:
		return true, nil
	case <-r.replica.closed:
		return false, nil
	case <-r.broker.stopping:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

func (r *reader) takeHeader() *protocol.Header {
	h := r.header
	r.header = nil
	return h
}

// serve sends metadata and content of the entry that was hit, and tells whether to
// go on.
func (r *reader) serve(ctx context.Context, hit fragments.Hit) (bool, error) {
	e := hit.Entry
	meta := &protocol.ReadResponse{Header: r.takeHeader(), Offset: r.offset, WriteHead: hit.End, Fragment: e.Proto()}
	if e.Stored() {
		url, err := r.broker.contents.sign(e.Fragment, fragmentURLTTL)
		if err != nil {
			return false, err
		}
		meta.FragmentUrl = url
	}
	if err := r.send(meta); err != nil {
		return false, err
	}
	if stopsAtMetadata(r.req, e, r.offset) {
		return false, nil
	}
	limit := readLimit(r.req, e)
	content, err := r.broker.contents.open(ctx, e, r.offset, limit)
	if err != nil {
		return false, fmt.Errorf("journal %s: read at offset %d: %w", r.replica.id.Journal, r.offset, err)
	}
	err = r.stream(content, limit)
	if err = errors.Join(err, content.Close()); err != nil {
		if r.replica.isClosed() {
			err = nil // Its content went with it, and the client asks again.
		}
		return false, err
	}
	return r.offset != r.req.GetEndOffset(), nil
}

// stream sends what is left up to limit.
func (r *reader) stream(content io.Reader, limit int64) error {
	// What is sent is encoded before send returns, so the buffer can be used again.
	buf := r.broker.contents.buffer()
	defer r.broker.contents.recycle(buf)
	for r.offset < limit {
		chunk := buf[:min(int64(len(buf)), limit-r.offset)]
		if _, err := io.ReadFull(content, chunk); err != nil {
			return fmt.Errorf("journal %s: read at offset %d: %w", r.replica.id.Journal, r.offset, err)
		}
		if err := r.send(&protocol.ReadResponse{Offset: r.offset, Content: chunk}); err != nil {
			return err
		}
		r.offset += int64(len(chunk))
		r.broker.metrics.readBytes.Add(float64(len(chunk)))
	}
	return nil
}
