package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
)

// pageSize is that of pages here. SQLite's are of the same size, unless the application says otherwise: then one of SQLite's is
// several of these, or a part of one.
const pageSize = 4096

var (
	// ErrCorrupt is of a page, or of the size of the database, that isn't what was written.
	ErrCorrupt = errors.New("the database is corrupt")
	// ErrTooLarge is of a write by which its transaction has more than Config.MaxTransaction bytes.
	ErrTooLarge = errors.New("the transaction is too large")
)

// Keys of the store beneath. Numbers are big endian: pages are in their order.
const (
	sizeKey    = "size"
	pagePrefix = "page"
)

func pageKey(n int64) []byte { return binary.BigEndian.AppendUint64([]byte(pagePrefix), uint64(n)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns a value with a sum behind it, of the key and of the value: by that a page of another place is none.
func seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(value), sum(key, value))
}

func sum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// unseal returns the value of a key whose length is known.
func unseal(key, sealed []byte, length int) ([]byte, error) {
	if len(sealed) != length+4 {
		return nil, fmt.Errorf("%w: %q has %d bytes", ErrCorrupt, key, len(sealed))
	}
	value := sealed[:length]
	if binary.BigEndian.Uint32(sealed[length:]) != sum(key, value) {
		return nil, fmt.Errorf("%w: %q has another checksum", ErrCorrupt, key)
	}
	return value, nil
}

// reader is what pages are kept in, as it is read: a pebblestore, or a snapshot of one.
type reader interface {
	Get(key []byte) ([]byte, bool, error)
	Scan(from, to []byte, fn func(key, value []byte) error) error
}

// sizeIn is how many bytes the database has; 0 if there is none.
func sizeIn(in reader) (int64, error) {
	sealed, ok, err := in.Get([]byte(sizeKey))
	if err != nil {
		return 0, err
	}
	if !ok {
		err = in.Scan([]byte(pagePrefix), pageKey(-1), func(key, _ []byte) error {
			return fmt.Errorf("%w: it has %q, and no size", ErrCorrupt, key)
		})
		return 0, err
	}
	value, err := unseal([]byte(sizeKey), sealed, 8)
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// pageIn is a page of a database that has it.
func pageIn(in reader, n int64) ([]byte, error) {
	key := pageKey(n)
	sealed, ok, err := in.Get(key)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %q isn't there", ErrCorrupt, key)
	}
	if err != nil {
		return nil, err
	}
	return unseal(key, sealed, pageSize)
}

// pagesOf a number of bytes.
func pagesOf(size int64) int64 { return (size + pageSize - 1) / pageSize }

// pages are the bytes of SQLite's database: those of the store beneath, and over them what was written since the last flush.
//
// Invariants: a page below floor that isn't fresh is the one beneath; one from floor on that isn't fresh is zeros. Behind the size
// all is zeros.
type pages struct {
	in    *pebblestore.Store
	max   int // of fresh
	fresh map[int64][]byte
	size  int64
	floor int64 // the least number of pages since the last flush
	below int64 // pages beneath
}

func openPages(in *pebblestore.Store, maxBytes int64) (*pages, error) {
	size, err := sizeIn(in)
	if err != nil {
		return nil, err
	}
	n := pagesOf(size)
	return &pages{in: in, max: int(maxBytes / pageSize), fresh: make(map[int64][]byte), size: size, floor: n, below: n}, nil
}

// page returns a page that isn't to be changed; nil is zeros.
func (p *pages) page(n int64) ([]byte, error) {
	if b, ok := p.fresh[n]; ok || n >= p.floor {
		return b, nil
	}
	return pageIn(p.in, n)
}

// change returns a page that may be changed, and is committed with the transaction.
func (p *pages) change(n int64, whole bool) ([]byte, error) {
	if b, ok := p.fresh[n]; ok {
		return b, nil
	}
	if len(p.fresh) >= p.max {
		return nil, fmt.Errorf("%w (more than %d pages)", ErrTooLarge, p.max)
	}
	b := make([]byte, pageSize)
	if !whole {
		old, err := p.page(n)
		if err != nil {
			return nil, err
		}
		copy(b, old)
	}
	p.fresh[n] = b
	return b, nil
}

// part of a page.
type part struct {
	page     int64
	from, to int // within the page
	begin    int // within the range
}

// parts of a range, page by page.
func parts(offset int64, length int, fn func(part) error) error {
	for done := 0; done < length; {
		at := part{page: (offset + int64(done)) / pageSize, from: int((offset + int64(done)) % pageSize), begin: done}
		at.to = min(pageSize, at.from+length-done)
		if err := fn(at); err != nil {
			return err
		}
		done += at.to - at.from
	}
	return nil
}

// readAt as of io.ReaderAt.
func readAt(b []byte, offset, size int64, page func(int64) ([]byte, error)) (int, error) {
	n := int(min(int64(len(b)), max(size-offset, 0)))
	err := parts(offset, n, func(at part) error {
		content, err := page(at.page)
		if err != nil {
			return err
		}
		to := b[at.begin : at.begin+at.to-at.from]
		if content == nil {
			clear(to)
			return nil
		}
		copy(to, content[at.from:at.to])
		return nil
	})
	if err != nil {
		return 0, err // SQLite's driver takes n bytes for a success
	}
	if n < len(b) {
		err = io.EOF
	}
	return n, err
}

func (p *pages) readAt(b []byte, offset int64) (int, error) { return readAt(b, offset, p.size, p.page) }

func (p *pages) writeAt(b []byte, offset int64) error {
	err := parts(offset, len(b), func(at part) error {
		to, err := p.change(at.page, at.to-at.from == pageSize)
		if err == nil {
			copy(to[at.from:at.to], b[at.begin:])
		}
		return err
	})
	p.size = max(p.size, offset+int64(len(b)))
	return err
}

// resize cuts the end off, or adds zeros.
func (p *pages) resize(size int64) error {
	if size < p.size {
		n := pagesOf(size)
		maps.DeleteFunc(p.fresh, func(i int64, _ []byte) bool { return i >= n })
		p.floor = min(p.floor, n)
		if rest := size % pageSize; rest != 0 {
			last, err := p.change(n-1, false)
			if err != nil {
				return err
			}
			clear(last[rest:])
		}
	}
	p.size = size
	return nil
}

// flush writes what is fresh to the transaction under way of the store beneath. After an error it must not be committed.
func (p *pages) flush() error {
	n := pagesOf(p.size)
	if p.floor < p.below {
		if err := p.in.DeleteRange(pageKey(p.floor), pageKey(p.below)); err != nil {
			return err
		}
	}
	for i := p.floor; i < n; i++ {
		if p.fresh[i] == nil { // SQLite passed over it: all pages are there, so that one that is lost is missed.
			p.fresh[i] = make([]byte, pageSize)
		}
	}
	for _, i := range slices.Sorted(maps.Keys(p.fresh)) {
		key := pageKey(i)
		if err := p.in.Set(key, seal(key, p.fresh[i])); err != nil {
			return err
		}
		delete(p.fresh, i)
	}
	p.floor, p.below = n, n
	size := binary.BigEndian.AppendUint64(nil, uint64(p.size))
	return p.in.Set([]byte(sizeKey), seal([]byte(sizeKey), size))
}
