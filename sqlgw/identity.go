package sqlgw

import (
	"context"
	"fmt"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/message/committed"
	"broadsheet.dev/broadsheet/protocol"
)

// What is remembered of journals' content (headCache, commits) is of those that were created at a revision of etcd: one
// that is removed and made again has its name and offsets, and other content. Which it is now a statement asks once it has its
// cut, so that it is answered from nothing that is older than what it reads: what is remembered may be of the old one only if
// the cut is, too.

// identify returns at which revisions those of planned journals were created of which something may be remembered. It lists
// each once for a statement.
func (e *queryExecution) identify(ctx context.Context, t catalog.Table, plans []journalScan) (map[string]int64, error) {
	var unknown []string
	for _, p := range plans {
		n := len(p.pieces)
		if _, ok := e.made[p.journal]; !ok && (t.Messages != "" || n > 0 && p.pieces[n-1].InPlace == nil) {
			unknown = append(unknown, p.journal)
		}
	}
	if len(unknown) == 0 {
		return e.made, nil
	}
	created, err := e.query.session.gateway.revisions.fresh(ctx, unknown)
	if err != nil {
		return nil, err
	}
	if e.made == nil {
		e.made = map[string]int64{}
	}
	for _, j := range unknown {
		e.made[j] = created[j] // 0 of one that isn't there
	}
	return e.made, nil
}

// committedNow is committedOf of the journals that are there.
func (g *Gateway) committedNow(ctx context.Context, t catalog.Table, plans []journalScan) (map[string]committed.Holes, error) {
	if t.Messages == "" {
		return nil, nil
	}
	names := make([]string, len(plans))
	for i, p := range plans {
		names[i] = p.journal
	}
	created, err := g.revisions.fresh(ctx, names)
	if err != nil {
		return nil, err
	}
	return g.committedOf(ctx, t, plans, created)
}

// seenRevision is the newest revision of etcd that a broker has told with a head: what is listed at an older one may be about
// journals that were there before. It is safe for concurrent use.
type seenRevision struct {
	mu       sync.Mutex
	cluster  uint64 // of etcd
	revision int64
}

// learn what a broker told.
func (s *seenRevision) learn(h *protocol.Header) {
	etcd := h.GetEtcd()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != etcd.GetClusterId() {
		s.cluster, s.revision = etcd.GetClusterId(), 0
	}
	s.revision = max(s.revision, etcd.GetRevision())
}

// behind tells whether a broker's header is of an older revision.
func (s *seenRevision) behind(h *protocol.Header) bool {
	etcd := h.GetEtcd()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cluster == etcd.GetClusterId() && etcd.GetRevision() < s.revision
}

// listPatience is how long a broker may be behind others.
const listPatience = 10 * time.Second

// list the journals that a selector matches, as they are at the revision that any head was told with, or later.
func (g *Gateway) list(ctx context.Context, s *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
	for begun := time.Now(); ; {
		listed, err := g.cfg.Brokers.ListSnapshot(ctx, s)
		if err != nil {
			return nil, err
		}
		if !g.seen.behind(listed.Header) {
			return listed.Journals, nil
		}
		if time.Since(begun) > listPatience {
			return nil, fmt.Errorf("a broker lists journals at revision %d of etcd, behind others", listed.Header.GetEtcd().GetRevision())
		}
		if !rest(ctx, relistPause) {
			return nil, context.Cause(ctx)
		}
	}
}
