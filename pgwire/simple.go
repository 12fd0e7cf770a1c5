package pgwire

import "context"

// simple runs the statements of a Query message in turn, up to the first that fails. It
// replaces the unnamed statement and portal.
func (c *conn) simple(f *fields) error {
	c.dropPortal("")
	c.dropStatement("")
	sql, err := f.cstr()
	if err != nil {
		return err
	}
	if err := f.end(); err != nil {
		return err
	}
	return c.call(func(ctx context.Context) error {
		if err := c.runAll(ctx, sql); err != nil {
			return err
		}
		return c.session.Sync(ctx)
	})
}

func (c *conn) runAll(ctx context.Context, sql string) error {
	stmts, err := c.session.Parse(ctx, sql, nil)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range stmts {
			s.Close()
		}
	}()
	if len(stmts) == 0 {
		c.out.message('I')
	}
	for _, s := range stmts {
		if err := c.runOne(ctx, s); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (c *conn) runOne(ctx context.Context, s Statement) error {
	if n := len(s.Params()); n > 0 {
		return &Error{Code: "42P02", Message: "there is no parameter $1", Hint: "Parameters need the extended protocol."}
	}
	p, err := s.Bind(ctx, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	cols := s.Columns()
	if cols != nil {
		if err := c.out.rowDescription(cols, nil); err != nil {
			return err
		}
	}
	w := c.newResult(cols, nil, 0)
	done, err := p.Execute(ctx, w, 0)
	return w.outcome(done, err)
}
