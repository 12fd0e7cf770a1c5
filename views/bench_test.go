package views_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"broadsheet.dev/broadsheet/views"
)

// BenchmarkMaintain keeps views of 1 million lines that are there already, from the first line to the last. It tells how many a second.
func BenchmarkMaintain(b *testing.B) {
	const rows = 1_000_000
	for _, keys := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("groups of %d keys", keys), func(b *testing.B) { maintain(b, rows, keys, sums(b)) })
	}
	b.Run("rows", func(b *testing.B) { maintain(b, rows, 10_000, filtered(b)) })
}

func maintain(b *testing.B, rows, keys int, plan views.Plan) {
	b.Helper()
	for range b.N {
		b.StopTimer()
		w := newWorld(b, 1)
		h := w.host()
		var text strings.Builder
		for i := range rows {
			text.WriteString(line(rand.IntN(keys), i%1000, "some text"))
			if text.Len() > 4<<20 || i == rows-1 {
				w.append(0, text.String())
				text.Reset()
			}
		}
		heads := w.heads()
		b.SetBytes(heads[w.journals[0]])
		b.StartTimer()
		began := time.Now()
		w.keep(h, viewID, plan, 0)
		r, err := h.client.Read(b.Context(), viewID, heads)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
		_ = r.Close()
		h.Stop()
	}
}
