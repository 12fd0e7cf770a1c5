package codec_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	none    = protocol.CompressionCodec_NONE
	gzip    = protocol.CompressionCodec_GZIP
	zstd    = protocol.CompressionCodec_ZSTANDARD
	snappy  = protocol.CompressionCodec_SNAPPY
	offload = protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION
)

var compressing = []protocol.CompressionCodec{gzip, zstd, snappy}

func compress(t require.TestingT, c protocol.CompressionCodec, content []byte) []byte {
	var b bytes.Buffer
	w, err := codec.NewWriter(c, &b)
	require.NoError(t, err)
	// In two writes, the first of which may be empty.
	half := len(content) / 2
	for _, part := range [][]byte{content[:half], content[half:]} {
		n, err := w.Write(part)
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func decompress(c protocol.CompressionCodec, file io.Reader, limit int64) ([]byte, error) {
	r, err := codec.NewReader(c, file, limit)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]protocol.CompressionCodec{none, gzip, zstd, snappy}).Draw(t, "codec")
		unit := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "unit")
		content := bytes.Repeat(unit, rapid.IntRange(0, 1500).Draw(t, "times"))
		file := compress(t, c, content)
		// Concatenated files are concatenated contents.
		parts := rapid.IntRange(1, 3).Draw(t, "files")
		want, files := bytes.Repeat(content, parts), bytes.Repeat(file, parts)
		got, err := decompress(c, iotest.HalfReader(bytes.NewReader(files)), int64(len(want)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		if len(want) > 0 {
			_, err = decompress(c, bytes.NewReader(files), int64(len(want))-1)
			var long *codec.LengthError
			require.ErrorAs(t, err, &long)
			require.Equal(t, int64(len(want))-1, long.Limit)
		}
	})
}

// TestOffload pins what is odd about GZIP_OFFLOAD_DECOMPRESSION: it is written as
// gzip, and read as what the store made of it.
func TestOffload(t *testing.T) {
	file := compress(t, offload, []byte("content"))
	got, err := decompress(gzip, bytes.NewReader(file), 7)
	require.NoError(t, err)
	require.Equal(t, "content", string(got))
	got, err = decompress(offload, strings.NewReader("content"), 7)
	require.NoError(t, err)
	require.Equal(t, "content", string(got))
}

// TestFilesOfOtherWriters reads what gzip 1.12 and zstd 1.5 wrote, with several
// members, frames and streams in a file, and a snappy file made by hand from the
// text of the framing format, with padding and a chunk to skip.
func TestFilesOfOtherWriters(t *testing.T) {
	want, err := os.ReadFile("testdata/content.txt")
	require.NoError(t, err)
	for _, name := range []string{"members.gz", "frames.zst", "single-segment.zst", "streams.sz"} {
		t.Run(name, func(t *testing.T) {
			c, err := codec.FromExtension(filepath.Ext(name))
			require.NoError(t, err)
			file, err := os.ReadFile(filepath.Join("testdata", name))
			require.NoError(t, err)
			got, err := decompress(c, iotest.OneByteReader(bytes.NewReader(file)), int64(len(want)))
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		})
	}
}

// TestOtherReaders has files of ours read by the standard library, and shows that
// snappy files are of the framing format and not of an extension of it.
func TestOtherReaders(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	r, err := stdgzip.NewReader(bytes.NewReader(compress(t, gzip, content)))
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, content, got)

	file := compress(t, snappy, content)
	require.Equal(t, "\xff\x06\x00\x00sNaPpY", string(file[:10]))
	for at := 10; at < len(file); {
		kind, length := file[at], int(file[at+1])|int(file[at+2])<<8|int(file[at+3])<<16
		require.LessOrEqual(t, kind, byte(1), "chunk at %d", at)
		require.LessOrEqual(t, length, 4+76490, "chunk at %d", at)
		at += 4 + length
	}
	require.Equal(t, "\x28\xb5\x2f\xfd", string(compress(t, zstd, content)[:4]))
}

