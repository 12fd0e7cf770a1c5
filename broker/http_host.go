package broker

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// visitors tells who may come by HTTP to a port that asks nobody who they are. A page of some other site, open in a
// browser on this machine, is nobody whom its user has sent: it can have a name of its own resolve to this
// machine (DNS rebinding), which the header Host then tells, and it can ask across sites, which Origin does.
type visitors struct {
	everyone bool     // they are asked
	hosts    []string // names of this broker, in lower case, besides those of loopback
	origins  []string // of pages that may come
}

// newVisitors of a broker.
func newVisitors(c Config) *visitors {
	v := &visitors{everyone: c.Security.Authenticates(), origins: c.AllowOrigins}
	if u, err := url.Parse(c.Endpoint); err == nil && u.Hostname() != "" {
		v.hosts = append(v.hosts, strings.ToLower(u.Hostname()))
	}
	for _, h := range c.AllowedHosts {
		v.hosts = append(v.hosts, strings.ToLower(h))
	}
	return v
}

// validateHosts tells which isn't the name of a host, or an address, without a port.
func validateHosts(hosts []string) error {
	for _, h := range hosts {
		if h == "" || strings.ContainsAny(h, "/@ ") || net.ParseIP(h) == nil && strings.Contains(h, ":") {
			return fmt.Errorf("allowed host %q isn't one: it is a name or an address, without a port", h)
		}
	}
	return nil
}

// guard a handler, which serves those only who may come.
func (v *visitors) guard(next http.Handler) http.Handler {
	if v.everyone {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		switch {
		case isLoopback(local) && !v.knows(r.Host):
			writeError(w, http.StatusForbidden, fmt.Sprintf("host %q isn't this broker", r.Host),
				"use localhost or 127.0.0.1, or have the operator name the host by --allowed-hosts; a port that asks nobody who they are answers to no other name")
		case !v.mayAsk(r):
			w.Header().Add("Vary", "Origin")
			writeError(w, http.StatusForbidden, fmt.Sprintf("pages of %q may not use this broker", r.Header.Get("Origin")),
				"have the operator name the origin by --broker.allow-origin")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLoopback tells whether a connection came in by an address that this machine alone reaches. (A unix
// socket is none, and no browser comes by one.)
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// knows tells whether a Host is a name of this broker. Browsers always send one.
func (v *visitors) knows(host string) bool {
	name := strings.ToLower(hostname(host))
	name = strings.TrimSuffix(name, ".")
	return name == "" || auth.IsLoopbackHost(name) || strings.HasSuffix(name, ".localhost") || slices.Contains(v.hosts, name)
}

// mayAsk tells whether a request comes from no page at all, from one of this broker's own, or of an origin that is
// allowed.
func (v *visitors) mayAsk(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(v.origins, origin) || slices.Contains(v.origins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// hostname of a Host, which may have a port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }
