package message_test

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/message"
)

// cpuTime is what the process has used: what else the machine does, doesn't count.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSequencer: messages of four producers, interleaved. In transactions of 100 they
// are delivered from the ring, in those of 10,000 half is replayed.
func BenchmarkSequencer(b *testing.B) {
	for name, txn := range map[string]int{"outside": 0, "txns of 100": 100, "txns of 10000": 10000} {
		b.Run(name, func(b *testing.B) {
			seq, err := message.NewSequencer(message.SequencerConfig{Messages: 20000})
			require.NoError(b, err)
			l := &log{journals: make(map[string][]message.Envelope)}
			var ticker message.Ticker
			flags := message.ContinueTxn
			if txn == 0 {
				flags = message.OutsideTxn
			}
			const round = 1 << 17
			for i := range round {
				f := flags
				if txn > 0 && i/4%(txn+1) == txn {
					f = message.AckTxn
				}
				l.append("a/journal", &note{UUID: message.NewUUID(named("ABCD"[i%4]), ticker.Tick(), f)})
			}
			all, delivered := l.journals["a/journal"], 0
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime(b)
			for i := 0; i < b.N; i++ {
				if i%round == 0 {
					seq, err = message.NewSequencer(message.SequencerConfig{Messages: 20000})
					require.NoError(b, err)
				}
				seq.Push(all[i%round])
				for {
					_, err := seq.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if errors.Is(err, message.ErrReplay) {
						r, _ := seq.ReplayRange()
						seq.StartReplay(l.replay(r))
						continue
					}
					delivered++
				}
			}
			b.ReportMetric(float64(b.N)/(cpuTime(b)-before).Seconds(), "messages/cpu-s")
		})
	}
}
