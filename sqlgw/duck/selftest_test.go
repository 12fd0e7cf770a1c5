package duck

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// TestSelfTestFinds has scans that return wrong rows without any error, as other ways
// into DuckDB do, and finds that the self-test notices each.
func TestSelfTestFinds(t *testing.T) {
	db, err := Open(t.Context(), Config{Threads: 2})
	require.NoError(t, err)
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	p := newProbe("")
	rows := func(from, to int) []int {
		var out []int
		for ; from < to; from++ {
			out = append(out, from)
		}
		return out
	}
	opened := 0
	for name, source := range map[string]func(project []int) Source{
		"columns in the table's order": func(project []int) Source {
			sorted := slices.Sorted(slices.Values(project))
			b := p.pick(sorted, rows(0, probeRows))
			for i, column := range project { // of the types that were asked for
				b.Cols[i].Type = p.columns[column].Type
				if checkLen(&b.Cols[i], b.Len) != nil {
					b.Cols[i] = pickRows(&p.vectors[column], make([]int, probeRows))
				}
			}
			return &oneBatch{b}
		},
		"a row is missing": func(project []int) Source { return &oneBatch{p.pick(project, rows(1, probeRows))} },
		"a row is double": func(project []int) Source {
			return &oneBatch{p.pick(project, append(rows(0, probeRows), 0))}
		},
		"no NULLs": func(project []int) Source {
			b := p.pick(project, rows(0, probeRows))
			for i := range b.Cols {
				b.Cols[i].Null = nil
			}
			return &oneBatch{b}
		},
		"one value is wrong": func(project []int) Source {
			b := p.pick(project, rows(0, probeRows))
			for i := range b.Cols {
				if b.Cols[i].F64 != nil {
					b.Cols[i].F64[2900]++
				}
			}
			return &oneBatch{b}
		},
		"the second scan is empty": func(project []int) Source {
			opened++
			if opened > len(p.columns)+4 {
				return &oneBatch{p.pick(project, nil)}
			}
			return &oneBatch{p.pick(project, rows(0, probeRows))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.name = fmt.Sprintf("liar%d", len(name))
			require.NoError(t, db.RegisterScan(p.name, func(string) (Scan, error) {
				return Scan{Columns: p.columns, Open: func(_ context.Context, project []int) (Source, error) {
					return source(project), nil
				}}, nil
			}))
			require.Error(t, p.check(t.Context(), c))
		})
	}
	p.name = "honest"
	require.NoError(t, db.RegisterScan(p.name, func(string) (Scan, error) { return p.scan(), nil }))
	require.NoError(t, p.check(t.Context(), c))
	require.NoError(t, db.Close())
}

// oneBatch is a source of a single batch.
type oneBatch struct{ batch *columnar.Batch }

func (s *oneBatch) Next(ctx context.Context) (*columnar.Batch, error) {
	if s.batch == nil {
		return (&probeSource{at: probeRows}).Next(ctx)
	}
	b := s.batch
	s.batch = nil
	return b, nil
}

func (*oneBatch) Close() error { return nil }