// TestBombs has small files of much content: no more than the bound is handed out,
// and the rest isn't even decompressed.
func TestBombs(t *testing.T) {
	const size, limit = 64 << 20, 1 << 16
	zeros := make([]byte, size)
	for _, c := range compressing {
		t.Run(c.String(), func(t *testing.T) {
			file := &countingReader{r: bytes.NewReader(compress(t, c, zeros))}
			total := file.r.(*bytes.Reader).Len()
			r, err := codec.NewReader(c, file, limit)
			require.NoError(t, err)
			n, err := io.Copy(io.Discard, r)
			var long *codec.LengthError
			require.ErrorAs(t, err, &long)
			require.EqualValues(t, limit, n)
			if c != zstd { // All of its blocks fit one read of the decoder.
				require.Less(t, file.n, total/2)
			}
			_, err = r.Read(make([]byte, 1))
			require.ErrorAs(t, err, &long, "the error stays")
			require.NoError(t, r.Close())
		})
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += n
	return n, err
}

// TestNothingWanted: a read of no bytes is none, also where the next one would tell of a bomb.
func TestNothingWanted(t *testing.T) {
	r, err := codec.NewReader(gzip, bytes.NewReader(compress(t, gzip, []byte("content"))), 3)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	b := make([]byte, 3)
	_, err = io.ReadFull(r, b)
	require.NoError(t, err)
	require.Equal(t, "con", string(b))
	for range 2 {
		n, err := r.Read(nil)
		require.NoError(t, err)
		require.Zero(t, n)
	}
	_, err = r.Read(b)
	var bomb *codec.LengthError
	require.ErrorAs(t, err, &bomb)
}

// TestWindowIsCapped refuses a file of 81 bytes whose header asks for 128 MiB.
func TestWindowIsCapped(t *testing.T) {
	file, err := os.ReadFile("testdata/window-128m.zst")
	require.NoError(t, err)
	got, err := decompress(zstd, bytes.NewReader(file), 1<<20)
	var corrupt *codec.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.ErrorContains(t, err, "window size exceeded")
	require.Empty(t, got)
}

// TestDamage flips every bit and cuts at every byte of a file: the result is an
// error, or the right content (some bits of a gzip header mean nothing), or a
// prefix of it, which the caller's own count finds.
func TestDamage(t *testing.T) {
	content := []byte(strings.Repeat("a line of text\n", 7))
	for _, c := range compressing {
		t.Run(c.String(), func(t *testing.T) {
			file := compress(t, c, content)
			for i := range len(file) * 8 {
				bad := bytes.Clone(file)
				bad[i/8] ^= 1 << (i % 8)
				requireHarmless(t, c, bad, content, fmt.Sprintf("bit %d flipped", i))
			}
			for i := range file {
				requireHarmless(t, c, file[:i], content, fmt.Sprintf("cut at %d", i))
			}
		})
	}
}

func requireHarmless(t *testing.T, c protocol.CompressionCodec, file, content []byte, what string) {
	t.Helper()
	got, err := decompress(c, bytes.NewReader(file), int64(len(content)))
	if err == nil {
		require.True(t, bytes.HasPrefix(content, got), "%s: wrong bytes", what)
		return
	}
	var corrupt *codec.CorruptError
	var long *codec.LengthError
	require.True(t, errors.As(err, &corrupt) || errors.As(err, &long), "%s: %v", what, err)
}

// TestErrorsOfTheSource come through as they are: the content isn't to blame.
func TestErrorsOfTheSource(t *testing.T) {
	broken := errors.New("connection reset")
	for _, c := range []protocol.CompressionCodec{none, gzip, zstd, snappy, offload} {
		for _, good := range []int{0, 12, 600} {
			content := make([]byte, 1000)
			for i := range content {
				content[i] = byte(rand.N(256))
			}
			file := compress(t, c, content)
			r := io.MultiReader(bytes.NewReader(file[:good]), iotest.ErrReader(broken))
			_, err := decompress(c, r, 1000)
			require.ErrorIs(t, err, broken, "%s after %d bytes", c, good)
			var corrupt *codec.CorruptError
			require.NotErrorAs(t, err, &corrupt, "%s after %d bytes", c, good)
		}
	}
}

func TestErrorsOfTheDestination(t *testing.T) {
	for _, c := range []protocol.CompressionCodec{none, gzip, zstd, snappy, offload} {
		full := errors.New("disk full")
		w, err := codec.NewWriter(c, failingWriter{full})
		require.NoError(t, err)
		_, err = w.Write(make([]byte, 100))
		require.ErrorIs(t, errors.Join(err, w.Close()), full, "%s", c)
		// The next that takes the encoder from the pool isn't harmed.
		got, err := decompress(c, bytes.NewReader(compress(t, c, []byte("fine"))), 1000)
		require.NoError(t, err)
		if c != offload {
			require.Equal(t, "fine", string(got))
		}
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestRefused(t *testing.T) {
	for _, c := range []protocol.CompressionCodec{protocol.CompressionCodec_INVALID, 99} {
		_, err := codec.NewReader(c, strings.NewReader(""), 0)
		require.ErrorContains(t, err, c.String())
		_, err = codec.NewWriter(c, io.Discard)
		require.ErrorContains(t, err, c.String())
	}
	_, err := codec.NewReader(none, strings.NewReader(""), -1)
	require.ErrorContains(t, err, "less than 0")
	_, err = decompress(gzip, strings.NewReader(""), 10)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "an empty file is no gzip file")
}

// TestClosed readers and writers, closed before their end too, serve nothing; the
// pooled parts of several are used at the same time.
func TestClosed(t *testing.T) {
	content := bytes.Repeat([]byte("content "), 1<<15)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for _, c := range compressing {
				file := compress(t, c, content)
				r, err := codec.NewReader(c, bytes.NewReader(file), int64(len(content)))
				if err != nil {
					t.Error(err)
					return
				}
				part := make([]byte, 1000*i)
				if _, err := io.ReadFull(r, part); err != nil || !bytes.Equal(part, content[:len(part)]) {
					t.Errorf("%s: %v or wrong bytes", c, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if _, err := r.Read(part[:cap(part)]); err == nil && len(part) > 0 {
					t.Errorf("%s: read after close", c)
				}
				if r.Close() == nil {
					t.Errorf("%s: closed twice", c)
				}
			}
		})
	}
	group.Wait()
	w, err := codec.NewWriter(zstd, io.Discard)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = w.Write(content)
	require.ErrorContains(t, err, "closed")
	require.ErrorContains(t, w.Close(), "closed")
}

func TestExtensions(t *testing.T) {
	for _, c := range []protocol.CompressionCodec{none, gzip, zstd, snappy, offload} {
		for _, ext := range []string{codec.Extension(c), strings.ToUpper(codec.Extension(c))} {
			got, err := codec.FromExtension(ext)
			require.NoError(t, err)
			require.Equal(t, c, got)
		}
	}
	for ext, c := range map[string]protocol.CompressionCodec{
		".gzip": gzip, ".zstandard": zstd, ".snappy": snappy, ".gzod": offload, ".GzOd": offload,
	} {
		got, err := codec.FromExtension(ext)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	for _, ext := range []string{".", ".txt", "raw", ".raw.gz", " .raw"} {
		_, err := codec.FromExtension(ext)
		require.ErrorContains(t, err, fmt.Sprintf("%q", ext))
	}
}
