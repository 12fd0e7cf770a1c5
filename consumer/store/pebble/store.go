package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
)

// checkpointKey is Gazette's: NULL and the string "checkpoint", in CockroachDB's ordered encoding.
const checkpointKey = "\x00\x12checkpoint\x00\x01"

var (
	// ErrReserved is of a write to the key that the store has for itself.
	ErrReserved = errors.New("the key is the checkpoint's")
	// ErrTooLarge is of a write by which its transaction has more than Config.MaxTransaction bytes.
	ErrTooLarge = errors.New("the transaction is too large")
)

// Reserved tells whether a key is one that the store has for itself.
func Reserved(key []byte) bool { return string(key) == checkpointKey }

// Store is the state of a shard in Pebble. It is a store.Store.
type Store struct {
	db      *pebble.DB
	fs      *cutFS
	commits *store.Commits
	max     int
	own     *pebble.Batch // what the transaction under way wrote
	view    *pebble.Batch // that, over what the one before wrote, over the database

	mu       sync.Mutex
	last     *instant // the last commit that was acknowledged
	instants map[*instant]bool
	active   sync.WaitGroup // calls that use an instant
	closed   bool
}

var _ store.Store = (*Store)(nil)

// Open the store of a directory, which is made if it isn't there.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pebble store: %w", err)
	}
	recorded := cfg.FS
	if recorded == nil {
		recorded = vfs.Default
	}
	on := newCutFS(recorded)
	db, err := pebble.Open(cfg.Dir, options(&cfg, on))
	if err != nil {
		return nil, fmt.Errorf("open the pebble store %s: %w", cfg.Dir, errors.Join(err, on.failure()))
	}
	s := &Store{
		db: db, fs: on, commits: store.NewCommits(), max: int(or(cfg.MaxTransaction, 256<<20)),
		own: db.NewBatch(), view: db.NewIndexedBatch(),
		instants: make(map[*instant]bool),
	}
	err = s.acknowledge() // what is there
	if err = errors.Join(err, on.failure()); err != nil {
		return nil, fmt.Errorf("open the pebble store %s: %w", cfg.Dir, errors.Join(err, s.Close()))
	}
	return s, nil
}

// RestoreCheckpoint as of store.Store.
func (s *Store) RestoreCheckpoint(context.Context) (*shards.Checkpoint, error) {
	return checkpointIn(s.db)
}

func checkpointIn(r pebble.Reader) (*shards.Checkpoint, error) {
	value, _, err := get(r, []byte(checkpointKey))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	cp := new(shards.Checkpoint)
	if err = proto.Unmarshal(value, cp); err == nil {
		err = cp.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return cp, nil
}

// Get the value of a key, and whether it has one.
func (s *Store) Get(key []byte) ([]byte, bool, error) {
	if string(key) == checkpointKey {
		return nil, false, nil
	}
	return get(s.view, key)
}

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("get %q: %w", key, err)
	}
	value = bytes.Clone(value)
	if value == nil {
		value = []byte{}
	}
	return value, true, closer.Close()
}

// GetEach calls fn with the value of each of some keys, which ascend, and whether it has one: many in one pass, which takes less than a Get
// of each. A key is its caller's again once fn is called, and a value is fn's while it runs. GetEach ends with the first error of fn, and
// returns it.
func (s *Store) GetEach(keys iter.Seq[[]byte], fn func(value []byte, ok bool) error) error {
	it, err := s.view.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return fmt.Errorf("get keys: %w", err)
	}
	for key := range keys {
		if string(key) == checkpointKey || !seek(it, key) {
			if err = it.Error(); err == nil {
				err = fn(nil, false)
			}
		} else if value, failed := it.ValueAndErr(); failed != nil {
			err = fmt.Errorf("get %q: %w", key, failed)
		} else {
			err = fn(value, true)
		}
		if err != nil {
			break
		}
	}
	if closed := it.Close(); err == nil && closed != nil {
		err = fmt.Errorf("get keys: %w", closed)
	}
	return err
}

// seek a key, and tell whether it is there.
func seek(it *pebble.Iterator, key []byte) bool {
	if len(key) == 0 { // the prefix of all keys
		return it.SeekGE(key) && len(it.Key()) == 0
	}
	return it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key)
}

