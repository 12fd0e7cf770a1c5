package pgwire

import (
	"context"
	"sync"
	"time"
)

// connections are the open connections of one call of Serve.
type connections struct {
	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

// add a connection, unless the server is stopping.
func (s *connections) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = struct{}{}
	}
	return !s.closed
}

func (s *connections) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// look is how often calls are looked at whose client may have gone.
const look = 100 * time.Millisecond

// watch ends connections whose clients went away during a call, until ctx is done.
func (s *connections) watch(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.each((*lifeline).away)
		}
	}
}

// shutDown ends all connections, and lets none be added.
func (s *connections) shutDown() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.each(func(l *lifeline) { l.interrupt(errShutdown) })
}

func (s *connections) each(do func(*lifeline)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(&c.life)
	}
}
