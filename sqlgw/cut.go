package sqlgw

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/columnar"
)

// journalFanout bounds how many journals are asked at once for one statement.
const journalFanout = 32

// cut is where a statement is evaluated: the head of each journal that it reads. Heads are
// what zero-byte appends returned that were begun after the statement, so every append
// acknowledged before it is in the cut, whoever made it.
type cut map[string]int64

// fixCut asks journals for their heads.
func (g *Gateway) fixCut(ctx context.Context, journals []string) (cut, error) {
	return gatherCut(ctx, journals, g.head)
}

// gatherCut is of the heads that are told of journals.
func gatherCut(ctx context.Context, journals []string, head headOf) (cut, error) {
	var mu sync.Mutex
	out := make(cut, len(journals))
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(journalFanout)
	for _, j := range journals {
		eg.Go(func() error {
			head, err := head(ctx, j)
			if err != nil {
				return fmt.Errorf("cut of journal %s: %w", j, err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[j] = head
			return nil
		})
	}
	return out, eg.Wait()
}

// head of a journal.
func (g *Gateway) head(ctx context.Context, journal string) (int64, error) {
	asked := time.Now()
	b, err := g.cfg.Brokers.Barrier(ctx, journal)
	if err == nil {
		g.known.learn(journal, b.Head, asked, time.Now())
	}
	return b.Head, err
}

// appended notes where an append of this gateway ended.
func (g *Gateway) appended(journal string, end int64) { g.known.appended(journal, end, time.Now()) }

// journalScan is a journal up to its head, cut into pieces.
type journalScan struct {
	journal     string
	begin, head int64
	pieces      []piece
}

// reading is how journals are read: their listings, the schema with its fingerprint, and whether nothing is read in place.
type reading struct {
	list        lister
	schema      columnar.Schema
	fingerprint uint64
	decodeAll   bool
}

// planJournals plans the reading of journals at a cut.
func (g *Gateway) planJournals(ctx context.Context, journals []string, at cut, how reading) ([]journalScan, error) {
	how.decodeAll = how.decodeAll || how.schema.Format != nil // DuckDB reads lines of JSON only
	out := make([]journalScan, len(journals))
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(journalFanout)
	for i, j := range journals {
		eg.Go(func() error {
			begin, stored, err := g.storedFragments(ctx, j, at[j], how)
			if err != nil {
				return err
			}
			out[i] = journalScan{journal: j, begin: begin, head: at[j], pieces: planJournal(begin, at[j], stored, how.decodeAll)}
			return nil
		})
	}
	return out, eg.Wait()
}

// storedFragments returns where a journal begins, and what is stored of it below head.
func (g *Gateway) storedFragments(ctx context.Context, journal string, head int64, how reading) (int64, []storedFragment, error) {
	list, err := how.list(ctx, journal, head)
	if err != nil {
		return 0, nil, err
	}
	if len(list.fragments) > 0 && list.begin > head {
		return 0, nil, sqlError("22023", "journal %s begins at %d, above its place %d in the cut", journal, list.begin, head)
	}
	var out []storedFragment
	for _, p := range list.fragments {
		f := fragments.FragmentFromProto(p)
		if f.Store == "" || f.Begin >= head {
			continue
		}
		s := storedFragment{Fragment: f}
		if path, ok := g.files.find(f); ok && !how.decodeAll {
			if proof, known := g.proofs.get(f, path, how.schema, how.fingerprint); known {
				s.Clean, s.Terminated = proof.Clean && proof.EndsInNewline, proof.EndsInNewline
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b storedFragment) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End))
	})
	return min(list.begin, head), out, nil
}
