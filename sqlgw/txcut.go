package sqlgw

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/catalog"
)

// transactionCut is the one cut of a transaction that is REPEATABLE READ or READ ONLY. It has the heads
// of all tables' journals, because nobody knows which of them the transaction will read.
type transactionCut struct {
	heads  cut
	failed map[string]error // why a head isn't known
	begins fixedBegins      // of the journals that were read
}

// othersGrace is how long a transaction's first statement waits for the heads of journals that it
// doesn't read, once it has those that it does.
const othersGrace = time.Second

// cutFor is where a statement that reads these journals is evaluated.
func (s *session) cutFor(ctx context.Context, snap *catalog.Snapshot, journals []string) (cut, error) {
	head := s.heads()
	if s.tx == nil || !s.tx.modes.oneCut() {
		return gatherCut(ctx, journals, head)
	}
	if s.tx.at == nil {
		if len(journals) == 0 {
			return cut{}, nil // it reads no tables yet
		}
		if !s.tx.block && !s.tx.many { // all that it reads is here
			return gatherCut(ctx, journals, head)
		}
		all, err := allJournals(ctx, snap)
		if err != nil {
			return nil, err
		}
		if s.tx.at, err = fixTransactionCut(ctx, journals, all, head); err != nil {
			return nil, err
		}
	}
	return s.tx.at.of(journals)
}

func allJournals(ctx context.Context, snap *catalog.Snapshot) ([]string, error) {
	var all []string
	for _, t := range snap.Tables() {
		journals, err := snap.Journals(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, journals...)
	}
	return all, nil
}

// fixTransactionCut asks for the heads of all journals. Those that are wanted have to answer; of the
// others it is noted if they don't in time.
func fixTransactionCut(ctx context.Context, wanted, all []string, head headOf) (*transactionCut, error) {
	c := &transactionCut{heads: cut{}, failed: map[string]error{}}
	var mu sync.Mutex
	ask := func(ctx context.Context, journal string) error {
		h, err := head(ctx, journal)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			c.failed[journal] = err
			return fmt.Errorf("cut of journal %s: %w", journal, err)
		}
		c.heads[journal] = h
		return nil
	}
	needed := map[string]bool{}
	first, firstCtx := errgroup.WithContext(ctx)
	first.SetLimit(journalFanout)
	for _, j := range wanted {
		if !needed[j] {
			needed[j] = true
			first.Go(func() error { return ask(firstCtx, j) })
		}
	}
	if err := first.Wait(); err != nil {
		return nil, err
	}
	restCtx, cancel := context.WithTimeout(ctx, othersGrace)
	defer cancel()
	var rest errgroup.Group
	rest.SetLimit(journalFanout)
	for _, j := range all {
		if !needed[j] {
			needed[j] = true
			rest.Go(func() error { _ = ask(restCtx, j); return nil })
		}
	}
	_ = rest.Wait()
	if ctx.Err() != nil { // the statement was ended, and not the others' grace: the next one asks all of them again
		return nil, context.Cause(ctx)
	}
	return c, nil
}

// of are the heads of some journals.
func (c *transactionCut) of(journals []string) (cut, error) {
	out := make(cut, len(journals))
	for _, j := range journals {
		head, ok := c.heads[j]
		if ok {
			out[j] = head
			continue
		}
		e := sqlError("40001", "journal %s was made after the transaction's cut", j)
		if err := c.failed[j]; err != nil {
			e = sqlError("40001", "journal %s isn't in the transaction's cut, because it didn't answer: %v", j, err)
		}
		return nil, hinted(e, "Begin the transaction again.")
	}
	return out, nil
}
