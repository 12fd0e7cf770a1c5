package consumer

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"broadsheet.dev/broadsheet/message"
)

// queue of messages that were read ahead, of any number of readers. What it may hold is bounded, in messages and in bytes;
// what it takes is what it holds: an idle shard's is empty.
type queue struct {
	messages, bytes *semaphore.Weighted
	// arrived wakes the taker: it has a token if something was put since the last one was taken.
	arrived chan struct{}

	mu    sync.Mutex
	items []message.Envelope
	head  int // items before it were taken
}

func newQueue(most int) *queue {
	return &queue{
		messages: semaphore.NewWeighted(int64(most)), bytes: semaphore.NewWeighted(readAheadBytes), arrived: make(chan struct{}, 1),
	}
}

// put a message, once there is room.
func (q *queue) put(ctx context.Context, env message.Envelope) error {
	if err := q.messages.Acquire(ctx, 1); err != nil {
		return err
	}
	if err := q.bytes.Acquire(ctx, weight(env)); err != nil {
		q.messages.Release(1)
		return err
	}
	q.mu.Lock()
	q.items = append(q.items, env)
	q.mu.Unlock()
	select {
	case q.arrived <- struct{}{}:
	default: // it is to be woken already
	}
	return nil
}

// take the first message, if there is one.
func (q *queue) take() (message.Envelope, bool) {
	q.mu.Lock()
	if q.head == len(q.items) {
		q.mu.Unlock()
		return message.Envelope{}, false
	}
	env := q.items[q.head]
	q.items[q.head] = message.Envelope{}
	q.head++
	switch {
	case q.head == len(q.items) && cap(q.items) > keptItems:
		q.items, q.head = nil, 0
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head > len(q.items)/2 && q.head > keptItems:
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.mu.Unlock()
	q.messages.Release(1)
	q.bytes.Release(weight(env))
	return env, true
}

// keptItems is how much room of an empty queue is kept.
const keptItems = 64

// weight of a message: one that has more than all the room counts as all of it.
func weight(env message.Envelope) int64 { return min(max(env.End-env.Begin, 0), readAheadBytes) }
