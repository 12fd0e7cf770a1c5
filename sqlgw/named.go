package sqlgw

import (
	"context"
	"errors"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareNamed makes a statement of PREPARE. It is one of the connection's, as those of the protocol are.
func (s *session) prepareNamed(p *parse.Prepare) *statement {
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		oids := make([]uint32, len(p.Types))
		for i, t := range p.Types {
			oids[i] = t.OID()
		}
		inner, err := s.prepare(ctx, p.Statement, oids)
		if err != nil {
			return err
		}
		if err := s.names.AddStatement(p.Name, inner, p.Size); err != nil {
			return err
		}
		w.Complete("PREPARE")
		return nil
	})
}

// prepareExecute makes a statement of EXECUTE: the one that is named, with its arguments bound.
func (s *session) prepareExecute(ctx context.Context, p *parse.Execute) (*statement, error) {
	named, err := s.names.Statement(p.Name)
	if err != nil {
		return nil, err
	}
	inner, ok := named.(*statement)
	if !ok {
		return nil, sqlError("0A000", "prepared statement %q is empty, which EXECUTE doesn't take", p.Name)
	}
	args, err := s.executeArgs(ctx, p, inner)
	if err != nil {
		return nil, err
	}
	return &statement{
		session: s, columns: inner.columns, traits: inner.traits,
		begin: func(ctx context.Context, _ *columnar.Batch) (execution, error) {
			batch, err := args(ctx)
			if err != nil {
				return nil, err
			}
			return inner.begin(ctx, batch)
		},
	}, nil
}

// executeArgs returns what computes the arguments of an EXECUTE: constants go to the input functions of
// the parameters' types, anything else to the engine.
func (s *session) executeArgs(ctx context.Context, p *parse.Execute, inner *statement) (func(context.Context) (*columnar.Batch, error), error) {
	params := inner.params
	if p.Args == nil {
		return func(context.Context) (*columnar.Batch, error) {
			return &columnar.Batch{Len: 1}, argumentCount(p, params, 0)
		}, argumentCount(p, params, 0)
	}
	if len(p.Args.Parameters()) > 0 {
		return nil, sqlError("42P02", "there is no parameter $%d", p.Args.Parameters()[0].Number)
	}
	if rows, ok := p.Args.Literals(); ok {
		if err := argumentCount(p, params, len(rows[0])); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (*columnar.Batch, error) { return inner.literalArgs(ctx, rows[0]) }, nil
	}
	computed, err := s.prepareSelect(ctx, p.Args, nil)
	if err != nil {
		return nil, err
	}
	if err := argumentCount(p, params, len(computed.columns)); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*columnar.Batch, error) { return computedArgs(ctx, computed, params) }, nil
}

func argumentCount(p *parse.Execute, params []columnar.Type, n int) error {
	if n == len(params) {
		return nil
	}
	e := sqlError("42601", "wrong number of parameters for prepared statement %q", p.Name)
	e.Detail = sqlError("", "Expected %d parameters but got %d.", len(params), n).Message
	return e
}

// argument stands for a parameter where a column is wanted.
func argument(t columnar.Type) catalog.Column { return catalog.Column{Type: t} }

// literalArgs are constants as the statement's arguments. A text for a parameter that is told as a type of
// OIDs may be a name.
func (s *statement) literalArgs(ctx context.Context, row []parse.Literal) (*columnar.Batch, error) {
	b := &columnar.Batch{Len: 1, Cols: make([]columnar.Vector, len(s.params))}
	for i, t := range s.params {
		l, v := row[i], columnar.NewVectorBuilder(t)
		if l.Kind == parse.String && i < len(s.told) && isOIDType(s.told[i].name) {
			plain, err := s.plainOID(ctx, s.told[i], pgwire.Arg{Data: []byte(l.Text)})
			if err != nil {
				return nil, err
			}
			l.Text = string(plain.Data)
		}
		if l.Kind == parse.Null {
			v.AppendNull()
		} else if err := literalValue(argument(t), l, v, s.session.settings.style()); err != nil {
			return nil, err
		}
		b.Cols[i] = v.Vector()
	}
	return b, nil
}

func computedArgs(ctx context.Context, computed *statement, params []columnar.Type) (*columnar.Batch, error) {
	e, err := computed.begin(ctx, &columnar.Batch{Len: 1})
	if err != nil {
		return nil, err
	}
	defer e.close()
	out := &columnar.Batch{Len: 1, Cols: make([]columnar.Vector, len(params))}
	err = e.(*queryExecution).each(ctx, func(b *columnar.Batch) error {
		for i, t := range params {
			v := columnar.NewVectorBuilder(t)
			if err := assign(argument(t), &b.Cols[i], 0, v, computed.session.settings.style()); err != nil {
				return err
			}
			out.Cols[i] = v.Vector()
		}
		return nil
	})
	return out, err
}

// deallocate forgets a prepared statement, or all of them.
func (s *session) deallocate(p *parse.Deallocate) *statement {
	return s.utility(nil, func(_ context.Context, w pgwire.ResultWriter) error {
		if p.Name == "" {
			s.names.DropStatements()
			w.Complete("DEALLOCATE ALL")
			return nil
		}
		if _, err := s.names.Statement(p.Name); err != nil {
			return err
		}
		s.names.DropStatement(p.Name)
		w.Complete("DEALLOCATE")
		return nil
	})
}

// discard forgets what the session has. There are no plans that are kept, and no sequences.
func (s *session) discard(p *parse.Discard) *statement {
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		if p.What == "ALL" {
			s.names.DropPortals(func(string, pgwire.Portal) bool { return true })
			s.names.DropStatements()
			if err := s.inTransaction().speech.listen(ear{}, nil); err != nil {
				return err
			}
			s.locks.unlockAll()
			if err := s.reset(ctx, settingAuthority); err != nil {
				return err
			}
			if err := s.settings.reset("", false); err != nil {
				return err
			}
		}
		if p.What == "ALL" || p.What == "TEMP" {
			s.forgetTemps()
		}
		w.Complete("DISCARD " + p.What)
		return nil
	})
}

// closeCursor ends a cursor, or all of them.
func (s *session) closeCursor(p *parse.CloseCursor) *statement {
	return s.utility(nil, func(_ context.Context, w pgwire.ResultWriter) error {
		n := s.names.DropPortals(func(name string, _ pgwire.Portal) bool { return p.Name == "" || name == p.Name })
		switch {
		case p.Name == "":
			w.Complete("CLOSE CURSOR ALL")
		case n == 0:
			return noCursor(p.Name)
		default:
			w.Complete("CLOSE CURSOR")
		}
		return nil
	})
}

func noCursor(name string) error { return sqlError("34000", "cursor %q does not exist", name) }

// cursor finds the portal that a name is.
func (s *session) cursor(name string) (*portal, error) {
	p, err := s.names.Portal(name)
	if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == "34000" {
		return nil, noCursor(name)
	}
	if err != nil {
		return nil, err
	}
	c, ok := p.(*portal)
	if !ok || c.columns == nil {
		return nil, sqlError("34000", "cursor %q returns no rows", name)
	}
	return c, nil
}
