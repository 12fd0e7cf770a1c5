package sqlgw

import (
	"context"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// declare makes a statement of DECLARE. The cursor that it makes is a portal of the connection, as those
// of the protocol are.
func (s *session) declare(ctx context.Context, p *parse.Declare) (*statement, error) {
	switch {
	case p.Binary:
		return nil, hinted(sqlError("0A000", "BINARY cursors are not supported"), "Ask for the binary format when you fetch.")
	case p.Scroll == parse.Yes:
		return nil, hinted(sqlError("0A000", "SCROLL cursors are not supported"), "Cursors read forward only: declare it NO SCROLL.")
	}
	var inner *statement
	var err error
	if p.Subscribe != nil {
		inner, err = s.prepareSubscribe(ctx, p.Subscribe)
	} else {
		inner, err = s.prepareSelect(ctx, p.Query, nil)
	}
	if err != nil {
		return nil, err
	}
	return &statement{
		session: s, params: inner.params,
		begin: func(_ context.Context, args *columnar.Batch) (execution, error) {
			return simpleExecution(func(ctx context.Context, w pgwire.ResultWriter) error {
				if err := s.openCursor(ctx, p, inner, args); err != nil {
					return err
				}
				w.Complete("DECLARE CURSOR")
				return nil
			}), nil
		},
	}, nil
}

func (s *session) openCursor(ctx context.Context, p *parse.Declare, inner *statement, args *columnar.Batch) error {
	tx := s.inTransaction()
	if !p.Hold && !tx.block && !tx.many {
		return hinted(sqlError("25P01", "DECLARE CURSOR can only be used in transaction blocks"), "Begin one, or declare it WITH HOLD.")
	}
	if p.Name == "" {
		return sqlError("34000", "invalid cursor name: must not be empty")
	}
	if _, err := s.names.Portal(p.Name); err == nil {
		return sqlError("42P03", "cursor %q already exists", p.Name)
	}
	e, err := inner.begin(ctx, args)
	if err != nil {
		return err
	}
	if x, ok := e.(*subscription); ok {
		x.following.askedBy(followsByCursor)
	}
	c := &portal{session: s, execution: e, traits: traitsOf(p), columns: inner.columns}
	if p.Hold {
		c.madeIn = tx
	}
	return s.names.AddPortal(p.Name, c, inner.columns, p.Hold, p.Size)
}

// endCursors closes the portals that end with a transaction: those that aren't held, and, if it is
// rolled back, those that it made.
func (s *session) endCursors(tx *transaction, committed bool) {
	if s.names == nil {
		return
	}
	s.names.DropPortals(func(_ string, p pgwire.Portal) bool {
		c, ok := p.(*portal)
		if !ok || c.madeIn == nil {
			return true
		}
		return c.madeIn == tx && !committed
	})
}

// prepareFetch makes a statement of FETCH or MOVE.
func (s *session) prepareFetch(p *parse.Fetch) (*statement, error) {
	c, err := s.cursor(p.Cursor)
	if err != nil {
		return nil, err
	}
	wait, err := s.fetchWait(p)
	if err != nil {
		return nil, err
	}
	columns := c.columns
	if p.Move {
		columns = nil
	}
	return s.utility(columns, func(ctx context.Context, w pgwire.ResultWriter) error {
		c, err := s.cursor(p.Cursor) // it may have been closed since
		if err != nil {
			return err
		}
		return c.fetch(ctx, w, p, wait)
	}), nil
}

// fetchWait is how long rows of a subscription are waited for; negative is until there are any.
func (s *session) fetchWait(p *parse.Fetch) (time.Duration, error) {
	text := s.settings.value("broadsheet.fetch_timeout")
	if p.Timeout != nil {
		text = *p.Timeout
	} else if text == "none" {
		return -1, nil
	}
	ms, ok := milliseconds(text)
	if !ok {
		return 0, hinted(sqlError("22023", "invalid value for parameter \"timeout\": %q", text), "Available values: "+hintTime+".")
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// fetch rows, or pass over them. A cursor of which a fetch failed can't be used any more.
func (p *portal) fetch(ctx context.Context, w pgwire.ResultWriter, f *parse.Fetch, wait time.Duration) error {
	if p.broken {
		return sqlError("55000", "portal %q cannot be run", f.Cursor)
	}
	p.broken = true
	skip, take, err := p.steps(f)
	if err != nil {
		return err
	}
	out := &fetched{ResultWriter: w, skip: skip, silent: f.Move}
	if take > 0 && !p.ended {
		limit := int64(0) // all
		if take != parse.FetchAll {
			limit = skip + take
		}
		done := false
		if x, ok := p.execution.(*subscription); ok {
			err = x.fetch(ctx, out, limit, wait)
		} else {
			done, err = p.execution.run(ctx, out, int(limit))
		}
		if err != nil {
			return err
		}
		p.ended = done
		p.at += out.rows
	}
	command := "FETCH"
	if f.Move {
		command = "MOVE"
	}
	w.Complete(tag(command, max(0, out.rows-skip)))
	p.broken = false
	return nil
}

// steps are how many rows are to be passed over, and then taken.
func (p *portal) steps(f *parse.Fetch) (int64, int64, error) {
	again := p.at > 0 && !p.ended // the row where the cursor is would be wanted once more
	n := f.Count
	switch {
	case f.Direction == parse.Forward && n > 0:
		return 0, n, nil
	case f.Direction == parse.Relative && n > 0:
		return n - 1, 1, nil
	case f.Direction == parse.Absolute && n > p.at && !p.ended:
		return n - 1 - p.at, 1, nil
	case f.Direction == parse.Absolute && n > p.at: // beyond the last row
		return 0, 0, nil
	case f.Direction == parse.Absolute && n == 0 && p.at == 0 && !p.ended, f.Direction != parse.Absolute && n == 0 && !again:
		return 0, 0, nil
	}
	return 0, 0, hinted(sqlError("55000", "cursor can only scan forward"), "Cursors read each row once. Declare another one to begin anew.")
}

// fetched counts the rows of a FETCH, and keeps back those that are passed over, and the tag.
type fetched struct {
	pgwire.ResultWriter
	skip   int64
	rows   int64
	silent bool
}

func (f *fetched) Row(n int) pgwire.RowWriter {
	f.rows++
	if f.silent || f.rows <= f.skip {
		return noRow{}
	}
	return f.ResultWriter.Row(n)
}

func (f *fetched) Complete(string) {}

// noRow is a row that nobody sees.
type noRow struct{}

func (noRow) Null()         {}
func (noRow) Begin() []byte { return nil }
func (noRow) Put([]byte)    {}
func (noRow) End() error    { return nil }
