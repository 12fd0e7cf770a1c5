package views

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/views/rowcodec"
	"broadsheet.dev/broadsheet/views/viewspb"
)

// Part of a change of a view.
type Part struct {
	// State after the change.
	State
	// Snapshot says that the change is from nothing, and not from the state before.
	Snapshot bool
	// Removed and Added rows; nil is none. A row that changed is removed and added. The same row may be added and removed again.
	Removed, Added *columnar.Batch
	// End says that the change is whole.
	End bool
}

// Changes of a view, one after another. Whoever has them calls Close.
//
// Where the host that has the view goes, they go on by whoever has it then, as if nothing had happened, at the very row.
type Changes struct {
	client *Client
	view   int64
	ctx    context.Context //nolint:containedctx // of all streams
	cancel context.CancelFunc

	stream  viewspb.ViewsService_SubscribeClient // nil if there is none
	decoder *rowcodec.Decoder

	after *uint64 // the last change that was received whole; nil if none was
	// now is the change of which a part was received, and how many of its rows were; part is false between changes.
	now            Part
	part           bool
	removed, added int
	// skipRemoved and skipAdded are rows that come again.
	skipRemoved, skipAdded int
}

// Subscribe returns what changes a view. After is the epoch after which changes are wanted; nil asks for all that it has first. Ctx bounds all
// of it.
func (c *Client) Subscribe(ctx context.Context, view int64, after *uint64) *Changes {
	s := &Changes{client: c, view: view, after: after}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// ErrSnapshotBroken is of a subscription whose host went while it sent all that the view has: another host's state may be another one.
var ErrSnapshotBroken = errors.New("the view's host has gone before it had sent all rows: subscribe again")

// open a stream, from where the subscription is.
func (s *Changes) open() error {
	req := &viewspb.SubscribeRequest{View: s.view, After: s.after}
	if s.part {
		req.Until = &s.now.Epoch
	}
	var err error
	s.stream, err = s.client.rpc.Subscribe(s.ctx, req, grpc.MaxCallRecvMsgSize(maxMessage))
	return err
}

// Next returns the next part of a change, once there is one.
func (s *Changes) Next() (Part, error) {
	var out Part
	err := again(s.ctx, func() error {
		if s.stream == nil {
			if s.part && s.now.Snapshot {
				return ErrSnapshotBroken
			}
			s.skipRemoved, s.skipAdded = s.removed, s.added
			if err := s.open(); err != nil {
				s.stream = nil
				return err
			}
		}
		for {
			m, err := s.stream.Recv()
			if err != nil {
				s.stream = nil
				return unfinished(err)
			}
			var whole bool
			if out, whole, err = s.take(m); err != nil || whole {
				return err
			}
		}
	})
	if err != nil {
		return Part{}, failed(s.ctx, err)
	}
	return out, nil
}

// unfinished is the error of a stream that has ended, which it doesn't by itself.
func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Unavailable, "the host has ended the subscription")
	}
	return err
}

// take a message, and tell whether it has anything for the receiver.
func (s *Changes) take(m *viewspb.SubscribeResponse) (Part, bool, error) {
	if told := m.GetState(); told != nil {
		if err := s.begin(told, m.GetSnapshot()); err != nil {
			return Part{}, false, err
		}
	}
	if s.decoder == nil {
		return Part{}, false, errNoState
	}
	out := s.now
	var err error
	if out.Removed, err = s.rows(m.GetRemoved(), &s.removed, &s.skipRemoved); err != nil {
		return Part{}, false, err
	}
	if out.Added, err = s.rows(m.GetAdded(), &s.added, &s.skipAdded); err != nil {
		return Part{}, false, err
	}
	if out.End = m.GetEnd(); out.End {
		s.after, s.part = &out.Epoch, false
		s.removed, s.added, s.skipRemoved, s.skipAdded = 0, 0, 0, 0
	}
	return out, out.End || out.Removed != nil || out.Added != nil, nil
}

var errNoState = status.Error(codes.Internal, "the answer doesn't begin with its state")

// begin a change, or go on with one of which a part was received.
func (s *Changes) begin(told *viewspb.State, snapshot bool) error {
	now, err := stateOf(told)
	if err != nil {
		return err
	}
	if s.part { // It comes again: its cut is the one that was told.
		return nil
	}
	s.now, s.part = Part{State: now, Snapshot: snapshot}, true
	if s.decoder == nil {
		s.decoder, err = rowcodec.NewDecoder(typesOf(now.Columns))
	}
	return err
}

// rows of a chunk, but for those that come again; nil if there is none.
func (s *Changes) rows(chunk []byte, have, skip *int) (*columnar.Batch, error) {
	if len(chunk) == 0 {
		return nil, nil
	}
	b, n, err := decodeChunk(s.decoder, chunk, *skip)
	if err != nil {
		return nil, err
	}
	*skip -= n - b.Len
	if *have += b.Len; b.Len == 0 {
		return nil, nil
	}
	return b, nil
}

// Close ends the subscription.
func (s *Changes) Close() error {
	s.cancel()
	return nil
}
