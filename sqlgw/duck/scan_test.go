package duck_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

var errSource = errors.New("the source broke")

// oneColumn is a table with a single batch, of a single column c.
func oneColumn(v columnar.Vector, n int) *table {
	return fixed([]columnar.Column{{Name: "c", Type: v.Type}}, &columnar.Batch{Len: n, Cols: []columnar.Vector{v}})
}

// TestSourceErrors breaks a scan at each step: the statement fails with the very error,
// the source is closed once if it was opened, and the connection goes on.
func TestSourceErrors(t *testing.T) {
	db := open(t, duck.Config{})
	broken := func(change func(*table)) *table {
		tb := numbers(3000, 3)
		change(tb)
		return tb
	}
	next := func(f func(n int) (*columnar.Batch, error)) *table {
		tb := numbers(3000, 3)
		plain := tb.next
		tb.next = func(ctx context.Context, project []int, n int) (*columnar.Batch, error) {
			if n < 2 {
				return plain(ctx, project, n)
			}
			return f(n)
		}
		return tb
	}
	int64Type := columnar.Type{Kind: columnar.Int64}
	for name, test := range map[string]struct {
		table *table
		is    error
		panic string
		says  string
	}{
		"error of next":  {table: next(func(int) (*columnar.Batch, error) { return nil, errSource }), is: errSource},
		"panic in next":  {table: next(func(int) (*columnar.Batch, error) { panic("oh") }), panic: "oh"},
		"nil batch":      {table: next(func(int) (*columnar.Batch, error) { return nil, nil }), panic: "nil pointer"}, //nolint:nilnil // what is tested
		"error of close": {table: broken(func(tb *table) { tb.close = func() error { return errSource } }), is: errSource},
		"panic in close": {table: broken(func(tb *table) { tb.close = func() error { panic("oh") } }), panic: "oh"},
		"too few columns": {
			table: next(func(int) (*columnar.Batch, error) { return &columnar.Batch{Len: 3}, nil }),
			says:  "0 columns, 1 were asked for",
		},
		"another type": {
			table: next(func(int) (*columnar.Batch, error) {
				return &columnar.Batch{Len: 1, Cols: []columnar.Vector{texts("a")}}, nil
			}), says: "another type",
		},
		"too few values": {
			table: next(func(int) (*columnar.Batch, error) {
				return &columnar.Batch{Len: 3, Cols: []columnar.Vector{{Type: int64Type, I64: []int64{1}}}}, nil
			}), says: "1 values and 0 null marks for 3 rows",
		},
		"too few null marks": {
			table: next(func(int) (*columnar.Batch, error) {
				return &columnar.Batch{Len: 1, Cols: []columnar.Vector{{Type: int64Type, I64: []int64{1}, Null: []bool{}}}}, nil
			}), says: "1 values and 0 null marks for 1 rows",
		},
		"values elsewhere": {
			table: next(func(int) (*columnar.Batch, error) {
				return &columnar.Batch{Len: 1, Cols: []columnar.Vector{{Type: int64Type, I32: []int32{1}}}}, nil
			}), says: "0 values",
		},
	} {
		t.Run(name, func(t *testing.T) {
			scan := strings.ReplaceAll("s "+name, " ", "_")
			register(t, db, scan, test.table)
			c := connect(t, db)
			for _, sql := range []string{"SELECT n FROM %s('t')", "SELECT sum(n) FROM %s('t')", "SELECT a.n FROM %[1]s('t') a JOIN %[1]s('t') b USING (n)"} {
				_, err := query(t.Context(), c, fmt.Sprintf(sql, scan), nil)
				require.Error(t, err)
				var panicked *duck.PanicError
				require.Equal(t, test.panic != "", errors.As(err, &panicked))
				if panicked != nil {
					require.Contains(t, panicked.Error(), test.panic)
					require.NotEmpty(t, panicked.Stack)
				}
				if test.is != nil {
					require.ErrorIs(t, err, test.is)
				}
				require.ErrorContains(t, err, test.says)
				require.Equal(t, test.table.opened.Load(), test.table.closed.Load())
				require.EqualValues(t, 1, one(t, c, "SELECT 1::BIGINT"))
			}
			require.Positive(t, test.table.opened.Load())
		})
	}
}

