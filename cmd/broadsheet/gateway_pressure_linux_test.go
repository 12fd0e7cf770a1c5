//go:build cgo

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWritableMemory: it is what is mapped to be written to, used or not.
func TestWritableMemory(t *testing.T) {
	const more = 64 << 20
	before, err := writableMemory()
	require.NoError(t, err)
	b, err := unix.Mmap(-1, 0, more, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	after, err := writableMemory()
	require.NoError(t, err)
	require.NoError(t, unix.Munmap(b))
	require.GreaterOrEqual(t, after, before+more)
	require.Less(t, after, before+2*more)
}
