package pgcatalog

import (
	"strings"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// dialect answers for one statement.
type dialect struct {
	catalog *Catalog
	state   State
	read    func(*Relation) string
	from    map[string]string // DuckDB's text of each lookup that the statement uses
	seen    *snapshot
}

// snapshot of what the statement sees, made when it is first asked for.
func (d *dialect) snapshot() *snapshot {
	if d.seen == nil {
		d.seen = &snapshot{catalog: d.catalog, state: d.state}
	}
	return d.seen
}

// template makes a template out of a text in which {name} stands for the lookup of that name, and
// {sizes:oid} for the size of one relation.
func (d *dialect) template(text string) (*parse.Template, error) {
	return parse.NewTemplate(d.expand(text))
}

// expand puts the lookups into a text.
func (d *dialect) expand(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		var name string
		name, text, _ = strings.Cut(after, "}")
		if _, ok := d.from[name]; !ok {
			d.from[name] = d.read(d.lookup(name))
		}
		b.WriteString(d.from[name])
	}
}

func (d *dialect) lookup(name string) *Relation {
	name, of, single := strings.Cut(name, ":")
	r := d.catalog.lookups[name]
	if oid, ok := number(of); single && ok {
		one := *r
		one.rows = sizeRowsOf(oid)
		return &one
	}
	return r
}

// Function answers for PostgreSQL's functions of system information.
func (d *dialect) Function(c parse.Call) (*parse.Template, error) {
	name := c.Name
	if c.Schema != "" {
		name = c.Schema + "." + name
	}
	f, ok := d.catalog.functions[name]
	if c.Star {
		return nil, nil
	}
	if !ok {
		return nil, nil
	}
	if len(c.Args) < f.min || len(c.Args) > f.max {
		return nil, nil // this package's function isn't meant; parse says that there is none
	}
	tpl, err := f.template(d, c)
	if tpl == nil || err != nil || f.returns == "" {
		return tpl, err
	}
	return tpl.As(f.returns), nil
}

// template of a call.
func (f function) template(d *dialect, c parse.Call) (*parse.Template, error) {
	text := f.text
	if f.named != nil && c.Args[0].Kind == parse.String {
		oid, err := f.named(d.snapshot(), c.Args[0].Text)
		if err != nil {
			return nil, at(err, c.Args[0].Position)
		}
		text = strings.ReplaceAll(text, "$1", itoa(oid))
		if f.relation {
			text = strings.ReplaceAll(text, "{sizes}", "{sizes:"+itoa(oid)+"}")
		}
	}
	switch {
	case c.InFrom && f.set != nil:
		return f.set, nil
	case f.answer != nil:
		return f.answer(d, c)
	case f.fixed != nil && text == f.text:
		return f.fixed, nil
	default:
		return d.template(text)
	}
}

// Operator has none to add: those of parse suffice.
func (d *dialect) Operator(parse.Operator) (*parse.Template, error) { return nil, nil }

// literal is a text as SQL writes it.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
