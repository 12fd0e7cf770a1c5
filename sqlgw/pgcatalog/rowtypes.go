package pgcatalog

// rowTypeBase is where the OIDs of the types of rows begin: each table and view has one, and one of arrays of it. They
// follow from the relation's own, so that they stay as it does.
const rowTypeBase = 1 << 30

// rowType is the OID of the type of a relation's rows; 0 if it has none.
func (c *class) rowType() int64 {
	if c.table == nil && c.view == nil {
		return 0
	}
	return rowTypeBase + 2*c.oid
}

// types are all: those that are built in, and those of rows.
func (s *snapshot) types() []*typ {
	if s.rowTypes == nil {
		s.rowTypes = append(s.rowTypes, s.catalog.types.all...)
		all := s.all()
		for i := range all {
			if all[i].rowType() == 0 {
				continue
			}
			row := s.typeOfRows(&all[i])
			arrays := row.arrayType()
			arrays.row, arrays.align = row.row, "d"
			s.rowTypes = append(s.rowTypes, row, arrays)
		}
	}
	return s.rowTypes
}

func (s *snapshot) typeOfRows(c *class) *typ {
	return &typ{
		oid: c.rowType(), array: c.rowType() + 1, name: c.name, length: -1, kind: "c", category: "C", align: "d", storage: "x", typmod: -1, subscript: "-",
		input: "record_in", output: "record_out", receive: "record_recv", send: "record_send", modifierIn: "-", modifierOut: "-",
		full: s.printed(c), row: c,
	}
}

// typeIsVisible tells whether a type's name alone names it.
func (s *snapshot) typeIsVisible(t *typ) bool {
	if t.row != nil {
		return s.visible(t.row)
	}
	return s.typeSchema(t) == oidCatalogSchema
}

// namedRow finds the type of rows, or of arrays of them, that a relation's name is; 0 is none.
func (s *snapshot) namedRow(name string, isArray bool) int64 {
	oid, err := s.namedClass(name)
	if err != nil {
		return 0 // which the caller says of a type
	}
	if c := s.classByOID(oid); c != nil && c.rowType() != 0 {
		if isArray {
			return c.rowType() + 1
		}
		return c.rowType()
	}
	return 0
}
