package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// selfTestScan is the scan that the self-test registers; once Open has returned
// it refuses every token.
const selfTestScan = "broadsheet_self_test"

// selfTest asks DuckDB for rows that a scan gave it, in the ways in which it was seen to
// return wrong ones without error from other ways in (a column in another's place, filters
// and second scans forgotten), and compares with what Go computes.
func (d *DB) selfTest(ctx context.Context) error {
	c, err := d.Conn(ctx)
	if err != nil {
		return err
	}
	table := newProbe(selfTestScan)
	running := true
	err = d.RegisterScan(selfTestScan, func(string) (Scan, error) {
		if !running {
			return Scan{}, errors.New("no such scan")
		}
		return table.scan(), nil
	})
	if err == nil {
		err = errors.Join(table.check(ctx, c), d.checkOutside(ctx, c))
	}
	running = false
	if err != nil {
		err = fmt.Errorf("duck: self-test: %w", err)
	}
	return errors.Join(err, c.Close())
}

// checkOutside tells whether files that aren't the instance's are refused: the program's own.
func (d *DB) checkOutside(ctx context.Context, c *Conn) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	err = c.Exec(ctx, "SELECT size FROM read_blob("+quoteLiteral(literalPath(program))+")")
	var refused *Error
	if !errors.As(err, &refused) || refused.Class != ClassPermission {
		return fmt.Errorf("a file outside the fragment root isn't refused (is the program under it?): %w", err)
	}
	return nil
}

// scan reads the probe, in batches that don't end where DuckDB's do.
func (p *probe) scan() Scan {
	return Scan{
		Columns:     p.columns,
		Cardinality: probeRows,
		Open: func(_ context.Context, project []int) (Source, error) {
			return &probeSource{probe: p, project: project}, nil
		},
	}
}

type probeSource struct {
	probe   *probe
	project []int
	at      int
}

func (s *probeSource) Next(context.Context) (*columnar.Batch, error) {
	if s.at == probeRows {
		return nil, io.EOF
	}
	var rows []int
	for end := min(s.at+probeBatch, probeRows); s.at < end; s.at++ {
		rows = append(rows, s.at)
	}
	return s.probe.pick(s.project, rows), nil
}

func (*probeSource) Close() error { return nil }

// check runs the statements of the self-test.
func (p *probe) check(ctx context.Context, c *Conn) error {
	all, backwards := make([]int, len(p.columns)), make([]int, len(p.columns))
	rows := make([]int, probeRows)
	for i := range rows {
		rows[i] = i
	}
	var failures []error
	for i := range p.columns {
		all[i], backwards[len(all)-1-i] = i, i
		failures = append(failures, p.compare(ctx, c, p.sql([]int{i}, ""), p.pick([]int{i}, rows)))
	}
	failures = append(failures,
		p.compare(ctx, c, p.sql(all, ""), p.pick(all, rows)),
		p.compare(ctx, c, p.sql(backwards, ""), p.pick(backwards, rows)))

	var chosen []int
	for _, row := range rows {
		if p.number(row) > probeRows/2 && !p.isNull(probeText, row) {
			chosen = append(chosen, row)
		}
	}
	where := fmt.Sprintf("WHERE number > %d AND %s IS NOT NULL", probeRows/2, p.columns[probeText].Name)
	failures = append(failures, p.compare(ctx, c, p.sql(backwards, where), p.pick(backwards, chosen)),
		p.checkSums(ctx, c), p.checkJoin(ctx, c))
	return errors.Join(failures...)
}

func (p *probe) sql(project []int, where string) string {
	names := make([]string, len(project))
	for i, column := range project {
		names[i] = quoteIdent(p.columns[column].Name)
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + p.name + "('') " + where
}

// checkSums adds a column that isn't the first, by another that isn't.
func (p *probe) checkSums(ctx context.Context, c *Conn) error {
	counts, sums := map[int64]int64{}, map[int64]int64{}
	for row := range probeRows {
		group := p.number(row) % 5
		counts[group]++
		if !p.isNull(probeBig, row) {
			sums[group] += p.vectors[probeBig].I64[row]
		}
	}
	want := &columnar.Batch{Len: len(counts), Cols: make([]columnar.Vector, 3)}
	for i := range want.Cols {
		want.Cols[i].Type.Kind = columnar.Int64
	}
	for group := range int64(len(counts)) {
		for i, v := range []int64{group, counts[group], sums[group]} {
			want.Cols[i].I64 = append(want.Cols[i].I64, v)
		}
	}
	return p.compare(ctx, c, fmt.Sprintf(
		"SELECT (number %% 5)::BIGINT AS g, count(*), sum(%s)::BIGINT FROM %s('') GROUP BY 1 ORDER BY 1",
		p.columns[probeBig].Name, p.name), want)
}

// checkJoin reads the scan twice in one statement.
func (p *probe) checkJoin(ctx context.Context, c *Conn) error {
	want, sum := &columnar.Batch{Len: 1, Cols: make([]columnar.Vector, 2)}, int64(0)
	for row := range probeRows {
		sum += p.number(row)
	}
	for i, v := range []int64{probeRows, sum} {
		want.Cols[i] = columnar.Vector{Type: columnar.Type{Kind: columnar.Int64}, I64: []int64{v}}
	}
	return p.compare(ctx, c, fmt.Sprintf(
		"SELECT count(*), sum(b.number)::BIGINT FROM %s('') a JOIN %s('') b ON a.number = b.number",
		p.name, p.name), want)
}

// compare runs a statement and tells whether it returns want.
func (p *probe) compare(ctx context.Context, c *Conn, sql string, want *columnar.Batch) error {
	s, err := c.Prepare(ctx, sql)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	rows, err := s.Query(ctx, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", sql, err), s.Close())
	}
	at := 0
	for {
		got, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = sameRows(want, at, got)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", sql, err), rows.Close(), s.Close())
		}
		at += got.Len
	}
	if at != want.Len {
		err = fmt.Errorf("%s: %d rows, not %d", sql, at, want.Len)
	}
	return errors.Join(err, s.Close())
}

// sameRows tells whether got is the rows of want from at on.
func sameRows(want *columnar.Batch, at int, got *columnar.Batch) error {
	if at+got.Len > want.Len || len(got.Cols) != len(want.Cols) {
		return fmt.Errorf("%d rows of %d columns at row %d, of %d rows of %d columns", got.Len, len(got.Cols), at, want.Len, len(want.Cols))
	}
	for i := range want.Cols {
		for row := range got.Len {
			if !sameValue(&want.Cols[i], at+row, &got.Cols[i], row) {
				return fmt.Errorf("column %d differs at row %d", i+1, at+row)
			}
		}
	}
	return nil
}
