package pgwire

import (
	"context"
	"fmt"
)

// parse makes a prepared statement.
func (c *conn) parse(f *fields) error {
	size := len(f.rest)
	name, err := f.cstr()
	if err != nil {
		return err
	}
	sql, err := f.cstr()
	if err != nil {
		return err
	}
	oids, err := f.oids()
	if err != nil {
		return err
	}
	if name == "" {
		c.dropStatement("")
	}
	var s Statement
	err = c.call(func(ctx context.Context) error {
		var err error
		s, err = c.parseOne(ctx, sql, oids)
		return err
	})
	if err != nil {
		return err
	}
	if err := (names{c}).AddStatement(name, s, size); err != nil {
		return err
	}
	c.out.message('1')
	return nil
}

// oids reads the types at the end of a Parse message.
func (f *fields) oids() ([]uint32, error) {
	n, err := f.count(4)
	if err != nil {
		return nil, err
	}
	oids := make([]uint32, n)
	for i := range oids {
		o, err := f.int32()
		if err != nil {
			return nil, err
		}
		oids[i] = uint32(o)
	}
	return oids, f.end()
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

// bind makes a portal of a prepared statement and its arguments.
func (c *conn) bind(f *fields) error {
	size := len(f.rest)
	name, err := f.cstr()
	if err != nil {
		return err
	}
	from, err := f.cstr()
	if err != nil {
		return err
	}
	s, err := c.statement(from)
	if err != nil {
		return err
	}
	args, err := bindArgs(f, name, from, len(s.Params()))
	if err != nil {
		return err
	}
	results, err := bindResults(f, s.Columns())
	if err != nil {
		return err
	}
	if err := c.roomForPortal(name, size); err != nil {
		return err
	}
	var p Portal
	err = c.call(func(ctx context.Context) error {
		var err error
		p, err = s.Bind(ctx, args)
		return err
	})
	if err != nil {
		return err
	}
	s.uses++
	c.portals[name] = &portal{Portal: p, statement: s, formats: results, size: size}
	c.prepared += size
	c.out.message('2')
	return nil
}

// bindArgs reads the parameters of a Bind message for a statement that has n.
func bindArgs(f *fields, portal, statement string, n int) ([]Arg, error) {
	codes, err := f.formats()
	if err != nil {
		return nil, err
	}
	count, err := f.count(4)
	if err != nil {
		return nil, err
	}
	if !codes.fits(count) {
		return nil, malformed(fmt.Sprintf("bind message has %d parameter formats but %d parameters", len(codes), count))
	}
	if count != n {
		return nil, malformed(fmt.Sprintf("bind message supplies %d parameters, but prepared statement \"%s\" requires %d", count, statement, n))
	}
	if n > 0 {
		if err := codes.known(); err != nil {
			return nil, err
		}
	}
	args := make([]Arg, n)
	for i := range args {
		a := &args[i]
		a.Binary = codes.of(i) == 1
		if a.Data, err = f.value(); err != nil {
			return nil, err
		}
		if a.Binary {
			continue
		}
		if err := checkText(a.Data); err != nil {
			e := asError(err)
			e.Where = fmt.Sprintf("%s parameter $%d", portalName(portal), i+1)
			return nil, e
		}
	}
	return args, nil
}

func portalName(name string) string {
	if name == "" {
		return "unnamed portal"
	}
	return fmt.Sprintf("portal \"%s\"", name)
}

// bindResults reads the formats of a portal's columns.
func bindResults(f *fields, cols []Column) (formats, error) {
	codes, err := f.formats()
	if err != nil {
		return nil, err
	}
	if err := f.end(); err != nil || cols == nil {
		return nil, err
	}
	if !codes.fits(len(cols)) {
		return nil, malformed(fmt.Sprintf("bind message has %d result formats but query has %d columns", len(codes), len(cols)))
	}
	return codes, codes.known()
}

// describe a prepared statement or a portal.
func (c *conn) describe(f *fields) error {
	kind, name, err := f.target("DESCRIBE")
	if err != nil {
		return err
	}
	if kind == 'S' {
		s, err := c.statement(name)
		if err != nil {
			return err
		}
		c.out.parameterDescription(s.Params())
		return c.out.rowDescription(s.Columns(), nil)
	}
	p, err := c.portal(name)
	if err != nil {
		return err
	}
	return c.out.rowDescription(p.columns(), p.formats)
}

// target reads what a Describe or Close message is about: a statement or a portal.
func (f *fields) target(message string) (byte, string, error) {
	kind, err := f.byte()
	if err != nil {
		return 0, "", err
	}
	name, err := f.cstr()
	if err != nil {
		return 0, "", err
	}
	if err := f.end(); err != nil {
		return 0, "", err
	}
	if kind != 'S' && kind != 'P' {
		return 0, "", malformed(fmt.Sprintf("invalid %s message subtype %d", message, kind))
	}
	return kind, name, nil
}

// execute runs a portal, or its next part.
func (c *conn) execute(f *fields) error {
	name, err := f.cstr()
	if err != nil {
		return err
	}
	rows, err := f.int32()
	if err != nil {
		return err
	}
	if err := f.end(); err != nil {
		return err
	}
	p, err := c.portal(name)
	if err != nil {
		return err
	}
	if p.done {
		return c.executeAgain(p, name)
	}
	w := c.newResult(p.columns(), p.formats, max(int(rows), 0))
	c.running = p
	defer func() { c.running = nil }()
	err = c.call(func(ctx context.Context) error {
		done, err := p.Execute(ctx, w, w.limit)
		return w.outcome(done, err)
	})
	if err != nil {
		return err
	}
	if p.done, p.tag = w.done, w.tag; !p.done {
		c.out.message('s')
	}
	return nil
}

// executeAgain: a portal that is done has no more rows; one without rows can't run twice.
func (c *conn) executeAgain(p *portal, name string) error {
	switch {
	case p.tag == "":
		c.out.message('I')
	case p.columns() == nil:
		return &Error{Code: "55000", Message: fmt.Sprintf("portal \"%s\" cannot be run", name)}
	default:
		c.out.tag(withoutRows(p.tag))
	}
	return nil
}

// close a prepared statement or a portal. Portals outlive their statement.
func (c *conn) close(f *fields) error {
	kind, name, err := f.target("CLOSE")
	if err != nil {
		return err
	}
	if kind == 'P' {
		c.dropPortal(name)
	} else {
		c.dropStatement(name)
	}
	c.out.message('3')
	return nil
}
