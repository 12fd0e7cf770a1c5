package objectcache

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// partialSuffix ends the names of files that are being written.
	partialSuffix = ".partial"
	// lockName is the file that the process which has the directory locks.
	lockName = "LOCK"
)

// key is what makes two objects one: they hold the same content in the same form.
type key struct {
	sum    [20]byte
	length int64 // of the content
	codec  protocol.CompressionCodec
}

// keyOf a fragment; false if its object can't be kept: its content isn't known by a sum, or is decompressed by the store.
func keyOf(f fragments.Fragment) (key, bool) {
	k := key{sum: f.Sum, length: f.Length(), codec: f.Codec}
	return k, f.Sum != [20]byte{} && f.Store != "" && k.length > 0 && codec.Extension(f.Codec) != ""
}

// fileName of an object of size bytes.
func (k key) fileName(size int64) string {
	return fmt.Sprintf("%x-%016x-%016x%s", k.sum, k.length, size, codec.Extension(k.codec))
}

// parseFileName is the inverse of fileName.
func parseFileName(name string) (key, int64, bool) {
	var k key
	parts := strings.Split(name, "-")
	if len(parts) != 3 || len(parts[0]) != 2*len(k.sum) || len(parts[2]) < 16 {
		return key{}, 0, false
	}
	if _, err := hex.Decode(k.sum[:], []byte(parts[0])); err != nil {
		return key{}, 0, false
	}
	length, err := strconv.ParseInt(parts[1], 16, 64)
	if err != nil {
		return key{}, 0, false
	}
	size, err := strconv.ParseInt(parts[2][:16], 16, 64)
	if err != nil {
		return key{}, 0, false
	}
	k.length = length
	if k.codec, err = codec.FromExtension(parts[2][16:]); err != nil {
		return key{}, 0, false
	}
	return k, size, k.fileName(size) == name
}
