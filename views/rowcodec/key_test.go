package rowcodec_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/views/rowcodec"
)

// once is a source of one batch.
type once struct{ batch *columnar.Batch }

func (o *once) Next(context.Context) (*columnar.Batch, error) {
	if o.batch == nil {
		return nil, io.EOF
	}
	b := o.batch
	o.batch = nil
	return b, nil
}

func (*once) Close() error { return nil }

// TestKeys holds that two keys are equal where DuckDB's GROUP BY takes them for one, and nowhere else.
func TestKeys(t *testing.T) {
	db, err := duck.Open(t.Context(), duck.Config{Threads: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var now *columnar.Batch
	var columns []columnar.Column
	require.NoError(t, db.RegisterScan("rows_of", func(string) (duck.Scan, error) {
		return duck.Scan{Columns: columns, Open: func(_ context.Context, project []int) (duck.Source, error) {
			return &once{now.Project(project)}, nil
		}}, nil
	}))
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, typ := range types() {
		t.Run(typ.SQL(), func(t *testing.T) {
			columns = []columnar.Column{{Name: "i", Type: columnar.Type{Kind: columnar.Int64}}, {Name: "v", Type: typ}, {Name: "w", Type: typ}}
			grouped, err := conn.Prepare(t.Context(), "SELECT min(i) FROM rows_of('') GROUP BY v, w ORDER BY 1")
			require.NoError(t, err)
			defer func() { require.NoError(t, grouped.Close()) }()
			rapid.Check(t, func(rt *rapid.T) {
				const n = 40
				values := drawBatch(rt, []columnar.Type{typ, typ}, n)
				b := columnar.NewVectorBuilder(columns[0].Type)
				for i := range n {
					b.AppendInt64(int64(i))
				}
				now = &columnar.Batch{Len: n, Cols: append([]columnar.Vector{b.Vector()}, values.Cols...)}
				first := map[string]int64{}
				var groups []int64
				for i := range n {
					key := string(rowcodec.AppendKey(nil, values, 2, i))
					if _, ok := first[key]; !ok {
						first[key] = int64(i)
						groups = append(groups, int64(i))
					}
				}
				require.Equal(rt, groups, numbers(t, grouped))
			})
		})
	}
}

func numbers(t *testing.T, stmt *duck.Stmt) []int64 {
	rows, err := stmt.Query(t.Context(), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var out []int64
	for {
		b, err := rows.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out = append(out, b.Cols[0].I64...)
	}
}
