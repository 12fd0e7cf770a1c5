package codec

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"broadsheet.dev/broadsheet/protocol"
)

const (
	// MaxWindow is the largest window of a zstd frame that is read, in bytes: it
	// bounds the memory of a reader. Files of every usual level are below it.
	MaxWindow = 32 << 20
	// maxBlock is the largest block of the snappy framing format.
	maxBlock = 64 << 10
)

// LengthError is content that is longer than the reader of it was told to expect.
type LengthError struct {
	// Limit that was exceeded, in bytes.
	Limit int64
}

// Error names the limit.
func (e *LengthError) Error() string {
	return fmt.Sprintf("content is longer than the %d bytes expected", e.Limit)
}

// CorruptError is a file that isn't of its codec, was damaged, or can't be decoded
// in bounded memory (MaxWindow).
type CorruptError struct {
	// Codec that the file should be of.
	Codec protocol.CompressionCodec
	// Err is what the decoder found.
	Err error
}

// Error names the codec and what its decoder found.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt %s content: %v", e.Codec, e.Err)
}

// Unwrap is what the decoder found.
func (e *CorruptError) Unwrap() error { return e.Err }

// NewReader returns a reader of the content that the file r holds in codec c. It
// yields at most limit bytes; where there are more it fails with *LengthError.
// A file that can't be decoded is a *CorruptError; an error of r itself is passed
// on as it is. Close frees the reader, not r; it may be read to its end or not.
//
// GZIP_OFFLOAD_DECOMPRESSION is read as plain content: its store has decompressed it.
func NewReader(c protocol.CompressionCodec, r io.Reader, limit int64) (io.ReadCloser, error) {
	if limit < 0 {
		return nil, fmt.Errorf("limit of content to decompress is %d bytes, less than 0", limit)
	}
	out := &reader{codec: c, src: source{r: r}, left: limit, limit: limit}
	switch c {
	case protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION:
		out.dec = plain{&out.src}
	case protocol.CompressionCodec_GZIP:
		out.dec = &gzipDecoder{src: &out.src}
	case protocol.CompressionCodec_ZSTANDARD:
		d, err := takeZstdDecoder(&out.src)
		if err != nil {
			return nil, err
		}
		out.dec = d
	case protocol.CompressionCodec_SNAPPY:
		out.dec = takeSnappyDecoder(&out.src)
	default:
		return nil, fmt.Errorf("no reader for compression codec %s", c)
	}
	return out, nil
}

// decoder of one codec. free gives what it holds back to a pool; it is called once.
type decoder interface {
	io.Reader
	free()
}

// source remembers the error of the reader below, so that it isn't taken for one of
// the content. It hides whatever else the reader can do: decoders behave otherwise
// for readers that they know.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// reader bounds a decoder.
type reader struct {
	codec protocol.CompressionCodec
	src   source
	dec   decoder // Nil once closed.
	err   error   // Sticky.
	left  int64
	limit int64
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	var probe [1]byte
	over := r.left == 0
	switch {
	case over:
		// One more byte, that isn't handed out, tells a bomb from an end; a decoder
		// that reads to its end also checks the checksum there.
		p = probe[:]
	case int64(len(p)) > r.left:
		p = p[:r.left]
	}
	n, err := r.dec.Read(p)
	if over && n > 0 {
		r.err = &LengthError{Limit: r.limit}
		return 0, r.err
	}
	r.left -= int64(n)
	r.err = r.classify(err)
	return n, r.err
}

func (r *reader) classify(err error) error {
	switch {
	case err == nil:
		return nil
	case r.src.err != nil:
		return r.src.err
	case err == io.EOF: //nolint:errorlint // a wrapped EOF is a corruption
		return io.EOF
	default:
		return &CorruptError{Codec: r.codec, Err: err}
	}
}

// errClosed is the error of a reader or writer that was closed.
var errClosed = errors.New("codec: already closed")

func (r *reader) Close() error {
	if r.dec == nil {
		return errClosed
	}
	r.dec.free()
	r.dec, r.err = nil, errClosed
	return nil
}

type plain struct{ io.Reader }

func (plain) free() {}

// The pools hold decoders that are expensive to make and cheap to reset. They are
// package variables because every reader of the process may share them, and none
// can tell that it does.
var (
	gzipReaders   sync.Pool // *gzip.Reader
	zstdReaders   sync.Pool // *zstd.Decoder
	snappyReaders sync.Pool // *s2.Reader
)

// gzipDecoder reads the first header on the first Read, not when it is made.
type gzipDecoder struct {
	src *source
	r   *gzip.Reader
}

func (d *gzipDecoder) Read(p []byte) (int, error) {
	if d.r == nil {
		d.r, _ = gzipReaders.Get().(*gzip.Reader)
		if d.r == nil {
			d.r = new(gzip.Reader)
		}
		if err := d.r.Reset(d.src); err != nil {
			if err == io.EOF { //nolint:errorlint // exactly what Reset returns
				err = io.ErrUnexpectedEOF // An empty file isn't one of no content.
			}
			return 0, err
		}
	}
	return d.r.Read(p)
}

func (d *gzipDecoder) free() {
	if d.r == nil {
		return
	}
	// A header that can't be read leaves the reader without its source.
	_ = d.r.Reset(nothing{})
	gzipReaders.Put(d.r)
	d.r = nil
}

// nothing is an empty file, to take the place of one that isn't to be kept alive.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

type zstdDecoder struct{ *zstd.Decoder }

func takeZstdDecoder(src *source) (zstdDecoder, error) {
	d, _ := zstdReaders.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		// A concurrency of one decodes in the reading goroutine and starts no other.
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderMaxMemory(MaxWindow))
		if err != nil {
			return zstdDecoder{}, fmt.Errorf("make a zstd decoder: %w", err)
		}
	}
	if err := d.Reset(src); err != nil {
		return zstdDecoder{}, fmt.Errorf("reset a zstd decoder: %w", err)
	}
	return zstdDecoder{d}, nil
}

func (d zstdDecoder) free() {
	if d.Reset(nil) == nil {
		zstdReaders.Put(d.Decoder)
	}
}

type snappyDecoder struct{ *s2.Reader }

func takeSnappyDecoder(src *source) snappyDecoder {
	d, _ := snappyReaders.Get().(*s2.Reader)
	if d == nil {
		d = s2.NewReader(nothing{}, s2.ReaderMaxBlockSize(maxBlock))
	}
	d.Reset(src)
	return snappyDecoder{d}
}

func (d snappyDecoder) free() {
	d.Reset(nothing{})
	snappyReaders.Put(d.Reader)
}
