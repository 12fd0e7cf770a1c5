package auction

import (
	"math/rand/v2"
	"time"
)

// A cycle of events, and the share of each kind in it.
const (
	cycle         = 50
	personShare   = 1
	auctionShare  = 3
	firstBid      = personShare + auctionShare
	bidShare      = cycle - firstBid
	firstPerson   = 1000
	firstAuction  = 1000
	firstCategory = 10
	categories    = 5

	inFlight      = 100  // auctions that bids go to
	activePeople  = 1000 // people who bid and sell
	idLead        = 10   // ids that may run ahead of what was generated
	hotBlock      = 100  // hot ids are the first (or second) of their block
	averagePerson = 200  // bytes
	averageSale   = 500
	averageBid    = 100
)

// Config of a generator. The zero value is ready to use.
type Config struct {
	// Seed makes different feeds of the same shape.
	Seed uint64
	// Base is the time of event 0; zero is 2026-01-01 UTC.
	Base time.Time
	// Interval of event time between events; zero is 100 µs (10 000 events a second).
	Interval time.Duration
	// Disorder permutes event times within groups of this size; 0 and 1 are in order.
	Disorder int64
}

// Generator makes events. It is safe for concurrent use.
type Generator struct{ cfg Config }

// New returns a generator.
func New(cfg Config) *Generator {
	if cfg.Base.IsZero() {
		cfg.Base = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 100 * time.Microsecond
	}
	if cfg.Disorder < 1 {
		cfg.Disorder = 1
	}
	return &Generator{cfg: cfg}
}

// Kind of an event.
type Kind int

// The kinds.
const (
	Person Kind = iota
	Auction
	Bid
)

// KindOf event n.
func KindOf(n int64) Kind {
	switch r := n % cycle; {
	case r < personShare:
		return Person
	case r < firstBid:
		return Auction
	default:
		return Bid
	}
}

func (g *Generator) random(n int64) *rand.Rand {
	return rand.New(rand.NewPCG(g.cfg.Seed^0x9e3779b97f4a7c15, uint64(n)))
}

// timeOf event n. Disorder permutes within groups by a stride that is prime to them.
func (g *Generator) timeOf(n int64) time.Time {
	d := g.cfg.Disorder
	at := n/d*d + n*953%d
	return g.cfg.Base.Add(time.Duration(at) * g.cfg.Interval)
}

// lastPerson and lastAuction are the newest ids, counted from 0, once event n happened.
func lastPerson(n int64) int64 { return n / cycle }

func lastAuction(n int64) int64 {
	r := n % cycle
	switch {
	case r < personShare:
		return n/cycle*auctionShare - 1
	case r < firstBid:
		return n/cycle*auctionShare + r - personShare
	default:
		return n/cycle*auctionShare + auctionShare - 1
	}
}

// anyAuction is one of those in flight, or about to be.
func anyAuction(r *rand.Rand, n int64) int64 {
	last := max(lastAuction(n), 0)
	lo := max(last-inFlight, 0)
	return lo + r.Int64N(last-lo+1+idLead)
}

// anyPerson is one of the active people, or about to be.
func anyPerson(r *rand.Rand, n int64) int64 {
	last := lastPerson(n)
	lo := max(last-activePeople, 0)
	return lo + r.Int64N(last-lo+1+idLead)
}

// hot tells, with a chance of 1 - 1/ratio, that the hot key is meant.
func hot(r *rand.Rand, ratio int64) bool { return r.Int64N(ratio) > 0 }
