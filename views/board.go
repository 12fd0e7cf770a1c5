package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"broadsheet.dev/broadsheet/consumer/store"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
)

// board shows the last state of a view that is whole, committed and acknowledged, to whoever reads it.
type board struct {
	mu      sync.Mutex
	last    *state // nil if there is none yet
	closed  bool
	changed chan struct{} // closed when last becomes another one, or the board is closed
}

func newBoard() board { return board{changed: make(chan struct{})} }

// state of a view. Whoever holds it releases it.
type state struct {
	board    *board
	snapshot *pebblestore.Snapshot
	holders  int

	shape shape
	epoch epoch
	cut   map[string]int64
}

// publish the state that was committed last, unless a transaction of a producer is half in it.
func (v *view) publish() error {
	snapshot, err := v.store.Snapshot()
	if err != nil {
		return err
	}
	s := &state{board: &v.board, snapshot: snapshot, holders: 1, shape: v.shape, cut: make(map[string]int64)}
	if err := s.read(); err != nil {
		_ = snapshot.Close()
		return err
	}
	v.metrics.published(s)
	if s.epoch.half {
		return snapshot.Close()
	}
	return v.board.put(s)
}

// read what state it is.
func (s *state) read() error {
	cp, err := s.snapshot.Checkpoint()
	if err != nil {
		return err
	}
	for journal, source := range cp.GetSources() {
		s.cut[journal] = source.GetReadThrough()
	}
	value, ok, err := s.snapshot.Get([]byte{keyEpoch})
	if err != nil || !ok {
		return err
	}
	s.epoch, err = decodeEpoch(value)
	return err
}

var errFull = errors.New("enough was taken")

// scan has take take what stands between two keys, in order, and calls send whenever it has enough, and at the end. While send
// runs, nothing of the store is in use: a receiver that is slow doesn't hold up the end of the shard.
func (s *state) scan(ctx context.Context, from, to []byte, take func(key, value []byte) (full bool, err error), send func() error) error {
	for from != nil {
		var next []byte
		err := s.snapshot.Scan(from, to, func(key, value []byte) error {
			full, err := take(key, value)
			if err == nil && full {
				next, err = append(bytes.Clone(key), 0), errFull
			}
			return err
		})
		if err != nil && !errors.Is(err, errFull) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("read the state: %w", context.Cause(ctx))
		}
		if err := send(); err != nil {
			return err
		}
		from = next
	}
	return nil
}

func (b *board) put(s *state) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.last
	b.last = s
	close(b.changed)
	b.changed = make(chan struct{})
	return before.letGo()
}

// hold the last state, if there is one, and what is closed once there is another. An error is of a board that is closed.
func (b *board) hold() (*state, <-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, store.ErrClosed
	}
	if b.last != nil {
		b.last.holders++
	}
	return b.last, b.changed, nil
}

// close the board. States that are held can't be read any more once the store is closed.
func (b *board) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	close(b.changed)
	before := b.last
	b.last = nil
	return before.letGo()
}

// release the state. Nil is none.
func (s *state) release() {
	if s == nil {
		return
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	_ = s.letGo() // which a closed store has done
}

// letGo of the state. The caller holds the board's mutex.
func (s *state) letGo() error {
	if s == nil {
		return nil
	}
	if s.holders--; s.holders > 0 {
		return nil
	}
	return s.snapshot.Close()
}