// Set a key to a value.
func (s *Store) Set(key, value []byte) error {
	return s.write(key, len(key)+len(value), func(b *pebble.Batch) error { return b.Set(key, value, nil) })
}

// Delete a key, if it is there.
func (s *Store) Delete(key []byte) error {
	return s.write(key, len(key), func(b *pebble.Batch) error { return b.Delete(key, nil) })
}

// DeleteRange deletes all keys from one on, up to another one.
func (s *Store) DeleteRange(from, to []byte) error {
	if bytes.Compare(from, to) >= 0 {
		return nil
	}
	for _, r := range around([]byte(checkpointKey), from, to) {
		if err := s.write(r[0], len(r[0])+len(r[1]), func(b *pebble.Batch) error { return b.DeleteRange(r[0], r[1], nil) }); err != nil {
			return err
		}
	}
	return nil
}

// around a key is the rest of a range.
func around(key, from, to []byte) [][2][]byte {
	if bytes.Compare(key, from) < 0 || bytes.Compare(key, to) >= 0 {
		return [][2][]byte{{from, to}}
	}
	var out [][2][]byte
	if !bytes.Equal(from, key) {
		out = append(out, [2][]byte{from, key})
	}
	if next := append(bytes.Clone(key), 0); bytes.Compare(next, to) < 0 {
		out = append(out, [2][]byte{next, to})
	}
	return out
}

// write to both batches, or to none.
func (s *Store) write(key []byte, size int, do func(*pebble.Batch) error) error {
	if string(key) == checkpointKey {
		return fmt.Errorf("write %q: %w", key, ErrReserved)
	}
	if s.own.Len()+size > s.max {
		return fmt.Errorf("write %q: %w (more than %d bytes)", key, ErrTooLarge, s.max)
	}
	if err := errors.Join(do(s.own), do(s.view)); err != nil {
		return fmt.Errorf("write %q: %w", key, err)
	}
	return nil
}

// Scan calls fn with the keys from one on, up to another one, in their order. A nil from or to is no limit. Keys and values are the
// callback's while it runs; what it writes isn't scanned. Scan ends with the first error of fn, and returns it.
func (s *Store) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return scan(s.view, from, to, fn)
}

func scan(r pebble.Reader, from, to []byte, fn func(key, value []byte) error) (err error) {
	if len(from) == 0 {
		from = nil // which is the same to Pebble, but for what it checks with the tag "invariants"
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return fmt.Errorf("scan from %q: %w", from, err)
	}
	defer func() {
		if closed := it.Close(); err == nil && closed != nil {
			err = fmt.Errorf("scan from %q: %w", from, closed)
		}
	}()
	for it.First(); err == nil && it.Valid(); it.Next() {
		if string(it.Key()) == checkpointKey {
			continue
		}
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = fn(it.Key(), value)
		}
	}
	return err
}

// StartCommit as of store.Store.
func (s *Store) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	batch, err := s.cut(cp)
	return s.commits.Start(ctx, waitFor, func(context.Context) error {
		if err != nil {
			return err
		}
		return s.commit(batch)
	})
}

// cut the transaction under way, and begin the next one over it.
func (s *Store) cut(cp *shards.Checkpoint) (*pebble.Batch, error) {
	value, err := cp.Marshal()
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	batch, view := s.own, s.db.NewIndexedBatch()
	if err = view.Apply(batch, nil); err != nil {
		return nil, errors.Join(err, view.Close())
	}
	if err = batch.Set([]byte(checkpointKey), value, nil); err != nil {
		return nil, errors.Join(err, view.Close())
	}
	// What the view had of the transaction before is in the database by now.
	err = s.view.Close()
	s.own, s.view = s.db.NewBatch(), view
	return batch, err
}

// commit a batch. The log has it, unless the file system was cut off from that.
func (s *Store) commit(batch *pebble.Batch) error {
	if err := s.fs.failure(); err != nil {
		return err
	}
	err := errors.Join(batch.Commit(pebble.Sync), batch.Close())
	if failed := s.fs.failure(); failed != nil {
		return failed
	}
	if err != nil {
		s.fs.cut(err)
		return err
	}
	return s.acknowledge()
}

// Close as of store.Store. The log gets nothing more.
func (s *Store) Close() error {
	s.commits.Close()
	s.fs.cut(store.ErrClosed)
	return errors.Join(s.closeInstants(), s.own.Close(), s.view.Close(), s.db.Close())
}
