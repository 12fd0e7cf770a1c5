package views

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/views/rowcodec"
	"broadsheet.dev/broadsheet/views/viewspb"
)

// subscribe streams what a view has, or what has changed since an epoch, and from then on what changes.
func (v *view) subscribe(ctx context.Context, req *viewspb.SubscribeRequest, to viewspb.ViewsService_SubscribeServer) error {
	at, err := v.await(ctx, nil)
	if err != nil {
		return err
	}
	var done uint64
	if req.After == nil {
		done = at.epoch.number
		err = sendSnapshot(ctx, at, to)
	} else {
		done, err = resume(ctx, at, req, to)
	}
	at.release()
	for err == nil {
		if at, err = v.awaitEpoch(ctx, done); err != nil {
			return err
		}
		err = sendChanges(ctx, at, done, at.epoch.number, to)
		done = at.epoch.number
		at.release()
	}
	return err
}

// awaitEpoch awaits a state of a later epoch.
func (v *view) awaitEpoch(ctx context.Context, after uint64) (*state, error) {
	for {
		at, changed, err := v.board.hold()
		if err != nil {
			return nil, err
		}
		if at != nil && at.epoch.number > after {
			return at, nil
		}
		at.release()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a change: %w", context.Cause(ctx))
		}
	}
}

// sendSnapshot sends all that a state has, as a change from nothing.
func sendSnapshot(ctx context.Context, at *state, to viewspb.ViewsService_SubscribeServer) error {
	if err := to.Send(&viewspb.SubscribeResponse{State: at.tell(), Snapshot: true}); err != nil {
		return err
	}
	if err := at.rows(ctx, func(chunk []byte) error { return to.Send(&viewspb.SubscribeResponse{Added: chunk}) }); err != nil {
		return err
	}
	return to.Send(&viewspb.SubscribeResponse{End: true})
}

// resume a subscription that has received all up to an epoch, and perhaps a part of what was up to another one. It returns what it has
// then.
func resume(ctx context.Context, at *state, req *viewspb.SubscribeRequest, to viewspb.ViewsService_SubscribeServer) (uint64, error) {
	after, until := req.GetAfter(), req.GetUntil()
	if req.Until == nil {
		until = after
	}
	switch {
	case until < after:
		return 0, status.Errorf(codes.InvalidArgument, "epoch %d isn't after %d", until, after)
	case until > at.epoch.number:
		return 0, status.Errorf(codes.OutOfRange, "the view has no epoch %d: it is at %d", until, at.epoch.number)
	case after < at.epoch.floor:
		return 0, status.Errorf(codes.OutOfRange, "changes after epoch %d aren't kept any more, but after %d", after, at.epoch.floor)
	case until == after:
		return after, nil
	}
	return until, sendChanges(ctx, at, after, until, to)
}

// sendChanges sends what epochs after one, up to another, have changed. The same is sent in the same order whoever is asked for it.
func sendChanges(ctx context.Context, at *state, after, until uint64, to viewspb.ViewsService_SubscribeServer) error {
	if after < at.epoch.floor {
		return status.Errorf(codes.OutOfRange, "the subscription is at epoch %d, and changes are kept after %d: it was too slow", after, at.epoch.floor)
	}
	told := at.tell()
	told.Epoch = until
	if err := to.Send(&viewspb.SubscribeResponse{State: told}); err != nil {
		return err
	}
	s := changeSender{to: to, single: at.shape.Kind == Single.String()}
	kind, take := byte(keyDelta), s.takeChanges
	if at.shape.Kind == Rows.String() {
		kind, take = keyRow, s.takeRows
	}
	first, last := within(kind, after, until)
	if err := at.scan(ctx, first, last, take, s.flush); err != nil {
		return err
	}
	return to.Send(&viewspb.SubscribeResponse{End: true})
}

// isHead tells whether a key of a delta is that of its first part.
func isHead(key []byte) bool {
	return len(key) == numberedSize && [4]byte(key[numberedSize-4:]) == [4]byte{}
}

// changeSender gathers what is sent.
type changeSender struct {
	to             viewspb.ViewsService_SubscribeServer
	removed, added []byte
	// single: there is one row, of which what it was before all and what it is after all is told, and nothing of between: whoever makes
	// results of what was removed takes it for a state.
	single, met bool
}

func (s *changeSender) full() bool { return len(s.removed)+len(s.added) >= chunkSize }

// takeRows of a view of rows.
func (s *changeSender) takeRows(_, rows []byte) (bool, error) {
	s.added = append(s.added, rows...)
	return s.full(), nil
}

// takeChanges of a delta.
func (s *changeSender) takeChanges(key, delta []byte) (bool, error) {
	if isHead(key) {
		return false, nil
	}
	for len(delta) > 0 {
		x, rest, err := nextChange(delta)
		if err != nil {
			return false, err
		}
		if s.single {
			s.added = s.added[:0]
		}
		if x.removed != nil && (!s.single || !s.met) {
			s.removed = rowcodec.AppendChunk(s.removed, x.removed)
		}
		s.met = true
		if x.added != nil {
			s.added = rowcodec.AppendChunk(s.added, x.added)
		}
		delta = rest
	}
	return s.full() && !s.single, nil
}

// flush sends what there is.
func (s *changeSender) flush() error {
	if len(s.removed)+len(s.added) == 0 {
		return nil
	}
	m := &viewspb.SubscribeResponse{Removed: s.removed, Added: s.added}
	s.removed, s.added = nil, nil
	return s.to.Send(m)
}
