package duck_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// open starts an instance that the test closes, with nothing left behind.
func open(tb testing.TB, config duck.Config) *duck.DB {
	tb.Helper()
	if config.Threads == 0 {
		config.Threads = 2
	}
	db, err := duck.Open(tb.Context(), config)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

func connect(tb testing.TB, db *duck.DB) *duck.Conn {
	tb.Helper()
	c, err := db.Conn(tb.Context())
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, c.Close()) })
	return c
}

// table is a scan for tests that counts what is done with its sources.
type table struct {
	columns []columnar.Column
	// next returns batch number n of the projection, from 0.
	next  func(ctx context.Context, project []int, n int) (*columnar.Batch, error)
	close func() error

	opened, closed, nexts atomic.Int64
	mu                    sync.Mutex
	projects              [][]int
}

func (tb *table) scan() duck.Scan {
	return duck.Scan{Columns: tb.columns, Open: func(_ context.Context, project []int) (duck.Source, error) {
		return tb.source(project), nil
	}}
}

func (tb *table) source(project []int) duck.Source {
	tb.opened.Add(1)
	tb.mu.Lock()
	tb.projects = append(tb.projects, project)
	tb.mu.Unlock()
	return &tableSource{table: tb, project: project}
}

type tableSource struct {
	table   *table
	project []int
	n       int
	closed  atomic.Bool
	busy    atomic.Bool
}

func (s *tableSource) Next(ctx context.Context) (*columnar.Batch, error) {
	if s.closed.Load() || !s.busy.CompareAndSwap(false, true) {
		panic("Next on a source that is closed or in another thread's hands")
	}
	defer s.busy.Store(false)
	s.table.nexts.Add(1)
	s.n++
	return s.table.next(ctx, s.project, s.n-1)
}

func (s *tableSource) Close() error {
	if !s.closed.CompareAndSwap(false, true) || s.busy.Load() {
		panic("Close on a source that is closed or in another thread's hands")
	}
	s.table.closed.Add(1)
	if s.table.close != nil {
		return s.table.close()
	}
	return nil
}

// register makes one token of a scan called name.
func register(tb testing.TB, db *duck.DB, name string, source *table) {
	tb.Helper()
	require.NoError(tb, db.RegisterScan(name, func(token string) (duck.Scan, error) {
		if token != "t" {
			return duck.Scan{}, fmt.Errorf("no token %q", token)
		}
		return source.scan(), nil
	}))
}

func column(name string, kind columnar.Kind) columnar.Column {
	return columnar.Column{Name: name, Type: columnar.Type{Kind: kind}}
}

// fixed is a table of given batches, each with all columns.
func fixed(columns []columnar.Column, batches ...*columnar.Batch) *table {
	return &table{columns: columns, next: func(_ context.Context, project []int, n int) (*columnar.Batch, error) {
		if n >= len(batches) {
			return nil, io.EOF
		}
		return projected(batches[n], project), nil
	}}
}

func projected(b *columnar.Batch, project []int) *columnar.Batch {
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(project))}
	for i, p := range project {
		out.Cols[i] = b.Cols[p]
	}
	return out
}

// numbers is a table of one bigint column n: 0, 1, 2, ... in batches of size, endless
// if batches is negative.
func numbers(size, batches int) *table {
	return &table{
		columns: []columnar.Column{column("n", columnar.Int64)},
		next: func(ctx context.Context, project []int, n int) (*columnar.Batch, error) {
			if n == batches {
				return nil, io.EOF
			}
			b := &columnar.Batch{Len: size, Cols: make([]columnar.Vector, len(project))}
			for i := range project {
				b.Cols[i] = int64s(n*size, size)
			}
			return b, ctx.Err()
		},
	}
}

func int64s(from, n int) columnar.Vector {
	v := columnar.Vector{Type: columnar.Type{Kind: columnar.Int64}, I64: make([]int64, n)}
	for i := range v.I64 {
		v.I64[i] = int64(from + i)
	}
	return v
}

func texts(values ...string) columnar.Vector {
	v := columnar.Vector{Type: columnar.Type{Kind: columnar.Text}, Str: columnar.Strings{Offsets: []uint32{0}}}
	for _, s := range values {
		v.Str.Bytes = append(v.Str.Bytes, s...)
		v.Str.Offsets = append(v.Str.Offsets, uint32(len(v.Str.Bytes)))
	}
	return v
}

// query returns all batches of a statement.
func query(ctx context.Context, c *duck.Conn, sql string, args *columnar.Batch) ([]*columnar.Batch, error) {
	s, err := c.Prepare(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	rows, err := s.Query(ctx, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var batches []*columnar.Batch
	for {
		b, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return batches, nil
		}
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
}

// count is the number of rows of batches.
func count(batches []*columnar.Batch) int {
	n := 0
	for _, b := range batches {
		n += b.Len
	}
	return n
}

// lines renders all rows of a statement, whose columns are text, or its error.
func lines(ctx context.Context, c *duck.Conn, sql string) string {
	batches, err := query(ctx, c, sql, nil)
	if failed, ok := errors.AsType[*duck.Error](err); ok {
		return fmt.Sprintf("%s %s: %s\n", failed.Class, failed.SQLSTATE, failed.Message)
	}
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var out strings.Builder
	for _, b := range batches {
		for row := range b.Len {
			for i := range b.Cols {
				if i > 0 {
					out.WriteString(" | ")
				}
				out.WriteString(cell(&b.Cols[i], row))
			}
			out.WriteByte('\n')
		}
	}
	if out.Len() == 0 {
		return "no rows\n"
	}
	return out.String()
}

func cell(v *columnar.Vector, row int) string {
	switch {
	case v.Null != nil && v.Null[row]:
		return "NULL"
	case v.Str.Offsets != nil:
		return fmt.Sprintf("%q", v.Str.Bytes[v.Str.Offsets[row]:v.Str.Offsets[row+1]])
	case v.Bools != nil:
		return strconv.FormatBool(v.Bools[row] != 0)
	case v.I16 != nil:
		return strconv.Itoa(int(v.I16[row]))
	case v.I32 != nil:
		return strconv.Itoa(int(v.I32[row]))
	case v.I64 != nil:
		return strconv.FormatInt(v.I64[row], 10)
	case v.F32 != nil:
		return fmt.Sprint(v.F32[row])
	case v.F64 != nil:
		return fmt.Sprint(v.F64[row])
	case v.I128 != nil:
		return fmt.Sprintf("%d:%d", v.I128[row].Hi, v.I128[row].Lo)
	default:
		return fmt.Sprint(v.Intervals[row])
	}
}

// one is the single bigint that a statement returns.
func one(tb testing.TB, c *duck.Conn, sql string) int64 {
	tb.Helper()
	batches, err := query(tb.Context(), c, sql, nil)
	require.NoError(tb, err)
	require.Len(tb, batches, 1)
	require.Equal(tb, 1, batches[0].Len)
	return batches[0].Cols[0].I64[0]
}
