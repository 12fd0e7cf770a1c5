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
		g.seen.learn(b.Header)
		g.known.learn(journal, b.Head, asked, time.Now())
	}
	return b.Head, err
}

// appended notes where an append of this gateway ended.
func (g *Gateway) appended(journal string, end int64) { g.known.appended(journal, end, time.Now()) }

// journalScan is a journal up to its head, or the part of it that may have rows that are wanted, cut into pieces.
type journalScan struct {
	journal     string
	begin, head int64
	pieces      []piece
	part        bool   // it is less than there is
	shares      shares // if they were asked for
}

// reading says how journals are read.
type reading struct {
	list        lister
	schema      columnar.Schema
	fingerprint uint64          // of schema
	decodeAll   bool            // nothing is read in place
	gone        map[string]bool // files that weren't there any more when they were to be read in place
	narrow      *narrowing      // nil reads all of them
	tell        bool            // the shares are wanted
}

// planJournals plans the reading of journals at a cut.
func (g *Gateway) planJournals(ctx context.Context, journals []string, at cut, how reading) ([]journalScan, error) {
	how.decodeAll = how.decodeAll || how.schema.Format != nil // DuckDB reads lines of JSON only
	out := make([]journalScan, len(journals))
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(journalFanout)
	for i, j := range journals {
		eg.Go(func() error {
			list, err := how.list(ctx, j, at[j])
			if err != nil {
				return err
			}
			out[i], err = g.planListed(ctx, journalScan{journal: j, head: at[j]}, list, how)
			return err
		})
	}
	return out, eg.Wait()
}

// planListed plans the reading of a journal up to a head, of which brokers list these fragments.
func (g *Gateway) planListed(ctx context.Context, p journalScan, list listing, how reading) (journalScan, error) {
	if len(list.fragments) > 0 && list.begin > p.head {
		return p, sqlError("22023", "journal %s begins at %d, above its place %d in the cut", p.journal, list.begin, p.head)
	}
	p.begin = min(list.begin, p.head)
	var listed []fragments.Fragment
	for _, f := range list.fragments {
		if f.GetBegin() < p.head {
			listed = append(listed, fragments.FragmentFromProto(f))
		}
	}
	whole := p
	if how.narrow != nil {
		var err error
		if p.begin, p.head, err = how.narrow.part(ctx, p, listed); err != nil {
			return p, err
		}
		p.part = p.begin != whole.begin || p.head != whole.head
	}
	p.pieces = planJournal(p.begin, p.head, g.storedFragments(listed, how), how.decodeAll)
	if how.tell {
		p.shares = sharesOf(whole, p, listed)
	}
	return p, nil
}

// storedFragments are those of listed ones that are stored, and what is known of them, in their order.
func (g *Gateway) storedFragments(listed []fragments.Fragment, how reading) []storedFragment {
	var out []storedFragment
	for _, f := range listed {
		if f.Store == "" {
			continue
		}
		s := storedFragment{Fragment: f}
		if path, ok := g.files.find(f); ok && !how.decodeAll && !how.gone[path] {
			if proof, known := g.proofs.get(f, path, how.schema, how.fingerprint); known {
				s.Clean, s.Terminated = proof.Clean && proof.EndsInNewline, proof.EndsInNewline
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b storedFragment) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End))
	})
	return out
}
