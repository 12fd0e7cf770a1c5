package pgwire

import (
	"context"
	"fmt"
)

// simple runs the statements of a Query message in turn, up to the first that fails.
func (c *conn) simple(body []byte) error {
	f := fields{body}
	sql, err := f.cstr()
	if err == nil {
		err = f.end()
	}
	if err != nil {
		return err
	}
	c.dropUnnamed()
	if err := c.call(func(ctx context.Context) error { return c.runAll(ctx, sql) }); err != nil {
		if err := c.failed(err); err != nil {
			return err
		}
	}
	return c.ready()
}

// dropUnnamed: a Query message replaces the unnamed statement and portal.
func (c *conn) dropUnnamed() {
	c.dropPortal("")
	if s, ok := c.statements[""]; ok {
		s.Close()
		delete(c.statements, "")
	}
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
	if cols := s.Columns(); cols != nil {
		c.out.rowDescription(cols, nil)
	}
	w := &result{c: c}
	for {
		done, err := p.Execute(ctx, w, 0)
		if err != nil {
			return err
		}
		if done {
			return incomplete(w)
		}
	}
}

// incomplete catches a session that broke its contract, before a client hangs on it.
func incomplete(w *result) error {
	if !w.done {
		return &Error{Code: "XX000", Message: "the statement ended without a tag"}
	}
	return nil
}

// portal is a bound statement of the extended protocol.
type portal struct {
	Portal
	statement Statement
	formats   formats
	done      bool
}

// extended handles a message of the extended protocol. After an error all is skipped up
// to the next Sync.
func (c *conn) extended(f frame) error {
	err := c.call(func(ctx context.Context) error {
		body := &fields{f.body}
		switch f.kind {
		case 'P':
			return c.parse(ctx, body)
		case 'B':
			return c.bind(ctx, body)
		case 'D':
			return c.describe(body)
		case 'E':
			return c.execute(ctx, body)
		default:
			return c.close(body)
		}
	})
	if err == nil {
		return nil
	}
	c.skipping = true
	return c.failed(err)
}

// sync ends the skipping and, outside of a transaction, every portal.
func (c *conn) sync() error {
	c.skipping = false
	if err := c.call(c.session.Sync); err != nil {
		if err := c.failed(err); err != nil {
			return err
		}
	}
	if c.session.TxStatus() == 'I' {
		c.closePortals()
	}
	return c.ready()
}

func (c *conn) parse(ctx context.Context, f *fields) error {
	name, err := f.cstr()
	if err != nil {
		return err
	}
	sql, err := f.cstr()
	if err != nil {
		return err
	}
	n, err := f.count(4)
	if err != nil {
		return err
	}
	oids := make([]uint32, n)
	for i := range oids {
		o, err := f.int32()
		if err != nil {
			return err
		}
		oids[i] = uint32(o)
	}
	if err := f.end(); err != nil {
		return err
	}
	if err := c.roomFor(name); err != nil {
		return err
	}
	s, err := c.parseOne(ctx, sql, oids)
	if err != nil {
		return err
	}
	if old, ok := c.statements[name]; ok {
		old.Close()
	}
	c.statements[name] = s
	c.out.message('1')
	return nil
}

func (c *conn) roomFor(statement string) error {
	if statement == "" {
		return nil
	}
	if _, ok := c.statements[statement]; ok {
		return &Error{Code: "42P05", Message: fmt.Sprintf("prepared statement %q already exists", statement)}
	}
	if len(c.statements) >= c.cfg.MaxPrepared {
		return &Error{
			Code: "53000", Message: fmt.Sprintf("a session may have %d prepared statements", c.cfg.MaxPrepared),
			Hint: "Close statements that are no longer used.",
		}
	}
	return nil
}

func (c *conn) parseOne(ctx context.Context, sql string, oids []uint32) (Statement, error) {
	stmts, err := c.session.Parse(ctx, sql, oids)
	if err != nil {
		return nil, err
	}
	switch len(stmts) {
	case 0:
		return emptyStatement{}, nil
	case 1:
		return stmts[0], nil
	}
	for _, s := range stmts {
		s.Close()
	}
	return nil, &Error{Code: "42601", Message: "cannot insert multiple commands into a prepared statement"}
}

func (c *conn) statement(name string) (Statement, error) {
	s, ok := c.statements[name]
	if !ok {
		if name == "" {
			return nil, &Error{Code: "26000", Message: "unnamed prepared statement does not exist"}
		}
		return nil, &Error{Code: "26000", Message: fmt.Sprintf("prepared statement %q does not exist", name)}
	}
	return s, nil
}

func (c *conn) portal(name string) (*portal, error) {
	p, ok := c.portals[name]
	if !ok {
		return nil, &Error{Code: "34000", Message: fmt.Sprintf("portal %q does not exist", name)}
	}
	return p, nil
}

func (c *conn) dropPortal(name string) {
	if p, ok := c.portals[name]; ok {
		p.Close()
		delete(c.portals, name)
	}
}