// TestBadValues offers values that would break DuckDB, or that it can't hold.
func TestBadValues(t *testing.T) {
	db := open(t, duck.Config{})
	typed := func(kind columnar.Kind) columnar.Type { return columnar.Type{Kind: kind} }
	text := func(kind columnar.Kind, s string, offsets ...uint32) columnar.Vector {
		return columnar.Vector{Type: typed(kind), Str: columnar.Strings{Offsets: append([]uint32{0}, offsets...), Bytes: []byte(s)}}
	}
	for i, test := range []struct {
		v    columnar.Vector
		says string
	}{
		{columnar.Vector{Type: typed(columnar.Bool), Bools: []uint8{2}}, "neither 0 nor 1"},
		{columnar.Vector{Type: typed(columnar.Date), I32: []int32{math.MinInt32}}, "the date"},
		{columnar.Vector{Type: typed(columnar.Time), I64: []int64{-1}}, "the time of day"},
		{columnar.Vector{Type: typed(columnar.Time), I64: []int64{86_400_000_001}}, "the time of day"},
		{columnar.Vector{Type: typed(columnar.Timestamp), I64: []int64{math.MinInt64}}, "the timestamp"},
		{columnar.Vector{Type: typed(columnar.TimestampTZ), I64: []int64{-math.MaxInt64 + 1}}, "the timestamp"},
		{columnar.Vector{Type: columnar.Type{Kind: columnar.Decimal, Precision: 4}, I128: []columnar.Int128{{Lo: 10000}}}, "more than 4 digits"},
		{columnar.Vector{Type: columnar.Type{Kind: columnar.Decimal, Precision: 9}, I128: []columnar.Int128{int128("-1000000000")}}, "more than 9 digits"},
		{columnar.Vector{Type: columnar.Type{Kind: columnar.Decimal, Precision: 38}, I128: []columnar.Int128{{Hi: math.MinInt64}}}, "more than 38 digits"},
		{text(columnar.Text, "\xff", 1), "valid UTF-8"},
		{text(columnar.JSON, "\xc3", 1), "valid UTF-8"},
		{text(columnar.Varchar, "é", 1), "valid UTF-8"},
		{text(columnar.Text, "abc", 4), "behind its 3 bytes"},
	} {
		t.Run(test.says, func(t *testing.T) {
			name := fmt.Sprint("bad", i)
			register(t, db, name, oneColumn(test.v, 1))
			c := connect(t, db)
			_, err := query(t.Context(), c, fmt.Sprintf("SELECT c FROM %s('t')", name), nil)
			require.ErrorContains(t, err, test.says)
			_, err = query(t.Context(), c, "SELECT $1", &columnar.Batch{Len: 1, Cols: []columnar.Vector{test.v}})
			require.ErrorContains(t, err, test.says)
		})
	}
	half := text(columnar.Text, "éa", 1, 3)
	register(t, db, "half", oneColumn(half, 2))
	_, err := query(t.Context(), connect(t, db), "SELECT c FROM half('t')", nil)
	require.ErrorContains(t, err, "begins inside a character")
	backwards := text(columnar.Bytea, "abc", 3, 1, 3)
	register(t, db, "backwards", oneColumn(backwards, 3))
	_, err = query(t.Context(), connect(t, db), "SELECT c FROM backwards('t')", nil)
	require.ErrorContains(t, err, "go backwards")
}

func TestBindErrors(t *testing.T) {
	db := open(t, duck.Config{})
	c := connect(t, db)
	open := numbers(1, 1).scan().Open
	for name, test := range map[string]struct {
		scan duck.Scan
		err  error
		says string
	}{
		"refused":      {err: errSource, says: "broke"},
		"nothing":      {says: "needs columns"},
		"no columns":   {scan: duck.Scan{Open: open}, says: "needs columns"},
		"no open":      {scan: duck.Scan{Columns: numbers(1, 1).columns}, says: "needs columns"},
		"unknown kind": {scan: duck.Scan{Columns: []columnar.Column{column("n", 0)}, Open: open}, says: "kind 0"},
		"bad decimal": {scan: duck.Scan{Columns: []columnar.Column{{Name: "n", Type: columnar.Type{
			Kind: columnar.Decimal, Precision: 39,
		}}}, Open: open}, says: "numeric(39,0)"},
		"open fails": {scan: duck.Scan{
			Columns: numbers(1, 1).columns,
			Open:    func(context.Context, []int) (duck.Source, error) { return nil, errSource },
		}, err: errSource, says: "open"},
		"open panics": {scan: duck.Scan{
			Columns: numbers(1, 1).columns,
			Open:    func(context.Context, []int) (duck.Source, error) { panic("oh") },
		}, says: "panic: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			scan := strings.ReplaceAll("s "+name, " ", "_")
			require.NoError(t, db.RegisterScan(scan, func(string) (duck.Scan, error) {
				if test.scan.Columns == nil && test.scan.Open == nil {
					return test.scan, test.err
				}
				return test.scan, nil
			}))
			_, err := query(t.Context(), c, fmt.Sprintf("SELECT n FROM %s('')", scan), nil)
			require.ErrorContains(t, err, test.says)
			if test.err != nil {
				require.ErrorIs(t, err, test.err)
			}
		})
	}
	require.NoError(t, db.RegisterScan("panics", func(string) (duck.Scan, error) { panic("oh") }))
	_, err := c.Prepare(t.Context(), "SELECT * FROM panics('')")
	var panicked *duck.PanicError
	require.ErrorAs(t, err, &panicked)
	require.ErrorContains(t, db.RegisterScan("Panics", nil), "taken")
	require.NoError(t, db.Close())
	require.ErrorIs(t, db.RegisterScan("late", nil), duck.ErrClosed)
}

