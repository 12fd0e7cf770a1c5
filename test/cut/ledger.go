package cut

import (
	"fmt"
	"sync"
	"time"
)

// ledger is what the writer of one journal was told.
type ledger struct {
	mu    sync.Mutex
	begun int64  // numbers below it were sent
	acked int64  // numbers below it are acknowledged
	young []sent // appends, by their time, whose rows have to be there
	old   int64  // numbers below it needn't be any more
}

// sent is an append: the numbers below end, which weren't sent before it.
type sent struct {
	end int64
	at  time.Time
}

// begin an append up to a number.
func (l *ledger) begin(end int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun, l.young = end, append(l.young, sent{end: end, at: now})
}

// acknowledge an append up to a number.
func (l *ledger) acknowledge(end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = end
}

// acknowledged tells below which number all are.
func (l *ledger) acknowledged() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// allowed tells below which number rows may be gone, since they were sent before a time, and below which all were sent.
// The times that it is asked for may be a little out of order.
func (l *ledger) allowed(oldest time.Time) (int64, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for ; n < len(l.young) && !l.young[n].at.After(oldest); n++ {
		l.old = l.young[n].end
	}
	l.young = l.young[n:]
	return l.old, l.begun
}

// span is what an answer has of one journal.
type span struct{ count, least, most, sum int64 }

// verdict is what has to hold for the answer of one journal.
type verdict struct {
	floor int64 // numbers below it were acknowledged before the query began
	sent  int64 // those from here on weren't begun when it had ended
	old   int64 // numbers below it were sent longer ago than they are kept
	seen  span  // the last rows that the session saw before
}

// check what a query answered of a journal.
func (v verdict) check(s span) error {
	switch {
	case s.count == 0 && v.floor > v.old:
		return fmt.Errorf("no row, though %d were acknowledged before, and only those below %d needn't be kept", v.floor, v.old)
	case s.count == 0 && v.seen.count > 0 && v.seen.most >= v.old:
		return fmt.Errorf("no row, after the session had seen those up to %d, and only those below %d needn't be kept", v.seen.most, v.old)
	case s.count == 0:
		return nil
	case s.least < 0 || s.count != s.most-s.least+1 || 2*s.sum != (s.least+s.most)*s.count:
		return fmt.Errorf("%d rows from %d to %d with the sum %d: a gap, or twins", s.count, s.least, s.most, s.sum)
	case s.least > v.old:
		return fmt.Errorf("rows from %d on, though all from %d on have to be kept", s.least, v.old)
	case s.most+1 < v.floor:
		return fmt.Errorf("rows up to %d, though %d were acknowledged before", s.most, v.floor)
	case s.most >= v.sent:
		return fmt.Errorf("rows up to %d, of which only those below %d were sent", s.most, v.sent)
	case s.most < v.seen.most:
		return fmt.Errorf("rows up to %d, after the session had seen %d", s.most, v.seen.most)
	case s.least < v.seen.least:
		return fmt.Errorf("rows from %d on, after they began for the session at %d", s.least, v.seen.least)
	default:
		return nil
	}
}
