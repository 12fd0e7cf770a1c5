package direct

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"time"

	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

// Reader yields content of a fragment from its store. It isn't safe for concurrent use.
//
// Invariant: content was read up to at, from the fragment's begin or from where the
// store began; what was returned ends at at, too.
type Reader struct {
	fragment  *protocol.Fragment
	at, end   int64
	source    *source
	layers    []io.Closer // decompressors, outermost first
	content   io.Reader   // of the fragment, from at on
	sum       hash.Hash   // of all content from the fragment's begin; nil if a part is read
	discarded int64
	err       error

	ctx    context.Context //nolint:containedctx // the lifetime of the reader
	cancel context.CancelCauseFunc
	stall  time.Duration
}

// Open a fragment at a URL, to read [offset, end) of the journal, which must be within
// the fragment and not be empty. Errors are *Error.
func (s *Stores) Open(ctx context.Context, f *protocol.Fragment, location string, offset, end int64) (*Reader, error) {
	r := &Reader{fragment: f, at: offset, end: end, stall: s.cfg.Stall}
	if offset < f.GetBegin() || offset >= end || end > f.GetEnd() {
		return nil, r.failed(fmt.Errorf("range [%d, %d) isn't within it", offset, end))
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	if err := r.open(s, location); err != nil {
		err = r.failed(err) // before the context's end is ours
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(s *Stores, location string) error {
	watch := r.watch()
	src, err := s.open(r.ctx, r.fragment, location, r.at, r.end)
	watch()
	if err != nil {
		return err
	}
	r.source = src
	if src.begin == r.fragment.GetBegin() {
		r.sum = sha1.New()
	}
	if err = r.decompress(); err != nil {
		return err
	}
	return r.discard(r.at - src.begin)
}

// decompress puts the codec's reader over the source, and one for what the store did.
func (r *Reader) decompress() error {
	var below io.Reader = watched{r}
	if r.source.gzipped {
		unzip, err := codec.NewReader(protocol.CompressionCodec_GZIP, below, math.MaxInt64)
		if err != nil {
			return err
		}
		r.layers, below = append(r.layers, unzip), unzip
	}
	content, err := codec.NewReader(r.fragment.GetCompressionCodec(), below, r.fragment.GetEnd()-r.source.begin)
	if err != nil {
		return err
	}
	r.layers, r.content = append([]io.Closer{content}, r.layers...), content
	return nil
}

// discard content before the offset that is wanted.
func (r *Reader) discard(n int64) error {
	to := io.Discard
	if r.sum != nil {
		to = r.sum
	}
	var err error
	r.discarded, err = io.CopyN(to, r.content, n)
	if errors.Is(err, io.EOF) {
		return errLength
	}
	return err
}

// Discarded is how many bytes of content were read only to get to the offset.
func (r *Reader) Discarded() int64 { return r.discarded }

// StoredLength is the length of the fragment's file, or of the part that was asked for,
// in its store; 0 if the store didn't tell.
func (r *Reader) StoredLength() int64 { return max(0, r.source.length) }

// Read content. It returns io.EOF at the end that was asked for; all other errors are
// *Error, and last.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	if r.at == r.end {
		r.err = io.EOF
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.end-r.at)]
	n, err := r.content.Read(p)
	if r.sum != nil {
		r.sum.Write(p[:n])
	}
	switch atEnd := r.at+int64(n) == r.end; {
	case atEnd && r.end == r.fragment.GetEnd():
		err = r.finish(err)
	case atEnd:
		err = nil
	case errors.Is(err, io.EOF):
		err = errLength
	}
	if err != nil {
		r.err = r.failed(err)
		return 0, r.err
	}
	r.at += int64(n)
	return n, nil
}

// finish checks that the file ends with the fragment, after the read that got there, and
// that it was the right one.
func (r *Reader) finish(err error) error {
	if err == nil {
		var probe [1]byte
		_, err = io.ReadFull(r.content, probe[:])
	}
	if err != io.EOF {
		return err
	}
	if r.sum == nil || r.fragment.GetSum().IsZero() {
		return nil
	}
	got := protocol.SumFromDigest([sha1.Size]byte(r.sum.Sum(nil)))
	if got.Digest() != r.fragment.GetSum().Digest() {
		return &SumError{Want: r.fragment.GetSum(), Got: got}
	}
	return nil
}

// failed returns the *Error of what failed, or of why the context ended.
func (r *Reader) failed(err error) error {
	if r.ctx != nil && r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	return &Error{Fragment: r.fragment, Offset: r.at, Err: err}
}

// Close releases the reader and its connection. It never fails.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = r.failed(errors.New("reader is closed"))
	}
	r.cancel(nil)
	for _, l := range r.layers {
		_ = l.Close()
	}
	r.layers = nil
	if r.source != nil {
		_ = r.source.Close()
	}
	return nil
}

// watch ends the reader's context if what is called next lasts too long. The caller
// calls what is returned after it.
func (r *Reader) watch() func() {
	t := time.AfterFunc(r.stall, func() { r.cancel(fmt.Errorf("%w for %s", ErrStalled, r.stall)) })
	return func() { t.Stop() }
}

// watched is the source, with each Read watched.
type watched struct{ r *Reader }

func (w watched) Read(p []byte) (int, error) {
	defer w.r.watch()()
	return w.r.source.Read(p)
}
