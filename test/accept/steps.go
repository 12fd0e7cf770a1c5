package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/test/system"
)

// acceptance is the state of a run.
type acceptance struct {
	server   *system.Server
	ledger   *ledger
	journals []string
	counts   atomic.Int64
}

// position is how far a door has come.
func (l *ledger) position(d door) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next[d]
}

func (r *acceptance) createTable(ctx context.Context) error {
	conn, err := r.server.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	// Small fragments, so that rolling and persisting go on all the time.
	_, err = conn.Exec(ctx, `CREATE TABLE accept (door TEXT NOT NULL, id BIGINT NOT NULL, note TEXT)
		WITH (journals = 2, fragment_length = '8MiB')`)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, "SELECT journal FROM bs_catalog.journals WHERE table_name = 'accept' ORDER BY journal")
	if err != nil {
		return err
	}
	r.journals, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(r.journals) != 2 {
		err = fmt.Errorf("the table has %d journals", len(r.journals))
	}
	return err
}

// loadWatched loads half of the records. A subscription that was opened before sees each
// once; counts taken meanwhile lie between what was acknowledged before and what had been
// sent after; counts taken when nothing is under way are exact.
func (r *acceptance) loadWatched(ctx context.Context) error {
	got := newSeen(r.ledger.target)
	sub, endSub := context.WithCancel(ctx)
	defer endSub()
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error { return r.subscribe(sub, got) })
	eg.Go(func() error {
		defer endSub()
		for _, share := range []float64{0.15, 0.3, 0.5} {
			if err := r.loadCounted(ctx, share); err != nil {
				return err
			}
		}
		return r.awaitSeen(ctx, got)
	})
	if err := eg.Wait(); err != nil {
		return err
	}
	say("  the subscription saw each of %d records once", got.rows)
	return nil
}

// loadCounted loads up to a share while counting, then counts exactly.
func (r *acceptance) loadCounted(ctx context.Context, share float64) error {
	loading, loaded := context.WithCancel(ctx)
	eg, ectx := errgroup.WithContext(ctx)
	eg.Go(func() error {
		defer loaded()
		return r.load(ectx, context.WithoutCancel(ectx), share)
	})
	eg.Go(func() error {
		for loading.Err() == nil {
			if err := r.countWithin(ectx); err != nil {
				return err
			}
		}
		return nil
	})
	if err := eg.Wait(); err != nil {
		return err
	}
	return r.countExactly(ctx)
}

// countWithin counts while records are under way.
func (r *acceptance) countWithin(ctx context.Context) error {
	least, _ := r.ledger.bounds()
	n, err := r.count(ctx, "SELECT count(*) FROM accept")
	if err != nil {
		return err
	}
	_, most := r.ledger.bounds()
	if n < least || n > most {
		return fmt.Errorf("count(*) is %d, while %d were acknowledged before and %d sent at the end", n, least, most)
	}
	r.counts.Add(1)
	return nil
}

// countExactly counts while nothing is under way, also what is distinct.
func (r *acceptance) countExactly(ctx context.Context) error {
	want := r.ledger.count()
	for _, q := range []string{"SELECT count(*) FROM accept", "SELECT count(*) FROM (SELECT DISTINCT door, id FROM accept) d"} {
		n, err := r.count(ctx, q)
		if err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		if n != want {
			return fmt.Errorf("%s is %d, and %d were acknowledged", q, n, want)
		}
		r.counts.Add(1)
	}
	say("  count(*) is %d, exactly", want)
	return nil
}

func (r *acceptance) count(ctx context.Context, query string) (int64, error) {
	conn, err := r.server.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var n int64
	err = conn.QueryRow(ctx, query).Scan(&n)
	return n, err
}

// subscribe notes what a subscription delivers, until ctx is done.
func (r *acceptance) subscribe(ctx context.Context, got *seen) error {
	conn, err := r.server.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	w := &seenWriter{got: got}
	_, err = conn.PgConn().CopyTo(ctx, w, "COPY (SUBSCRIBE TO accept) TO STDOUT")
	if w.err != nil {
		return w.err
	}
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return fmt.Errorf("subscription: %w", err)
}

// seenWriter takes the text of a COPY: door, id and note.
type seenWriter struct {
	got  *seen
	rest []byte
	err  error
}

// Write takes the next part of the text.
func (w *seenWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			break
		}
		if w.err = w.line(string(w.rest[:i])); w.err != nil {
			return 0, w.err
		}
		w.rest = w.rest[i+1:]
	}
	w.got.idle()
	return len(p), nil
}

