package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// session is one connection's state. Its methods are called one at a time.
type session struct {
	gateway    *Gateway
	settings   *settings
	user       string
	trusted    bool // whoever isn't a role is the superuser
	pid        uint32
	names      pgwire.Names
	line       pgwire.Line
	activity   *activity
	box        *letterBox // nil until it listens
	locks      *lockHolder
	tx         *transaction // nil while there is none
	reading    int          // queries over tables that are open
	subscribed int          // subscriptions that read
	sighted    sighted
	temps      tempSpace
	since      time.Time // the statement at hand began; zero while there is none
}

// Patience is what the settings say: of a transaction that is open, or of a session without one. Its
// call means that the session waits for its client.
func (s *session) Patience() (time.Duration, *pgwire.Error) {
	s.activity.rests(s.tx, s.settings.value("application_name"))
	name, e := "idle_session_timeout", sqlError("57P05", "terminating connection due to idle-session timeout")
	if s.tx.status() != 'I' {
		name, e = "idle_in_transaction_session_timeout", sqlError("25P03", "terminating connection due to idle-in-transaction timeout")
	}
	e.Severity = "FATAL"
	return s.settings.time(name), e
}

// Close ends what the session has begun. Engine connections are held by executions only.
func (s *session) Close() {
	if s.tx != nil {
		s.finish(false)
	}
	if s.box != nil {
		s.unwatch("")
		s.gateway.office.unlisten(s.box, "")
	}
	s.locks.unlockAll()
	s.gateway.temps.used.Add(-s.temps.used)
	s.temps = tempSpace{}
	s.gateway.roster.remove(s.activity)
}

// Parse splits a text into statements and prepares each.
func (s *session) Parse(ctx context.Context, sql string, paramOIDs []uint32) ([]pgwire.Statement, error) {
	shown := shownQuery(sql)
	s.activity.asks(shown)
	pieces, err := parse.Split(sql)
	if err != nil {
		return nil, parseError(err)
	}
	ctx, done := s.withTimeout(ctx)
	defer done()
	var parsed []parse.Statement
	err = s.guard(ctx, func() error {
		var err error
		parsed, err = s.gateway.parsing.parse(ctx, pieces)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]pgwire.Statement, len(parsed))
	if paramOIDs == nil { // the simple protocol
		for i, p := range parsed {
			out[i] = &lazyStatement{session: s, parsed: p, many: len(parsed) > 1, last: i == len(parsed)-1}
		}
		return out, nil
	}
	err = s.guard(ctx, func() error {
		for i, p := range parsed {
			if s.tx.status() == 'E' && !traitsOf(p).ends {
				return errFailedTransaction()
			}
			st, err := s.prepare(ctx, p, paramOIDs)
			if err != nil {
				return err
			}
			st.shown, out[i] = shown, st
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// parseError is an error of the SQL front end as clients are told of it.
func parseError(err error) error {
	if e, ok := errors.AsType[*parse.Error](err); ok {
		return &pgwire.Error{Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Position: e.Position}
	}
	return err
}

// prepare finds out what a statement takes and returns.
func (s *session) prepare(ctx context.Context, p parse.Statement, paramOIDs []uint32) (*statement, error) {
	st, err := s.prepareAny(ctx, p, paramOIDs)
	if err != nil {
		return nil, err
	}
	if _, ok := p.(*parse.Execute); !ok { // which has those of what it executes
		st.traits = s.traitsOf(p)
	}
	s.renewed(st, p)
	return st, nil
}

func (s *session) prepareAny(ctx context.Context, p parse.Statement, paramOIDs []uint32) (*statement, error) {
	switch p := p.(type) {
	case *parse.Select:
		return s.prepareSelect(ctx, p, paramOIDs)
	case *parse.Insert:
		return s.prepareInsert(ctx, p, paramOIDs)
	case *parse.CopyFrom:
		return s.copyFrom(p), nil
	case *parse.CopyTo:
		return s.copyTo(ctx, p)
	case *parse.Subscribe:
		return s.prepareSubscribe(ctx, p)
	case *parse.VerifyMaterializedView:
		return s.prepareVerify(ctx, p)
	case *parse.Show:
		return s.show(p)
	case *parse.Set:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.set(ctx, w, p) }), nil
	case *parse.Reset:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
			if err := s.reset(ctx, p.Name); err != nil {
				return err
			}
			w.Complete("RESET")
			return nil
		}), nil
	case *parse.SetConstraints:
		return s.setConstraints(), nil
	case *parse.Begin, *parse.Commit, *parse.Rollback, *parse.Savepoint, *parse.Release, *parse.RollbackTo, *parse.SetTransaction:
		return s.prepareTransaction(p), nil
	default:
		return s.prepareOther(ctx, p, paramOIDs)
	}
}

// prepareOther prepares the statements about what has a name in the session, and those that change or
// list what there is.
func (s *session) prepareOther(ctx context.Context, p parse.Statement, paramOIDs []uint32) (*statement, error) {
	switch p := p.(type) {
	case *parse.Prepare:
		return s.prepareNamed(p), nil
	case *parse.Execute:
		return s.prepareExecute(ctx, p)
	case *parse.Deallocate:
		return s.deallocate(p), nil
	case *parse.Discard:
		return s.discard(p), nil
	case *parse.Declare:
		return s.declare(ctx, p)
	case *parse.Fetch:
		return s.prepareFetch(p)
	case *parse.CloseCursor:
		return s.closeCursor(p), nil
	case *parse.Listen, *parse.Unlisten, *parse.Notify:
		return s.prepareSpeech(p), nil
	case *parse.Explain:
		return s.prepareExplain(ctx, p, paramOIDs)
	default:
		if st, err := s.prepareTemp(ctx, p, paramOIDs); st != nil || err != nil {
			return st, err
		}
		return s.prepareDDL(p)
	}
}

func textColumns(names ...string) []pgwire.Column {
	cols := make([]columnar.Column, len(names))
	for i, n := range names {
		cols[i] = columnar.Column{Name: n, Type: columnar.Type{Kind: columnar.Text}}
	}
	return describe(cols)
}

func textRow(w pgwire.ResultWriter, values ...string) error {
	row := w.Row(len(values))
	for _, v := range values {
		row.Put(append(row.Begin(), v...))
	}
	return row.End()
}

// tag of a command that counts rows.
func tag(command string, rows int64) string { return fmt.Sprintf("%s %d", command, rows) }
