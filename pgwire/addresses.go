package pgwire

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// addresses count the connections of each address, so that one can't take the places of all others. Those of a unix
// socket and of loopback aren't counted: they are of this machine, whose proxies bring others' clients.
//
// Invariant: an address is in the map exactly while it has a connection that counts, so that there are at most
// Config.MaxStarting and Config.MaxSessions of them.
type addresses struct {
	starting, all int // most of one address

	mu   sync.Mutex
	open map[netip.Prefix]addressCount
}

// addressCount is of one address: all with those that are starting.
type addressCount struct{ starting, all int }

func newAddresses(cfg *Config) *addresses {
	return &addresses{starting: cfg.MaxStartingPerAddress, all: cfg.MaxPerAddress, open: map[netip.Prefix]addressCount{}}
}

// addressOf is what a connection counts for: an address of IPv4, or the network of IPv6 that one host has as a rule,
// which is of 64 bits. It is zero for what isn't counted.
func addressOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // an address that isn't valid gives the zero one
	return p
}

// place is what a connection has of its address's number: it counts as starting, then as one of all, then not at all.
type place struct {
	of       *addresses
	address  netip.Prefix
	starting bool
}

// enter counts a connection, unless its address has too many.
func (s *addresses) enter(a net.Addr) (*place, error) {
	p := &place{of: s, address: addressOf(a), starting: true}
	if !p.address.IsValid() {
		return p, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.open[p.address]
	switch {
	case n.starting >= s.starting:
		return nil, tooMany(fmt.Sprintf("The server takes %d connections at a time of one address that have not started yet.", s.starting))
	case n.all >= s.all:
		return nil, tooMany(fmt.Sprintf("The server takes %d connections at a time of one address.", s.all))
	}
	s.open[p.address] = addressCount{starting: n.starting + 1, all: n.all + 1}
	return p, nil
}

// started tells that the connection is a session.
func (p *place) started() {
	if !p.address.IsValid() || !p.starting {
		return
	}
	p.starting = false
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	n := p.of.open[p.address]
	p.of.open[p.address] = addressCount{starting: n.starting - 1, all: n.all}
}

// leave is for the end of the connection, once.
func (p *place) leave() {
	if !p.address.IsValid() {
		return
	}
	p.started()
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	n := p.of.open[p.address]
	if n.all--; n.all == 0 {
		delete(p.of.open, p.address)
		return
	}
	p.of.open[p.address] = n
}
