package pgwire

// names are a connection's statements and portals, as its session sees them.
type names struct{ c *conn }

func (n names) Statement(name string) (Statement, error) {
	s, err := n.c.statement(name)
	if err != nil {
		return nil, err
	}
	return s.Statement, nil
}

func (n names) AddStatement(name string, s Statement, size int) error {
	if err := n.c.roomForStatement(name, size, len(s.Params())); err != nil {
		s.Close()
		return err
	}
	n.c.statements[name] = &statement{Statement: s, size: size, uses: 1}
	n.c.prepared += size
	return nil
}

func (n names) DropStatement(name string) bool {
	_, ok := n.c.statements[name]
	n.c.dropStatement(name)
	return ok
}

func (n names) DropStatements() {
	for name := range n.c.statements {
		if name != "" {
			n.c.dropStatement(name)
		}
	}
}

func (n names) Portal(name string) (Portal, error) {
	p, err := n.c.portal(name)
	if err != nil {
		return nil, err
	}
	return p.Portal, nil
}

func (n names) AddPortal(name string, p Portal, columns []Column, hold bool, size int) error {
	if err := n.c.roomForPortal(name, size); err != nil {
		p.Close()
		return err
	}
	n.c.portals[name] = &portal{Portal: p, described: columns, hold: hold, size: size}
	n.c.prepared += size
	return nil
}

func (n names) DropPortals(which func(name string, p Portal) bool) int {
	dropped := 0
	for name, p := range n.c.portals {
		if p != n.c.running && which(name, p.Portal) {
			n.c.dropPortal(name)
			dropped++
		}
	}
	return dropped
}
