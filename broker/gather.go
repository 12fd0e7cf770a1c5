package broker

import (
	"crypto/sha1" //nolint:gosec // the protocol's checksum of content, no secret
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"sync/atomic"
)

// budget is memory that all appends together may hold. It is never waited for: who
// gets none uses a file, so that writers who keep what they hold delay nobody.
type budget struct{ free atomic.Int64 }

func newBudget(size int64) *budget {
	b := new(budget)
	b.free.Store(size)
	return b
}

func (b *budget) take(n int64) bool {
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	return false
}

func (b *budget) give(n int64) { b.free.Add(n) }

// body gathers the content of one append: in memory up to limit, and in a file
// without a name beyond that. Close it in any case.
//
// Invariant: held bytes of the budget are at least the length of mem; once there is
// a file, it has all content and mem none.
type body struct {
	dir    string // of files
	limit  int64  // of mem
	budget *budget

	mem  []byte
	held int64
	file *os.File
	size int64
	sum  hash.Hash // SHA-1 of what is in the file
}

func newBody(dir string, limit int64, budget *budget) *body {
	return &body{dir: dir, limit: limit, budget: budget}
}

// digest is the SHA-1 of the content: it is made here, outside of the pipeline.
func (b *body) digest() [20]byte {
	if b.sum == nil {
		return sha1.Sum(b.mem) //nolint:gosec // the protocol's checksum of content, no secret
	}
	return [20]byte(b.sum.Sum(nil))
}

// content is either in memory, or in a file.
func (b *body) content() ([]byte, io.Reader) {
	if b.file == nil {
		return b.mem, nil
	}
	return nil, io.NewSectionReader(b.file, 0, b.size)
}

// write adds p. If it may be kept, the caller doesn't change it any more.
func (b *body) write(p []byte, keep bool) error {
	b.size += int64(len(p))
	if b.file == nil && b.size <= b.limit && b.hold(p, keep) {
		return nil
	}
	if err := b.spill(p); err != nil {
		return fmt.Errorf("gather append: %w", err)
	}
	return nil
}

// hold keeps p in memory, unless there is none.
func (b *body) hold(p []byte, keep bool) bool {
	if b.mem == nil && keep {
		if !b.budget.take(int64(len(p))) {
			return false
		}
		b.mem, b.held = slices.Clip(p), int64(len(p))
		return true
	}
	if need := len(b.mem) + len(p); need > cap(b.mem) {
		grown := min(b.limit, max(int64(need), 2*int64(cap(b.mem))))
		if !b.budget.take(grown) {
			return false
		}
		mem := append(make([]byte, 0, grown), b.mem...)
		b.budget.give(b.held)
		b.mem, b.held = mem, grown
	}
	b.mem = append(b.mem, p...)
	return true
}

// spill moves what is in memory to a file, and adds p there.
func (b *body) spill(p []byte) error {
	if b.file == nil {
		f, err := os.CreateTemp(b.dir, "append-")
		if err != nil {
			return err
		}
		b.file = f
		b.sum = sha1.New() //nolint:gosec // as above
		b.sum.Write(b.mem)
		// The file has no name from now on, so nothing of it outlives the process.
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
		if _, err := f.Write(b.mem); err != nil {
			return err
		}
		b.release()
	}
	b.sum.Write(p)
	_, err := b.file.Write(p)
	return err
}

func (b *body) release() {
	b.budget.give(b.held)
	b.mem, b.held = nil, 0
}

// close gives memory and file back.
func (b *body) close() {
	b.release()
	if b.file != nil {
		_ = b.file.Close() // It has no name: nobody misses what it held.
		b.file = nil
	}
}
