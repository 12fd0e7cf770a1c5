package pgcatalog

import (
	"context"
	"slices"
	"strconv"

	"broadsheet.dev/broadsheet/catalog"
)

// What information_schema has of constraints and other declared things.

// nameConstraint puts the three parts of a constraint's name.
func (s *snapshot) nameConstraint(w *writer, t *catalog.Table, x *catalog.Constraint) {
	w.text("constraint_catalog", s.catalog.cfg.Database)
	w.text("constraint_schema", t.Schema)
	w.text("constraint_name", x.Name)
}

// nameTable puts the three parts of a table's name.
func (s *snapshot) nameTable(w *writer, t *catalog.Table) {
	w.text("table_catalog", s.catalog.cfg.Database)
	w.text("table_schema", t.Schema)
	w.text("table_name", t.Name)
}

// tableConstraintRows: columns that are never NULL are constraints there, too.
func tableConstraintRows(_ context.Context, s *snapshot, w *writer) error {
	names := map[catalog.ConstraintKind]string{
		catalog.PrimaryKey: "PRIMARY KEY", catalog.Unique: "UNIQUE", catalog.ForeignKey: "FOREIGN KEY", catalog.Check: "CHECK",
	}
	to := s.informed()
	row := func(t *catalog.Table, x *catalog.Constraint, enforced bool) error {
		if !to.ofAccess(t.Access, onConstraints) {
			return nil
		}
		s.nameConstraint(w, t, x)
		s.nameTable(w, t)
		w.text("constraint_type", names[x.Kind])
		w.yesNo("is_deferrable", x.Deferrable)
		w.yesNo("initially_deferred", x.Deferred)
		w.yesNo("enforced", enforced)
		if x.Kind == catalog.Unique {
			w.yesNo("nulls_distinct", true)
		}
		return w.end()
	}
	err := s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error { return row(t, x, false) })
	if err != nil {
		return err
	}
	return s.eachNotNull(func(t *catalog.Table, x *catalog.Constraint, _ *catalog.Column) error { return row(t, x, true) })
}

// eachNotNull calls f for the constraint that each NOT NULL is in information_schema.
func (s *snapshot) eachNotNull(f func(t *catalog.Table, x *catalog.Constraint, c *catalog.Column) error) error {
	all := s.all()
	for i := range all {
		t := all[i].table
		if t == nil {
			continue
		}
		for j := range t.Columns {
			c := &t.Columns[j]
			if !c.NotNull {
				continue
			}
			name := itoa(all[i].schemaOID) + "_" + itoa(t.ID) + "_" + itoa(c.ID) + "_not_null"
			if err := f(t, &catalog.Constraint{Kind: catalog.Check, Name: name}, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRows(_ context.Context, s *snapshot, w *writer) error {
	to := s.informed()
	err := s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error {
		if x.Kind != catalog.Check || !to.ofAccess(t.Access, onlyOwners) {
			return nil
		}
		s.nameConstraint(w, t, x)
		w.text("check_clause", "("+x.Check+")")
		return w.end()
	})
	if err != nil {
		return err
	}
	return s.eachNotNull(func(t *catalog.Table, x *catalog.Constraint, c *catalog.Column) error {
		if !to.ofAccess(t.Access, onlyOwners) {
			return nil
		}
		s.nameConstraint(w, t, x)
		w.text("check_clause", c.Name+" IS NOT NULL")
		return w.end()
	})
}

func keyColumnRows(_ context.Context, s *snapshot, w *writer) error {
	to := s.informed()
	return s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error {
		if x.Kind == catalog.Check || !to.ofAccess(t.Access, onColumns) {
			return nil
		}
		key := s.keyOf(x)
		for i, id := range x.Columns {
			c := columnByID(t, id)
			if c == nil {
				continue
			}
			s.nameConstraint(w, t, x)
			s.nameTable(w, t)
			w.text("column_name", c.Name)
			w.number("ordinal_position", int64(i+1))
			if key != nil && i < len(x.RefColumns) {
				w.number("position_in_unique_constraint", int64(slices.Index(key.Columns, x.RefColumns[i])+1))
			}
			if err := w.end(); err != nil {
				return err
			}
		}
		return nil
	})
}

func referentialRows(_ context.Context, s *snapshot, w *writer) error {
	to := s.informed()
	return s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error {
		if x.Kind != catalog.ForeignKey || !to.ofAccess(t.Access, onConstraints) {
			return nil
		}
		s.nameConstraint(w, t, x)
		if key := s.keyOf(x); key != nil {
			w.text("unique_constraint_catalog", s.catalog.cfg.Database)
			w.text("unique_constraint_schema", s.classByOID(x.References).schema)
			w.text("unique_constraint_name", key.Name)
		}
		w.text("match_option", "NONE")
		if x.MatchFull {
			w.text("match_option", "FULL")
		}
		w.text("update_rule", actionName(x.OnUpdate))
		w.text("delete_rule", actionName(x.OnDelete))
		return w.end()
	})
}

// used are the columns that a constraint uses: of a foreign key those that it refers to.
func (s *snapshot) used(t *catalog.Table, x *catalog.Constraint) (*catalog.Table, []int64) {
	if x.Kind != catalog.ForeignKey {
		return t, keyColumns(t, x)
	}
	if to := s.classByOID(x.References); to != nil && to.table != nil {
		return to.table, x.RefColumns
	}
	return t, nil
}

func constraintColumnRows(_ context.Context, s *snapshot, w *writer) error {
	to := s.informed()
	return s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error {
		of, ids := s.used(t, x)
		if !to.ofAccess(of.Access, onlyOwners) {
			return nil
		}
		for _, id := range ids {
			c := columnByID(of, id)
			if c == nil {
				continue
			}
			s.nameConstraint(w, t, x)
			s.nameTable(w, of)
			w.text("column_name", c.Name)
			if err := w.end(); err != nil {
				return err
			}
		}
		return nil
	})
}