// TestProjection asks for columns in every way and finds which are read.
func TestProjection(t *testing.T) {
	db := open(t, duck.Config{})
	b := &columnar.Batch{Len: 3, Cols: []columnar.Vector{int64s(0, 3), texts("x", "y", "z"), int64s(10, 3)}}
	tb := fixed([]columnar.Column{column("a", columnar.Int64), column("b", columnar.Text), column("c", columnar.Int64)}, b)
	register(t, db, "abc", tb)
	c := connect(t, db)
	for _, test := range []struct {
		sql  string
		want string
		read [][]int
	}{
		{"SELECT count(*) FROM abc('t')", "3\n", [][]int{{0}}},
		{"SELECT 1 FROM abc('t')", "1\n1\n1\n", [][]int{{0}}},
		{"SELECT c FROM abc('t')", "10\n11\n12\n", [][]int{{2}}},
		{"SELECT c, a FROM abc('t')", "10 | 0\n11 | 1\n12 | 2\n", [][]int{{2, 0}}},
		{"SELECT b FROM abc('t') WHERE c = 11", "\"y\"\n", [][]int{{2, 1}}},
		{"SELECT a.b FROM abc('t') a JOIN abc('t') b ON b.a = a.a AND a.a = 2", "\"z\"\n", [][]int{{0, 1}, {0}}},
		{"SELECT a FROM abc('t') ORDER BY c DESC LIMIT 1", "2\n", [][]int{{2, 0}}},
		{"WITH w AS (SELECT * FROM abc('t')) SELECT b FROM w WHERE a = 0 UNION ALL SELECT b FROM w WHERE a = 2", "\"x\"\n\"z\"\n", nil},
		{"SELECT b FROM abc('t') WHERE a IN (SELECT c - 10 FROM abc('t') WHERE c > 10)", "\"y\"\n\"z\"\n", nil},
	} {
		tb.projects = nil
		require.Equal(t, test.want, lines(t.Context(), c, test.sql), test.sql)
		if test.read != nil {
			slices.SortFunc(tb.projects, func(a, b []int) int { return len(b) - len(a) })
			require.ElementsMatch(t, test.read, sorted(tb.projects, test.read), test.sql)
		}
		require.Equal(t, tb.opened.Load(), tb.closed.Load())
	}
	// The same statement again: bound once, opened each time.
	s, err := c.Prepare(t.Context(), "SELECT sum(c)::BIGINT FROM abc('t') WHERE a >= $1")
	require.NoError(t, err)
	for i, want := range []int64{33, 23, 12} {
		rows, err := s.Query(t.Context(), &columnar.Batch{Len: 1, Cols: []columnar.Vector{int64s(i, 1)}})
		require.NoError(t, err)
		got, err := rows.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got.Cols[0].I64[0])
		require.NoError(t, rows.Close())
	}
}

// sorted puts projections in the order of want where they hold the same columns, since
// the order of columns within one is DuckDB's choice.
func sorted(got, want [][]int) [][]int {
	out := make([][]int, len(got))
	for i, g := range got {
		out[i] = g
		for _, w := range want {
			a, b := slices.Clone(g), slices.Clone(w)
			slices.Sort(a)
			slices.Sort(b)
			if slices.Equal(a, b) {
				out[i] = w
			}
		}
	}
	return out
}

