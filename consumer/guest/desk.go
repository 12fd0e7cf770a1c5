package guest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
)

// desk is where a shard's transactions lie while programs do them. There is one for each time that the shard becomes primary.
//
// The shard adds messages and finalizes, on one goroutine. Whoever has the seat sees the transaction, and answers it. The
// seat is a token: who sends to it has it, who receives from it gives it back.
type desk struct {
	life    string // that tokens begin with: those of other lives aren't ours
	most    Config
	metrics *shardMetrics
	seat    chan struct{}

	mu         sync.Mutex
	count      int
	txn        *transaction // that has messages, and no answer; nil if there is none
	committing string       // the token of the one that was answered, until it has finished
	last       string       // that of the one that finished last
	lease      *lease       // by which the seat is had; nil if it isn't had so
	wake       chan struct{}
	closed     bool
}

// transaction on a desk.
type transaction struct {
	token    string
	messages []*shardv1.Message
	size     int
	whole    bool // it was finalized
	given    bool // to a program, as a whole
	answer   chan answer
}

// answer of a program: one of the two.
type answer struct {
	changes *changes
	failure *shardv1.Failure
}

// lease on a transaction.
type lease struct {
	token string
	timer *time.Timer
}

func newDesk(most Config, m *shardMetrics) *desk {
	return &desk{life: rand.Text()[:12], most: most, metrics: m, seat: make(chan struct{}, 1)}
}

// changed wakes whoever looks. The caller holds the mutex.
func (d *desk) changed() {
	if d.wake != nil {
		close(d.wake)
		d.wake = nil
	}
}

// view of a desk.
type view struct {
	token      string             // of the transaction; empty if there is none
	messages   []*shardv1.Message // of it, so far
	whole      bool
	committing bool   // the one before isn't done
	answered   string // its token
	last       string
	wake       <-chan struct{} // closed once it is otherwise
}

// look at the desk.
func (d *desk) look() view {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wake == nil {
		d.wake = make(chan struct{})
	}
	v := view{wake: d.wake, committing: d.committing != "", answered: d.committing, last: d.last}
	if t := d.txn; t != nil {
		v.token, v.messages, v.whole = t.token, slices.Clip(t.messages), t.whole
	}
	return v
}

// add a message to the transaction; false if it is to be in the next.
func (d *desk) add(m *shardv1.Message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.txn == nil {
		d.count++
		d.txn = &transaction{token: fmt.Sprintf("%s-%d", d.life, d.count), answer: make(chan answer, 1)}
	}
	t := d.txn
	if len(t.messages) > 0 && (len(t.messages) == d.most.MaxMessages || t.size+len(m.GetDocument()) > d.most.MaxBytes) {
		return false
	}
	t.messages, t.size = append(t.messages, m), t.size+len(m.GetDocument())
	d.changed()
	return true
}

// finalize the transaction: wait for its answer. It is nil if there is no message, and so nothing to do.
func (d *desk) finalize(ctx context.Context, leaving <-chan struct{}) (*answer, error) {
	d.mu.Lock()
	t := d.txn
	if t == nil {
		d.mu.Unlock()
		return nil, nil //nolint:nilnil // as above
	}
	t.whole = true
	d.changed()
	d.awaited()
	d.mu.Unlock()
	var late <-chan time.Time
	for {
		select {
		case a := <-t.answer:
			return &a, nil
		case <-leaving:
			// Whoever is at it may finish. Nobody is to begin.
			if d.trySeat() {
				return d.withdraw(t)
			}
			leaving = nil
			timer := time.NewTimer(d.most.Patience)
			defer timer.Stop() // The loop comes here once.
			late = timer.C
		case <-late:
			return d.withdraw(t)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// withdraw a transaction because the shard leaves, unless it was answered meanwhile.
func (d *desk) withdraw(t *transaction) (*answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case a := <-t.answer:
		return &a, nil
	default:
	}
	d.txn = nil
	d.changed()
	return nil, fmt.Errorf("transaction %s: %w", t.token, consumer.ErrLeave)
}

// finished tells that the transaction which was answered is committed and acknowledged; false if there was none.
func (d *desk) finished() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.committing == "" {
		return false
	}
	d.last, d.committing = d.committing, ""
	d.changed()
	return true
}

// trySeat takes the seat if it is free.
func (d *desk) trySeat() bool {
	select {
	case d.seat <- struct{}{}:
		d.seated()
		return true
	default:
		return false
	}
}

// takeSeat waits for the seat. It is false if one of the channels is closed, or sends, before.
func (d *desk) takeSeat(ctx context.Context, shard <-chan struct{}, late <-chan time.Time) bool {
	select {
	case d.seat <- struct{}{}:
		d.seated()
		return true
	case <-late:
	case <-shard:
	case <-ctx.Done():
	}
	return false
}

func (d *desk) seated() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.awaited()
}

// leaveSeat gives the seat back.
func (d *desk) leaveSeat() {
	<-d.seat
	d.mu.Lock()
	defer d.mu.Unlock()
	d.awaited()
}

// awaited notes whether a transaction waits, and no program has the seat. The caller holds the mutex.
func (d *desk) awaited() {
	if d.closed {
		return
	}
	d.metrics.waits(d.txn != nil && d.txn.whole && len(d.seat) == 0)
}

// program tells how it is with the shard's program.
func (d *desk) program() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case len(d.seat) > 0:
		return "connected"
	case d.txn != nil && d.txn.whole:
		return "waits for its program"
	}
	return "none is connected"
}

// give the transaction as a whole to who has the seat.
func (d *desk) give(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.txn; t != nil && t.token == token {
		if t.given {
			d.metrics.outcome("given again")
		}
		t.given = true
	}
}

// has tells whether a message is of the transaction with a token.
func (d *desk) has(token, journal string, offset int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.txn != nil && d.txn.token == token && slices.ContainsFunc(d.txn.messages, func(m *shardv1.Message) bool {
		return m.GetJournal() == journal && m.GetBegin() == offset
	})
}

// answered takes the answer of who has the seat; false if the token isn't that of the transaction.
func (d *desk) answered(token string, a answer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.take(token, a)
}

func (d *desk) take(token string, a answer) bool {
	t := d.txn
	if t == nil || !t.whole || t.token != token {
		return false
	}
	d.txn, d.committing = nil, token
	t.answer <- a // It has room, and is sent to once.
	d.changed()
	return true
}

// grant a lease on a transaction to who has the seat, which it is about from then on.
func (d *desk) grant(token string, long time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.txn == nil || d.txn.token != token {
		return false
	}
	l := &lease{token: token}
	l.timer = time.AfterFunc(long, func() { d.expire(l) })
	d.lease = l
	return true
}

// expire a lease, if it is still there.
func (d *desk) expire(l *lease) {
	d.mu.Lock()
	mine := d.lease == l
	if mine {
		d.lease = nil
	}
	d.mu.Unlock()
	if mine {
		d.leaveSeat()
	}
}

// standing of a token.
type standing int

const (
	unknown standing = iota
	leased           // and its answer is awaited
	answeredNow
	done
)

// standingOf a token that a program came with.
func (d *desk) standingOf(token string) standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case token == "":
		return unknown
	case d.lease != nil && d.lease.token == token:
		return leased
	case d.committing == token:
		return answeredNow
	case d.last == token:
		return done
	}
	return unknown
}

// settle takes the answer of who has a lease, whose seat is free then; false if there is no such lease any more.
func (d *desk) settle(token string, a answer) bool {
	d.mu.Lock()
	l := d.lease
	ok := l != nil && l.token == token && d.take(token, a)
	if ok {
		d.lease = nil
		l.timer.Stop()
	}
	d.mu.Unlock()
	if ok {
		d.leaveSeat()
	}
	return ok
}

// close the desk: its timer ends, and what it tells.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed, d.txn = true, nil
	if d.lease != nil {
		d.lease.timer.Stop()
		d.lease = nil
	}
	d.changed()
}
