package client

import (
	"context"
	"fmt"

	"broadsheet.dev/broadsheet/protocol"
)

// Apply changes journal specs, all or none. A StatusError of ETCD_TRANSACTION_FAILED
// says that a revision wasn't the expected one, and nothing was changed; the response
// is returned with it. With ErrUnknownOutcome the changes may be made or not.
func (c *Client) Apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error) {
	req := &protocol.ApplyRequest{Changes: changes}
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("apply specs: %w", err)
	}
	r, err := c.journals.Apply(ctx, req)
	if err != nil && refused(err) {
		return nil, fmt.Errorf("apply specs: %w", err)
	}
	if err == nil {
		err = validated("Apply", r)
	}
	if err != nil {
		return nil, fmt.Errorf("apply specs: %w: %w", ErrUnknownOutcome, cause(ctx, err))
	}
	if err = asError(r.GetStatus(), "", ""); err != nil {
		return r, fmt.Errorf("apply specs: %w", err)
	}
	return r, nil
}

// Fragments returns all fragments of a journal that a broker knows, in ascending
// order of their begin: stored ones, and local ones, which have no backing store.
func (c *Client) Fragments(ctx context.Context, journal string) ([]*protocol.Fragment, error) {
	req := &protocol.FragmentsRequest{Journal: journal}
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("list fragments of %s: %w", journal, err)
	}
	var out []*protocol.Fragment
	for {
		r, err := c.journals.ListFragments(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("list fragments of %s: %w", journal, cause(ctx, err))
		}
		if err = validated("ListFragments", r); err != nil {
			return nil, fmt.Errorf("list fragments of %s: %w", journal, err)
		}
		if err = asError(r.GetStatus(), journal, ""); err != nil {
			return nil, fmt.Errorf("list fragments: %w", err)
		}
		for _, f := range r.GetFragments() {
			out = append(out, f.GetSpec())
		}
		next := r.GetNextPageToken()
		if next == 0 {
			return out, nil
		}
		if next <= req.GetNextPageToken() {
			return nil, fmt.Errorf("list fragments of %s: %w", journal,
				violation("ListFragments", "sent page token %d after %d", next, req.GetNextPageToken()))
		}
		req.NextPageToken = next
	}
}
