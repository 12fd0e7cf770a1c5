package objectcache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzFileName: a name is what fileName makes of what is read from it, or that of no object.
func FuzzFileName(f *testing.F) {
	f.Add("0102030405060708090a0b0c0d0e0f1011121314-0000000000000010-0000000000000020.gz")
	f.Add("0102030405060708090a0b0c0d0e0f1011121314-0000000000000010-0000000000000020")
	f.Add("0102030405060708090a0b0c0d0e0f1011121314--000000000000010-0000000000000020.zst")
	f.Add("LOCK")
	f.Fuzz(func(t *testing.T, name string) {
		k, size, ok := parseFileName(name)
		if ok {
			require.Equal(t, name, k.fileName(size))
		}
	})
}