func constraintTableRows(_ context.Context, s *snapshot, w *writer) error {
	to := s.informed()
	return s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error {
		of, _ := s.used(t, x)
		if x.Kind == catalog.Check || !to.ofAccess(of.Access, onlyOwners) {
			return nil
		}
		s.nameConstraint(w, t, x)
		s.nameTable(w, of)
		return w.end()
	})
}

func informationSequenceRows(_ context.Context, s *snapshot, w *writer) error {
	bits := map[string]int64{"int2": 16, "int4": 32, "int8": 64}
	text := func(n int64) string { return strconv.FormatInt(n, 10) }
	return s.eachSequence(func(o *catalog.Object) error {
		w.text("sequence_catalog", s.catalog.cfg.Database)
		w.text("sequence_schema", o.Schema)
		w.text("sequence_name", o.Name)
		w.text("data_type", s.typeText(o.Sequence.Type))
		w.number("numeric_precision", bits[o.Sequence.Type])
		w.number("numeric_precision_radix", 2)
		w.number("numeric_scale", 0)
		w.text("start_value", text(o.Sequence.Start))
		w.text("minimum_value", text(o.Sequence.Min))
		w.text("maximum_value", text(o.Sequence.Max))
		w.text("increment", text(o.Sequence.Increment))
		w.yesNo("cycle_option", o.Sequence.Cycle)
		return w.end()
	})
}

func catalogNameRows(_ context.Context, s *snapshot, w *writer) error {
	w.text("catalog_name", s.catalog.cfg.Database)
	return w.end()
}

// routineRows are the functions that were declared.
func routineRows(_ context.Context, s *snapshot, w *writer) error {
	functions := s.functions()
	for i := range functions {
		o := &functions[i]
		for _, prefix := range []string{"specific", "routine"} {
			w.text(prefix+"_catalog", s.catalog.cfg.Database)
			w.text(prefix+"_schema", o.Schema)
		}
		w.text("specific_name", o.Name+"_"+itoa(o.ID))
		w.text("routine_name", o.Name)
		w.text("routine_type", "FUNCTION")
		if o.Function.Procedure {
			w.text("routine_type", "PROCEDURE")
		} else {
			w.text("data_type", s.typeText(o.Function.Returns))
		}
		w.text("routine_body", "SQL")
		w.text("routine_definition", o.Function.Body)
		w.text("external_language", "SQL")
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}