func (w *seenWriter) line(line string) error {
	f := strings.Split(line, "\t")
	if len(f) != 3 {
		return fmt.Errorf("the subscription delivered the line %q", line)
	}
	id, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return err
	}
	for d := range doors {
		if d.String() == f[0] {
			return w.got.add(d, id)
		}
	}
	return fmt.Errorf("the subscription delivered a record of door %q", f[0])
}

// awaitSeen waits until the subscription has delivered all that was acknowledged.
func (r *acceptance) awaitSeen(ctx context.Context, got *seen) error {
	want := r.ledger.count()
	for {
		n, grown := got.state()
		if n >= want {
			if n > want {
				return fmt.Errorf("the subscription delivered %d records, and %d were acknowledged", n, want)
			}
			return nil
		}
		select {
		case <-grown:
		case <-time.After(60 * time.Second):
			return fmt.Errorf("the subscription delivered %d of %d records and no more for a minute", n, want)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// loadAndKill kills the server three times under load. Every acknowledged record is there
// afterwards; batches whose outcome isn't known are there wholly or not at all.
func (r *acceptance) loadAndKill(ctx context.Context) error {
	for round := range 3 {
		stop, kill := context.WithCancel(ctx)
		from := r.ledger.count()
		eg, ectx := errgroup.WithContext(ctx)
		eg.Go(func() error { return r.load(ectx, stop, 0.6+0.1*float64(round)) })
		eg.Go(func() error {
			defer kill()
			if err := r.awaitAcked(ectx, from+r.perRound()); err != nil {
				return err
			}
			kill()
			r.server.Kill()
			return nil
		})
		if err := eg.Wait(); err != nil {
			return err
		}
		at := time.Now()
		if err := r.server.Restart(ctx); err != nil {
			return err
		}
		say("  killed and started again in %.2f s", time.Since(at).Seconds())
		if err := r.settle(ctx); err != nil {
			return err
		}
		if err := r.countExactly(ctx); err != nil {
			return err
		}
	}
	return nil
}

// perRound is after how many records of a round the server is killed.
func (r *acceptance) perRound() int64 {
	var all int64
	for _, n := range r.ledger.target {
		all += n
	}
	return all / 20
}

func (r *acceptance) awaitAcked(ctx context.Context, n int64) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.ledger.count() < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// settle finds out about batches whose outcome isn't known, and sends those again that
// aren't there.
func (r *acceptance) settle(ctx context.Context) error {
	unknown := r.ledger.takeUnknown()
	applied := 0
	for _, b := range unknown {
		n, err := r.count(ctx, fmt.Sprintf("SELECT count(*) FROM accept WHERE door = '%s' AND id >= %d AND id < %d", b.door, b.first, b.first+b.n))
		switch {
		case err != nil:
			return err
		case n == b.n:
			applied++
			r.ledger.found(b)
		case n != 0:
			return fmt.Errorf("%d of the %d records of an append by %s are there: it is torn", n, b.n, b.door)
		default:
			if err := r.resend(ctx, b); err != nil {
				return err
			}
		}
	}
	say("  %d appends were under way: %d applied, %d not, none torn", len(unknown), applied, len(unknown)-applied)
	return nil
}

func (r *acceptance) resend(ctx context.Context, b batch) error {
	w, err := r.writer(ctx, b.door)
	if err != nil {
		return err
	}
	defer w.close()
	r.ledger.again(b)
	err = w.send(ctx, b)
	r.ledger.done(b, err)
	return err
}

func (r *acceptance) loadRest(ctx context.Context) error { return r.loadCounted(ctx, 1) }

// finish reads everything once more by a new subscription, and looks into the store.
func (r *acceptance) finish(ctx context.Context) error {
	if err := r.countExactly(ctx); err != nil {
		return err
	}
	got := newSeen(r.ledger.target)
	sub, endSub := context.WithCancel(ctx)
	defer endSub()
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error { return r.subscribe(sub, got) })
	eg.Go(func() error {
		defer endSub()
		return r.awaitSeen(ctx, got)
	})
	if err := eg.Wait(); err != nil {
		return err
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(r.server.Dir, "fragments"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(d.Name(), ".zst") {
			files++
		}
		return err
	})
	if err != nil {
		return err
	}
	if files == 0 {
		return errors.New("nothing was persisted")
	}
	say("  a new subscription saw each of %d records once; %d fragments are in the store", got.rows, files)
	return nil
}
