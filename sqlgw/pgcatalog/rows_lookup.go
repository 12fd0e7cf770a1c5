package pgcatalog

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// rowsOf writes a row for each key of a thing, once each; fill puts the other columns.
func (w *writer) rowsOf(keys []string, fill func()) error {
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		w.text("bs_key", key)
		fill()
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// keys of a relation: its OID, and its names as they are printed.
func (s *snapshot) keys(c *class) []string {
	return []string{itoa(c.oid), s.printed(c), s.qualified(c)}
}

func lookupClassRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		err := w.rowsOf(s.keys(&all[i]), func() {
			w.number("bs_oid", all[i].oid)
			w.text("bs_class", s.printed(&all[i]))
			w.truth("bs_visible", s.visible(&all[i]))
			w.truth("bs_table", all[i].table != nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookupTypeRows: bs_type is a type's name up to where its modifiers stand, bs_rest what comes
// behind them. bs_typmodless is the name without any where a modifier could be given, but isn't.
func lookupTypeRows(_ context.Context, s *snapshot, w *writer) error {
	for _, t := range s.types() {
		p := t.parts()
		err := w.rowsOf([]string{itoa(t.oid), t.name, p.name + p.rest}, func() {
			w.number("bs_oid", t.oid)
			w.text("bs_type", p.name)
			w.text("bs_modified", p.modified)
			w.text("bs_rest", p.rest)
			w.text("bs_typmodless", p.bare)
			w.truth("bs_visible", s.typeIsVisible(t))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// typeParts are the parts of a type's name that modifiers stand between.
type typeParts struct{ name, rest, bare, modified string }

func (t *typ) parts() typeParts {
	p := typeParts{name: t.full}
	element := t
	if t.elementType != nil {
		element, p.rest = t.elementType, "[]"
		p.name = strings.TrimSuffix(t.full, "[]")
	}
	p.bare = p.name
	switch element.name {
	case "varchar":
		p.modified = "length"
	case "bpchar":
		p.modified, p.bare = "length", "bpchar"
	case "numeric":
		p.modified = "numeric"
	case "time", "timestamp", "timestamptz":
		before, after, _ := strings.Cut(p.name, " ")
		p = typeParts{name: before, rest: " " + after + p.rest, bare: before, modified: "precision"}
	}
	return p
}

func lookupSchemaRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.schemas() {
		name := s.catalog.quoteIdent(x.name)
		err := w.rowsOf([]string{itoa(x.oid), name}, func() {
			w.number("bs_oid", x.oid)
			w.text("bs_schema", name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func lookupSettingRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.state.settings() {
		if err := w.rowsOf([]string{strings.ToLower(x.Name)}, func() { w.text("bs_setting", x.Value) }); err != nil {
			return err
		}
	}
	return nil
}

// lookupSizeRows asks for the sizes of all tables. The system's relations hold nothing.
func lookupSizeRows(ctx context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		if err := s.sizeOf(ctx, &all[i], w); err != nil {
			return err
		}
	}
	return nil
}

// sizeRowsOf asks for the size of one relation.
func sizeRowsOf(oid int64) func(context.Context, *snapshot, *writer) error {
	return func(ctx context.Context, s *snapshot, w *writer) error {
		all := s.all()
		i := slices.IndexFunc(all, func(c class) bool { return c.oid == oid })
		if i < 0 {
			return nil
		}
		return s.sizeOf(ctx, &all[i], w)
	}
}

func (s *snapshot) sizeOf(ctx context.Context, c *class, w *writer) error {
	size := int64(0)
	if c.table != nil {
		var err error
		if size, err = s.state.Size(ctx, *c.table); err != nil {
			return err
		}
	}
	return w.rowsOf(s.keys(c), func() {
		w.number("bs_oid", c.oid)
		w.number("bs_bytes", size)
	})
}