func (c *conn) bind(ctx context.Context, f *fields) error {
	name, err := f.cstr()
	if err != nil {
		return err
	}
	stmt, err := f.cstr()
	if err != nil {
		return err
	}
	s, err := c.statement(stmt)
	if err != nil {
		return err
	}
	args, err := bindArgs(f, len(s.Params()))
	if err != nil {
		return err
	}
	results, err := f.formats()
	if err == nil {
		err = f.end()
	}
	if err != nil {
		return err
	}
	if cols := s.Columns(); cols != nil && !results.valid(len(cols)) {
		return &Error{Code: "08P01", Message: fmt.Sprintf("bind message has %d result formats but query has %d columns", len(results), len(cols))}
	}
	if err := c.roomForPortal(name); err != nil {
		return err
	}
	p, err := s.Bind(ctx, args)
	if err != nil {
		return err
	}
	c.portals[name] = &portal{Portal: p, statement: s, formats: results}
	c.out.message('2')
	return nil
}

func (c *conn) roomForPortal(name string) error {
	if name == "" {
		c.dropPortal("")
		return nil
	}
	if _, ok := c.portals[name]; ok {
		return &Error{Code: "42P03", Message: fmt.Sprintf("cursor %q already exists", name)}
	}
	if len(c.portals) >= c.cfg.MaxPrepared {
		return &Error{Code: "53000", Message: fmt.Sprintf("a session may have %d open portals", c.cfg.MaxPrepared), Hint: "Close portals that are no longer used."}
	}
	return nil
}

// bindArgs reads the parameters of a Bind message for a statement that has n.
func bindArgs(f *fields, n int) ([]Arg, error) {
	codes, err := f.formats()
	if err != nil {
		return nil, err
	}
	count, err := f.count(4)
	if err != nil {
		return nil, err
	}
	if count != n {
		return nil, &Error{Code: "08P01", Message: fmt.Sprintf("bind message supplies %d parameters, but prepared statement requires %d", count, n)}
	}
	if !codes.valid(n) {
		return nil, &Error{Code: "08P01", Message: fmt.Sprintf("bind message has %d parameter formats but %d parameters", len(codes), n)}
	}
	args := make([]Arg, n)
	for i := range args {
		v, err := f.value()
		if err != nil {
			return nil, err
		}
		args[i] = Arg{Binary: codes.of(i) == 1, Data: v}
	}
	return args, nil
}

func (c *conn) describe(f *fields) error {
	kind, name, err := target(f)
	if err != nil {
		return err
	}
	if kind == 'S' {
		s, err := c.statement(name)
		if err != nil {
			return err
		}
		c.out.parameterDescription(s.Params())
		c.out.rowDescription(s.Columns(), nil)
		return nil
	}
	p, err := c.portal(name)
	if err != nil {
		return err
	}
	c.out.rowDescription(p.statement.Columns(), p.formats)
	return nil
}

// target reads what a Describe or Close message is about: a statement or a portal.
func target(f *fields) (byte, string, error) {
	kind, err := f.byte()
	if err != nil {
		return 0, "", err
	}
	name, err := f.cstr()
	if err == nil {
		err = f.end()
	}
	if err == nil && kind != 'S' && kind != 'P' {
		err = &Error{Code: "08P01", Message: fmt.Sprintf("invalid message subtype %d", kind)}
	}
	return kind, name, err
}

func (c *conn) execute(ctx context.Context, f *fields) error {
	name, err := f.cstr()
	if err != nil {
		return err
	}
	rows, err := f.int32()
	if err == nil {
		err = f.end()
	}
	if err != nil {
		return err
	}
	p, err := c.portal(name)
	if err != nil {
		return err
	}
	if p.done {
		return c.executeAgain(p, name)
	}
	w := &result{c: c, formats: p.formats}
	done, err := p.Execute(ctx, w, max(int(rows), 0))
	if err != nil {
		return err
	}
	if p.done = done; !done {
		c.out.message('s')
		return nil
	}
	return incomplete(w)
}

// executeAgain: a finished portal has no more rows; one without rows can't run twice.
func (c *conn) executeAgain(p *portal, name string) error {
	if p.statement.Columns() == nil {
		return &Error{Code: "55000", Message: fmt.Sprintf("portal %q cannot be run", name)}
	}
	c.out.tag("SELECT 0")
	return nil
}

func (c *conn) close(f *fields) error {
	kind, name, err := target(f)
	if err != nil {
		return err
	}
	if kind == 'P' {
		c.dropPortal(name)
	} else if s, ok := c.statements[name]; ok {
		for n, p := range c.portals {
			if p.statement == s {
				c.dropPortal(n)
			}
		}
		s.Close()
		delete(c.statements, name)
	}
	c.out.message('3')
	return nil
}

// emptyStatement is the statement of a text without any.
type emptyStatement struct{}

func (emptyStatement) Params() []uint32                            { return nil }
func (emptyStatement) Columns() []Column                           { return nil }
func (emptyStatement) Bind(context.Context, []Arg) (Portal, error) { return emptyPortal{}, nil }
func (emptyStatement) Close()                                      {}

type emptyPortal struct{}

func (emptyPortal) Execute(_ context.Context, w ResultWriter, _ int) (bool, error) {
	w.Empty()
	return true, nil
}

func (emptyPortal) Close() {}
