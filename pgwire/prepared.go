package pgwire

import (
	"context"
	"fmt"
	"strings"
)

// statement is a prepared statement. It is closed when neither its name nor a portal needs
// it any more.
type statement struct {
	Statement
	size int
	uses int
}

// portal is a bound statement of the extended protocol, or one that the session made, which has
// no statement.
type portal struct {
	Portal
	statement *statement
	described []Column // without a statement
	hold      bool     // it outlives the transaction
	formats   formats
	size      int
	done      bool
	tag       string // once it is done, empty if it was an empty query
}

func (p *portal) columns() []Column {
	if p.statement == nil {
		return p.described
	}
	return p.statement.Columns()
}

func (c *conn) statement(name string) (*statement, error) {
	s, ok := c.statements[name]
	switch {
	case ok:
		return s, nil
	case name == "":
		return nil, &Error{Code: "26000", Message: "unnamed prepared statement does not exist"}
	default:
		return nil, &Error{Code: "26000", Message: fmt.Sprintf("prepared statement \"%s\" does not exist", name)}
	}
}

func (c *conn) portal(name string) (*portal, error) {
	p, ok := c.portals[name]
	if !ok {
		return nil, &Error{Code: "34000", Message: fmt.Sprintf("portal \"%s\" does not exist", name)}
	}
	return p, nil
}

// maxParams is what the count of a message holds.
const maxParams = 1<<16 - 1

func (c *conn) roomForStatement(name string, size, params int) error {
	if params > maxParams {
		return &Error{Code: "54023", Message: fmt.Sprintf("a statement can have at most %d parameters", maxParams)}
	}
	if _, ok := c.statements[name]; ok {
		return &Error{Code: "42P05", Message: fmt.Sprintf("prepared statement \"%s\" already exists", name)}
	}
	if len(c.statements) >= c.cfg.MaxPrepared {
		return &Error{
			Code: "53400", Message: fmt.Sprintf("a session may have %d prepared statements", c.cfg.MaxPrepared),
			Hint: "Close statements that are no longer used.",
		}
	}
	return c.roomForBytes(size)
}

// roomForPortal fails if there is a portal of that name; the unnamed one is replaced.
func (c *conn) roomForPortal(name string, size int) error {
	if name == "" {
		c.dropPortal("")
	}
	if _, ok := c.portals[name]; ok {
		return &Error{Code: "42P03", Message: fmt.Sprintf("cursor \"%s\" already exists", name)}
	}
	if len(c.portals) >= c.cfg.MaxPrepared {
		return &Error{
			Code: "53400", Message: fmt.Sprintf("a session may have %d open portals", c.cfg.MaxPrepared),
			Hint: "Close portals that are no longer used.",
		}
	}
	return c.roomForBytes(size)
}

func (c *conn) roomForBytes(size int) error {
	if c.prepared+size <= c.cfg.MaxPreparedBytes {
		return nil
	}
	return &Error{
		Code: "53400", Message: fmt.Sprintf("a session may have prepared statements and open portals of %d bytes", c.cfg.MaxPreparedBytes),
		Hint: "Close those that are no longer used.",
	}
}

func (c *conn) dropStatement(name string) {
	if s, ok := c.statements[name]; ok {
		delete(c.statements, name)
		c.unuse(s)
	}
}

func (c *conn) dropPortal(name string) {
	if p, ok := c.portals[name]; ok {
		delete(c.portals, name)
		c.prepared -= p.size
		p.Close()
		if p.statement != nil {
			c.unuse(p.statement)
		}
	}
}

func (c *conn) closePortals() {
	for name := range c.portals {
		c.dropPortal(name)
	}
}

// unuse closes a statement that is needed in one place less, if that was the last.
func (c *conn) unuse(s *statement) {
	if s.uses--; s.uses == 0 {
		c.prepared -= s.size
		s.Close()
	}
}

// withoutRows is a tag with its count of rows, if it has one, set to zero.
func withoutRows(tag string) string {
	i := strings.LastIndexByte(tag, ' ')
	if i < 0 || strings.Trim(tag[i+1:], "0123456789") != "" {
		return tag
	}
	return tag[:i] + " 0"
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
