package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzHeader: a header whose checksum is right is one that is written and read as it is, or it is corrupt; none takes more memory than it has
// bytes.
func FuzzHeader(f *testing.F) {
	h := header{id: ID{Journal: "a/journal", CreateRevision: 5}, begin: 10, previous: 10, created: 7}
	h.start.opening = 1
	b, err := h.encode()
	require.NoError(f, err)
	f.Add(b)
	f.Add(b[:headerV1])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerV1+crc32.Size && len(b) <= maxHeader {
			copy(b, logMagic)
			binary.LittleEndian.PutUint32(b[12:], uint32(len(b)))
			binary.LittleEndian.PutUint32(b[len(b)-crc32.Size:], crc32.Checksum(b[:len(b)-crc32.Size], castagnoli))
		}
		got, err := readHeader("a.log", bytes.NewReader(b))
		if err != nil {
			_, corrupt := errors.AsType[*CorruptError](err)
			_, format := errors.AsType[*FormatError](err)
			require.True(t, corrupt || format, "%v", err)
			return
		}
		require.LessOrEqual(t, len(got.id.Journal), len(b))
		text, err := got.encode()
		require.NoError(t, err)
		again, err := readHeader("a.log", bytes.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, got.id, again.id)
		require.Equal(t, got.begin, again.begin)
		require.Equal(t, got.previous, again.previous)
		require.Equal(t, got.epoch, again.epoch)
	})
}
