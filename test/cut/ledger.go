package cut

import (
	"fmt"
	"sync"
)

// ledger is what the writer of one journal was told.
type ledger struct {
	mu    sync.Mutex
	begun int64 // numbers below it were sent
	acked int64 // numbers below it are acknowledged
}

// begin an append up to a number.
func (l *ledger) begin(end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = end
}

// acknowledge an append up to a number.
func (l *ledger) acknowledge(end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = end
}

// bounds are the numbers below which all are acknowledged, and all were sent.
func (l *ledger) bounds() (int64, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked, l.begun
}

// span is what an answer has of one journal.
type span struct{ count, least, most, sum int64 }

// verdict is what has to hold for the answer of one journal.
type verdict struct {
	floor int64 // numbers below it were acknowledged before the query began
	sent  int64 // those from here on weren't begun when it had ended
	seen  span  // what the session saw before
}

// check what a query answered of a journal.
func (v verdict) check(s span) error {
	switch {
	case s.count == 0 && v.floor > 0:
		return fmt.Errorf("no row, though %d were acknowledged before", v.floor)
	case s.count == 0:
		return nil
	case s.least != 0 || s.count != s.most+1 || s.sum != s.most*s.count/2:
		return fmt.Errorf("%d rows from %d to %d with the sum %d: a gap, or twins", s.count, s.least, s.most, s.sum)
	case s.most+1 < v.floor:
		return fmt.Errorf("rows up to %d, though %d were acknowledged before", s.most, v.floor)
	case s.most >= v.sent:
		return fmt.Errorf("rows up to %d, of which only those below %d were sent", s.most, v.sent)
	case s.most < v.seen.most:
		return fmt.Errorf("rows up to %d, after the session had seen %d", s.most, v.seen.most)
	default:
		return nil
	}
}
