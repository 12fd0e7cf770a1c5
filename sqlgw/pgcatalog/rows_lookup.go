package pgcatalog

import (
	"context"
	"strconv"
	"strings"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func lookupClassRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		w.number("bs_oid", all[i].oid)
		w.text("bs_class", s.printed(&all[i]))
		w.text("bs_qualified", s.qualified(&all[i]))
		w.truth("bs_visible", s.visible(&all[i]))
		w.truth("bs_table", all[i].table != nil)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// lookupTypeRows: bs_type is a type's name up to where its modifiers stand, bs_rest what comes
// behind them. bs_typmodless is the name without any where a modifier could be given, but isn't.
func lookupTypeRows(_ context.Context, s *snapshot, w *writer) error {
	for _, t := range s.catalog.types.all {
		name, element := t.full, t
		rest := ""
		if t.elementType != nil {
			element, rest = t.elementType, "[]"
			name = strings.TrimSuffix(name, "[]")
		}
		bare := name
		modified := ""
		switch element.name {
		case "varchar":
			modified = "length"
		case "bpchar":
			modified, bare = "length", "bpchar"
		case "numeric":
			modified = "numeric"
		case "time", "timestamp", "timestamptz":
			modified = "precision"
			before, after, _ := strings.Cut(name, " ")
			name, rest = before, " "+after+rest
			bare = before
		}
		w.number("bs_oid", t.oid)
		w.text("bs_name", t.name)
		w.text("bs_type", name)
		w.text("bs_modified", modified)
		w.text("bs_rest", rest)
		w.text("bs_typmodless", bare)
		w.truth("bs_visible", s.typeSchema(t) == oidCatalogSchema)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func lookupSchemaRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.schemas() {
		w.number("bs_oid", x.oid)
		w.text("bs_schema", s.catalog.quoteIdent(x.name))
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func lookupRoleRows(_ context.Context, s *snapshot, w *writer) error {
	w.number("bs_oid", oidOwner)
	w.text("bs_role", s.catalog.quoteIdent(s.catalog.cfg.Owner))
	return w.end()
}

func lookupSettingRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.state.Settings {
		w.text("bs_name", strings.ToLower(x.Name))
		w.text("bs_setting", x.Value)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// lookupSizeRows asks for the sizes of tables. The system's relations hold nothing.
func lookupSizeRows(ctx context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		size := int64(0)
		if t := all[i].table; t != nil {
			var err error
			if size, err = s.state.Size(ctx, *t); err != nil {
				return err
			}
		}
		w.number("bs_oid", all[i].oid)
		w.number("bs_bytes", size)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}