// TestParts reads a scan of several sources with several threads: every row once.
func TestParts(t *testing.T) {
	db := open(t, duck.Config{Threads: 4})
	tb := numbers(1500, 20)
	var parts atomic.Int64
	require.NoError(t, db.RegisterScan("parts", func(string) (duck.Scan, error) {
		return duck.Scan{Columns: tb.columns, Cardinality: 1 << 40, OpenParts: func(_ context.Context, project []int) ([]duck.Source, error) {
			sources := make([]duck.Source, parts.Load())
			for i := range sources {
				sources[i] = tb.source(project)
			}
			return sources, nil
		}}, nil
	}))
	c := connect(t, db)
	const sum = (20*1500 - 1) * (20 * 1500) / 2
	for _, n := range []int64{0, 1, 2, 3, 7, 40} {
		parts.Store(n)
		require.Equal(t, 30000*n, one(t, c, "SELECT count(*) FROM parts('')"))
		if n > 0 {
			require.Equal(t, sum*n, one(t, c, "SELECT sum(n)::BIGINT FROM parts('')"))
		}
		require.Equal(t, 30000*n, one(t, c, "SELECT coalesce(sum(k), 0)::BIGINT FROM (SELECT n, count(*) k FROM parts('') GROUP BY n)"))
		got, err := query(t.Context(), c, "SELECT n FROM parts('')", nil)
		require.NoError(t, err)
		require.EqualValues(t, 30000*n, count(got))
		got, err = query(t.Context(), c, "SELECT n FROM parts('') LIMIT 10", nil)
		require.NoError(t, err)
		require.EqualValues(t, min(10, 30000*n), count(got))
		require.Equal(t, tb.opened.Load(), tb.closed.Load(), "%d parts", n)
	}
	// A part that fails ends the others.
	plain := tb.next
	var calls atomic.Int64
	tb.next = func(ctx context.Context, project []int, n int) (*columnar.Batch, error) {
		if calls.Add(1) == 50 {
			return nil, errSource
		}
		return plain(ctx, project, n)
	}
	parts.Store(8)
	_, err := query(t.Context(), c, "SELECT sum(n) FROM parts('')", nil)
	require.ErrorIs(t, err, errSource)
	require.Equal(t, tb.opened.Load(), tb.closed.Load())
}

// TestEmptyScan has sources and batches without rows.
func TestEmptyScan(t *testing.T) {
	db := open(t, duck.Config{})
	empty := func() *columnar.Batch { return &columnar.Batch{Cols: []columnar.Vector{int64s(0, 0)}} }
	register(t, db, "nothing", fixed(numbers(0, 0).columns))
	register(t, db, "gaps", fixed(numbers(0, 0).columns, empty(), empty(), &columnar.Batch{Len: 2, Cols: []columnar.Vector{int64s(5, 2)}}, empty()))
	c := connect(t, db)
	require.Equal(t, "no rows\n", lines(t.Context(), c, "SELECT * FROM nothing('t')"))
	require.Equal(t, "0 | NULL\n", lines(t.Context(), c, "SELECT count(*), sum(n)::BIGINT FROM nothing('t')"))
	require.Equal(t, "5\n6\n", lines(t.Context(), c, "SELECT * FROM gaps('t')"))
}

// TestManyScansAtOnce runs scans on several connections, with threads fewer than those.
func TestManyScansAtOnce(t *testing.T) {
	db := open(t, duck.Config{Threads: 2})
	tb := numbers(777, 50)
	register(t, db, "numbers", tb)
	results := make(chan error)
	const sessions = 8
	for range sessions {
		go func() {
			results <- func() error {
				c, err := db.Conn(context.Background())
				if err != nil {
					return err
				}
				for range 8 {
					got, err := query(context.Background(), c, "SELECT count(*), sum(a.n)::BIGINT FROM numbers('t') a JOIN numbers('t') b USING (n)", nil)
					if err != nil {
						return err
					}
					if n := got[0].Cols[0].I64[0]; n != 777*50 {
						return fmt.Errorf("%d rows", n)
					}
				}
				return c.Close()
			}()
		}()
	}
	for range sessions {
		require.NoError(t, <-results)
	}
	require.Equal(t, tb.opened.Load(), tb.closed.Load())
	require.EqualValues(t, sessions*8*2, tb.opened.Load())
}
