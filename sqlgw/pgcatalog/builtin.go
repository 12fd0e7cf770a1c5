package pgcatalog

import (
	"context"
	_ "embed" // the rows
	"fmt"
	"strings"
)

//go:embed builtin.txt
var builtinText string

// builtin are the rows that a relation has whatever the catalog holds.
type builtin struct {
	columns []string
	rows    [][]cell
}

// readBuiltin reads the rows, whose relations are known.
func (c *Catalog) readBuiltin() error {
	c.builtin = map[string]*builtin{}
	var r *Relation
	var b *builtin
	for number, line := range strings.Split(builtinText, "\n") {
		header, isHeader := strings.CutPrefix(line, "@")
		switch {
		case line == "" || line[0] == '#':
		case isHeader:
			columns := strings.Fields(header)
			if r = c.relation(columns[0]); r == nil {
				return fmt.Errorf("line %d: no relation %s", number+1, columns[0])
			}
			b = &builtin{columns: columns[1:]}
			c.builtin[columns[0]] = b
		default:
			if err := b.read(r, line); err != nil {
				return fmt.Errorf("line %d: %w", number+1, err)
			}
		}
	}
	c.noteProcs()
	return nil
}

func (b *builtin) read(r *Relation, line string) error {
	fields := strings.Split(line, "\t")
	if len(fields) != len(b.columns) {
		return fmt.Errorf("%d fields, not %d", len(fields), len(b.columns))
	}
	row := make([]cell, len(fields))
	for i, text := range fields {
		if text == `\N` {
			row[i] = cell{null: true}
			continue
		}
		at, ok := r.index[b.columns[i]]
		if !ok {
			return fmt.Errorf("no column %q", b.columns[i])
		}
		var err error
		if row[i], err = r.columns[at].typ.cell(text); err != nil {
			return fmt.Errorf("column %q: %w", b.columns[i], err)
		}
	}
	b.rows = append(b.rows, row)
	return nil
}

// relation by its name with its schema; nil is none.
func (c *Catalog) relation(name string) *Relation {
	if lookup, ok := strings.CutPrefix(name, lookupSchema+"."); ok {
		return c.lookups[lookup]
	}
	for _, r := range c.relations {
		if r.Schema+"."+r.Name == name {
			return r
		}
	}
	return nil
}

// noteProcs keeps the functions by their names and OIDs.
func (c *Catalog) noteProcs() {
	c.procs, c.procNames = map[string]int64{}, map[int64]string{}
	b := c.builtin["pg_catalog.pg_proc"]
	for _, row := range b.rows {
		oid, name := row[0].number, row[1].text
		c.procNames[oid] = name
		if _, several := c.procs[name]; several {
			c.procs[name] = -1 // the name doesn't say which
			continue
		}
		c.procs[name] = oid
	}
}

// builtinRows writes the rows that a relation has in any case.
func (s *snapshot) builtinRows(w *writer, name string) error {
	b := s.catalog.builtin[name]
	for _, row := range b.rows {
		for i, column := range b.columns {
			w.put(column, row[i])
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// onlyBuiltin makes a relation that has no other rows.
func onlyBuiltin(name string) func(context.Context, *snapshot, *writer) error {
	return func(_ context.Context, s *snapshot, w *writer) error { return s.builtinRows(w, name) }
}

// proc is the OID of a function of PostgreSQL's; "-" and what isn't known are 0.
func (s *snapshot) proc(name string) int64 { return max(s.catalog.procs[name], 0) }
