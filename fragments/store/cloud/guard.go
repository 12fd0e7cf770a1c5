package cloud

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"broadsheet.dev/broadsheet/fragments/store"
)

// guard decides which addresses may be dialled. It sees them after names are resolved,
// so that a name can't stand for another address than the one that was looked at.
type guard struct {
	allowed []netip.Prefix
	strict  bool // Only what is allowed, be it public or not.
}

// notPublic are the addresses that aren't of the public internet, besides those that
// package netip knows as such.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // Carriers' own.
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // Benchmarks.
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),   // These two and the next hold IPv4 addresses,
	netip.MustParsePrefix("64:ff9b:1::/48"), // of which any may be private.
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// refusedError is an address that the operator didn't allow.
type refusedError struct {
	addr   netip.Addr
	strict bool
}

func (e *refusedError) Error() string {
	if e.strict {
		return fmt.Sprintf("address %s: the store's entry names no such address, and plain http is spoken to no other", e.addr)
	}
	return fmt.Sprintf("address %s is not a public one, and the store's entry doesn't allow it", e.addr)
}

func (e *refusedError) Is(target error) bool { return target == store.ErrNotAllowed }

// check refuses an address that may not be dialled.
func (g guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if slices.ContainsFunc(g.allowed, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	public := addr.IsGlobalUnicast() && !addr.IsPrivate() &&
		!slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(addr) })
	if g.strict || !public {
		return &refusedError{addr: addr, strict: g.strict && public}
	}
	return nil
}

// control is for net.Dialer, which calls it with each address before it connects.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return g.check(addr.Addr())
}

func (g guard) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: g.control}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   64,
	}
}

// transport speaks plain http by one transport and https by another, as they may reach
// different addresses, and writes down what was answered.
type transport struct{ plain, secure *http.Transport }

func newClient(allowed []netip.Prefix) *http.Client {
	return &http.Client{
		Transport: &transport{
			plain:  guard{allowed: allowed, strict: true}.transport(),
			secure: guard{allowed: allowed}.transport(),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.secure
	if r.URL.Scheme == "http" {
		next = t.plain
	}
	response, err := next.RoundTrip(r)
	if a, ok := r.Context().Value(answerKey{}).(*answer); ok {
		a.note(response, err)
	}
	return response, err
}

// CloseIdleConnections is called by that of http.Client.
func (t *transport) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	t.secure.CloseIdleConnections()
}

// withAnswer is a context whose requests are noted in the answer.
func withAnswer(ctx context.Context) (context.Context, *answer) {
	a := new(answer)
	return context.WithValue(ctx, answerKey{}, a), a
}

type answerKey struct{}
