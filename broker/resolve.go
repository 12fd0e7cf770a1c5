package broker

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// resolution tells who serves a journal.
type resolution struct {
	status  protocol.Status
	header  *protocol.Header      // of every response
	spec    *protocol.JournalSpec // nil if there is no such journal
	desired int                   // how many brokers are to hold it
	journal journal               // as of its spec
	replica *replica              // ours, if status is OK
}

// resolveParams name what to resolve.
type resolveParams struct {
	journal  string           // possibly with a meta suffix
	header   *protocol.Header // of a broker that proxies; or nil
	revision int64            // of etcd that has to be seen
	append   bool             // the primary is wanted, rather than any replica
}

// resolve tells which replica of ours serves a journal, or by its status why none
// does. It waits until etcd is seen at the revision asked for.
func (b *Broker) resolve(ctx context.Context, p resolveParams) (resolution, error) {
	if err := b.checkHeader(p.header); err != nil {
		return resolution{}, err
	}
	roster, err := b.rosterAt(ctx, max(p.revision, p.header.GetEtcd().GetRevision()))
	if err != nil {
		return resolution{}, err
	}
	name, _ := protocol.SplitMeta(p.journal)
	if e := roster.entries[name]; e != nil && scopeOf(ctx).Matches(e.labels) {
		if e.replica.isClosed() {
			return resolution{}, errStopping // No other roster follows.
		}
		return b.resolved(roster, e, p.append), nil
	}
	res := resolution{header: b.header(roster, protocol.EmptyRoute())}
	j, ok := roster.journal(name)
	if !ok || !scopeOf(ctx).Matches(j.labels) {
		res.status = protocol.Status_JOURNAL_NOT_FOUND
		return res, nil
	}
	res.spec, res.journal, res.desired = j.spec, j, j.DesiredReplication()
	res.header.Route = roster.route(roster.assignments(name))
	switch {
	case j.spec.GetSuspend().GetLevel() == protocol.JournalSpec_Suspend_FULL:
		res.status = protocol.Status_SUSPENDED
	case p.append && res.header.GetRoute().GetPrimary() == -1:
		res.status = protocol.Status_NO_JOURNAL_PRIMARY_BROKER
	case len(res.header.GetRoute().GetMembers()) == 0:
		res.status = protocol.Status_INSUFFICIENT_JOURNAL_BROKERS
	case p.append:
		res.status = protocol.Status_NOT_JOURNAL_PRIMARY_BROKER
	default:
		res.status = protocol.Status_NOT_JOURNAL_BROKER
	}
	return res, nil
}

// resolved is the resolution of a journal that is assigned to us.
func (b *Broker) resolved(roster *roster, e *entry, primary bool) resolution {
	res := resolution{header: b.header(roster, e.route), spec: e.spec, journal: e.journal, desired: e.DesiredReplication()}
	self := e.route.IndexOf(b.cfg.ID)
	switch {
	case primary && e.route.GetPrimary() == -1:
		res.status = protocol.Status_NO_JOURNAL_PRIMARY_BROKER
	case primary && int(e.route.GetPrimary()) != self:
		res.status = protocol.Status_NOT_JOURNAL_PRIMARY_BROKER
	default:
		res.replica = e.replica
	}
	return res
}

func (b *Broker) header(roster *roster, route *protocol.Route) *protocol.Header {
	return &protocol.Header{ProcessId: b.cfg.ID, Route: route, Etcd: roster.state}
}

// checkHeader refuses a request that another broker sent to somebody else.
func (b *Broker) checkHeader(h *protocol.Header) error {
	if h == nil {
		return nil
	}
	if id := h.GetProcessId(); !id.IsZero() && protocol.CompareProcessIDs(id, b.cfg.ID) != 0 {
		return fmt.Errorf("request is for process %s, and this is %s", memberID(id), memberID(b.cfg.ID))
	}
	if got, want := h.GetEtcd().GetClusterId(), b.roster.Load().state.GetClusterId(); got != want {
		return fmt.Errorf("request is from etcd cluster %x, and this broker uses %x", got, want)
	}
	return nil
}

// errStopping tells that the broker ends.
var errStopping = status.Error(codes.Unavailable, "broker is stopping")
