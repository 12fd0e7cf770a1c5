package pgcatalog

import (
	"context"
	"time"
)

// Session is one of the server's, as pg_stat_activity shows it.
type Session struct {
	PID         uint32
	User        string
	Application string
	// Shown: who asks may see what follows.
	Shown                        bool
	Address                      string // "" of a socket that has none
	Port                         int32
	Began, Transaction           time.Time // Transaction is zero while there is none
	Queried, Changed             time.Time
	State, Query                 string
	WaitType, Wait               string // "" while it doesn't wait
	TLSVersion, Cipher, ClientDN string // "" without TLS
	Bits                         int32
}

func (s *snapshot) sessions() []Session {
	if s.state.Sessions == nil {
		return nil
	}
	return s.state.Sessions()
}

// activityRows are those of pg_stat_activity. What a session does is only shown to those who might have done it.
func activityRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.sessions() {
		w.number("datid", oidDatabase)
		w.text("datname", s.catalog.cfg.Database)
		w.number("pid", int64(x.PID))
		if id := s.roleID(x.User); id != 0 {
			w.number("usesysid", id)
		}
		w.text("usename", x.User)
		w.text("application_name", x.Application)
		if !x.Shown {
			w.text("query", "<insufficient privilege>")
			if err := w.end(); err != nil {
				return err
			}
			continue
		}
		if x.Address != "" {
			w.text("client_addr", x.Address)
		}
		if x.Port != 0 {
			w.number("client_port", int64(x.Port))
		}
		w.time("backend_start", x.Began)
		w.time("xact_start", x.Transaction)
		w.time("query_start", x.Queried)
		w.time("state_change", x.Changed)
		if x.Wait != "" {
			w.text("wait_event_type", x.WaitType)
			w.text("wait_event", x.Wait)
		}
		w.text("state", x.State)
		w.text("query", x.Query)
		w.text("backend_type", "client backend")
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// sslRows are those of pg_stat_ssl.
func sslRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.sessions() {
		w.number("pid", int64(x.PID))
		if x.Shown {
			w.truth("ssl", x.TLSVersion != "")
			if x.TLSVersion != "" {
				w.text("version", x.TLSVersion)
				w.text("cipher", x.Cipher)
				w.number("bits", int64(x.Bits))
			}
			if x.ClientDN != "" {
				w.text("client_dn", x.ClientDN)
			}
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// time puts a time, NULL for none.
func (w *writer) time(column string, t time.Time) {
	if !t.IsZero() {
		w.number(column, t.UnixMicro())
	}
}
