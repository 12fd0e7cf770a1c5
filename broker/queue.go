package broker

import (
	"slices"
	"sync"
)

// queue has the appends of a journal that wait for whoever takes the pipeline next.
type queue struct {
	mu      sync.Mutex
	tickets []*ticket
}

func (q *queue) push(t ...*ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tickets = append(q.tickets, t...)
}

// take all that wait.
func (q *queue) take() []*ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.tickets
	q.tickets = nil
	return all
}

// remove a ticket, and tell whether it still waited.
func (q *queue) remove(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.tickets, t)
	if i < 0 {
		return false
	}
	q.tickets = slices.Delete(q.tickets, i, i+1)
	return true
}
