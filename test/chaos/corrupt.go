package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// flipped is a file that has one bit other than it had.
type flipped struct {
	path   string
	offset int64
	bit    byte
	around []byte // what the file has now at the offset and about it, from at on
	at     int64
}

// flip a random bit of a file that has any.
func flip(rng *rand.Rand, path string) (*flipped, error) {
	content, err := os.ReadFile(path) //nolint:gosec // it is a broker's or the store's
	if err != nil {
		return nil, err
	}
	f := &flipped{path: path, offset: rng.Int64N(int64(len(content))), bit: 1 << rng.IntN(8)}
	content[f.offset] ^= f.bit
	f.at = max(0, f.offset-32)
	f.around = content[f.at:min(int64(len(content)), f.offset+32)]
	return f, f.turn()
}

// turn the bit, so that twice is as before.
func (f *flipped) turn() error {
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, f.offset); err != nil {
		return errors.Join(err, file.Close())
	}
	b[0] ^= f.bit
	_, err = file.WriteAt(b, f.offset)
	return errors.Join(err, file.Close())
}

// restore the bit, unless the broker has seen to it: by removing the file, or writing it anew.
func (f *flipped) restore() error {
	content, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case int64(len(content)) < f.at, !bytes.HasPrefix(content[f.at:], f.around):
		return nil
	}
	return f.turn()
}

// filesBelow a directory with a suffix that aren't empty, in order.
func filesBelow(dir, suffix string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it was stored, and is gone
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			out = append(out, path)
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

// flipSpool turns a bit of what a killed broker keeps. It may cut it off and have it from others, or refuse the
// journal, but it may not show what it has. Then the bit is as it was, if it still matters.
func (n *nemesis) flipSpool(ctx context.Context) error {
	m := n.any()
	n.kill(m)
	files, err := filesBelow(filepath.Join(m.dir, "broker", "spool"), ".data")
	if err != nil || len(files) == 0 {
		return errors.Join(err, n.revive(ctx, m))
	}
	bit, err := flip(n.rand, files[n.rand.IntN(len(files))])
	if err != nil {
		return err
	}
	if err := m.start(); err != nil {
		return err
	}
	if err := n.rest(ctx, lease, 3*lease); err != nil {
		return err
	}
	n.kill(m)
	if err := bit.restore(); err != nil {
		return err
	}
	return n.revive(ctx, m)
}

// flipObject turns a bit of an object while no broker runs. They then start with it, and each is asked for what
// the object has: it may refuse, or have it elsewhere.
func (n *nemesis) flipObject(ctx context.Context) error {
	for _, m := range n.cluster.brokers {
		n.kill(m)
	}
	objects, err := filesBelow(filepath.Join(n.cluster.depot.dir, Journal), ".raw")
	if err != nil || len(objects) == 0 {
		return errors.Join(err, n.revive(ctx, n.cluster.brokers...))
	}
	path := objects[n.rand.IntN(len(objects))]
	want, err := os.ReadFile(path) //nolint:gosec // it is the store's
	if err != nil {
		return err
	}
	at, _, err := spanOf(filepath.Base(path))
	if err != nil {
		return err
	}
	bit, err := flip(n.rand, path)
	if err != nil {
		return err
	}
	err = n.revive(ctx, n.cluster.brokers...)
	for _, m := range n.cluster.brokers {
		if got := readSome(ctx, m, at.begin, at.end); !bytes.HasPrefix(want, got) {
			n.wrong = append(n.wrong, fmt.Sprintf("J9: %s served %d bytes from offset %d on that aren't the journal's; bit %d of byte %d of %s is flipped",
				m.name, len(got), at.begin, bit.bit, bit.offset, filepath.Base(path)))
		}
	}
	return errors.Join(err, bit.turn())
}

// readSome returns what a broker has of the journal in a range, up to an error or for a few seconds.
func readSome(ctx context.Context, m *member, begin, end int64) []byte {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r := m.client.NewReader(ctx, &protocol.ReadRequest{Journal: Journal, Offset: begin, EndOffset: end, DoNotProxy: true})
	got, _ := io.ReadAll(r) // An error is as it should be.
	_ = r.Close()           // It never fails.
	return got
}
