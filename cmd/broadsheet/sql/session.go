package sql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// session runs statements on a connection, and prints what comes back.
type session struct {
	conn     *conn
	out, err io.Writer
	print    printer
	in       func() func() ([]byte, error) // data of the next COPY FROM STDIN, a piece at a time; io.EOF ends it
}

// statementError is what the server refused, and the text that it is about.
type statementError struct {
	pg   *pgconn.PgError
	text string
}

// Error names the SQLSTATE, and the place where the server knows it.
func (e *statementError) Error() string {
	var b strings.Builder
	b.WriteString(e.pg.Severity + ": " + e.pg.Message)
	if e.pg.Detail != "" {
		b.WriteString(" (" + e.pg.Detail + ")")
	}
	return b.String() + " (SQLSTATE " + e.pg.Code + ")" + place(e.text, int(e.pg.Position))
}

// Unwrap is the server's error.
func (e *statementError) Unwrap() error { return e.pg }

// place tells the line and column, from 1, of a character of a text, counted from 1. It is "" of one that isn't there.
func place(text string, position int) string {
	line, column := 1, 1
	for _, r := range text {
		if position--; position == 0 {
			return fmt.Sprintf(" at line %d, column %d", line, column)
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return ""
}

// errNoAnswer ends a session whose server doesn't end a statement that it was asked to.
var errNoAnswer = errors.New("sql: the server doesn't end the statement")

// idle is how long rows may wait for others before they are printed.
const idle = 100 * time.Millisecond

// run a text as one simple query. When ctx is done the server is asked to end it. The error is a *statementError if
// the server refused it, and the session goes on.
func (s *session) run(ctx context.Context, text string) error {
	s.conn.frontend.SendQuery(&pgproto3.Query{String: text})
	if err := s.conn.frontend.Flush(); err != nil {
		return fmt.Errorf("sql: %w", err)
	}
	r := &reply{session: s, text: text}
	timer := time.NewTimer(idle)
	defer timer.Stop()
	interrupted, late := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case m, ok := <-s.conn.messages:
			if !ok {
				return cmp.Or(r.failed, s.conn.tasks.Wait())
			}
			if done, err := r.take(ctx, m); done || err != nil {
				return err
			}
			timer.Reset(idle)
		case <-timer.C:
			if err := s.print.flush(); err != nil {
				return err
			}
		case <-interrupted:
			interrupted, late = nil, time.After(cancelPatience)
			if err := s.conn.cancel(); err != nil {
				return fmt.Errorf("sql: ask the server to end the statement: %w", err)
			}
		case <-late:
			return errNoAnswer
		}
	}
}

// reply is what the server says to one text.
type reply struct {
	session *session
	text    string
	rows    bool  // a result with rows is under way
	failed  error // the first that was refused
}

// take one message. It is done when the server is ready for another text.
func (r *reply) take(ctx context.Context, m pgproto3.BackendMessage) (bool, error) {
	s := r.session
	switch m := m.(type) {
	case *pgproto3.RowDescription:
		r.rows = true
		return false, s.print.begin(m.Fields)
	case *pgproto3.DataRow:
		return false, s.print.row(m.Values)
	case *pgproto3.CommandComplete:
		tag := string(m.CommandTag)
		if !r.rows {
			return false, s.print.command(tag)
		}
		r.rows = false
		return false, s.print.end(tag)
	case *pgproto3.CopyOutResponse:
		return false, s.print.flush()
	case *pgproto3.CopyData:
		_, err := s.out.Write(m.Data)
		return false, err
	case *pgproto3.CopyInResponse:
		return false, s.copyIn(ctx)
	case *pgproto3.ErrorResponse:
		r.rows = false
		if r.failed == nil {
			r.failed = &statementError{pgconn.ErrorResponseToPgError(m), r.text}
		}
		return false, s.print.flush() // These rows have come.
	case *pgproto3.NoticeResponse:
		return false, r.notice((*pgproto3.ErrorResponse)(m))
	case *pgproto3.NotificationResponse:
		_, err := fmt.Fprintf(s.err, "NOTIFY %s from process %d: %s\n", shown(m.Channel), m.PID, shown(m.Payload))
		return false, err
	case *pgproto3.ReadyForQuery:
		s.conn.status = m.TxStatus
		return true, r.failed
	default:
		return false, nil
	}
}

func (r *reply) notice(n *pgproto3.ErrorResponse) error {
	var text strings.Builder
	for _, part := range []struct{ name, text string }{{n.Severity, n.Message}, {"DETAIL", n.Detail}, {"HINT", n.Hint}} {
		if part.text == "" {
			continue
		}
		for line := range strings.SplitSeq(part.name+": "+part.text, "\n") {
			text.WriteString(shown(line) + "\n")
		}
	}
	_, err := io.WriteString(r.session.err, text.String())
	return err
}

// copyIn sends the data of a COPY FROM STDIN. What can't be read ends the COPY, and nothing of it is kept.
func (s *session) copyIn(ctx context.Context) error {
	next := s.in()
	for {
		data, err := next()
		if err == nil {
			err = ctx.Err()
		}
		if len(data) > 0 {
			s.conn.frontend.Send(&pgproto3.CopyData{Data: data})
		}
		switch {
		case errors.Is(err, io.EOF):
			s.conn.frontend.Send(&pgproto3.CopyDone{})
		case err != nil:
			s.conn.frontend.Send(&pgproto3.CopyFail{Message: err.Error()})
		}
		if ferr := s.conn.frontend.Flush(); ferr != nil {
			return fmt.Errorf("sql: %w", ferr)
		}
		if err != nil {
			return nil //nolint:nilerr // The server was told, and says what came of it.
		}
	}
}
