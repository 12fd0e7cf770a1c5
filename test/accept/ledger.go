package main

import (
	"fmt"
	"sync"
)

// door is a way in which records get in.
type door int

const (
	byGRPC door = iota
	byHTTP
	byPsql
	doors
)

func (d door) String() string { return [...]string{"grpc", "http", "psql"}[d] }

// batch is a run of records [first, first+n) of one door, appended atomically.
type batch struct {
	door     door
	first, n int64
}

// ledger knows, from outside of the system, which records were acknowledged. The server's
// answers are compared with it.
type ledger struct {
	mu      sync.Mutex
	next    [doors]int64 // the next record of each door
	target  [doors]int64
	acked   int64
	flying  int64   // records of batches that are under way
	unknown []batch // neither acknowledged nor certainly refused
}

// take gives the next batch of a door, or false at its target.
func (l *ledger) take(d door, n int64) (batch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, l.target[d]-l.next[d])
	if n <= 0 {
		return batch{}, false
	}
	b := batch{door: d, first: l.next[d], n: n}
	l.next[d] += n
	l.flying += n
	return b, true
}

// done settles a batch: it was acknowledged, or its outcome isn't known.
func (l *ledger) done(b batch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying -= b.n
	if err == nil {
		l.acked += b.n
		return
	}
	l.unknown = append(l.unknown, b)
}

// bounds are the least and the most records that a count may find now.
func (l *ledger) bounds() (int64, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := l.acked + l.flying
	for _, b := range l.unknown {
		most += b.n
	}
	return l.acked, most
}

func (l *ledger) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// takeUnknown hands over the batches whose outcome isn't known.
func (l *ledger) takeUnknown() []batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.unknown
	l.unknown = nil
	return u
}

// found counts an unknown batch as acknowledged.
func (l *ledger) found(b batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked += b.n
}

// again lets a batch that wasn't applied be sent once more.
func (l *ledger) again(b batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying += b.n
}

// seen notes which records a subscription delivered.
type seen struct {
	mu    sync.Mutex
	bits  [doors][]uint64
	rows  int64
	twice int64
	grown chan struct{} // closed, and replaced, when rows grows
}

func newSeen(target [doors]int64) *seen {
	s := &seen{grown: make(chan struct{})}
	for d := range s.bits {
		s.bits[d] = make([]uint64, target[d]/64+1)
	}
	return s
}

// add notes a record.
func (s *seen) add(d door, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 0 || id/64 >= int64(len(s.bits[d])) {
		return fmt.Errorf("the subscription delivered record %d of %s, which was never sent", id, d)
	}
	word, bit := &s.bits[d][id/64], uint64(1)<<(id%64)
	if *word&bit != 0 {
		s.twice++
		return fmt.Errorf("the subscription delivered record %d of %s twice", id, d)
	}
	*word |= bit
	s.rows++
	if s.rows%4096 == 0 {
		s.wake()
	}
	return nil
}

func (s *seen) wake() {
	close(s.grown)
	s.grown = make(chan struct{})
}

// state is how many records were delivered, and a channel that closes when more are.
func (s *seen) state() (int64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows, s.grown
}

// idle wakes whoever waits although few records came.
func (s *seen) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}
