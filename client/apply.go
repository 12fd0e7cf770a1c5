package client

import (
	"context"
	"fmt"
	"slices"

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
	authorized, err := c.authorized(ctx, "", CapabilityApply)
	if err != nil {
		return nil, fmt.Errorf("apply specs: %w", err)
	}
	r, err := c.pool.homeJournals().Apply(authorized, req)
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

// BatchError is of changes of which some were made.
type BatchError struct {
	// Applied is how many changes, from the first on, certainly were made.
	Applied int
	// Err is of the batch that follows them.
	Err error
}

// Error tells how many changes were made, and why no more.
func (e *BatchError) Error() string {
	return fmt.Sprintf("after %d changes that were made: %s", e.Applied, e.Err)
}

// Unwrap is why no more were made.
func (e *BatchError) Unwrap() error { return e.Err }

// ApplyInBatches changes journal specs in batches of at most size changes, each all or
// none, in their order; size 0 is one batch. etcd bounds how many changes can be
// made at once: see its --max-txn-ops. The first batch that fails ends it: with a
// *BatchError if others were made before. The response is the last batch's.
func (c *Client) ApplyInBatches(ctx context.Context, changes []*protocol.ApplyRequest_Change, size int) (*protocol.ApplyResponse, error) {
	if size < 0 {
		return nil, fmt.Errorf("apply specs: batches of %d changes: must not be negative", size)
	}
	if size == 0 || len(changes) <= size {
		return c.Apply(ctx, changes)
	}
	// What isn't valid is refused before anything is changed.
	if err := (&protocol.ApplyRequest{Changes: changes}).Validate(); err != nil {
		return nil, fmt.Errorf("apply specs: %w", err)
	}
	var last *protocol.ApplyResponse
	applied := 0
	for batch := range slices.Chunk(changes, size) {
		r, err := c.Apply(ctx, batch)
		switch {
		case err != nil && applied != 0:
			return r, &BatchError{Applied: applied, Err: err}
		case err != nil:
			return r, err
		}
		last, applied = r, applied+len(batch)
	}
	return last, nil
}
