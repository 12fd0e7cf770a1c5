package sqlgw

import (
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
)

// Rows that are made for a table are appended later: when their transaction commits, or at the end of their COPY. If a column has
// become NOT NULL meanwhile, what may be NULL in it isn't appended, since it would be a reject that nobody has been told of.

// writesTo notes a table that the transaction makes rows for, as it is when it makes the first.
func (t *transaction) writesTo(table catalog.Table) {
	if table.Journals == "" {
		return // it is temporary
	}
	if t.written == nil {
		t.written = map[int64]catalog.Table{}
	}
	if _, ok := t.written[table.ID]; !ok {
		t.written[table.ID] = table
	}
}

// fit tells whether the rows that the transaction has staged for journals are still rows of their tables.
func (t *transaction) fit(snap *catalog.Snapshot, journals []string) error {
	for _, was := range t.written {
		if !slices.ContainsFunc(journals, func(j string) bool { return strings.HasPrefix(j, was.Journals) }) {
			continue // they were rolled back
		}
		if err := stillFits(snap, was); err != nil {
			return err
		}
	}
	return nil
}

// stillFits tells whether rows that were made for a table as it was are rows of it now. A table that is gone has no journals
// that would take them.
func stillFits(snap *catalog.Snapshot, was catalog.Table) error {
	now, ok := snap.TableRead(catalog.Read{ID: was.ID, Schema: was.Schema, Name: was.Name})
	if !ok || now.Version == was.Version {
		return nil
	}
	column, tight := tightened(was, now)
	if !tight {
		return nil
	}
	e := sqlError("40001", "column %q of relation %q has become NOT NULL since the rows were made", column, now.Name)
	e.Schema, e.Table, e.Column = now.Schema, now.Name, column
	return hinted(e, "Nothing was appended. Try it again.")
}

// tightened is the first column that takes no NULL, of which rows that were made for the table as it was may have one.
func tightened(was, now catalog.Table) (string, bool) {
	for _, c := range now.Columns {
		if !c.NotNull {
			continue
		}
		i := slices.IndexFunc(was.Columns, func(x catalog.Column) bool { return x.ID == c.ID })
		if i < 0 && c.Missing == "" || i >= 0 && !was.Columns[i].NotNull {
			return c.Name, true
		}
	}
	return "", false
}
