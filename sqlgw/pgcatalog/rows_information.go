package pgcatalog

import "context"

func schemataRows(_ context.Context, s *snapshot, w *writer) error {
	name, to := s.roleName(), s.informed()
	for _, x := range s.schemas() {
		if !to.ofSchema(x) {
			continue
		}
		w.text("catalog_name", s.catalog.cfg.Database)
		w.text("schema_name", x.name)
		w.text("schema_owner", name(x.owner()))
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func informationTableRows(_ context.Context, s *snapshot, w *writer) error {
	all, to := s.all(), s.informed()
	for i := range all {
		c := &all[i]
		if c.kind() != "r" && c.kind() != "v" || !to.ofClass(c, onTables) {
			continue
		}
		w.text("table_catalog", s.catalog.cfg.Database)
		w.text("table_schema", c.schema)
		w.text("table_name", c.name)
		w.text("table_type", "BASE TABLE")
		if c.kind() == "v" {
			w.text("table_type", "VIEW")
		}
		w.yesNo("is_insertable_into", c.table != nil)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func informationColumnRows(_ context.Context, s *snapshot, w *writer) error {
	all, to := s.all(), s.informed()
	for i := range all {
		c := &all[i]
		if c.kind() != "r" && c.kind() != "v" || !to.ofClass(c, onColumns) {
			continue
		}
		for n, col := range s.columns(c) {
			number := int64(n + 1)
			if c.table != nil {
				number = c.table.Columns[n].ID
				if d := c.table.Columns[n].Default; d != "" {
					w.text("column_default", d)
				}
			}
			w.text("table_catalog", s.catalog.cfg.Database)
			w.text("table_schema", c.schema)
			w.text("table_name", c.name)
			w.text("column_name", col.name)
			w.number("ordinal_position", number)
			w.put("dtd_identifier", cell{text: itoa(number)})
			w.yesNo("is_nullable", !col.notNull)
			w.yesNo("is_updatable", false)
			s.describeType(w, c, col)
			if err := w.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// describeType says what information_schema.columns has about a column's type.
func (s *snapshot) describeType(w *writer, c *class, col column) {
	t, typmod := col.typ, int64(col.typmod)
	database := s.catalog.cfg.Database
	if t.base != 0 {
		w.text("domain_catalog", database)
		w.text("domain_schema", informationSchema)
		w.text("domain_name", t.name)
		t, typmod = s.catalog.types.byOID[t.base], t.typmod
	}
	w.text("udt_catalog", database)
	w.text("udt_schema", catalogSchema)
	w.text("udt_name", t.name)
	w.text("data_type", t.full)
	if t.elementType != nil {
		w.text("data_type", "ARRAY")
	}
	if c.collation(col.typ) == cCollation { // the default one isn't told
		w.text("collation_catalog", database)
		w.text("collation_schema", catalogSchema)
		w.text("collation_name", "C")
	}
	describeSize(w, t.name, typmod)
}

// describeSize puts lengths and precisions, as PostgreSQL derives them of a type and its modifier.
func describeSize(w *writer, name string, typmod int64) {
	const header, bytesPerCharacter, unlimited = 4, 4, 1 << 30
	numeric := func(precision, radix int64) {
		w.number("numeric_precision", precision)
		w.number("numeric_precision_radix", radix)
	}
	switch name {
	case "text", "varchar", "bpchar":
		w.number("character_octet_length", unlimited)
		if typmod > header {
			w.number("character_maximum_length", typmod-header)
			w.number("character_octet_length", (typmod-header)*bytesPerCharacter)
		}
	case "int2", "int4", "int8":
		numeric(map[string]int64{"int2": 16, "int4": 32, "int8": 64}[name], 2)
		w.number("numeric_scale", 0)
	case "float4":
		numeric(24, 2)
	case "float8":
		numeric(53, 2)
	case "numeric":
		if typmod < header {
			w.number("numeric_precision_radix", 10)
			break
		}
		numeric((typmod-header)>>16&0xffff, 10)
		w.number("numeric_scale", (typmod-header)&0x7ff)
	case "date":
		w.number("datetime_precision", 0)
	case "time", "timestamp", "timestamptz", "interval":
		w.number("datetime_precision", 6)
		if typmod >= 0 {
			w.number("datetime_precision", typmod)
		}
	}
}
