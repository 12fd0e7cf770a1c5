package pgcatalog

import (
	"context"
	_ "embed" // the definitions
	"fmt"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

//go:embed relations.txt
var relationsText string

// Relation is a relation of the system's, shaped as PostgreSQL 15 has it.
type Relation struct {
	Schema, Name string
	OID          int64
	columns      []column
	view         bool
	index        map[string]int // of columns
	// rows makes the rows. It is nil for what is only listed here and made elsewhere.
	rows func(ctx context.Context, s *snapshot, w *writer) error
}

// column of a Relation.
type column struct {
	name    string
	typ     *typ
	typmod  int32
	notNull bool
	// initial is what a row has that says nothing of the column.
	initial cell
}

// Scan are the columns of the rows that Rows makes. Arrays are texts there.
func (r *Relation) Scan() []columnar.Column {
	out := make([]columnar.Column, len(r.columns))
	for i, c := range r.columns {
		out[i] = columnar.Column{Name: c.name, Type: c.typ.scan, NotNull: c.notNull}
	}
	return out
}

// Columns are the names of the columns that * shows.
func (r *Relation) Columns() []string {
	out := make([]string, len(r.columns))
	for i, c := range r.columns {
		out[i] = c.name
	}
	return out
}

// tableOID is the column of every table of PostgreSQL's that tells the table's OID.
const tableOID = "tableoid"

// Hidden are the names of the columns that can be named, but * doesn't show them.
func (r *Relation) Hidden() []string {
	if r.view {
		return nil
	}
	return []string{tableOID}
}

// Types are what pg_type calls the types of Columns and then of Hidden: those of domains are
// what they are made of, as clients are told.
func (r *Relation) Types() []string {
	out := make([]string, len(r.columns), len(r.columns)+1)
	for i, c := range r.columns {
		out[i] = c.typ.name
		if c.typ.baseType != nil {
			out[i] = c.typ.baseType.name
		}
	}
	if !r.view {
		out = append(out, "oid")
	}
	return out
}

// Query is DuckDB's text of the query that gives the relation's columns, hidden ones last, out of one
// that gives its Scan columns.
func (r *Relation) Query(scan string) string {
	var b strings.Builder
	for i, c := range r.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		name := quoted(c.name)
		if c.typ.list != "" {
			fmt.Fprintf(&b, "CAST(%s AS %s) AS %s", name, c.typ.list, name)
		} else {
			b.WriteString(name)
		}
	}
	if !r.view {
		fmt.Fprintf(&b, ", CAST(%d AS BIGINT) AS %s", r.OID, tableOID)
	}
	return "SELECT " + b.String() + " FROM (" + scan + ")"
}

// Rows makes the relation's rows and hands them to add, in batches of all its Scan columns.
func (r *Relation) Rows(ctx context.Context, c *Catalog, s State, add func(*columnar.Batch) error) error {
	w := newWriter(r, add)
	if err := r.rows(ctx, &snapshot{catalog: c, state: s}, w); err != nil {
		return fmt.Errorf("relation %s.%s: %w", r.Schema, r.Name, err)
	}
	return w.flush()
}

// quoted is a name in double quotes.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// readRelations reads the definitions, and adds the other relations.
func (c *Catalog) readRelations() error {
	makers := rowMakers()
	var last *Relation
	for number, line := range strings.Split(relationsText, "\n") {
		text, ours := strings.CutPrefix(line, "  ")
		var err error
		switch {
		case line == "" || line[0] == '#':
		case ours && last != nil:
			err = c.readColumn(last, text)
		default:
			last, err = newRelation(line)
			if err != nil {
				break
			}
			last.rows = makers[last.Schema+"."+last.Name]
			if last.Schema == lookupSchema {
				c.lookups[last.Name] = last
				break
			}
			if last.rows == nil {
				last.rows = noRows
			}
			c.relations = append(c.relations, last)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number+1, err)
		}
	}
	for i, o := range c.cfg.Others {
		if err := c.addOther(i, o); err != nil {
			return err
		}
	}
	return nil
}

// noRows is the maker of relations of things that there are none of.
func noRows(context.Context, *snapshot, *writer) error { return nil }

// newRelation reads "schema.name oid kind".
func newRelation(line string) (*Relation, error) {
	var name, kind string
	r := &Relation{index: map[string]int{}}
	if _, err := fmt.Sscan(line, &name, &r.OID, &kind); err != nil {
		return nil, fmt.Errorf("relation %q: %w", line, err)
	}
	r.view = kind == "view"
	r.Schema, r.Name, _ = strings.Cut(name, ".")
	return r, nil
}

// readColumn reads "name type! = initial".
func (c *Catalog) readColumn(r *Relation, line string) error {
	definition, initial, constant := strings.Cut(line, " =")
	name, typeName, _ := strings.Cut(definition, " ")
	typeName, notNull := strings.CutSuffix(typeName, "!")
	t := c.types.byName[typeName]
	if t == nil {
		return fmt.Errorf("column %q: no type %q", name, typeName)
	}
	col := column{name: name, typ: t, typmod: -1, notNull: notNull, initial: cell{null: true}}
	if constant {
		var err error
		if col.initial, err = t.cell(strings.TrimSpace(initial)); err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
	}
	r.addColumn(col)
	return nil
}

func (r *Relation) addColumn(c column) {
	r.index[c.name] = len(r.columns)
	r.columns = append(r.columns, c)
}

func (c *Catalog) addOther(i int, o Other) error {
	if i == 0 {
		c.schemas = append([]schema{{oid: oidOthers, name: o.Schema}}, c.schemas...)
	}
	r := &Relation{Schema: o.Schema, Name: o.Name, OID: oidOthers + 1 + int64(i), view: true, index: map[string]int{}}
	for _, col := range o.Columns {
		t := c.types.byOID[int64(col.Type.OID())]
		if t == nil {
			return fmt.Errorf("column %q of %s: no type of OID %s", col.Name, o.Name, strconv.Itoa(int(col.Type.OID())))
		}
		r.addColumn(column{name: col.Name, typ: t, typmod: col.Type.TypMod(), notNull: col.NotNull})
	}
	c.relations = append(c.relations, r)
	return nil
}
