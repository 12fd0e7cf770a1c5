package pgwire

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// networksAge is how long the list of this host's networks is believed.
const networksAge = 10 * time.Second

// networks of this host's interfaces, for rules with samehost and samenet. They are listed anew after a while, not for
// each connection: that costs more the more interfaces there are, and anybody may connect.
type networks struct {
	list func() ([]net.Addr, error)

	mu    sync.Mutex
	known []netip.Prefix
	since time.Time // zero if they were never listed
}

func newNetworks() *networks { return &networks{list: net.InterfaceAddrs} }

// ours are the networks, as of networksAge ago or later. The caller doesn't change them.
func (n *networks) ours(now time.Time) ([]netip.Prefix, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.since.IsZero() && now.Sub(n.since) < networksAge {
		return n.known, nil
	}
	addresses, err := n.list()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	var out []netip.Prefix
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p)
		}
	}
	n.known, n.since = out, now
	return out, nil
}
