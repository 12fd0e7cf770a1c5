package cut

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// spansOf is the question that most shapes ask of a relation: what there is of each journal.
const spansOf = "SELECT j, count(*), min(seq), max(seq), sum(seq)::bigint FROM %s GROUP BY j"

// shapes are the ways in which the table is asked. Each returns what there is of each journal, from one cut; some ask
// more than once.
func shapes() map[string]func(context.Context, *pgx.Conn) (map[int64]span, error) {
	grouped := func(from string, args ...any) func(context.Context, *pgx.Conn) (map[int64]span, error) {
		return func(ctx context.Context, c *pgx.Conn) (map[int64]span, error) {
			return spans(ctx, c, fmt.Sprintf(spansOf, from), args...)
		}
	}
	return map[string]func(context.Context, *pgx.Conn) (map[int64]span, error){
		"in place":    grouped("t"),
		"decoded":     grouped("(SELECT j, seq FROM t WHERE _offset >= 0) d"),
		"rows":        rowByRow,
		"joined":      grouped("(SELECT a.j, a.seq FROM t a FULL JOIN t b ON a.j = b.j AND a.seq = b.seq WHERE b.seq IS NOT NULL AND a.seq IS NOT NULL UNION ALL SELECT coalesce(a.j, b.j), -1000000000 FROM t a FULL JOIN t b ON a.j = b.j AND a.seq = b.seq WHERE a.seq IS NULL OR b.seq IS NULL) x"),
		"transaction": inTransaction,
		"as of":       asOf,
	}
}

func spans(ctx context.Context, c *pgx.Conn, sql string, args ...any) (map[int64]span, error) {
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	out := map[int64]span{}
	for rows.Next() {
		var j int64
		var s span
		if err := rows.Scan(&j, &s.count, &s.least, &s.most, &s.sum); err != nil {
			return nil, err
		}
		if _, twice := out[j]; twice {
			return nil, &wrongError{fmt.Sprintf("journal %d is answered twice", j)}
		}
		out[j] = s
	}
	return out, rows.Err()
}

// rowByRow takes the rows themselves, with where they stand.
func rowByRow(ctx context.Context, c *pgx.Conn) (map[int64]span, error) {
	rows, err := c.Query(ctx, "SELECT j, seq, _journal, _offset FROM t ORDER BY j, _offset")
	if err != nil {
		return nil, err
	}
	out, offsets := map[int64]span{}, map[int64]int64{}
	for rows.Next() {
		var j, seq, offset int64
		var journal string
		if err := rows.Scan(&j, &seq, &journal, &offset); err != nil {
			return nil, err
		}
		s, ok := out[j]
		if !ok {
			s.least = seq
		}
		if ok && (seq != s.most+1 || offset <= offsets[j]) || !strings.HasSuffix(journal, fmt.Sprintf("/%d", j)) {
			return nil, &wrongError{fmt.Sprintf("journal %s: row %d at %d after row %d at %d", journal, seq, offset, s.most, offsets[j])}
		}
		s.count, s.most, s.sum = s.count+1, seq, s.sum+seq
		out[j], offsets[j] = s, offset
	}
	return out, rows.Err()
}

// inTransaction asks twice at one cut.
func inTransaction(ctx context.Context, c *pgx.Conn) (map[int64]span, error) {
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	first, err := spans(ctx, c, fmt.Sprintf(spansOf, "t"))
	var second map[int64]span
	if err == nil {
		second, err = spans(ctx, c, fmt.Sprintf(spansOf, "(SELECT j, seq FROM t WHERE _offset >= 0) d"))
	}
	if err == nil {
		err = same(first, second)
	}
	return first, errors.Join(err, tx.Rollback(ctx))
}

// asOf asks once more for the cut that was read.
func asOf(ctx context.Context, c *pgx.Conn) (map[int64]span, error) {
	first, err := spans(ctx, c, fmt.Sprintf(spansOf, "t"))
	if err != nil {
		return nil, err
	}
	var at string
	if err := c.QueryRow(ctx, "SHOW broadsheet.last_cut").Scan(&at); err != nil {
		return nil, err
	}
	second, err := spans(ctx, c, fmt.Sprintf(spansOf, "t AS OF CUT '"+at+"'"))
	if err != nil {
		return nil, err
	}
	return first, same(first, second)
}

// same fails unless two answers of one cut are.
func same(first, second map[int64]span) error {
	if !maps.Equal(first, second) {
		return &wrongError{fmt.Sprintf("%+v, and then %+v at the same cut", first, second)}
	}
	return nil
}

// wrongError is of an answer that breaks a rule; other errors are of queries that failed.
type wrongError struct{ what string }

// Error says which.
func (e *wrongError) Error() string { return e.what }

// tally counts what was asked.
type tally struct {
	asked, failed atomic.Int64
	rows          atomic.Int64

	mu     sync.Mutex
	shapes map[string]int
	errors map[string]int
}

func (t *tally) note(shape string, answer map[int64]span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shapes[shape]++
	for _, s := range answer {
		t.rows.Add(s.count)
	}
}

func (t *tally) fail(err error) {
	t.failed.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors[fmt.Sprintf("%.80s", err.Error())]++
}

// asker is one session.
type asker struct {
	url     string
	ledgers []*ledger
	tally   *tally
	most    int64 // queries of all askers
	rand    *rand.Rand
}

// ask until enough was asked, or ctx is done. The error is of the first wrong answer.
func (a *asker) ask(ctx context.Context) error {
	all := shapes()
	var names []string
	for name := range all {
		names = append(names, name)
	}
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	seen := make([]span, len(a.ledgers))
	for ctx.Err() == nil && a.tally.asked.Load() < a.most {
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(ctx, a.url); err != nil {
				return err
			}
		}
		name := names[a.rand.IntN(len(names))]
		err := a.once(ctx, conn, name, all[name], seen)
		var wrong *wrongError
		switch {
		case errors.As(err, &wrong):
			return fmt.Errorf("%s: %w", name, err)
		case ctx.Err() != nil:
			return nil
		case err != nil:
			a.tally.fail(err)
		}
	}
	return nil
}

// once asks, and checks the answer.
func (a *asker) once(ctx context.Context, conn *pgx.Conn, name string, shape func(context.Context, *pgx.Conn) (map[int64]span, error), seen []span) error {
	verdicts := make([]verdict, len(a.ledgers))
	for j, l := range a.ledgers {
		acked, _ := l.bounds()
		verdicts[j] = verdict{floor: acked, seen: seen[j]}
	}
	answer, err := shape(ctx, conn)
	if err != nil {
		return err
	}
	a.tally.asked.Add(1)
	a.tally.note(name, answer)
	for j, l := range a.ledgers {
		v := verdicts[j]
		_, v.sent = l.bounds()
		s := answer[int64(j)]
		if err := v.check(s); err != nil {
			return &wrongError{fmt.Sprintf("journal %d: %v", j, err)}
		}
		seen[j] = s
	}
	return nil
}
