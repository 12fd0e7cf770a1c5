package sqlgw

import (
	"context"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// lazyStatement is a statement of a simple query. It is prepared when it is its turn: a SET before
// it may change what it means, and what a query's columns are its run tells.
type lazyStatement struct {
	session *session
	parsed  parse.Statement
	columns []pgwire.Column
	many    bool // the message has several statements
	last    bool // it is the message's last: with it an implicit transaction ends
}

func (l *lazyStatement) Params() []uint32 { return nil }

// Columns are known once it runs.
func (l *lazyStatement) Columns() []pgwire.Column { return l.columns }

func (l *lazyStatement) Close() {}

func (l *lazyStatement) Bind(ctx context.Context, args []pgwire.Arg) (pgwire.Portal, error) {
	s := l.session
	ctx, done := s.withTimeout(ctx)
	defer done()
	alone := s.tx == nil && !l.many
	tx := s.inTransaction()
	tx.direct, tx.many = alone, tx.many || l.many
	if err := tx.admit(s.traitsOf(l.parsed)); err != nil {
		return nil, err
	}
	if p, ok := l.parsed.(*parse.Select); ok {
		return l.query(ctx, p)
	}
	var st *statement
	err := s.guard(ctx, func() error {
		var err error
		st, err = s.prepare(ctx, l.parsed, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(st.params) > 0 {
		return nil, sqlError("42P02", "there is no parameter $1")
	}
	l.columns = st.Columns()
	p, err := st.bind(ctx, args)
	if err != nil {
		return nil, err
	}
	p.last = l.last
	return p, nil
}

// query begins a query, which the engine compiles once, over one snapshot.
func (l *lazyStatement) query(ctx context.Context, p *parse.Select) (pgwire.Portal, error) {
	s := l.session
	if len(p.Parameters()) > 0 {
		return nil, sqlError("42P02", "there is no parameter $1")
	}
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
	l.columns = e.query.actColumns(e.query.placed(describeTold(e.rows.Columns(), e.presenter.types), e.origins))
	return &portal{session: s, execution: e, traits: traitsOf(p), columns: l.columns, last: l.last}, nil
}
