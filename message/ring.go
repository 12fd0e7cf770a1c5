package message

// ring keeps the newest pending messages, of all producers, within bounds.
//
// Slots have sequence numbers, from 1 on: [first, next) are in the ring, each at its number
// modulo the number of slots. Those of a producer that are pending are a chain. The oldest
// slot leaves first, so the chain of a producer is always the end of its span.
type ring struct {
	slots       []slot
	first, next uint64
	held, most  int64 // bytes
	maxSlots    int
}

// slot of a message; of is nil once it was delivered or rolled back.
type slot struct {
	env   Envelope
	clock Clock
	of    *producer
	after uint64 // the producer's next slot; 0 if this is its last
}

// chain of a producer's slots, by their sequence numbers; 0 if it has none.
type chain struct{ first, last uint64 }

const minSlots = 16

func newRing(slots int, bytes int64) ring {
	return ring{slots: make([]slot, min(slots, minSlots)), first: 1, next: 1, most: bytes, maxSlots: slots}
}

func (r *ring) at(n uint64) *slot { return &r.slots[n%uint64(len(r.slots))] }

// add a message to the chain of its producer. A message that is larger than the ring is
// alone in it.
func (r *ring) add(env Envelope, clock Clock, p *producer) {
	size := env.End - env.Begin
	for r.first != r.next && (r.held+size > r.most || r.next-r.first == uint64(r.maxSlots)) {
		r.evict()
	}
	if r.next-r.first == uint64(len(r.slots)) {
		r.grow()
	}
	n := r.next
	r.next++
	r.held += size
	*r.at(n) = slot{env: env, clock: clock, of: p}
	if p.chain.first == 0 {
		p.chain.first = n
	} else {
		r.at(p.chain.last).after = n
	}
	p.chain.last = n
}

// evict the oldest slot.
func (r *ring) evict() {
	if s := r.at(r.first); s.of != nil {
		s.of.chain.first = s.after
		if s.after == 0 {
			s.of.chain.last = 0
		}
		r.clear(s)
	}
	r.first++
}

// clear a slot, which stays in its place.
func (r *ring) clear(s *slot) {
	r.held -= s.env.End - s.env.Begin
	*s = slot{}
}

// clearChain of a producer.
func (r *ring) clearChain(p *producer) {
	for n := p.chain.first; n != 0; {
		s := r.at(n)
		n = s.after
		r.clear(s)
	}
	p.chain = chain{}
}

func (r *ring) grow() {
	grown := make([]slot, min(2*len(r.slots), r.maxSlots))
	for n := r.first; n != r.next; n++ {
		grown[n%uint64(len(grown))] = *r.at(n)
	}
	r.slots = grown
}
