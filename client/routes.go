package client

import (
	"container/list"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// defaultRouteTTL is how long a route is believed without being told again.
const defaultRouteTTL = time.Minute

// RouteCache configures how a Client remembers which brokers have which journals. With
// it, RPCs go to those brokers themselves; without, all go to the Client's endpoint, and
// brokers proxy.
type RouteCache struct {
	// Size is the number of journals that are remembered, those used last; 0 is no cache.
	Size int
	// TTL is how long a route is used after a broker told it; 0 is a minute.
	TTL time.Duration
	// Zone of this process. Members in it are read from before others; empty has no
	// preference.
	Zone string
}

// Validate that nothing is negative, and that a zone is used.
func (c RouteCache) Validate() error {
	switch {
	case c.Size < 0:
		return fmt.Errorf("route cache: size %d: must not be negative", c.Size)
	case c.TTL < 0:
		return fmt.Errorf("route cache: TTL %s: must not be negative", c.TTL)
	case c.Size == 0 && c.Zone != "":
		return errors.New("route cache: a zone is of no use without a size")
	}
	return nil
}

// routes is the cache. Brokers' answers fill it; an answer of a broker that hasn't the
// journal, or none at all, empties it.
//
// Invariant: order has each entry of byJournal once, those used last in front, and no
// more than size.
type routes struct {
	size int
	ttl  time.Duration

	mu        sync.Mutex
	byJournal map[string]*list.Element
	order     list.List // of *routeEntry
}

type routeEntry struct {
	journal string
	route   *protocol.Route
	expires time.Time
}

// newRoutes returns the cache, or nil for none. All methods can be called on nil.
func newRoutes(cfg RouteCache) *routes {
	if cfg.Size == 0 {
		return nil
	}
	if cfg.TTL == 0 {
		cfg.TTL = defaultRouteTTL
	}
	return &routes{size: cfg.Size, ttl: cfg.TTL, byJournal: make(map[string]*list.Element)}
}

// get returns the route of a journal; nil if it isn't known, or no longer believed.
func (r *routes) get(journal string) *protocol.Route {
	if r == nil {
		return nil
	}
	journal, _ = protocol.SplitMeta(journal)
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.byJournal[journal]
	if !ok {
		return nil
	}
	e := at.Value.(*routeEntry)
	if !time.Now().Before(e.expires) {
		r.remove(at)
		return nil
	}
	r.order.MoveToFront(at)
	return e.route
}

// learn a route that a broker told. One without members is forgotten: the journal
// waits for them, and any broker may know first.
func (r *routes) learn(journal string, route *protocol.Route) {
	if r == nil {
		return
	}
	if len(route.GetMembers()) == 0 || len(route.GetEndpoints()) == 0 {
		r.forget(journal)
		return
	}
	journal, _ = protocol.SplitMeta(journal)
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.byJournal[journal]; ok {
		r.remove(at)
	}
	r.byJournal[journal] = r.order.PushFront(&routeEntry{journal, route, time.Now().Add(r.ttl)})
	for r.order.Len() > r.size {
		r.remove(r.order.Back())
	}
}

func (r *routes) forget(journal string) {
	if r == nil {
		return
	}
	journal, _ = protocol.SplitMeta(journal)
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.byJournal[journal]; ok {
		r.remove(at)
	}
}

func (r *routes) remove(at *list.Element) {
	r.order.Remove(at)
	delete(r.byJournal, at.Value.(*routeEntry).journal)
}

// role is what a broker of a route has to be.
type role int

const (
	// rolePrimary takes appends.
	rolePrimary role = iota
	// roleMember can be read from.
	roleMember
	// roleAny answers from wherever it is, or proxies.
	roleAny
)

// choose returns the endpoint of a member of the route in a role, among those that are
// usable; "" if there is none. Members of the zone come before others.
func choose(route *protocol.Route, as role, zone string, usable func(endpoint string) bool) string {
	switch as {
	case rolePrimary:
		if e := route.EndpointOf(int(route.GetPrimary())); e != "" && usable(e) {
			return e
		}
		return ""
	case roleAny:
		return ""
	case roleMember:
	}
	var near, far []string
	for i, m := range route.GetMembers() {
		switch e := route.EndpointOf(i); {
		case e == "" || !usable(e):
		case zone != "" && m.GetZone() == zone:
			near = append(near, e)
		default:
			far = append(far, e)
		}
	}
	if len(near) == 0 {
		near = far
	}
	if len(near) == 0 {
		return ""
	}
	return near[rand.IntN(len(near))]
}
