package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Visitors tells who may come by HTTP to a port that asks nobody who they are. A page of some other site, open in a
// browser on this machine, is nobody whom its user has sent: it can have a name of its own resolve to this
// machine (DNS rebinding), which the header Host then tells, and it can ask across sites, which Origin does.
type Visitors struct {
	hosts   []string // names of this process, in lower case, besides those of loopback
	origins []string // of pages that may come
}

// NewVisitors of a process with an endpoint, which has more names, and may be used by pages of the origins.
func NewVisitors(endpoint string, hosts, origins []string) *Visitors {
	v := &Visitors{origins: origins}
	if u, err := url.Parse(endpoint); err == nil && u.Hostname() != "" {
		v.hosts = append(v.hosts, strings.ToLower(u.Hostname()))
	}
	for _, h := range hosts {
		v.hosts = append(v.hosts, strings.ToLower(h))
	}
	return v
}

// ValidateHosts tells which isn't the name of a host, or an address, without a port.
func ValidateHosts(hosts []string) error {
	for _, h := range hosts {
		if h == "" || strings.ContainsAny(h, "/@ ") || net.ParseIP(h) == nil && strings.Contains(h, ":") {
			return fmt.Errorf("allowed host %q isn't one: it is a name or an address, without a port", h)
		}
	}
	return nil
}

// Reception of a visitor.
type Reception int

const (
	// Welcome is of who may come.
	Welcome Reception = iota
	// StrangeHost is of a request on loopback for a host that isn't this process.
	StrangeHost
	// StrangeOrigin is of a page that may not use it.
	StrangeOrigin
)

// Receive tells whether a request may come.
func (v *Visitors) Receive(r *http.Request) Reception {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case isLoopback(local) && !v.knows(r.Host):
		return StrangeHost
	case !v.mayAsk(r):
		return StrangeOrigin
	}
	return Welcome
}

// isLoopback tells whether a connection came in by an address that this machine alone reaches. (A unix
// socket is none, and no browser comes by one.)
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// knows tells whether a Host is a name of this process. Browsers always send one.
func (v *Visitors) knows(host string) bool {
	name := strings.ToLower(hostname(host))
	name = strings.TrimSuffix(name, ".")
	return name == "" || IsLoopbackHost(name) || strings.HasSuffix(name, ".localhost") || slices.Contains(v.hosts, name)
}

// mayAsk tells whether a request comes from no page at all, from one of this process's own, or of an origin that is
// allowed.
func (v *Visitors) mayAsk(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(v.origins, origin) || slices.Contains(v.origins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// hostname of a Host, which may have a port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }
