package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/protocol"
)

// Snapshot is the journals that match a selector, at a revision of etcd.
type Snapshot struct {
	// Header of the broker that made it.
	Header *protocol.Header
	// Journals in the order of their names.
	Journals []*protocol.ListResponse_Journal
}

// snapshotFSM assembles snapshots from messages: a first one with a header, more
// with journals, and in a watch an empty one at the end.
type snapshotFSM struct {
	watch bool
	last  int64 // revision of the last snapshot of a watch
	next  Snapshot
}

// receive a message. It returns a snapshot, of a watch, that is complete.
func (f *snapshotFSM) receive(m *protocol.ListResponse) (*Snapshot, error) {
	if err := validated("List", m); err != nil {
		return nil, err
	}
	if err := asError(m.GetStatus(), "", ""); err != nil {
		return nil, err
	}
	empty := m.GetHeader() == nil && len(m.GetJournals()) == 0
	switch {
	case f.next.Header == nil && m.GetHeader() == nil:
		return nil, violation("List", "sent no header with a snapshot's first message")
	case f.next.Header != nil && m.GetHeader() != nil:
		return nil, violation("List", "sent another header within a snapshot")
	case empty && !f.watch:
		return nil, violation("List", "sent an empty message within a listing")
	case empty:
		done := f.next
		f.last, f.next = done.Header.GetEtcd().GetRevision(), Snapshot{}
		return &done, nil
	case m.GetHeader() != nil:
		if rev := m.GetHeader().GetEtcd().GetRevision(); rev <= f.last {
			return nil, violation("List", "sent a snapshot of revision %d after one of %d", rev, f.last)
		}
		f.next.Header = m.GetHeader()
	}
	f.next.Journals = append(f.next.Journals, m.GetJournals()...)
	return nil, nil //nolint:nilnil // not complete
}

// List returns the journals that match a selector, nil for all, with their specs,
// revisions and routes.
func (c *Client) List(ctx context.Context, selector *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
	s, err := c.ListSnapshot(ctx, selector)
	if err != nil {
		return nil, err
	}
	return s.Journals, nil
}

// ListSnapshot is List with the header of the broker that answered, which tells of which revision of etcd it is.
func (c *Client) ListSnapshot(ctx context.Context, selector *protocol.LabelSelector) (*Snapshot, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.startList(ctx, &protocol.ListRequest{Selector: orAll(selector)})
	if err != nil {
		return nil, err
	}
	var fsm snapshotFSM
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) && fsm.next.Header == nil {
			err = violation("List", "ended without a message")
		} else if errors.Is(err, io.EOF) {
			return &fsm.next, nil
		}
		if err == nil {
			_, err = fsm.receive(m)
		}
		if err != nil {
			return nil, fmt.Errorf("list journals: %w", cause(ctx, err))
		}
	}
}

// GetJournal returns a journal by its name. If there is none, or it may not be seen, that
// is a StatusError of JOURNAL_NOT_FOUND.
func (c *Client) GetJournal(ctx context.Context, name string) (*protocol.ListResponse_Journal, error) {
	if err := protocol.ValidateJournalName(name); err != nil {
		return nil, fmt.Errorf("get journal %q: %w", name, err)
	}
	journals, err := c.List(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelName, name)})
	if err != nil {
		return nil, fmt.Errorf("get journal %s: %w", name, err)
	}
	for _, j := range journals {
		if j.GetSpec().GetName() == name {
			return j, nil
		}
	}
	return nil, fmt.Errorf("get journal: %w", asError(protocol.Status_JOURNAL_NOT_FOUND, name, ""))
}

func (c *Client) startList(ctx context.Context, req *protocol.ListRequest) (grpc.ServerStreamingClient[protocol.ListResponse], error) {
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("list journals: %w", err)
	}
	authorized, err := c.authorized(ctx, "", CapabilityList)
	if err != nil {
		return nil, fmt.Errorf("list journals: %w", err)
	}
	stream, err := c.pool.homeJournals().List(authorized, req)
	if err != nil {
		return nil, fmt.Errorf("list journals: %w", cause(ctx, err))
	}
	return stream, nil
}

// orAll returns the selector, or one that matches all. Brokers of Gazette don't tell
// an absent one from that.
func orAll(s *protocol.LabelSelector) *protocol.LabelSelector {
	if s == nil {
		return new(protocol.LabelSelector)
	}
	return s
}

// Watch calls fn with a snapshot of the journals that match a selector, nil for all,
// now and whenever the broker reports that they changed, each at a greater revision
// than the one before. It returns the first error of fn, or that of the context, and
// otherwise goes on for ever: when the broker goes away it resumes after the last
// snapshot that fn took.
func (c *Client) Watch(ctx context.Context, selector *protocol.LabelSelector, fn func(*Snapshot) error) error {
	return c.watch(ctx, selector, nil, fn)
}

// watch is Watch, after a snapshot if that isn't nil.
func (c *Client) watch(ctx context.Context, selector *protocol.LabelSelector, after *Snapshot, fn func(*Snapshot) error) error {
	w := watch{fn: fn, req: &protocol.ListRequest{Selector: orAll(selector), Watch: true}}
	if after != nil {
		w.req.WatchResume = after.Header
	}
	for idle := 0; ; idle++ {
		before := w.req.GetWatchResume()
		err := c.watchOnce(ctx, &w)
		switch {
		case w.err != nil:
			return w.err
		case ctx.Err() != nil:
			return fmt.Errorf("watch journals: %w", context.Cause(ctx))
		case !errors.Is(err, io.EOF) && !transient(err):
			return err
		}
		if w.req.GetWatchResume() != before {
			idle = 0
		}
		if err = c.await(ctx, idle, "watch", "", err); err != nil {
			return fmt.Errorf("watch journals: %w", err)
		}
	}
}

// watch is what goes on from RPC to RPC of a Watch.
type watch struct {
	req *protocol.ListRequest // resumes after the last snapshot
	fn  func(*Snapshot) error
	err error // of fn
}

// watchOnce runs one RPC. It returns why that ended.
func (c *Client) watchOnce(ctx context.Context, w *watch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.startList(ctx, w.req)
	if err != nil {
		return err
	}
	fsm := snapshotFSM{watch: true, last: w.req.GetWatchResume().GetEtcd().GetRevision()}
	for {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("watch journals: %w", err)
		}
		snapshot, err := fsm.receive(m)
		if err != nil {
			return fmt.Errorf("watch journals: %w", err)
		}
		if snapshot == nil {
			continue
		}
		if w.err = w.fn(snapshot); w.err != nil {
			return w.err
		}
		w.req.WatchResume = snapshot.Header
	}
}
