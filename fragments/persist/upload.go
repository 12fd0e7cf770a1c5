package persist

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // fragments are named by it
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// bufferSize bounds what is held in memory of a fragment that is copied.
const bufferSize = 128 << 10

// upload is a fragment and where it goes.
type upload struct {
	Completed
	dest    store.Store // Of the URL Store.
	path    string      // Of the object.
	tempDir string
}

// errVanished is that an object was there a moment ago.
var errVanished = errors.New("the object vanished")

// run brings the fragment into the store, by way of these steps:
//
//  1. Stat the object. If it is there, put it nevertheless, with a body that can't be
//     read: the store answers ErrExists, and by that promises to keep it.
//  2. Else compress the content into a file, as its size must be known, and put it.
//  3. Where the store had it already, verify it: the name promises what it holds, but
//     another process wrote it. A name that is there isn't content that is there.
//
// Whatever fails before its end, the next run begins anew; nothing is left behind.
func (u *upload) run(ctx context.Context) (fragments.Fragment, error) {
	object, err := u.dest.Stat(ctx, u.path)
	switch {
	case err == nil:
		err = u.dest.Put(ctx, u.path, failed{errVanished}, object.Size, u.encoding())
	case errors.Is(err, store.ErrNotFound):
		err = u.put(ctx)
	}
	existed := errors.Is(err, store.ErrExists)
	if err != nil && !existed {
		return fragments.Fragment{}, err
	}
	if object, err = u.dest.Stat(ctx, u.path); err != nil {
		return fragments.Fragment{}, err
	}
	if existed {
		if err = u.verify(ctx, object); err != nil {
			return fragments.Fragment{}, err
		}
	}
	stored := u.Fragment
	stored.ModTime = object.ModTime.Unix()
	return stored, nil
}

// failed is a body that can't be read.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// put creates the object.
func (u *upload) put(ctx context.Context) error {
	content := u.checked(ctx, io.NewSectionReader(u.Content, u.Begin, u.Length()), "spool")
	if u.Codec == protocol.CompressionCodec_NONE {
		return u.dest.Put(ctx, u.path, content, u.Length(), store.Plain)
	}
	temp, size, err := u.compress(content)
	if err != nil {
		return err
	}
	err = u.dest.Put(ctx, u.path, temp, size, u.encoding())
	return errors.Join(err, temp.Close())
}

// encoding is what the store is to decompress for who reads the object.
func (u *upload) encoding() store.Encoding {
	if u.Codec == protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION {
		return store.Gzip
	}
	return store.Plain
}

// compress writes the content to a file without a name, so that none is left after
// a crash. The file is at its begin.
func (u *upload) compress(content io.Reader) (*os.File, int64, error) {
	temp, err := os.CreateTemp(u.tempDir, "broadsheet-persist-")
	if err != nil {
		return nil, 0, fmt.Errorf("file to compress to: %w", err)
	}
	if err = os.Remove(temp.Name()); err == nil {
		err = u.compressTo(temp, content)
	}
	var size int64
	if err == nil {
		size, err = temp.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("compress: %w", errors.Join(err, temp.Close()))
	}
	return temp, size, nil
}

func (u *upload) compressTo(temp io.Writer, content io.Reader) error {
	buffered := bufio.NewWriterSize(temp, bufferSize)
	enc, err := codec.NewWriter(u.Codec, buffered)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(enc, content, make([]byte, bufferSize))
	return errors.Join(err, enc.Close(), buffered.Flush())
}

// verify reads the object that was there and demands that it is the fragment's.
func (u *upload) verify(ctx context.Context, object store.Object) error {
	if u.Codec == protocol.CompressionCodec_NONE && object.Size != u.Length() {
		return u.damaged(u.object(), fmt.Sprintf("it has %d bytes, not %d", object.Size, u.Length()))
	}
	body, err := u.dest.Get(ctx, u.path)
	if err != nil {
		return err
	}
	// The codec tells errors of the store from those of the content.
	content, err := codec.NewReader(u.Codec, body, u.Length())
	if err != nil {
		return errors.Join(err, body.Close())
	}
	_, err = io.CopyBuffer(io.Discard, u.checked(ctx, content, u.object()), make([]byte, bufferSize))
	var corrupt *codec.CorruptError
	var long *codec.LengthError
	if errors.As(err, &corrupt) || errors.As(err, &long) {
		err = u.damaged(u.object(), err.Error())
	}
	return errors.Join(err, content.Close(), body.Close())
}

func (u *upload) object() string { return fmt.Sprintf("object %q of store %s", u.path, u.Store) }

func (u *upload) damaged(object, reason string) error {
	return &IntegrityError{Fragment: u.Fragment, Object: object, Reason: reason}
}

// checked is a reader of the fragment's content, from that object, which ends well
// only if the content has its length and its sum.
func (u *upload) checked(ctx context.Context, r io.Reader, object string) io.Reader {
	return &checkedReader{ctx: ctx, r: r, upload: u, object: object, sum: sha1.New()} //nolint:gosec // see the import
}

type checkedReader struct {
	ctx    context.Context //nolint:containedctx // the lifetime of one copy
	r      io.Reader
	upload *upload
	object string
	sum    hash.Hash
	n      int64
}

func (c *checkedReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	if err == nil && c.n < c.upload.Length() {
		return n, nil
	}
	if err != nil && err != io.EOF { // A wrapped one is no end.
		return n, err
	}
	// The last bytes are given only if all are right: who takes no more than the
	// fragment's length never asks for the end.
	if c.n != c.upload.Length() {
		return 0, c.upload.damaged(c.object, fmt.Sprintf("its content has %d bytes, not %d", c.n, c.upload.Length()))
	}
	if got := c.sum.Sum(nil); !bytes.Equal(got, c.upload.Sum[:]) {
		return 0, c.upload.damaged(c.object, fmt.Sprintf("the sum of its content is %x, not %x", got, c.upload.Sum))
	}
	return n, err
}
