package columnar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// bidSchema is that of the NEXMARK bids, with a nested field.
func bidSchema() Schema {
	return Schema{Columns: []Column{
		{Name: "auction", Type: Type{Kind: Int64}},
		{Name: "bidder", Type: Type{Kind: Int64}},
		{Name: "price", Type: Type{Kind: Int64}},
		{Name: "channel", Type: Type{Kind: Text}},
		{Name: "url", Type: Type{Kind: Text}},
		{Name: "date_time", Type: Type{Kind: TimestampTZ}},
		{Name: "rate", Type: Type{Kind: Float64}},
		{Name: "extra", Type: Type{Kind: JSON}},
	}}
}

// bids writes n bids as most producers would, with keys in the schema's order.
func bids(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	channels := []string{"Google", "Facebook", "Baidu", "Apple"}
	var b bytes.Buffer
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for range n {
		at = at.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
		c := channels[r.IntN(len(channels))]
		fmt.Fprintf(&b, `{"auction":%d,"bidder":%d,"price":%d,"channel":%q,"url":"https://www.nexmark.com/%s/item.htm?query=%d","date_time":%q,"rate":%.4f,"extra":{"agent":"Mozilla/5.0","tags":["a","b"],"n":%d}}`+"\n",
			1000+r.IntN(1e6), 1000+r.IntN(1e6), 100+r.IntN(1e8), c, c, r.IntN(1e9), at.Format("2006-01-02T15:04:05.000Z"), r.Float64()*100, r.IntN(1000))
	}
	return b.Bytes()
}

func drain(b *testing.B, s *Scanner, rows int) {
	b.Helper()
	n := 0
	for {
		batch, rejects, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(rejects) > 0 {
			b.Fatal(err, rejects)
		}
		n += batch.Len
	}
	if n != rows {
		b.Fatalf("%d rows, not %d", n, rows)
	}
}

const benchRows = 50_000

// perCPU runs f again and again, and reports its bytes by the time that the process
// had a core, which says the same on a busy machine.
func perCPU(b *testing.B, size int, f func()) {
	b.Helper()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f()
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	used := after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(size)*float64(b.N)*1e3/float64(used), "MB/cpu-s")
}

func BenchmarkScan(b *testing.B) {
	data := bids(benchRows)
	for _, c := range []struct {
		name    string
		project []int
	}{{"all", nil}, {"one", []int{2}}, {"none", []int{}}} {
		b.Run(c.name, func(b *testing.B) {
			perCPU(b, len(data), func() {
				drain(b, NewScanner(bytes.NewReader(data), ScanOptions{End: -1, Schema: bidSchema(), Project: c.project}), benchRows)
			})
		})
	}
}

func BenchmarkProve(b *testing.B) {
	data := bids(benchRows)
	p := NewProver(bidSchema())
	perCPU(b, len(data), func() {
		proof, err := p.Prove(bytes.NewReader(data))
		if err != nil || proof.Rows != benchRows || !proof.Clean {
			b.Fatal(proof, err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	batch := firstBatch(b, bids(benchRows))
	w := NewRowWriter(bidSchema(), nil)
	write := func(dst []byte) []byte {
		for i := range batch.Len {
			var err error
			if dst, err = w.AppendRow(dst, batch, i); err != nil {
				b.Fatal(err)
			}
		}
		return dst
	}
	dst := write(nil)
	perCPU(b, len(dst), func() { dst = write(dst[:0]) })
}

func BenchmarkOutput(b *testing.B) {
	batch := firstBatch(b, bids(benchRows))
	for _, form := range []struct {
		name       string
		appendForm func([]byte, *Vector, int) []byte
	}{{"text", AppendText}, {"binary", AppendBinary}} {
		b.Run(form.name, func(b *testing.B) {
			output := func(dst []byte) []byte {
				for i := range batch.Len {
					for c := range batch.Cols {
						dst = form.appendForm(dst, &batch.Cols[c], i)
					}
				}
				return dst
			}
			dst := output(nil)
			perCPU(b, len(dst), func() { dst = output(dst[:0]) })
		})
	}
}

// BenchmarkParseText is what COPY does with its fields.
func BenchmarkParseText(b *testing.B) {
	batch := firstBatch(b, bids(benchRows))
	var fields [][]string
	size := 0
	for c := range batch.Cols {
		fields = append(fields, values(&batch.Cols[c]))
		for _, f := range fields[c] {
			size += len(f)
		}
	}
	perCPU(b, size, func() {
		for c := range batch.Cols {
			into := NewVectorBuilder(batch.Cols[c].Type)
			for _, f := range fields[c] {
				if err := ParseText(into.Type(), f, into); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func firstBatch(b *testing.B, data []byte) *Batch {
	b.Helper()
	batch, _, err := NewScanner(bytes.NewReader(data), ScanOptions{End: -1, Schema: bidSchema()}).Next()
	if err != nil {
		b.Fatal(err)
	}
	return batch
}
