package broker

import (
	"context"
	"errors"

	"broadsheet.dev/broadsheet/fragments/store/health"
	"broadsheet.dev/broadsheet/protocol"
)

// storeHealth answers how a store did in its last health check, and whether objects can be removed
// from it, if that is asked for.
func (b *Broker) storeHealth(ctx context.Context, req *protocol.FragmentStoreHealthRequest) (*protocol.FragmentStoreHealthResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	err := b.health.Check(ctx, req.GetFragmentStore())
	if err == nil && req.GetCheckDelete() {
		err = b.health.CheckDelete(ctx, req.GetFragmentStore(), req.GetCheckDeletePrefix())
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := &protocol.FragmentStoreHealthResponse{Header: b.header(b.roster.Load(), protocol.EmptyRoute())}
	if err != nil {
		r.Status, r.StoreHealthError = protocol.Status_FRAGMENT_STORE_UNHEALTHY, err.Error()
	}
	return r, nil
}

// awaitHealthy waits for the store of a journal's new fragments to be healthy. The error is an
// *indexError if it isn't.
func (b *Broker) awaitHealthy(ctx context.Context, spec *protocol.JournalSpec) error {
	if !holdsStores(spec) || !spec.Flag().MayWrite() {
		return nil
	}
	err := b.health.Await(ctx, spec.GetFragment().GetStores()[0])
	if unhealthy := new(health.UnhealthyError); errors.As(err, &unhealthy) {
		return &indexError{journal: spec.GetName(), err: err}
	}
	if err != nil && ctx.Err() == nil {
		return &indexError{journal: spec.GetName(), err: err}
	}
	return err
}
