package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// session is one connection's state. Its methods are called one at a time.
type session struct {
	gateway  *Gateway
	settings *settings
	user     string
	pid      uint32
	reading  int // queries over tables that are open
}

// TxStatus is always idle: each statement is a transaction of its own.
func (s *session) TxStatus() byte { return 'I' }

// Sync has nothing to end.
func (s *session) Sync(context.Context) error { return nil }

// Failed has nothing to end.
func (s *session) Failed() {}

// Patience is for ever.
func (s *session) Patience() (time.Duration, *pgwire.Error) { return 0, nil }

// Notifications: there are none.
func (s *session) Notifications() []pgwire.Notification { return nil }

// Close has nothing to release: engine connections are held by executions only.
func (s *session) Close() {}

// Parse splits a text into statements and prepares each.
func (s *session) Parse(ctx context.Context, sql string, paramOIDs []uint32) ([]pgwire.Statement, error) {
	pieces, err := parse.Split(sql)
	if err != nil {
		return nil, parseError(err)
	}
	parsed := make([]parse.Statement, len(pieces))
	for i, p := range pieces {
		if parsed[i], err = parse.Parse(p); err != nil {
			return nil, parseError(err)
		}
	}
	if err := oneIfWriting(parsed); err != nil {
		return nil, err
	}
	out := make([]pgwire.Statement, len(parsed))
	err = s.guard(ctx, func() error {
		for i, p := range parsed {
			if out[i], err = s.prepareLazily(ctx, p, paramOIDs, len(parsed) > 1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// oneIfWriting refuses a text of several statements of which one writes: PostgreSQL would
// run them as one transaction, and there are none yet.
func oneIfWriting(stmts []parse.Statement) error {
	if len(stmts) < 2 {
		return nil
	}
	for _, p := range stmts {
		switch p.(type) {
		case *parse.Insert, *parse.CopyFrom, *parse.CreateTable, *parse.DropTable, *parse.CreateSchema, *parse.DropSchema:
			e := hinted(sqlError("0A000", "several statements of which one writes, in one message, are not supported"),
				"They would be one transaction in PostgreSQL. Send each by itself.")
			e.Position = p.Position()
			return e
		default:
		}
	}
	return nil
}

// parseError is an error of the SQL front end as clients are told of it.
func parseError(err error) error {
	if e, ok := errors.AsType[*parse.Error](err); ok {
		return &pgwire.Error{Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Position: e.Position}
	}
	return err
}

// prepareLazily prepares a statement of several only when it is its turn: a SET before it
// may change what it means. So is a query of the simple protocol, which has no parameter types
// and is run at once: what its columns are its run tells.
func (s *session) prepareLazily(ctx context.Context, p parse.Statement, paramOIDs []uint32, later bool) (pgwire.Statement, error) {
	_, query := p.(*parse.Select)
	if later || (query && paramOIDs == nil) {
		return &lazyStatement{session: s, parsed: p}, nil
	}
	return s.prepare(ctx, p, paramOIDs)
}

// lazyStatement is a statement of a simple query.
type lazyStatement struct {
	session *session
	parsed  parse.Statement
	columns []pgwire.Column
}

func (l *lazyStatement) Params() []uint32 { return nil }

// Columns are known once it runs.
func (l *lazyStatement) Columns() []pgwire.Column { return l.columns }

func (l *lazyStatement) Bind(ctx context.Context, args []pgwire.Arg) (pgwire.Portal, error) {
	if p, ok := l.parsed.(*parse.Select); ok {
		return l.query(ctx, p)
	}
	var st *statement
	err := l.session.guard(ctx, func() error {
		var err error
		st, err = l.session.prepare(ctx, l.parsed, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(st.params) > 0 {
		return nil, sqlError("42P02", "there is no parameter $1")
	}
	l.columns = st.Columns()
	return st.Bind(ctx, args)
}

// query begins a query, which the engine compiles once, over one snapshot.
func (l *lazyStatement) query(ctx context.Context, p *parse.Select) (pgwire.Portal, error) {
	s := l.session
	if len(p.Parameters()) > 0 {
		return nil, sqlError("42P02", "there is no parameter $1")
	}
	ctx, done := s.withTimeout(ctx)
	defer done()
	var e *queryExecution
	err := s.guard(ctx, func() error {
		snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
		if err != nil {
			return err
		}
		q := &query{session: s, parsed: p}
		if q.sources, err = s.resolveAll(snap, p); err != nil {
			return err
		}
		e, err = q.beginAt(ctx, snap, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.columns = describeTold(e.rows.Columns(), e.presenter.types)
	return &portal{session: s, execution: e}, nil
}

func (l *lazyStatement) Close() {}

// prepare finds out what a statement takes and returns.
func (s *session) prepare(ctx context.Context, p parse.Statement, paramOIDs []uint32) (*statement, error) {
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
	case *parse.Show:
		return s.show(p)
	case *parse.Set:
		return s.utility(nil, func(_ context.Context, w pgwire.ResultWriter) error { return s.set(w, p) }), nil
	case *parse.Reset:
		return s.utility(nil, func(_ context.Context, w pgwire.ResultWriter) error {
			if err := s.settings.reset(p.Name); err != nil {
				return err
			}
			w.Complete("RESET")
			return nil
		}), nil
	case *parse.Begin, *parse.Commit, *parse.Rollback, *parse.SetTransaction:
		return nil, hinted(sqlError("0A000", "transaction blocks are not supported"),
			"Each statement is a transaction of its own; a multi-row INSERT or a COPY is atomic.")
	default:
		return s.prepareDDL(p)
	}
}

func (s *session) set(w pgwire.ResultWriter, p *parse.Set) error {
	if p.Local {
		return hinted(sqlError("0A000", "SET LOCAL is not supported"), "There are no transaction blocks; use SET.")
	}
	var err error
	if len(p.Values) == 0 {
		err = s.settings.reset(p.Name)
	} else {
		err = s.settings.set(p.Name, settingText(p))
	}
	if err != nil {
		return err
	}
	w.Complete("SET")
	return nil
}

// settingText is the value of a SET as one text. A list of names has quotes where they need
// them: each is one name, whatever is in it.
func settingText(p *parse.Set) string {
	values := slices.Clone(p.Values)
	for i, v := range values {
		if strings.EqualFold(p.Name, "search_path") {
			values[i] = quotePath(v)
		}
	}
	return strings.Join(values, ", ")
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

func (s *session) show(p *parse.Show) (*statement, error) {
	if p.Name == "all" {
		return s.utility(textColumns("name", "setting"), func(_ context.Context, w pgwire.ResultWriter) error {
			for _, e := range s.settings.table {
				if err := textRow(w, e.name, s.settings.value(e.name)); err != nil {
					return err
				}
			}
			w.Complete("SHOW")
			return nil
		}), nil
	}
	e, _, err := s.settings.get(p.Name)
	if err != nil {
		return nil, err
	}
	return s.utility(textColumns(e.name), func(_ context.Context, w pgwire.ResultWriter) error {
		if err := textRow(w, s.settings.value(e.name)); err != nil {
			return err
		}
		w.Complete("SHOW")
		return nil
	}), nil
}

// tag of a command that counts rows.
func tag(command string, rows int64) string { return fmt.Sprintf("%s %d", command, rows) }
