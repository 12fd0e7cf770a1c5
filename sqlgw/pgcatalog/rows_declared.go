package pgcatalog

import (
	"context"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// OIDs of the relations that pg_description tells things apart by.
const (
	oidPgClass      = 1259
	oidPgProc       = 1255
	oidPgNamespace  = 2615
	oidPgConstraint = 2606
)

func countKind(t *catalog.Table, kind catalog.ConstraintKind) int {
	n := 0
	for _, x := range t.Constraints {
		if x.Kind == kind {
			n++
		}
	}
	return n
}

// isReferring tells whether a table has a foreign key, or is referred to by one: in PostgreSQL triggers
// hold both.
func (s *snapshot) isReferring(t *catalog.Table) bool {
	if s.referring == nil {
		s.referring = map[int64]bool{}
		_ = s.eachConstraint(func(of *catalog.Table, x *catalog.Constraint) error { // which never fails
			if x.Kind == catalog.ForeignKey {
				s.referring[of.ID], s.referring[x.References] = true, true
			}
			return nil
		})
	}
	return s.referring[t.ID]
}

// method is the OID of a method of indexes, 0 if there is none.
func (s *snapshot) method(name string) int64 {
	for _, row := range s.catalog.builtin["pg_catalog.pg_am"].rows {
		if row[1].text == name {
			return row[0].number
		}
	}
	return 0
}

// operatorClass is the OID of the default operator class of a type for a method; 0 if there is none.
func (s *snapshot) operatorClass(method int64, t *typ) int64 {
	b := s.catalog.builtin["pg_catalog.pg_opclass"]
	oid := t.oid
	switch {
	case t.name == "varchar":
		oid = s.catalog.types.byName["text"].oid
	case t.elementType != nil:
		oid = 2277 // anyarray
	}
	for _, row := range b.rows {
		if row[1].number == method && row[6].number == oid {
			return row[0].number
		}
	}
	return 0
}

// list is the text of a list of numbers, as DuckDB reads it.
func list(numbers []int64) string {
	out := make([]string, len(numbers))
	for i, n := range numbers {
		out[i] = itoa(n)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func optionOf(x *catalog.Index, i int) int64 {
	if i < len(x.Options) {
		return int64(x.Options[i])
	}
	return 0
}

// constraintOf an index, nil if it has none.
func constraintOf(t *catalog.Table, x *catalog.Index) *catalog.Constraint {
	for i := range t.Constraints {
		if t.Constraints[i].Index == x.ID {
			return &t.Constraints[i]
		}
	}
	return nil
}

func indexRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		c := &all[i]
		if c.index == nil {
			continue
		}
		columns := s.columns(c)
		var collations, classes, options []int64
		for n, col := range columns {
			collations = append(collations, col.typ.collation)
			classes = append(classes, s.operatorClass(s.method(c.index.Method), col.typ))
			options = append(options, optionOf(c.index, n))
		}
		key := constraintOf(c.of, c.index)
		w.number("indexrelid", c.oid)
		w.number("indrelid", c.of.ID)
		w.number("indnatts", int64(len(columns)))
		w.number("indnkeyatts", int64(len(columns)))
		w.truth("indisunique", c.index.Unique)
		w.truth("indisprimary", key != nil && key.Kind == catalog.PrimaryKey)
		w.truth("indimmediate", key == nil || !key.Deferrable)
		w.text("indkey", list(c.index.Columns))
		w.text("indcollation", list(collations))
		w.text("indclass", list(classes))
		w.text("indoption", list(options))
		if c.index.Where != "" {
			w.text("indpred", c.index.Where)
		}
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// indexViewRows are those of pg_indexes.
func indexViewRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		c := &all[i]
		if c.index == nil {
			continue
		}
		w.text("schemaname", c.of.Schema)
		w.text("tablename", c.of.Name)
		w.text("indexname", c.index.Name)
		w.text("indexdef", s.indexDefinition(c.of, c.index, false))
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// eachConstraint calls f for the constraints of all tables.
func (s *snapshot) eachConstraint(f func(t *catalog.Table, x *catalog.Constraint) error) error {
	all := s.all()
	for i := range all {
		t := all[i].table
		if t == nil {
			continue
		}
		for j := range t.Constraints {
			if err := f(t, &t.Constraints[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyIndex is the OID of the index that a constraint has, or whose key it refers to.
func (s *snapshot) keyIndex(x *catalog.Constraint) int64 {
	if key := s.keyOf(x); key != nil {
		return key.Index
	}
	return x.Index
}

// keyOf is the key that a foreign key refers to, nil if it has gone.
func (s *snapshot) keyOf(x *catalog.Constraint) *catalog.Constraint {
	if x.Kind != catalog.ForeignKey {
		return nil
	}
	to := s.classByOID(x.References)
	if to == nil || to.table == nil {
		return nil
	}
	for i := range to.table.Constraints {
		key := &to.table.Constraints[i]
		if (key.Kind == catalog.PrimaryKey || key.Kind == catalog.Unique) && list(key.Columns) == list(x.RefColumns) {
			return key
		}
	}
	return nil
}

// keyColumns are those of a constraint: of a check the columns that it reads.
func keyColumns(t *catalog.Table, x *catalog.Constraint) []int64 {
	if x.Kind != catalog.Check {
		return x.Columns
	}
	var out []int64
	for _, name := range parse.ColumnsOf(x.Check) {
		for _, c := range t.Columns {
			if c.Name == name {
				out = append(out, c.ID)
			}
		}
	}
	return out
}

func constraintRows(_ context.Context, s *snapshot, w *writer) error {
	return s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error {
		w.number("oid", x.ID)
		w.text("conname", x.Name)
		w.number("connamespace", s.schemaOID(t.Schema))
		w.text("contype", string(x.Kind))
		w.truth("condeferrable", x.Deferrable)
		w.truth("condeferred", x.Deferred)
		w.number("conrelid", t.ID)
		w.number("conindid", s.keyIndex(x))
		w.text("conkey", list(keyColumns(t, x)))
		w.truth("connoinherit", x.Kind != catalog.Check)
		for _, name := range []string{"confupdtype", "confdeltype", "confmatchtype"} {
			w.text(name, " ")
		}
		if x.Kind == catalog.ForeignKey {
			w.number("confrelid", x.References)
			w.text("confkey", list(x.RefColumns))
			w.text("confupdtype", x.OnUpdate)
			w.text("confdeltype", x.OnDelete)
			w.text("confmatchtype", "s")
			if x.MatchFull {
				w.text("confmatchtype", "f")
			}
		}
		if x.Check != "" {
			w.text("conbin", x.Check)
		}
		return w.end()
	})
}

// comment is one of a thing.
type comment struct {
	oid, class, part int64
	text             string
}

// comments are all that there are.
func (s *snapshot) comments() []comment {
	var out []comment
	add := func(oid, class, part int64, text string) {
		if text != "" {
			out = append(out, comment{oid, class, part, text})
		}
	}
	for _, x := range s.state.Tables.Schemas() {
		add(x.ID, oidPgNamespace, 0, x.Comment)
	}
	for _, t := range s.state.Tables.Tables() {
		add(t.ID, oidPgClass, 0, t.Comment)
		for _, c := range t.Columns {
			add(t.ID, oidPgClass, c.ID, c.Comment)
		}
		for _, x := range t.Indexes {
			add(x.ID, oidPgClass, 0, x.Comment)
		}
	}
	for _, o := range s.state.Tables.Objects() {
		class := int64(oidPgClass)
		if o.Function != nil {
			class = oidPgProc
		}
		add(o.ID, class, 0, o.Comment)
		if o.View == nil {
			continue
		}
		for n, c := range o.View.Columns {
			add(o.ID, class, int64(n+1), c.Comment)
		}
	}
	return out
}

func descriptionRows(_ context.Context, s *snapshot, w *writer) error {
	if err := s.builtinRows(w, "pg_catalog.pg_description"); err != nil {
		return err
	}
	for _, c := range s.comments() {
		w.number("objoid", c.oid)
		w.number("classoid", c.class)
		w.number("objsubid", c.part)
		w.text("description", c.text)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// eachSequence calls f for every sequence.
func (s *snapshot) eachSequence(f func(o *catalog.Object) error) error {
	objects := s.state.Tables.Objects()
	for i := range objects {
		if objects[i].Sequence == nil {
			continue
		}
		if err := f(&objects[i]); err != nil {
			return err
		}
	}
	return nil
}

func sequenceRows(_ context.Context, s *snapshot, w *writer) error {
	return s.eachSequence(func(o *catalog.Object) error {
		w.number("seqrelid", o.ID)
		w.number("seqtypid", s.catalog.types.byName[o.Sequence.Type].oid)
		w.number("seqstart", o.Sequence.Start)
		w.number("seqincrement", o.Sequence.Increment)
		w.number("seqmax", o.Sequence.Max)
		w.number("seqmin", o.Sequence.Min)
		w.number("seqcache", o.Sequence.Cache)
		w.truth("seqcycle", o.Sequence.Cycle)
		return w.end()
	})
}

// sequenceViewRows are those of pg_sequences.
func sequenceViewRows(_ context.Context, s *snapshot, w *writer) error {
	owners, name := map[string]int64{}, s.roleName()
	for _, x := range s.schemas() {
		owners[x.name] = x.owner()
	}
	return s.eachSequence(func(o *catalog.Object) error {
		w.text("schemaname", o.Schema)
		w.text("sequencename", o.Name)
		w.text("sequenceowner", name(owners[o.Schema]))
		w.number("data_type", s.catalog.types.byName[o.Sequence.Type].oid)
		w.number("start_value", o.Sequence.Start)
		w.number("min_value", o.Sequence.Min)
		w.number("max_value", o.Sequence.Max)
		w.number("increment_by", o.Sequence.Increment)
		w.truth("cycle", o.Sequence.Cycle)
		w.number("cache_size", o.Sequence.Cache)
		return w.end()
	})
}

// procRows are PostgreSQL's functions, and those that were declared.
func procRows(_ context.Context, s *snapshot, w *writer) error {
	if err := s.builtinRows(w, "pg_catalog.pg_proc"); err != nil {
		return err
	}
	functions := s.functions()
	for i := range functions {
		o := &functions[i]
		f := o.Function
		var types []int64
		var names []string
		for _, a := range f.Arguments {
			types = append(types, s.catalog.types.byName[a.Type].oid)
			names = append(names, listWord(a.Name))
		}
		w.number("oid", o.ID)
		w.text("proname", o.Name)
		w.number("pronamespace", s.schemaOID(o.Schema))
		w.number("prolang", s.language(f.Language))
		w.number("procost", 100)
		if f.Set {
			w.number("prorows", 1000)
		}
		if f.Procedure {
			w.text("prokind", "p")
		}
		w.truth("proisstrict", f.Strict)
		w.truth("proretset", f.Set)
		w.text("provolatile", f.Volatility)
		w.number("pronargs", int64(len(f.Arguments)))
		w.number("prorettype", s.catalog.types.byName[f.Returns].oid)
		w.text("proargtypes", list(types))
		if strings.Trim(strings.Join(names, ""), "'") != "" {
			w.text("proargnames", "["+strings.Join(names, ", ")+"]")
		}
		w.text("prosrc", f.Body)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshot) language(name string) int64 {
	for _, row := range s.catalog.builtin["pg_catalog.pg_language"].rows {
		if row[1].text == name {
			return row[0].number
		}
	}
	return 0
}

func (s *snapshot) typeName(oid int64) string {
	if t := s.catalog.types.byOID[oid]; t != nil {
		return t.full
	}
	return "???"
}

func lookupConstraintRows(_ context.Context, s *snapshot, w *writer) error {
	return s.eachConstraint(func(t *catalog.Table, x *catalog.Constraint) error {
		w.text("bs_key", itoa(x.ID))
		w.text("bs_definition", s.constraintDefinition(t, x))
		w.text("bs_pretty", s.constraintDefinition(t, x))
		if x.Kind == catalog.Check { // which has its own brackets in either form
			w.text("bs_pretty", "CHECK ("+x.Check+")")
		}
		return w.end()
	})
}

// lookupIndexRows has the definition of each index, and behind a colon that of each column.
func lookupIndexRows(_ context.Context, s *snapshot, w *writer) error {
	all := s.all()
	for i := range all {
		c := &all[i]
		if c.index == nil {
			continue
		}
		w.text("bs_key", itoa(c.oid)+":0")
		w.text("bs_definition", s.indexDefinition(c.of, c.index, false))
		w.text("bs_pretty", s.indexDefinition(c.of, c.index, true))
		if err := w.end(); err != nil {
			return err
		}
		for n := range c.index.Columns {
			w.text("bs_key", itoa(c.oid)+":"+itoa(int64(n+1)))
			w.text("bs_definition", s.columnList(c.of, c.index.Columns[n:n+1]))
			w.text("bs_pretty", s.columnList(c.of, c.index.Columns[n:n+1]))
			if err := w.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookupCommentRows has comments by OID, class and part.
func lookupCommentRows(_ context.Context, s *snapshot, w *writer) error {
	names := map[int64]string{oidPgClass: "pg_class", oidPgProc: "pg_proc", oidPgNamespace: "pg_namespace", oidPgConstraint: "pg_constraint"}
	for _, name := range []string{"pg_type", "pg_operator", "pg_am", "pg_language", "pg_opclass", "pg_opfamily"} {
		names[s.catalog.relation("pg_catalog."+name).OID] = name
	}
	for _, r := range s.catalog.builtin["pg_catalog.pg_description"].rows {
		w.text("bs_key", itoa(r[0].number)+":0")
		w.text("bs_class", names[r[1].number])
		w.text("bs_comment", r[3].text)
		if err := w.end(); err != nil {
			return err
		}
	}
	for _, c := range s.comments() {
		w.text("bs_key", itoa(c.oid)+":"+itoa(c.part))
		w.text("bs_class", names[c.class])
		w.text("bs_comment", c.text)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}
