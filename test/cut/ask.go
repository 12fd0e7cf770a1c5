package cut

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// spansOf is the question that most shapes ask of a relation: what there is of each journal.
const spansOf = "SELECT j, count(*), min(seq), max(seq), sum(seq)::bigint FROM %s GROUP BY j"

// joined has every row that two mentions of the table share, and one that breaks all rules for each that only one has.
const joined = "(SELECT coalesce(a.j, b.j) AS j, CASE WHEN a.seq IS NULL OR b.seq IS NULL THEN -1000000000 ELSE a.seq END AS seq" +
	" FROM t a FULL JOIN (SELECT j, seq FROM t WHERE _offset >= 0) b ON a.j = b.j AND a.seq = b.seq) x"

// answer is what there is of each journal.
type answer map[int64]span

// shape is a way to ask. What it returns was answered one after the other.
type shape func(context.Context, *pgx.Conn) ([]answer, error)

// shapes are the ways in which the table is asked.
func shapes() map[string]shape {
	grouped := func(from string) shape {
		return func(ctx context.Context, c *pgx.Conn) ([]answer, error) {
			a, err := spans(ctx, c, fmt.Sprintf(spansOf, from))
			return []answer{a}, err
		}
	}
	return map[string]shape{
		"in place":    grouped("t"),
		"decoded":     grouped("(SELECT j, seq FROM t WHERE _offset >= 0) d"),
		"rows":        rowByRow,
		"joined":      grouped(joined),
		"transaction": inTransaction,
		"as of":       asOf,
	}
}

func spans(ctx context.Context, c *pgx.Conn, sql string) (answer, error) {
	rows, err := c.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := answer{}
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
func rowByRow(ctx context.Context, c *pgx.Conn) ([]answer, error) {
	rows, err := c.Query(ctx, "SELECT j, seq, _journal, _offset FROM t ORDER BY j, _offset")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out, offsets := answer{}, map[int64]int64{}
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
	return []answer{out}, rows.Err()
}

// inTransaction asks twice at one cut.
func inTransaction(ctx context.Context, c *pgx.Conn) ([]answer, error) {
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	first, err := spans(ctx, tx.Conn(), fmt.Sprintf(spansOf, "t"))
	var second answer
	if err == nil {
		second, err = spans(ctx, tx.Conn(), fmt.Sprintf(spansOf, "(SELECT j, seq FROM t WHERE _offset >= 0) d"))
	}
	if err == nil && !maps.Equal(first, second) {
		err = &wrongError{fmt.Sprintf("%+v, and then %+v in one transaction", first, second)}
	}
	return []answer{first}, errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
}

// asOf asks once more for the cut that was read: all that isn't gone since.
func asOf(ctx context.Context, c *pgx.Conn) ([]answer, error) {
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
	for j, s := range first {
		if second[j].count > 0 && second[j].most != s.most { // that all of it may be gone is for the verdict to say
			return nil, &wrongError{fmt.Sprintf("journal %d: %+v, and then %+v at the same cut", j, s, second[j])}
		}
	}
	return []answer{first, second}, nil
}

// wrongError is of an answer that breaks a rule; other errors are of queries that failed.
type wrongError struct{ what string }

// Error says which.
func (e *wrongError) Error() string { return e.what }

// asker is one session.
type asker struct {
	url     string
	ledgers []*ledger
	keep    time.Duration // how long rows have to be there
	tally   *tally
	rand    *rand.Rand
}

// ask until enough was asked, or ctx is done. The error is of the first wrong answer.
func (a *asker) ask(ctx context.Context) error {
	all := shapes()
	names := slices.Sorted(maps.Keys(all))
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	seen := make([]span, len(a.ledgers))
	for ctx.Err() == nil && !a.tally.enough() {
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
func (a *asker) once(ctx context.Context, conn *pgx.Conn, name string, ask shape, seen []span) error {
	verdicts := make([]verdict, len(a.ledgers))
	for j, l := range a.ledgers {
		verdicts[j].floor = l.acknowledged()
	}
	answers, err := ask(ctx, conn)
	if err != nil {
		return err
	}
	ended := time.Now()
	for j, l := range a.ledgers {
		v := verdicts[j]
		v.old, v.sent = l.allowed(ended.Add(-a.keep))
		for _, answer := range answers {
			v.seen = seen[j]
			s := answer[int64(j)]
			if err := v.check(s); err != nil {
				return &wrongError{fmt.Sprintf("journal %d: %v", j, err)}
			}
			if s.count > 0 {
				seen[j] = s
			}
		}
	}
	a.tally.note(name, answers)
	return nil
}
