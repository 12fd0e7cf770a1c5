package spool_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

func benchJournal(b *testing.B, mode spool.Mode) *spool.Journal {
	b.Helper()
	d, err := spool.Open(context.Background(), spool.Config{Dir: filepath.Join(b.TempDir(), "spools"), Mode: mode})
	require.NoError(b, err)
	j, err := d.Journal(context.Background(), testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, j.Close()) })
	return j
}

// rollAt bounds how much a benchmark leaves in the page cache, in bytes.
const rollAt = 256 << 20

// BenchmarkCommit is what an append costs in the page cache.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{256, 4 << 10, 64 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			j := benchJournal(b, spool.Replicated)
			content := bytes.Repeat([]byte{'x'}, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := write(j, content, nil); err != nil {
					b.Fatal(err)
				}
				if s := j.State(); s.End-s.Begin > rollAt {
					b.StopTimer()
					require.NoError(b, j.Acknowledge(s.End))
					require.NoError(b, j.Roll(spool.RollOptions{Codec: s.Codec, Begin: s.End}))
					require.NoError(b, j.Drop(j.Completed()[0].Fragment))
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkGroup is what an append costs that shares its commit with 63 others.
func BenchmarkGroup(b *testing.B) {
	j := benchJournal(b, spool.Replicated)
	content := bytes.Repeat([]byte{'x'}, 256)
	b.SetBytes(256)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := j.Write(content); err != nil {
			b.Fatal(err)
		}
		if n++; n%64 > 0 {
			continue
		}
		if _, err := j.Commit(nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDurable is a group commit: many append 256 bytes and wait.
func BenchmarkDurable(b *testing.B) {
	for _, waiters := range []int{1, 64} {
		b.Run(strconv.Itoa(waiters), func(b *testing.B) {
			j := benchJournal(b, spool.Synced)
			turn := make(chan struct{}, 1) // to append
			turn <- struct{}{}
			content := bytes.Repeat([]byte{'x'}, 256)
			b.SetParallelism(waiters)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					<-turn
					c, err := write(j, content, nil)
					turn <- struct{}{}
					if err == nil {
						err = c.Durable(context.Background())
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkOpen is a recovery: the time for each byte that is verified.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{256, 64 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "spools")
			content := bytes.Repeat([]byte{'x'}, size)
			const total = 64 << 20
			open := func() *spool.Journal {
				d, err := spool.Open(context.Background(), spool.Config{Dir: dir, Mode: spool.Replicated})
				require.NoError(b, err)
				j, err := d.Journal(context.Background(), testID(), spool.JournalOptions{Codec: protocol.CompressionCodec_NONE})
				require.NoError(b, err)
				return j
			}
			j := open()
			for range total / size {
				_, err := write(j, content, nil)
				require.NoError(b, err)
			}
			require.NoError(b, j.Close())
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, open().Close())
			}
		})
	}
}
