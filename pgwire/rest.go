package pgwire

import (
	"errors"
	"time"
)

// next waits for the client's next message and returns its type. While the connection rests, it
// sends notifications meanwhile, and ends if the session's patience does.
func (c *conn) next() (byte, error) {
	defer func() { c.resting = false }()
	for c.resting {
		kind, err := c.rest()
		if !errors.Is(err, errWoken) {
			return kind, err
		}
		c.notify()
	}
	return c.in.header()
}

// rest waits until there is a message, or something else to do.
func (c *conn) rest() (byte, error) {
	patience, reason := c.session.Patience()
	id := c.life.rest(c.session.TxStatus() == 'I')
	defer c.life.rise()
	if patience > 0 {
		timer := time.AfterFunc(patience, func() { c.life.expire(id, reason) })
		defer timer.Stop()
	}
	return c.in.header()
}

// notify sends what notifications wait.
func (c *conn) notify() {
	for _, n := range c.session.Notifications() {
		c.out.begin('A')
		c.out.int32(n.PID)
		c.out.cstr(n.Channel)
		c.out.cstr(n.Payload)
		c.out.end()
	}
}

// line is how others reach a connection.
type line struct{ life *lifeline }

func (l line) Cancel()           { l.life.cancel() }
func (l line) End(reason *Error) { l.life.interrupt(reason) }
func (l line) Wake()             { l.life.wake() }

// rest begins, and returns its number. If the connection may be woken, and was before, that is at once.
func (l *lifeline) rest(wakeful bool) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting = true
	l.rests++
	l.wakeful = wakeful
	l.rouse()
	return l.rests
}

// rise ends the rest, and what woke it is attended to.
func (l *lifeline) rise() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resting && l.wakeful && l.woken && l.ended == nil {
		l.woken = false
		_ = l.nc.SetReadDeadline(time.Time{})
	}
	l.resting = false
}

// wake the connection, or let it be woken at its next rest.
func (l *lifeline) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.woken = true
	l.rouse()
}

func (l *lifeline) rouse() {
	if l.resting && l.wakeful && l.woken && l.ended == nil {
		_ = l.nc.SetReadDeadline(wake())
	}
}

// attend notes that what the connection was to be woken for is about to be looked at.
func (l *lifeline) attend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.woken = false
}

// expire ends the connection if it still is in that rest.
func (l *lifeline) expire(rest uint64, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resting && l.rests == rest {
		l.stop(reason)
	}
}
