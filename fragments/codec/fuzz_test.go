package codec_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

// FuzzReader feeds arbitrary bytes to the reader of every codec: it ends, stays
// below its bound, says what is wrong in one of the two ways it may, and the next
// reader isn't harmed.
func FuzzReader(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range []protocol.CompressionCodec{none, gzip, zstd, snappy, offload} {
			f.Add(int32(c), file)
		}
	}
	good := make(map[protocol.CompressionCodec][]byte)
	for _, c := range compressing {
		good[c] = compress(f, c, []byte("good content"))
	}
	f.Fuzz(func(t *testing.T, codecNumber int32, file []byte) {
		const limit = 1 << 16
		c := protocol.CompressionCodec(codecNumber)
		r, err := codec.NewReader(c, bytes.NewReader(file), limit)
		if err != nil {
			if c.Validate() == nil {
				t.Fatalf("%s is refused: %v", c, err)
			}
			return
		}
		n, err := io.Copy(io.Discard, r)
		var corrupt *codec.CorruptError
		var long *codec.LengthError
		if err != nil && !errors.As(err, &corrupt) && !errors.As(err, &long) {
			t.Fatalf("error of no known kind: %v", err)
		}
		if n > limit {
			t.Fatalf("%d bytes", n)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if next := good[c]; next != nil {
			got, err := decompress(c, bytes.NewReader(next), 100)
			if err != nil || string(got) != "good content" {
				t.Fatalf("the next reader: %q, %v", got, err)
			}
		}
	})
}
