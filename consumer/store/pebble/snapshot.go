package pebblestore

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
)

// instant is the database as it was right after a commit. It is closed with the last that holds it, or the store.
type instant struct {
	snapshot *pebble.Snapshot
	holders  int
}

// acknowledge the commit that was done last.
func (s *Store) acknowledge() error {
	next := &instant{snapshot: s.db.NewSnapshot(), holders: 1}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.last
	s.last = next
	s.instants[next] = true
	if before == nil {
		return nil
	}
	return s.letGo(before)
}

// letGo of an instant. The caller holds the mutex.
func (s *Store) letGo(at *instant) error {
	at.holders--
	if at.holders != 0 || !s.instants[at] {
		return nil
	}
	delete(s.instants, at)
	return at.snapshot.Close()
}

// closeInstants, whoever holds them, once nobody uses one.
func (s *Store) closeInstants() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.active.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for at := range s.instants {
		errs = append(errs, at.snapshot.Close())
	}
	clear(s.instants)
	return errors.Join(errs...)
}

// Snapshot is the state, with its checkpoint, as it was at a commit that was acknowledged. Its methods may be called concurrently.
type Snapshot struct {
	store *Store
	at    *instant
	ended bool
}

// Snapshot of the last commit that was acknowledged. It may be called concurrently with anything, and by anybody. Whoever has it
// calls its Close; once the store is closed, it only says so.
func (s *Store) Snapshot() (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	s.last.holders++
	return &Snapshot{store: s, at: s.last}, nil
}

// use the snapshot for a call. If that panics, nobody waits for it any more.
func (p *Snapshot) use(do func(pebble.Reader) error) (err error) {
	p.store.mu.Lock()
	if p.ended || p.store.closed {
		p.store.mu.Unlock()
		return store.ErrClosed
	}
	p.at.holders++
	p.store.active.Add(1)
	p.store.mu.Unlock()
	defer func() {
		p.store.mu.Lock()
		defer p.store.mu.Unlock()
		defer p.store.active.Done()
		err = errors.Join(err, p.store.letGo(p.at))
	}()
	return do(p.at.snapshot)
}

// Checkpoint of the state.
func (p *Snapshot) Checkpoint() (*shards.Checkpoint, error) {
	var cp *shards.Checkpoint
	err := p.use(func(r pebble.Reader) error {
		var err error
		cp, err = checkpointIn(r)
		return err
	})
	return cp, err
}

// Get the value of a key, and whether it has one.
func (p *Snapshot) Get(key []byte) ([]byte, bool, error) {
	var value []byte
	var ok bool
	err := p.use(func(r pebble.Reader) error {
		if string(key) == checkpointKey {
			return nil
		}
		var err error
		value, ok, err = get(r, key)
		return err
	})
	return value, ok, err
}

// Scan is as Store's.
func (p *Snapshot) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return p.use(func(r pebble.Reader) error { return scan(r, from, to, fn) })
}

// Close the snapshot. It may be called again, and in vain.
func (p *Snapshot) Close() error {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if p.ended {
		return nil
	}
	p.ended = true
	return p.store.letGo(p.at)
}
