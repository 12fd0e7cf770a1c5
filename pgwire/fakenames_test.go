package pgwire

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// These are the statements of PostgreSQL by which a fakeSession uses its connection's names, and
// sends notifications to others.

// bulletin is where the sessions of a backend leave messages for each other.
type bulletin struct {
	mu       sync.Mutex
	sessions map[*fakeSession][]Notification // with those that wait
}

// post a notification to all sessions that listen.
func (b *bulletin) post(n Notification) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.sessions {
		b.sessions[s] = append(b.sessions[s], n)
		s.line.Wake()
	}
}

func (s *fakeSession) listen(on bool) {
	b := &s.backend.bulletin
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !on:
		delete(b.sessions, s)
	case b.sessions == nil:
		b.sessions = map[*fakeSession][]Notification{s: nil}
	default:
		b.sessions[s] = nil
	}
}

func (s *fakeSession) Notifications() []Notification {
	defer s.enter()()
	b := &s.backend.bulletin
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting, ok := b.sessions[s]
	if ok {
		b.sessions[s] = nil
	}
	return waiting
}

func (s *fakeSession) Failed() {
	defer s.enter()()
	if s.tx == 'T' {
		s.tx = 'E'
	}
}

// Patience is what the session was started with.
func (s *fakeSession) Patience() (time.Duration, *Error) {
	defer s.enter()()
	d, _ := time.ParseDuration(s.parameters["patience"])
	if s.tx != 'I' {
		return d, &Error{Severity: "FATAL", Code: "25P03", Message: "terminating connection due to idle-in-transaction timeout"}
	}
	if s.parameters["patience"] == "1h" || s.parameters["patience-in"] == "transaction" {
		return 0, nil
	}
	return d, &Error{Severity: "FATAL", Code: "57P05", Message: "terminating connection due to idle-session timeout"}
}

// learnNames returns the statements.
func learnNames() []known {
	series := func(name, n string, hold bool) behaviour {
		count, _ := strconv.Atoi(n)
		return command("DECLARE CURSOR", func(s *fakeSession) error {
			return s.names.AddPortal(name, &fakeCursor{session: s, left: count}, []Column{intColumn("generate_series")}, hold, len(name))
		})
	}
	var all []known
	for pattern, do := range map[string]func([]string) behaviour{
		`declare (\w+) cursor (with hold )?for select generate_series\(1,(\d{1,4})\)`: func(f []string) behaviour {
			return series(f[1], f[3], f[2] != "")
		},
		`fetch (\d{1,4}) from (\w+)`: func(f []string) behaviour { return fetched(f[2], f[1]) },
		`close (\w+)`:                closed,
		`prepare (\w+) as select (\d+)`: func(f []string) behaviour {
			return command("PREPARE", func(s *fakeSession) error {
				return s.names.AddStatement(f[1], &fakeStatement{session: s, sql: "select " + f[2], does: constants([]string{f[2]})}, len(f[2]))
			})
		},
		`deallocate (\w+)`: func(f []string) behaviour {
			return command("DEALLOCATE", func(s *fakeSession) error {
				if _, err := s.names.Statement(f[1]); err != nil {
					return err
				}
				s.names.DropStatement(f[1])
				return nil
			})
		},
		`deallocate all`: func([]string) behaviour {
			return command("DEALLOCATE ALL", func(s *fakeSession) error { s.names.DropStatements(); return nil })
		},
		`listen x`: func([]string) behaviour {
			return command("LISTEN", func(s *fakeSession) error { s.listen(true); return nil })
		},
		`unlisten x`: func([]string) behaviour {
			return command("UNLISTEN", func(s *fakeSession) error { s.listen(false); return nil })
		},
		`notify x(?:, '(.*)')?`: func(f []string) behaviour {
			return command("NOTIFY", func(s *fakeSession) error {
				s.backend.bulletin.post(Notification{PID: s.pid, Channel: "x", Payload: f[1]})
				return nil
			})
		},
	} {
		all = append(all, known{regexp.MustCompile("^" + pattern + "$"), do})
	}
	// The first that fits is taken.
	slices.SortFunc(all, func(a, b known) int { return len(a.pattern.String()) - len(b.pattern.String()) })
	return all
}

// command is a statement that does something at once.
func command(tag string, do func(*fakeSession) error) behaviour {
	return behaviour{run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		if err := do(p.session); err != nil {
			return false, err
		}
		w.Complete(tag)
		return true, nil
	}}
}

func closed(f []string) behaviour {
	if f[1] == "all" {
		return command("CLOSE CURSOR ALL", func(s *fakeSession) error {
			s.names.DropPortals(func(string, Portal) bool { return true })
			return nil
		})
	}
	return command("CLOSE CURSOR", func(s *fakeSession) error {
		if s.names.DropPortals(func(name string, _ Portal) bool { return name == f[1] }) == 0 {
			return &Error{Code: "34000", Message: "cursor \"" + f[1] + "\" does not exist"}
		}
		return nil
	})
}

func fetched(name, n string) behaviour {
	count, _ := strconv.Atoi(n)
	exists := func(s *fakeSession) error {
		if _, err := s.names.Portal(name); err != nil {
			return &Error{Code: "34000", Message: "cursor \"" + name + "\" does not exist"}
		}
		return nil
	}
	return behaviour{columns: []Column{intColumn("generate_series")}, bind: exists, run: func(_ context.Context, p *fakePortal, w ResultWriter, _ int) (bool, error) {
		c, err := p.session.names.Portal(name)
		if err != nil {
			return false, err
		}
		sent, err := c.(*fakeCursor).send(w, count)
		if err != nil {
			return false, err
		}
		w.Complete("FETCH " + strconv.Itoa(sent))
		return true, nil
	}}
}

// fakeCursor counts.
type fakeCursor struct {
	session *fakeSession
	at      int
	left    int
}

func (c *fakeCursor) send(w ResultWriter, most int) (int, error) {
	sent := 0
	for ; sent < most && c.left > 0; sent++ {
		c.at++
		c.left--
		if err := writeValues(w, []Column{intColumn("")}, number(c.at)); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (c *fakeCursor) Execute(_ context.Context, w ResultWriter, limit int) (bool, error) {
	defer c.session.enter()()
	if limit == 0 {
		limit = c.left + 1
	}
	sent, err := c.send(w, limit)
	if err != nil || sent == limit {
		return false, err
	}
	w.Complete("SELECT " + strconv.Itoa(sent))
	return true, nil
}

func (c *fakeCursor) Close() {}
