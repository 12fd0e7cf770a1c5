package pgcatalog

import (
	"context"
	"strconv"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// viewColumns are the columns of a view that was made.
func (s *snapshot) viewColumns(v *catalog.View) []column {
	out := make([]column, len(v.Columns))
	for i, c := range v.Columns {
		t := s.catalog.types.byName[c.Type]
		if t == nil { // of a newer program
			t = s.catalog.types.byName["text"]
		}
		out[i] = column{name: c.Name, typ: t, typmod: c.TypMod}
	}
	return out
}

// FormatType is the SQL name of a type with its modifier, as format_type says.
func (c *Catalog) FormatType(name string, typmod int32) string {
	t := c.types.byName[name]
	if t == nil {
		return name
	}
	p := t.parts()
	n := int64(typmod)
	switch {
	case p.modified == "precision" && n >= 0:
		return p.name + "(" + strconv.FormatInt(n, 10) + ")" + p.rest
	case p.modified == "length" && n > 4:
		return p.name + "(" + strconv.FormatInt(n-4, 10) + ")" + p.rest
	case p.modified == "numeric" && n >= 4:
		return p.name + "(" + strconv.FormatInt((n-4)>>16&0xffff, 10) + "," + strconv.FormatInt((n-4)&0x7ff, 10) + ")" + p.rest
	}
	return p.name + p.rest
}

// definition is what pg_get_viewdef says of a view that was made; "" if its query can't be read. Its relations are told by
// what they are called now, with their schemas where their names alone don't name them.
func (s *snapshot) definition(o *catalog.Object) string {
	pieces, err := parse.Split(o.View.Query)
	if err != nil || len(pieces) != 1 {
		return ""
	}
	st, err := parse.Parse(pieces[0])
	q, ok := st.(*parse.Select)
	if err != nil || !ok || len(q.Relations()) != len(o.View.Reads) {
		return ""
	}
	names := make([]string, len(o.View.Columns))
	for i, c := range o.View.Columns {
		names[i] = c.Name
	}
	text, err := q.Definition(names, func(i int) (string, string) {
		c := s.readClass(o.View.Reads[i])
		switch {
		case c == nil:
			return o.View.Reads[i].Schema, o.View.Reads[i].Name
		case s.visible(c):
			return "", c.name
		}
		return c.schema, c.name
	})
	if err != nil {
		return ""
	}
	return text
}

// readClass is a relation that a view reads; nil is one that isn't there.
func (s *snapshot) readClass(r catalog.Read) *class {
	if c := s.class(r.Schema, r.Name); c != nil && (r.ID == 0 || c.oid == r.ID) {
		return c
	}
	if r.ID == 0 {
		return nil
	}
	return s.classByOID(r.ID)
}

// eachView calls f for every view that was made.
func (s *snapshot) eachView(f func(c *class) error) error {
	all := s.all()
	for i := range all {
		if all[i].view == nil {
			continue
		}
		if err := f(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// access is what was granted on a table or view; false is of what nothing can be granted on.
func (c *class) access() (catalog.Access, bool) {
	switch {
	case c.table != nil:
		return c.table.Access, true
	case c.view != nil:
		return c.view.View.Access(), true
	}
	return catalog.Access{}, false
}

// viewOptions are the reloptions of a view, as a list; "" for none.
func viewOptions(v *catalog.View) string {
	if !v.SecurityInvoker {
		return ""
	}
	return "[" + listWord("security_invoker=true") + "]"
}

// viewRows are those of pg_views. The system's relations have no definition in SQL.
func viewRows(_ context.Context, s *snapshot, w *writer) error {
	all, name := s.all(), s.roleName()
	for i := range all {
		c := &all[i]
		if c.kind() != "v" {
			continue
		}
		w.text("schemaname", c.schema)
		w.text("viewname", c.name)
		w.text("viewowner", name(c.owner()))
		if c.view != nil {
			w.text("definition", s.definition(c.view))
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// materializedRows are those of pg_matviews.
func materializedRows(_ context.Context, s *snapshot, w *writer) error {
	name := s.roleName()
	return s.eachView(func(c *class) error {
		if !c.materialized() {
			return nil
		}
		w.text("schemaname", c.schema)
		w.text("matviewname", c.name)
		w.text("matviewowner", name(c.owner()))
		w.truth("hasindexes", false)
		w.truth("ispopulated", true)
		w.text("definition", s.definition(c.view))
		return w.end()
	})
}

func informationViewRows(_ context.Context, s *snapshot, w *writer) error {
	all, to := s.all(), s.informed()
	for i := range all {
		c := &all[i]
		if c.kind() != "v" || !to.ofClass(c, onTables) {
			continue
		}
		w.text("table_catalog", s.catalog.cfg.Database)
		w.text("table_schema", c.schema)
		w.text("table_name", c.name)
		if c.view != nil && to.ofClass(c, onlyOwners) {
			w.text("view_definition", s.definition(c.view))
		}
		w.text("check_option", "NONE")
		for _, column := range []string{"is_updatable", "is_insertable_into", "is_trigger_updatable", "is_trigger_deletable", "is_trigger_insertable_into"} {
			w.yesNo(column, false)
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// viewTableRows are those of view_table_usage: the relations that views read, each once.
func viewTableRows(_ context.Context, s *snapshot, w *writer) error {
	to := s.informed()
	return s.eachView(func(c *class) error {
		if c.materialized() {
			return nil
		}
		return s.eachRead(c, func(below *class) error {
			if !to.ofClass(below, onlyOwners) {
				return nil
			}
			w.text("view_catalog", s.catalog.cfg.Database)
			w.text("view_schema", c.schema)
			w.text("view_name", c.name)
			w.text("table_catalog", s.catalog.cfg.Database)
			w.text("table_schema", below.schema)
			w.text("table_name", below.name)
			return w.end()
		})
	})
}

// eachRead calls f for the relations that a view reads, each once.
func (s *snapshot) eachRead(c *class, f func(below *class) error) error {
	seen := map[int64]bool{}
	for _, r := range c.view.View.Reads {
		below := s.readClass(r)
		if below == nil || seen[below.oid] {
			continue
		}
		seen[below.oid] = true
		if err := f(below); err != nil {
			return err
		}
	}
	return nil
}

// OID of pg_rewrite. A view's rule has no OID of its own, so that it gets its view's.
const oidPgRewrite = 2618

// ruleRows are those of pg_rewrite.
func ruleRows(_ context.Context, s *snapshot, w *writer) error {
	return s.eachView(func(c *class) error {
		w.number("oid", c.oid)
		w.text("rulename", "_RETURN")
		w.number("ev_class", c.oid)
		w.text("ev_type", "1")
		w.text("ev_enabled", "O")
		w.truth("is_instead", true)
		w.text("ev_qual", "<>")
		w.text("ev_action", "<>")
		return w.end()
	})
}

// dependencyRows are those of pg_depend that views have: a view needs what it reads through its rule, which is a part of it.
func dependencyRows(_ context.Context, s *snapshot, w *writer) error {
	row := func(rule, relation int64, kind string) error {
		w.number("classid", oidPgRewrite)
		w.number("objid", rule)
		w.number("objsubid", 0)
		w.number("refclassid", oidPgClass)
		w.number("refobjid", relation)
		w.number("refobjsubid", 0)
		w.text("deptype", kind)
		return w.end()
	}
	return s.eachView(func(c *class) error {
		if err := row(c.oid, c.oid, "i"); err != nil {
			return err
		}
		return s.eachRead(c, func(below *class) error { return row(c.oid, below.oid, "n") })
	})
}

// lookupViewRows has the definitions of views.
func lookupViewRows(_ context.Context, s *snapshot, w *writer) error {
	return s.eachView(func(c *class) error {
		definition := s.definition(c.view)
		return w.rowsOf(s.keys(c), func() { w.text("bs_definition", definition) })
	})
}
