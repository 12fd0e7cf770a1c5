package broker

import (
	"fmt"
	"net/http"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// visitors are those who may come by HTTP to a port of a broker.
type visitors struct {
	everyone bool // they are asked who they are
	rules    *auth.Visitors
}

// newVisitors of a broker.
func newVisitors(c Config) *visitors {
	return &visitors{everyone: c.Security.Authenticates(), rules: auth.NewVisitors(c.Endpoint, c.AllowedHosts, c.AllowOrigins)}
}

// guard a handler, which serves those only who may come.
func (v *visitors) guard(next http.Handler) http.Handler {
	if v.everyone {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch v.rules.Receive(r) {
		case auth.StrangeHost:
			writeError(w, http.StatusForbidden, fmt.Sprintf("host %q isn't this broker", r.Host),
				"use localhost or 127.0.0.1, or have the operator name the host by --allowed-hosts; a port that asks nobody who they are answers to no other name")
		case auth.StrangeOrigin:
			w.Header().Add("Vary", "Origin")
			writeError(w, http.StatusForbidden, fmt.Sprintf("pages of %q may not use this broker", r.Header.Get("Origin")),
				"have the operator name the origin by --broker.allow-origin")
		case auth.Welcome:
			next.ServeHTTP(w, r)
		}
	})
}
