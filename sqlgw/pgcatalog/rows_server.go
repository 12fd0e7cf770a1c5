package pgcatalog

import (
	"context"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/sqlgw/style"
)

func typeRows(_ context.Context, s *snapshot, w *writer) error {
	for _, t := range s.types() {
		w.number("oid", t.oid)
		w.text("typname", t.name)
		w.number("typnamespace", s.typeSchema(t))
		if t.row != nil {
			w.number("typowner", t.row.owner())
			if t.elementType == nil {
				w.number("typrelid", t.row.oid)
			}
		}
		w.number("typlen", t.length)
		w.truth("typbyval", t.byValue)
		w.text("typtype", t.kind)
		w.text("typcategory", t.category)
		w.truth("typispreferred", t.preferred)
		w.number("typelem", t.element)
		w.number("typarray", t.array)
		w.text("typalign", t.align)
		w.text("typstorage", t.storage)
		w.number("typcollation", t.collation)
		w.number("typbasetype", t.base)
		w.number("typtypmod", t.typmod)
		w.number("typsubscript", s.proc(t.subscript))
		w.number("typinput", s.proc(t.input))
		w.number("typoutput", s.proc(t.output))
		w.number("typreceive", s.proc(t.receive))
		w.number("typsend", s.proc(t.send))
		w.number("typmodin", s.proc(t.modifierIn))
		w.number("typmodout", s.proc(t.modifierOut))
		if t.name == "time_stamp" {
			w.text("typdefault", "CURRENT_TIMESTAMP(2)")
		}
		if t.elementType != nil {
			w.number("typanalyze", s.proc("array_typanalyze"))
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// typeSchema is the OID of the schema of a type.
func (s *snapshot) typeSchema(t *typ) int64 {
	if t.row != nil {
		return t.row.schemaOID
	}
	if strings.HasPrefix(t.full, informationSchema+".") {
		return oidInformationSchema
	}
	return oidCatalogSchema
}

// collationRows: all of them order by bytes. The OIDs are PostgreSQL's.
func collationRows(_ context.Context, _ *snapshot, w *writer) error {
	for _, c := range []struct {
		oid  int64
		name string
	}{{defaultCollation, "default"}, {cCollation, "C"}, {951, "POSIX"}} {
		w.number("oid", c.oid)
		w.text("collname", c.name)
		if c.name == "default" {
			w.text("collprovider", "d")
		} else {
			w.text("collcollate", c.name)
			w.text("collctype", c.name)
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// accessMethodRows: what PostgreSQL calls an access method of tables is a journal here.
func accessMethodRows(_ context.Context, s *snapshot, w *writer) error {
	w.number("oid", oidJournalAM)
	w.text("amname", "journal")
	if err := w.end(); err != nil {
		return err
	}
	return s.builtinRows(w, "pg_catalog.pg_am")
}

func databaseRows(_ context.Context, s *snapshot, w *writer) error {
	w.number("oid", oidDatabase)
	w.text("datname", s.catalog.cfg.Database)
	return w.end()
}

func tablespaceRows(_ context.Context, _ *snapshot, w *writer) error {
	w.number("oid", oidDefaultTablespace)
	w.text("spcname", "pg_default")
	if err := w.end(); err != nil {
		return err
	}
	w.number("oid", oidGlobalTablespace)
	w.text("spcname", "pg_global")
	return w.end()
}

func settingRows(_ context.Context, s *snapshot, w *writer) error {
	for _, x := range s.state.settings() {
		w.text("name", x.Name)
		if x.Hidden {
			continue
		}
		raw := x.Raw
		if raw == nil {
			raw = func(v string) string { return v }
		}
		w.text("setting", raw(x.Value))
		w.text("reset_val", raw(x.Reset))
		w.text("boot_val", raw(x.Boot))
		if x.Type != "" {
			w.text("vartype", x.Type)
		}
		if x.Unit != "" {
			w.text("unit", x.Unit)
		}
		switch {
		case x.Value != x.Reset:
			w.text("source", "session")
		case x.Reset != x.Boot:
			w.text("source", "client")
		default:
			w.text("source", "default")
		}
		if x.Fixed {
			w.text("context", "internal")
		} else {
			w.text("context", "user")
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// timeZoneRows are the zones that have names, as they are now.
func timeZoneRows(_ context.Context, _ *snapshot, w *writer) error {
	now := time.Now()
	for _, name := range style.Names() {
		z, err := style.LoadZone(name)
		if err != nil {
			return err
		}
		at := now.In(z.Location())
		abbreviation, east := at.Zone()
		w.text("name", name)
		w.text("abbrev", abbreviation)
		w.number("utc_offset", int64(east)*1_000_000)
		w.truth("is_dst", at.IsDST())
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}
