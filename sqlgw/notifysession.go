package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareSpeech makes a statement of LISTEN, UNLISTEN or NOTIFY. It takes effect when the transaction commits.
func (s *session) prepareSpeech(p parse.Statement) *statement {
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		speech, command := &s.inTransaction().speech, "NOTIFY"
		var err error
		switch p := p.(type) {
		case *parse.Listen:
			command = "LISTEN"
			e := ear{channel: p.Channel, open: true}
			if e.table, err = s.listensTo(ctx, w, p.Channel); err == nil {
				err = speech.listen(e, s.heard())
			}
		case *parse.Unlisten:
			command = "UNLISTEN"
			err = speech.listen(ear{channel: p.Channel}, s.heard())
		case *parse.Notify:
			err = speech.notify(p.Channel, p.Payload)
		}
		if err == nil {
			w.Complete(command)
		}
		return err
	})
}

// heard are the channels that the session listens to.
func (s *session) heard() map[string]bool {
	if s.box == nil {
		return nil
	}
	return s.box.channels
}

// speak does what a transaction that was committed had to say.
func (s *session) speak(x *speech) {
	office := s.gateway.office
	for _, e := range x.ears {
		if e.open && s.box == nil {
			s.box = newLetterBox(s.line.Wake, func() { s.line.End(errDeaf()) })
		}
		switch {
		case e.open:
			office.listen(s.box, e.channel)
			s.watch(e)
		case s.box != nil:
			s.unwatch(e.channel)
			office.unlisten(s.box, e.channel)
		}
	}
	if len(x.notes) == 0 {
		return
	}
	list := make([]pgwire.Notification, len(x.notes))
	for i, n := range x.notes {
		list[i] = pgwire.Notification{PID: s.pid, Channel: n.channel, Payload: n.payload}
	}
	office.send(list)
}

// errDeaf ends a session that can't be told what it listens for.
func errDeaf() *pgwire.Error {
	e := sqlError("53400", "terminating connection because its notifications of %d bytes were not taken", maxWaiting)
	e.Severity = "FATAL"
	return hinted(e, "Don't listen in a session that stays in a transaction, or doesn't read.")
}

// Notifications that wait for the client.
func (s *session) Notifications() []pgwire.Notification {
	if s.box == nil {
		return nil
	}
	return s.gateway.office.take(s.box)
}
