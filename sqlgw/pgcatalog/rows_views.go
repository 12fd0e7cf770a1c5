package pgcatalog

import (
	"strconv"

	"broadsheet.dev/broadsheet/catalog"
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
