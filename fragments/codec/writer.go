package codec

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"broadsheet.dev/broadsheet/protocol"
)

// writeWindow is the window of the zstd frames that are written, in bytes: it is
// most of the memory of an encoder, and far below what readers accept.
const writeWindow = 4 << 20

// NewWriter returns a writer that compresses content to w in codec c. Close ends
// the content and frees the writer; it doesn't close w. A writer that wasn't closed
// left no whole content.
func NewWriter(c protocol.CompressionCodec, w io.Writer) (io.WriteCloser, error) {
	switch c {
	case protocol.CompressionCodec_NONE:
		return &writer{enc: plainEncoder{w}}, nil
	case protocol.CompressionCodec_GZIP, protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION:
		return newWriter(&gzipWriters, func() (*gzip.Writer, error) { return gzip.NewWriter(nil), nil }, w)
	case protocol.CompressionCodec_ZSTANDARD:
		return newWriter(&zstdWriters, func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
				zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(writeWindow))
		}, w)
	case protocol.CompressionCodec_SNAPPY:
		return newWriter(&snappyWriters, func() (*s2.Writer, error) {
			return s2.NewWriter(nil, s2.WriterSnappyCompat(), s2.WriterConcurrency(1)), nil
		}, w)
	default:
		return nil, fmt.Errorf("no writer for compression codec %s", c)
	}
}

// See the pools of readers.
var (
	gzipWriters   sync.Pool // *gzip.Writer
	zstdWriters   sync.Pool // *zstd.Encoder
	snappyWriters sync.Pool // *s2.Writer
)

// encoder is what the compressing writers of all codecs have.
type encoder interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// writer is an encoder until it is closed.
type writer struct {
	enc  encoder // Nil once closed.
	pool *sync.Pool
}

func newWriter[E encoder](pool *sync.Pool, fresh func() (E, error), w io.Writer) (io.WriteCloser, error) {
	enc, ok := pool.Get().(E)
	if !ok {
		var err error
		if enc, err = fresh(); err != nil {
			return nil, fmt.Errorf("make an encoder: %w", err)
		}
	}
	enc.Reset(w)
	return &writer{enc: enc, pool: pool}, nil
}

func (w *writer) Write(p []byte) (int, error) {
	if w.enc == nil {
		return 0, errClosed
	}
	return w.enc.Write(p)
}

func (w *writer) Close() error {
	if w.enc == nil {
		return errClosed
	}
	err := w.enc.Close()
	if w.pool != nil {
		w.enc.Reset(nil) // So that the pool doesn't keep the destination alive.
		w.pool.Put(w.enc)
	}
	w.enc = nil
	return err
}

type plainEncoder struct{ io.Writer }

func (plainEncoder) Close() error    { return nil }
func (plainEncoder) Reset(io.Writer) {}
