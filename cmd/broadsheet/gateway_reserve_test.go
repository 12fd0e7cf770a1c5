//go:build cgo

package main

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReserveHeap: what is allocated after heap was reserved, in objects of any size, has the runtime map next to nothing.
func TestReserveHeap(t *testing.T) {
	const heap = 256 << 20
	reserveHeap(heap)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	var kept [][]byte
	for used := 0; used < heap/2; {
		b := make([]byte, 16<<rng.IntN(12))
		kept, used = append(kept, b), used+len(b)
		if len(kept)%4 == 0 {
			kept[rng.IntN(len(kept))] = nil
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	require.Greater(t, after.HeapAlloc, before.HeapAlloc+heap/4)
	require.Equal(t, before.HeapSys, after.HeapSys)
	const bits = 64 << 10 // are mapped at once
	require.Less(t, after.GCSys, before.GCSys+bits)
	require.Equal(t, before.MSpanSys, after.MSpanSys)
}
