package sqlgw

import (
	"cmp"
	"crypto/tls"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
)

// sessionsShown returns what lists the sessions of the gateway as the session may see them. It may be called by the engine's
// threads.
func (s *session) sessionsShown(snap *catalog.Snapshot) func() []pgcatalog.Session {
	return func() []pgcatalog.Session {
		state := viewState{session: s, snap: snap}
		waiting := s.gateway.locks.blocking()
		var out []pgcatalog.Session
		for _, a := range s.gateway.roster.all() {
			x := a.shown(state.mayActOn(a))
			switch _, waits := waiting[a.pid]; {
			case waits:
				x.WaitType, x.Wait = "Lock", "advisory"
			case strings.HasPrefix(x.State, "idle"):
				x.WaitType, x.Wait = "Client", "ClientRead"
			}
			out = append(out, x)
		}
		slices.SortFunc(out, func(a, b pgcatalog.Session) int { return cmp.Compare(a.PID, b.PID) })
		return out
	}
}

// shown is the activity as the catalog has it.
func (a *activity) shown(may bool) pgcatalog.Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := pgcatalog.Session{
		PID: a.pid, User: a.user, Application: a.application, Shown: may, Address: a.remote, Port: a.port, Began: a.began, Transaction: a.transaction,
		Queried: a.queried, Changed: a.changed, State: a.state, Query: a.query,
	}
	if t := a.tls; t != nil {
		x.TLSVersion, x.Cipher, x.Bits = strings.Replace(tls.VersionName(t.Version), "TLS ", "TLSv", 1), tls.CipherSuiteName(t.CipherSuite), 128
		if strings.Contains(x.Cipher, "256_GCM") || strings.Contains(x.Cipher, "CHACHA20") || strings.Contains(x.Cipher, "256_CBC") {
			x.Bits = 256
		}
		if len(t.PeerCertificates) > 0 {
			x.ClientDN = t.PeerCertificates[0].Subject.String()
		}
	}
	return x
}
