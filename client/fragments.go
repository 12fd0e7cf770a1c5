package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"broadsheet.dev/broadsheet/protocol"
)

// Fragments returns all fragments of a journal that a broker knows, in ascending
// order of their begin: stored ones, and local ones, which have no backing store.
func (c *Client) Fragments(ctx context.Context, journal string) ([]*protocol.Fragment, error) {
	listed, err := c.ListAllFragments(ctx, &protocol.FragmentsRequest{Journal: journal})
	if err != nil {
		return nil, err
	}
	var out []*protocol.Fragment
	for _, f := range listed {
		out = append(out, f.GetSpec())
	}
	return out, nil
}

// ListAllFragments returns the fragments that a request asks for, of all pages from its
// NextPageToken on, with URLs if it has a SignatureTTL. PageLimit bounds pages, not
// what is returned.
func (c *Client) ListAllFragments(ctx context.Context, req *protocol.FragmentsRequest) ([]*protocol.FragmentsResponse_XFragment, error) {
	journal := req.GetJournal()
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("list fragments of %s: %w", journal, err)
	}
	if req.GetHeader() != nil {
		return nil, fmt.Errorf("list fragments of %s: a header is for brokers to attach", journal)
	}
	page := &protocol.FragmentsRequest{
		Journal: journal, BeginModTime: req.GetBeginModTime(), EndModTime: req.GetEndModTime(), NextPageToken: req.GetNextPageToken(),
		PageLimit: req.GetPageLimit(), SignatureTTL: req.GetSignatureTTL(), DoNotProxy: req.GetDoNotProxy(),
	}
	var out []*protocol.FragmentsResponse_XFragment
	for {
		r, err := c.listFragments(ctx, page)
		if err != nil {
			return nil, err
		}
		out = append(out, r.GetFragments()...)
		next := r.GetNextPageToken()
		if next == 0 {
			return out, nil
		}
		if next <= page.GetNextPageToken() {
			return nil, fmt.Errorf("list fragments of %s: %w", journal,
				violation("ListFragments", "sent page token %d after %d", next, page.GetNextPageToken()))
		}
		page.NextPageToken = next
	}
}

// listFragments returns one page.
func (c *Client) listFragments(ctx context.Context, page *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	journal := page.GetJournal()
	call, err := c.begin(ctx, journal, CapabilityRead, roleMember)
	if err != nil {
		return nil, fmt.Errorf("list fragments of %s: %w", journal, err)
	}
	var trailer metadata.MD
	r, err := call.journals.ListFragments(call.ctx, page, grpc.Trailer(&trailer))
	call.end(err)
	if err != nil {
		return nil, fmt.Errorf("list fragments of %s: %w", journal, cause(ctx, err))
	}
	if err = validated("ListFragments", r); err != nil {
		return nil, fmt.Errorf("list fragments of %s: %w", journal, err)
	}
	call.learn(r.GetHeader())
	if err = asError(r.GetStatus(), journal, detailIn(trailer)); err != nil {
		return nil, fmt.Errorf("list fragments: %w", err)
	}
	return r, nil
}

// StoreHealthError is of a fragment store that a broker can't use.
type StoreHealthError struct {
	// Store is its URL.
	Store string
	// Reason is what the broker met.
	Reason string
}

// Error names the store and the reason.
func (e *StoreHealthError) Error() string {
	return fmt.Sprintf("fragment store %s isn't healthy: %s", e.Store, e.Reason)
}

// FragmentStoreHealth asks a broker whether it can use a fragment store: nil if it can,
// a *StoreHealthError if it can't. With checkDelete it also makes and removes an object
// below a prefix of the store, which may be empty.
func (c *Client) FragmentStoreHealth(ctx context.Context, store string, checkDelete bool, prefix string) error {
	req := &protocol.FragmentStoreHealthRequest{FragmentStore: store, CheckDelete: checkDelete, CheckDeletePrefix: prefix}
	if err := req.Validate(); err != nil {
		return fmt.Errorf("check fragment store: %w", err)
	}
	authorized, err := c.authorized(ctx, "", CapabilityRead)
	if err != nil {
		return fmt.Errorf("check fragment store %s: %w", store, err)
	}
	r, err := c.pool.homeJournals().FragmentStoreHealth(authorized, req)
	if err != nil {
		return fmt.Errorf("check fragment store %s: %w", store, cause(ctx, err))
	}
	if err = validated("FragmentStoreHealth", r); err != nil {
		return fmt.Errorf("check fragment store %s: %w", store, err)
	}
	if r.GetStoreHealthError() != "" || r.GetStatus() == protocol.Status_FRAGMENT_STORE_UNHEALTHY {
		return &StoreHealthError{Store: store, Reason: r.GetStoreHealthError()}
	}
	if err = asError(r.GetStatus(), "", ""); err != nil {
		return fmt.Errorf("check fragment store %s: %w", store, err)
	}
	return nil
}
