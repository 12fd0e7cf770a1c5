package broker

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// defaultPage is how many fragments a page has unless asked otherwise.
const defaultPage = 1000

// listFragments answers with a page of the fragments of a journal.
func (b *Broker) listFragments(ctx context.Context, req *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	for {
		res, err := b.resolve(ctx, resolveParams{journal: req.GetJournal(), header: req.GetHeader()})
		if err != nil {
			return nil, err
		}
		r := &protocol.FragmentsResponse{Status: res.status, Header: res.header}
		if res.status == protocol.Status_OK && res.spec.GetSuspend().GetLevel() == protocol.JournalSpec_Suspend_FULL {
			r.Status = protocol.Status_SUSPENDED
		}
		if mayProxy(res, req.GetHeader(), req.GetDoNotProxy()) {
			return b.proxyFragments(ctx, res, req)
		}
		if r.GetStatus() != protocol.Status_OK {
			return r, nil
		}
		var unlisted *indexError
		switch err := res.replica.awaitIndex(ctx); {
		case errors.Is(err, errReplicaClosed):
			continue
		case errors.As(err, &unlisted):
			return nil, status.Error(codes.Unavailable, err.Error())
		case err != nil:
			return nil, err
		}
		return r, b.page(ctx, req, res.replica.index.Entries(), r)
	}
}

// page puts the fragments that are asked for into a response.
func (b *Broker) page(ctx context.Context, req *protocol.FragmentsRequest, entries []fragments.Entry, r *protocol.FragmentsResponse) error {
	limit := int(req.GetPageLimit())
	if limit == 0 {
		limit = defaultPage
	}
	for _, e := range entries {
		if e.Begin < req.GetNextPageToken() || !inModTime(req, e) {
			continue
		}
		if len(r.GetFragments()) == limit {
			r.NextPageToken = e.Begin
			return nil
		}
		f := &protocol.FragmentsResponse_XFragment{Spec: e.Proto()}
		if req.GetSignatureTTL() != nil && e.Stored() {
			url, err := b.contents.sign(e.Fragment, b.door.signatureTTL(ctx, req.GetSignatureTTL().AsDuration()))
			if err != nil {
				return err
			}
			f.SignedUrl = url
		}
		r.Fragments = append(r.Fragments, f)
	}
	return nil
}

// inModTime tells whether an entry is between the bounds of a request, which are
// both inclusive. Local ones have no time: they are in unless there is an end.
func inModTime(req *protocol.FragmentsRequest, e fragments.Entry) bool {
	if e.ModTime == 0 {
		return req.GetEndModTime() == 0
	}
	return e.ModTime >= req.GetBeginModTime() && (req.GetEndModTime() == 0 || e.ModTime <= req.GetEndModTime())
}
