package broker

import (
	"errors"
	"sync"
	"time"
)

// bankedSeconds is how many seconds of a rate that wasn't used may be used later. A journal begins with one.
const bankedSeconds = 10

// rate bounds how many bytes a second are taken for a journal. It is of what is gathered, before the
// pipeline is taken: so who is held up holds up nobody else. Its zero value is ready to use.
type rate struct {
	mu     sync.Mutex
	perSec int64   // as it was last
	credit float64 // bytes; negative is a debt
	at     time.Time
}

// take n bytes at so many bytes a second, and return how long to wait before they are used. 0 a
// second is no bound.
func (r *rate) take(now time.Time, perSec, n int64) time.Duration {
	if perSec <= 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perSec == 0 {
		r.credit, r.at = float64(perSec), now
	}
	r.perSec = perSec
	if now.After(r.at) {
		r.credit += now.Sub(r.at).Seconds() * float64(perSec)
		r.at = now
	}
	r.credit = min(r.credit, bankedSeconds*float64(perSec)) - float64(n)
	if r.credit >= 0 {
		return 0
	}
	return time.Duration(-r.credit / float64(perSec) * float64(time.Second))
}

// giveBack bytes that were taken and aren't used. Who came since has its wait from then on all the same.
func (r *rate) giveBack(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.credit += float64(n)
}

// appendRate is the bound of a journal's appends: that of its spec, which the broker's lowers. As
// in Gazette, a journal without a bound isn't given one.
func (c Config) appendRate(spec int64) int64 {
	if spec > 0 && c.MaxAppendRate > 0 {
		return min(spec, c.MaxAppendRate)
	}
	return spec
}

// slowGrace is how long a client may take to send its first content, beyond what Config.MinAppendRate allows.
const slowGrace = time.Second

// errSlow ends an append that is sent too slowly.
var errSlow = errors.New("client stream didn't sustain the minimum append data rate")

// pace is how fast a client sends an append: only the time is counted in which we wait for it.
type pace struct {
	waited time.Duration
	bytes  int64
}

// received content after having waited for it. The error is errSlow if the client is slower than perSec
// bytes a second; 0 is no bound.
func (p *pace) received(n int, waited time.Duration, perSec int64) error {
	p.waited += waited
	p.bytes += int64(n)
	if perSec > 0 && p.waited > slowGrace+time.Duration(float64(p.bytes)/float64(perSec)*float64(time.Second)) {
		return errSlow
	}
	return nil
}
