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
	relisted bool             // the stores were listed anew
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
		if at, ok := r.replica.resetAbove(hit); ok {
			r.offset = at
			continue
		}
		if hit.First && r.replica.listsBelow(hit) {
			hit.First = false // What is below may be with other members, or just stored by them.
		}
		action, offset := planRead(r.req, hit, r.broker.env.now())
		if r.unlisted != nil && action != readServe {
			// What isn't here may well be in a store.
			return status.Error(codes.Unavailable, r.unlisted.Error())
		}
		switch action {
		case readSeek:
			r.offset = offset
		case readUnavailable:
			if r.offset < r.replica.readableEnd(hit) {
				if err := r.relist(ctx, hit); err != nil {
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

// relistAfter is how long a reader waits for what isn't in the index, though content beyond it is there,
// before the stores are listed again.
const relistAfter = time.Second

// relist has the stores listed anew, for a read that doesn't block of what is below the head and isn't
// here: other brokers store it. If that doesn't help it is an error.
func (r *reader) relist(ctx context.Context, hit fragments.Hit) error {
	if r.relisted {
		return status.Errorf(codes.Unavailable, "journal %s: offset %d is below its head %d, and isn't stored yet: other brokers have it",
			r.replica.id.Journal, r.offset, r.replica.readableEnd(hit))
	}
	r.relisted = true
	select {
	case <-r.replica.listing.renewed():
		return nil
	case <-r.replica.closed:
		return errStopping
	case <-r.broker.stopping:
		return errStopping
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readableEnd is the least offset that isn't known to be below the journal's head.
func (r *replica) readableEnd(hit fragments.Hit) int64 {
	return max(hit.End, r.spool.State().Watermark)
}

// await waits for the index to change, and tells whether to go on.
func (r *reader) await(ctx context.Context, hit fragments.Hit) (bool, error) {
	var missing <-chan time.Time
	if hit.Outcome == fragments.Hole || hit.Offset < hit.End {
		// Another member holds it, or has stored it by now.
		t := time.NewTimer(relistAfter)
		defer t.Stop()
		missing = t.C
	}
	select {
	case <-hit.Changed:
		return true, nil
	case <-missing:
		r.replica.listing.again()
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
