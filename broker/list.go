package broker

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"

	"broadsheet.dev/broadsheet/protocol"
)

// listChunk is the most journals of one message of a listing: as many as go into
// about 32 KiB.
const listChunk = 25

// list answers a listing by calling send for each message. A watch goes on until
// ctx is done or the broker stops.
func (b *Broker) list(ctx context.Context, req *protocol.ListRequest, send func(*protocol.ListResponse) error) error {
	if err := req.Validate(); err != nil {
		return err
	}
	selector := req.GetSelector().ResolveMeta()
	if !req.GetWatch() {
		now := b.roster.Load()
		return sendSnapshot(b.header(now, protocol.EmptyRoute()), now.list(selector, scopeOf(ctx)), send)
	}
	seen, err := b.resumeRevision(req.GetWatchResume())
	if err != nil {
		return err
	}
	var last uint64 // fingerprint of what the client has; 0 is unknown
	for {
		now := b.roster.Load()
		if now.view.Revision() > seen {
			// A slow client holds a view of etcd, which all share, and the journals of a message.
			journals := now.list(selector, scopeOf(ctx))
			if sum := fingerprint(b.seed, journals); sum != last {
				if err := sendSnapshot(b.header(now, protocol.EmptyRoute()), journals, send); err != nil {
					return err
				}
				// An empty message ends the snapshot.
				if err := send(new(protocol.ListResponse)); err != nil {
					return err
				}
				last = sum
			}
		}
		select {
		case <-now.next:
		case <-b.stopping:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// resumeRevision is that of the snapshot which a watch goes on from; 0 is none.
func (b *Broker) resumeRevision(resume *protocol.Header) (int64, error) {
	if resume == nil {
		return 0, nil
	}
	if got, want := resume.GetEtcd().GetClusterId(), b.roster.Load().view.ClusterID(); got != want {
		return 0, fmt.Errorf("watch can't be resumed: it began with etcd cluster %x, and this broker uses %x", got, want)
	}
	return resume.GetEtcd().GetRevision(), nil
}

// sendSnapshot sends journals in parts; at least one, since the first has the header.
func sendSnapshot(h *protocol.Header, journals iter.Seq[*protocol.ListResponse_Journal], send func(*protocol.ListResponse) error) error {
	r := &protocol.ListResponse{Header: h}
	for j := range journals {
		if len(r.GetJournals()) == listChunk {
			if err := send(r); err != nil {
				return err
			}
			r = new(protocol.ListResponse)
		}
		r.Journals = append(r.Journals, j)
	}
	return send(r)
}

// list returns the journals that match a selector and are in a scope, in the order of
// their names. Each is made when it is asked for.
func (d directory) list(selector, scope *protocol.LabelSelector) iter.Seq[*protocol.ListResponse_Journal] {
	return func(yield func(*protocol.ListResponse_Journal) bool) {
		more := true
		d.journals(namePrefix(selector), func(j journal) {
			if !more || !selector.Matches(j.labels) || !scope.Matches(j.labels) {
				return
			}
			more = yield(&protocol.ListResponse_Journal{
				Spec:           j.spec,
				ModRevision:    j.modRevision,
				CreateRevision: j.createRevision,
				Route:          d.route(d.assignments(j.spec.GetName())),
			})
		})
	}
}

// namePrefix is what the names of all journals that a selector matches begin with.
func namePrefix(selector *protocol.LabelSelector) string {
	prefix, names := "", 0
	for _, l := range selector.GetInclude().GetLabels() {
		if l.GetName() == protocol.MetaLabelName {
			prefix = l.GetValue()
			names++
		}
	}
	if names != 1 {
		return ""
	}
	return prefix
}

// fingerprint of a snapshot: it changes with the set of journals, their specs, and
// their routes. It is never 0.
func fingerprint(seed maphash.Seed, journals iter.Seq[*protocol.ListResponse_Journal]) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	number := func(n int64) { maphash.WriteComparable(&h, n) }
	text := func(s string) {
		number(int64(len(s)))
		_, _ = h.WriteString(s)
	}
	for j := range journals {
		text(j.GetSpec().GetName())
		number(j.GetModRevision())
		number(j.GetCreateRevision())
		number(int64(j.GetRoute().GetPrimary()))
		for i, m := range j.GetRoute().GetMembers() {
			text(m.GetZone())
			text(m.GetSuffix())
			text(j.GetRoute().EndpointOf(i))
		}
	}
	return max(1, h.Sum64())
}
