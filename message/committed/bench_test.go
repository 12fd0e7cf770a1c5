package committed_test

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// cpuTime is what the process has used: what else the machine does, doesn't count.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReader: lines of 256 bytes in transactions of 100, from four producers whose
// transactions are interleaved, both times that they're read; with the UUID before the
// other keys, and after them.
func BenchmarkReader(b *testing.B) {
	for name, first := range map[string]bool{"UUID first": true, "UUID last": false} {
		b.Run(name, func(b *testing.B) {
			var content strings.Builder
			var ticker message.Ticker
			const lines = 1 << 16
			for i := range lines {
				f := message.ContinueTxn
				if i/4%101 == 100 {
					f = message.AckTxn
				}
				meta := `"_meta":{"uuid":"` + uuid(byte(i%4), ticker.Tick(), f).String() + `"}`
				rest := `"user_id":42,"url":"` + strings.Repeat("/page", 28) + `","price":9.99`
				if first {
					content.WriteString("{" + meta + "," + rest + "}\n")
				} else {
					content.WriteString("{" + rest + "," + meta + "}\n")
				}
			}
			text := content.String()
			source := func(_ context.Context, begin, end int64) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(text[begin:end])), nil
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				r, err := committed.NewReader(source, committed.State{}, int64(len(text)), committed.Config{UUID: metaUUID(b)})
				require.NoError(b, err)
				for err == nil {
					_, err = r.Next(b.Context())
				}
				require.ErrorIs(b, err, io.EOF)
			}
			used := (cpuTime(b) - before).Seconds()
			b.ReportMetric(float64(b.N)*lines/used, "lines/cpu-s")
			b.ReportMetric(float64(b.N)*float64(len(text))/used/1e6, "MB/cpu-s")
		})
	}
}
