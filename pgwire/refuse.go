package pgwire

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// maxRefused bounds the connections that are told at one time that there is no room.
	maxRefused = 100
	// refusal is how long such a connection has to say what it wants.
	refusal = time.Second
)

// refusals are the connections over Config.MaxStarting, or over what one address may have. They hear of it once they have said
// what they want, because before that many clients don't understand an answer, or in a second,
// and take places of their own: if those are taken too, the one that came first hears of it at
// once. So each is told, at most maxRefused have memory, and none waits long to be accepted.
type refusals struct {
	places chan struct{}

	mu      sync.Mutex
	waiting []refused // that weren't told yet, in the order in which they came
}

// refused is a connection, and what it is to be told.
type refused struct {
	conn   *conn
	reason error
}

func newRefusals() *refusals { return &refusals{places: make(chan struct{}, maxRefused)} }

// enter takes a place for a connection, if need be that of the first one. It is called by one
// goroutine at a time, so that all that have a place are known.
func (r *refusals) enter(c *conn, reason error) {
	select {
	case r.places <- struct{}{}:
	default:
		r.hurry()
		r.places <- struct{}{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, refused{c, reason})
}

// hurry ends the wait of the connection that came first.
func (r *refusals) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 {
		r.waiting[0].conn.life.interrupt(r.waiting[0].reason)
		r.waiting = r.waiting[1:]
	}
}

// leave gives the place back.
func (r *refusals) leave(c *conn) {
	r.mu.Lock()
	if i := slices.IndexFunc(r.waiting, func(w refused) bool { return w.conn == c }); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
	r.mu.Unlock()
	<-r.places
}

// errNoPlace is why a connection isn't taken before its startup.
func (s *Server) errNoPlace() *Error {
	return tooMany(fmt.Sprintf("The server takes %d connections at a time that have not started yet.", s.cfg.MaxStarting))
}

// refuse reads what a connection wants and tells it why there is no room. Requests to cancel
// are taken as ever.
func (s *Server) refuse(c *conn, reason error) {
	c.life.allow(refusal)
	err := c.guarded(func() error {
		p, err := c.readStartup()
		if err == nil && p.cancel {
			return s.cancel(c, p, refusal)
		}
		return err
	})
	if err == nil || errors.Is(err, errGone) { // or it said nothing in time
		err = reason
	}
	c.finish(err)
}

const (
	// guessEvery is the time for which a wrong secret of a cancel request counts.
	guessEvery = time.Second / 16
	// guessBurst is how much of it may be taken at once.
	guessBurst = time.Second
)

// guesses bounds how many secrets of cancel requests are compared: sixteen a second may be
// wrong, so that the four bytes of protocol 3.0 aren't found in years. Right ones don't count.
type guesses struct {
	mu   sync.Mutex
	busy time.Time // until when all that were made take their time
}

// reserve allows for a comparison after the time that it returns; false if that is over most.
func (g *guesses) reserve(now time.Time, most time.Duration) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy.Before(now) {
		g.busy = now
	}
	wait := max(0, g.busy.Add(guessEvery).Sub(now)-guessBurst)
	if wait > most {
		return 0, false
	}
	g.busy = g.busy.Add(guessEvery)
	return wait, true
}

// forgive is for a secret that was right.
func (g *guesses) forgive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = g.busy.Add(-guessEvery)
}
