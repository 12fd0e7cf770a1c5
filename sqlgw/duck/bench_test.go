package duck_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

const (
	benchRows  = 1 << 20
	benchBatch = 8192
)

// benchTable has three integers, two strings, of which the second is long, and a float.
func benchTable() *table {
	columns := []columnar.Column{
		column("id", columnar.Int64), column("ts", columnar.TimestampTZ), column("qty", columnar.Int64),
		column("who", columnar.Text), column("note", columnar.Text), column("amount", columnar.Float64),
	}
	var batches []*columnar.Batch
	for from := 0; from < benchRows; from += benchBatch {
		b := &columnar.Batch{Len: benchBatch, Cols: []columnar.Vector{int64s(from, benchBatch), int64s(from*1000, benchBatch), int64s(from, benchBatch)}}
		b.Cols[1].Type.Kind = columnar.TimestampTZ
		who, note := make([]string, benchBatch), make([]string, benchBatch)
		amount := columnar.Vector{Type: columnar.Type{Kind: columnar.Float64}, F64: make([]float64, benchBatch)}
		for i := range benchBatch {
			who[i] = fmt.Sprintf("user-%d", (from+i)%1000)
			note[i] = fmt.Sprintf("a note of forty bytes, number %010d", from+i)
			amount.F64[i] = float64(from+i) / 8
		}
		b.Cols = append(b.Cols, texts(who...), texts(note...), amount)
		batches = append(batches, b)
	}
	return fixed(columns, batches...)
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// perCPU reports rows per second of processor time, which other work on the machine
// changes less than the time on the wall.
func perCPU(b *testing.B, rows int, f func()) {
	b.Helper()
	f()
	began := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(rows)*float64(b.N)/(cpuTime(b)-began).Seconds()/1e6, "Mrows/cpu-s")
}

func drain(b *testing.B, c *duck.Conn, sql string) {
	b.Helper()
	ctx := context.Background()
	s, err := c.Prepare(ctx, sql)
	require.NoError(b, err)
	rows, err := s.Query(ctx, nil)
	require.NoError(b, err)
	for err == nil {
		_, err = rows.Next(ctx)
	}
	require.ErrorIs(b, err, io.EOF)
	require.NoError(b, rows.Close())
	require.NoError(b, s.Close())
}

func BenchmarkScan(b *testing.B) {
	db := open(b, duck.Config{})
	register(b, db, "bench", benchTable())
	c := connect(b, db)
	for _, test := range []struct{ name, sql string }{
		{"count", "SELECT count(*) FROM bench('t')"},
		{"sum", "SELECT sum(amount) FROM bench('t')"},
		{"filter", "SELECT count(*) FROM bench('t') WHERE qty % 7 = 3"},
		{"group", "SELECT who, count(*) FROM bench('t') GROUP BY who"},
		{"long", "SELECT max(note) FROM bench('t')"},
		{"all", "SELECT max(id), max(ts), max(qty), max(who), max(note), max(amount) FROM bench('t')"},
	} {
		b.Run(test.name, func(b *testing.B) {
			perCPU(b, benchRows, func() { drain(b, c, test.sql) })
		})
	}
}

func BenchmarkResult(b *testing.B) {
	db := open(b, duck.Config{})
	register(b, db, "bench", benchTable())
	c := connect(b, db)
	require.NoError(b, c.Exec(context.Background(), "CREATE TABLE copied AS SELECT * FROM bench('t')"))
	for _, test := range []struct{ name, sql string }{
		{"int64", "SELECT id FROM copied"},
		{"short", "SELECT who FROM copied"},
		{"long", "SELECT note FROM copied"},
		{"all", "SELECT * FROM copied"},
		{"through", "SELECT * FROM bench('t')"},
	} {
		b.Run(test.name, func(b *testing.B) {
			perCPU(b, benchRows, func() { drain(b, c, test.sql) })
		})
	}
	b.Run("small", func(b *testing.B) { perCPU(b, 1, func() { drain(b, c, "SELECT 1") }) })
}

func BenchmarkReadJSON(b *testing.B) {
	root := b.TempDir()
	c := connect(b, open(b, duck.Config{FragmentRoot: root}))
	var content strings.Builder
	const rows = 200_000
	for i := range rows {
		fmt.Fprintf(&content, `{"id":%d,"who":"user-%d","amount":%d.25,"ts":"2024-02-29T12:00:00.%06dZ"}`+"\n", i, i%1000, i, i)
	}
	file := filepath.Join(root, "a.raw")
	require.NoError(b, os.WriteFile(file, []byte(content.String()), 0o600))
	sql, err := duck.ReadJSON([]string{file}, columnar.Schema{Columns: []columnar.Column{
		column("id", columnar.Int64), column("who", columnar.Text), column("amount", columnar.Float64), column("ts", columnar.TimestampTZ),
	}})
	require.NoError(b, err)
	b.SetBytes(int64(content.Len()))
	perCPU(b, rows, func() { drain(b, c, "SELECT sum(amount), max(ts) FROM ("+sql+")") })
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		db, err := duck.Open(context.Background(), duck.Config{Threads: 2})
		require.NoError(b, err)
		require.NoError(b, db.Close())
	}
}
