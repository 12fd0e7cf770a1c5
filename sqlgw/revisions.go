package sqlgw

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"broadsheet.dev/broadsheet/protocol"
)

// listJournals lists the journals that a selector matches.
type listJournals func(ctx context.Context, s *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error)

// revisions tells at which revision of etcd journals were created: that makes one of a name that
// journal. It remembers what it was told, which may be of a journal that was since made again; so a cut is
// made by what is remembered (of an old one it won't be good), and used by a fresh listing. It is safe
// for concurrent use.
type revisions struct {
	list listJournals

	mu    sync.Mutex
	known map[string]int64
}

// maxRevisions bounds what is remembered, revisionBatch how many journals one listing is about.
const (
	maxRevisions  = 1 << 17
	revisionBatch = 200
)

// of returns the revisions of journals; those that aren't there are left out.
func (r *revisions) of(ctx context.Context, journals []string) (map[string]int64, error) {
	out, unknown := r.remembered(journals)
	if len(unknown) == 0 {
		return out, nil
	}
	found, err := r.fresh(ctx, unknown)
	maps.Copy(out, found)
	return out, err
}

// remembered are the revisions that need no listing, and the journals of which none is.
func (r *revisions) remembered(journals []string) (map[string]int64, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]int64, len(journals))
	var unknown []string
	for _, j := range journals {
		if rev, ok := r.known[j]; ok {
			out[j] = rev
		} else {
			unknown = append(unknown, j)
		}
	}
	return out, unknown
}

// fresh is of, as it is now.
func (r *revisions) fresh(ctx context.Context, journals []string) (map[string]int64, error) {
	out := make(map[string]int64, len(journals))
	for batch := range slices.Chunk(journals, revisionBatch) {
		labels := make([]string, 0, 2*len(batch))
		for _, j := range batch {
			labels = append(labels, protocol.MetaLabelName, j)
		}
		listed, err := r.list(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(labels...)})
		if err != nil {
			return nil, fmt.Errorf("list %d journals from %s on: %w", len(batch), batch[0], err)
		}
		for _, j := range listed {
			out[j.GetSpec().GetName()] = j.GetCreateRevision()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known)+len(journals) > maxRevisions {
		r.known = map[string]int64{}
	}
	for _, j := range journals {
		if rev, ok := out[j]; ok {
			r.known[j] = rev
		} else {
			delete(r.known, j)
		}
	}
	return out, nil
}
