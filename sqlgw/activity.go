package sqlgw

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
)

// roster knows the sessions of a gateway, by their process ids.
type roster struct {
	mu       sync.Mutex
	sessions map[uint32]*activity
}

func newRoster() *roster { return &roster{sessions: map[uint32]*activity{}} }

func (r *roster) add(a *activity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[a.pid] = a
}

func (r *roster) remove(a *activity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[a.pid] == a {
		delete(r.sessions, a.pid)
		close(a.gone)
	}
}

// find a session; nil if there is none of that number.
func (r *roster) find(pid int64) *activity {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[uint32(pid)]
}

func (r *roster) all() []*activity {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*activity, 0, len(r.sessions))
	for _, a := range r.sessions {
		out = append(out, a)
	}
	return out
}

// maxShownQuery is how much of a query is shown to others, as in PostgreSQL.
const maxShownQuery = 1024

// activity is what others may know of a session.
type activity struct {
	pid    uint32
	user   string
	remote string
	port   int32 // -1 of a socket that has none, 0 if it isn't known
	line   pgwire.Line
	gone   chan struct{} // closed when the session has ended
	began  time.Time
	tls    *tls.ConnectionState // nil without TLS

	mu          sync.Mutex
	application string
	state       string
	query       string
	queried     time.Time // when query began
	changed     time.Time // when state did
	transaction time.Time // when it began; zero while there is none
	following   map[*following]bool
}

func newActivity(s pgwire.Startup) *activity {
	a := &activity{tls: s.Peer.TLS, pid: s.PID, user: s.User, line: s.Line, began: time.Now(), state: "idle", changed: time.Now(), gone: make(chan struct{})}
	switch peer := s.Peer.Address.(type) {
	case *net.TCPAddr:
		a.remote, a.port = peer.IP.String(), int32(peer.Port) //nolint:gosec // It is a port.
	case *net.UnixAddr:
		a.port = -1
	}
	return a
}

// shownQuery is what is shown of a text. It holds nothing else of it.
func shownQuery(sql string) string {
	if len(sql) > maxShownQuery {
		sql = sql[:maxShownQuery]
		for len(sql) > 0 && !utf8.ValidString(sql) {
			sql = sql[:len(sql)-1]
		}
	}
	return strings.Clone(sql)
}

// asks notes that the session was sent a text, or runs one that it was sent before.
func (a *activity) asks(shown string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.query, a.queried = shown, time.Now()
	a.set("active")
}

// begins notes a transaction of the session.
func (a *activity) begins(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.transaction = at
}

// set the state; the lock is held.
func (a *activity) set(state string) {
	if a.state != state {
		a.state, a.changed = state, time.Now()
	}
}

// rests notes that the session waits for its client.
func (a *activity) rests(tx *transaction, application string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.application = application
	a.transaction = time.Time{}
	if tx != nil {
		a.transaction = tx.began
	}
	switch tx.status() {
	case 'T':
		a.set("idle in transaction")
	case 'E':
		a.set("idle in transaction (aborted)")
	default:
		a.set("idle")
	}
}

// sessionColumns are those of bs_catalog.sessions.
func sessionColumns() []columnar.Column {
	at := func(name string) columnar.Column {
		return columnar.Column{Name: name, Type: columnar.Type{Kind: columnar.TimestampTZ}}
	}
	return []columnar.Column{
		bigint("pid"), text("usename"), text("application_name"), text("client_addr"), text("client_port"), at("backend_start"),
		at("xact_start"), at("query_start"), at("state_change"), text("state"), text("query"),
	}
}

// sessionRows tells of the sessions.
func sessionRows(_ context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(sessionColumns())
	for _, a := range s.session.gateway.roster.all() {
		a.row(b, s.mayActOn(a))
	}
	return add(b.batch())
}

// row of a session. What it asked is only shown to those who might have.
func (a *activity) row(b *viewRows, shown bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b.cols[0].AppendInt64(int64(a.pid))
	for i, v := range []string{a.user, a.application, a.remote, a.portText()} {
		b.text(1+i, v)
	}
	for i, t := range []time.Time{a.began, a.transaction, a.queried, a.changed} {
		if t.IsZero() {
			b.cols[5+i].AppendNull()
		} else {
			b.cols[5+i].AppendInt64(t.UnixMicro())
		}
	}
	b.text(9, a.state)
	if shown {
		b.text(10, a.query)
	} else {
		b.text(10, "<insufficient privilege>")
	}
}

func (a *activity) portText() string {
	if a.port <= 0 {
		return ""
	}
	return strconv.Itoa(int(a.port))
}
