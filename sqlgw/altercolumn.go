package sqlgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// column is one of the table, as it is by now.
func (x *tableChange) column(name string) (catalog.Column, error) {
	if c, ok := x.a.Column(name); ok {
		return c, nil
	}
	if slices.ContainsFunc(metaColumns(), func(c columnar.Column) bool { return c.Name == name }) {
		return catalog.Column{}, sqlError("0A000", "cannot alter system column %q", name)
	}
	return catalog.Column{}, sqlError("42703", "column %q of relation %q does not exist", name, x.was.Name)
}

func (x *tableChange) addColumn(ctx context.Context, p *parse.AlterAction) error {
	s, name := x.session, p.Def.Name
	if _, ok := x.a.Column(name); ok && p.IfNotExists {
		message := fmt.Sprintf("column %q of relation %q already exists, skipping", name, x.was.Name)
		x.notices = append(x.notices, &pgwire.Error{Severity: "NOTICE", Code: "42701", Message: message})
		return nil
	}
	c := catalog.Column{Name: name, Type: p.Def.Type, NotNull: p.Def.NotNull, Default: p.Def.Default}
	c.NotNull = c.NotNull || slices.ContainsFunc(p.Constraints, func(k parse.Constraint) bool { return k.Kind == parse.PrimaryKey })
	var err error
	if c.Missing, err = s.missingValue(ctx, x.was.Name, c); err != nil {
		return err
	}
	if err := x.a.AddColumn(c); err != nil {
		return err
	}
	if c.NotNull && c.Missing == "" {
		if err := x.noRows(ctx, name, ""); err != nil {
			return err
		}
	}
	return x.addConstraints(ctx, p.Constraints)
}

// missingValue is what rows that are there have in a column that is added: the default, as it is now. It is JSON, "" for NULL.
func (s *session) missingValue(ctx context.Context, table string, c catalog.Column) (string, error) {
	if c.Default == "" {
		return "", nil
	}
	if err := s.checkDefault(ctx, table, c); err != nil {
		return "", err
	}
	if parse.IsVolatile(c.Default) {
		return "", hinted(sqlError("0A000", "ADD COLUMN with a default that gives each row a value of its own is not supported"),
			"Rows that are there can't be given values: ADD COLUMN without it, and ALTER COLUMN ... SET DEFAULT.")
	}
	plain := c
	plain.Name, plain.NotNull = "c", false
	of := catalog.Table{Name: table, Columns: []catalog.Column{plain}}
	values, err := s.evaluate(ctx, "("+c.Default+")", of, []int{0}, 1)
	if err != nil || values[0].IsNull(0) {
		return "", err
	}
	line, err := columnar.NewRowWriter(of.RowSchema(), nil).AppendRow(nil, &columnar.Batch{Len: 1, Cols: values}, 0)
	if err != nil {
		return "", inputError(err, "")
	}
	line = bytes.TrimSuffix(bytes.TrimPrefix(line, []byte(`{"c":`)), []byte("}\n"))
	if len(line) > maxMissing {
		return "", hinted(sqlError("54000", "the default of column %q is too large for rows that are there: %d bytes, at most %d", c.Name, len(line), maxMissing),
			"ADD COLUMN without it, and ALTER COLUMN ... SET DEFAULT.")
	}
	return string(line), nil
}

// maxMissing bounds what the catalog keeps of a value that rows get; each row that is read may have it.
const maxMissing = 8 << 10

// noRows refuses what rows that are there don't fit: those without a value in a column as it was, or all if that is "".
func (x *tableChange) noRows(ctx context.Context, name, was string) error {
	sql := "SELECT 1 FROM " + quoteName(x.was.Schema) + "." + quoteName(x.was.Name)
	if was != "" {
		sql += " WHERE " + quoteName(was) + " IS NULL"
	}
	found := false
	err := x.session.strictly(func() error {
		var err error
		found, err = x.session.anyRow(ctx, sql+" LIMIT 1")
		return err
	})
	if err != nil || !found {
		return err
	}
	e := sqlError("23502", "column %q of relation %q contains null values", name, x.was.Name)
	e.Schema, e.Table, e.Column = x.was.Schema, x.was.Name, name
	return e
}

// strictly lets a call read all that there is, however old a cut the session's settings allow.
func (s *session) strictly(call func() error) error {
	was := s.settings.saved()
	defer s.settings.restore(was)
	if err := s.settings.set(settingFreshness, "strict", true); err != nil {
		return err
	}
	return call()
}

// anyRow tells whether a query of the program's own has a row.
func (s *session) anyRow(ctx context.Context, sql string) (bool, error) {
	pieces, err := parse.Split(sql)
	if err != nil {
		return false, parseError(err)
	}
	parsed, err := parse.Parse(pieces[0])
	if err != nil {
		return false, parseError(err)
	}
	source, err := s.prepareSelect(ctx, parsed.(*parse.Select), nil)
	if err != nil {
		return false, err
	}
	e, err := source.begin(ctx, &columnar.Batch{Len: 1})
	if err != nil {
		return false, err
	}
	defer e.close()
	found := false
	err = e.(*queryExecution).each(ctx, func(b *columnar.Batch) error {
		found = found || b.Len > 0
		return nil
	})
	return found, err
}

func (x *tableChange) dropColumn(p *parse.AlterAction) error {
	c, err := x.column(p.Column)
	if err != nil {
		if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == "42703" {
			return x.missing(e, p.IfExists)
		}
		return err
	}
	if err := x.noReferences(c); err != nil {
		return err
	}
	if err := x.dependentViews(c, p.Cascade); err != nil {
		return err
	}
	t := &x.a.Table
	for _, check := range slices.Clone(t.Constraints) {
		itself := check.References == t.ID && slices.Contains(check.RefColumns, c.ID)
		if check.Kind == catalog.Check && mentions(check.Check, t.Name, c.Name) || itself {
			x.a.DropConstraint(check)
		}
	}
	t.Indexes = slices.DeleteFunc(t.Indexes, func(i catalog.Index) bool { return i.Where != "" && mentions(i.Where, t.Name, c.Name) })
	return x.a.DropColumn(c.ID)
}

// noReferences refuses to drop a column to which foreign keys of other tables refer.
func (x *tableChange) noReferences(c catalog.Column) error {
	t := x.a.Table
	for _, other := range x.a.Tables {
		for _, f := range other.Constraints {
			if f.References == t.ID && slices.Contains(f.RefColumns, c.ID) {
				e := sqlError("2BP01", "cannot drop column %s of table %s because other objects depend on it", c.Name, t.Name)
				e.Detail = fmt.Sprintf("constraint %s on table %s depends on column %s of table %s", f.Name, other.Name, c.Name, t.Name)
				return hinted(e, "Drop that constraint first.")
			}
		}
	}
	return nil
}

func (x *tableChange) renameColumn(p *parse.AlterAction) error {
	c, ok := x.a.Column(p.Column)
	if !ok {
		if _, err := x.column(p.Column); err != nil {
			if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == "42703" {
				return sqlError("42703", "column %q does not exist", p.Column)
			}
			return sqlError("0A000", "cannot rename system column %q", p.Column)
		}
	}
	if err := x.a.RenameColumn(c.ID, p.Name); err != nil {
		return err
	}
	t := &x.a.Table
	var err error
	for i := range t.Constraints {
		if check := &t.Constraints[i]; check.Check != "" && err == nil {
			check.Check, err = parse.RenameIn(check.Check, t.Name, c.Name, p.Name)
		}
	}
	for i := range t.Indexes {
		if index := &t.Indexes[i]; index.Where != "" && err == nil {
			index.Where, err = parse.RenameIn(index.Where, t.Name, c.Name, p.Name)
		}
	}
	return parseError(err)
}

func (x *tableChange) setDefault(ctx context.Context, p *parse.AlterAction) error {
	c, err := x.column(p.Column)
	if err != nil {
		return err
	}
	text := ""
	if p.Expression != nil {
		if text, err = p.Expression.Text(parse.ColumnDef{Column: columnar.Column{Name: c.Name, Type: c.Type}}); err != nil {
			return parseError(err)
		}
		c.Default = text
		if err := x.session.checkDefault(ctx, x.was.Name, c); err != nil {
			return err
		}
	}
	x.a.Update(c.ID, func(c *catalog.Column) { c.Default = text })
	return nil
}

func (x *tableChange) setNotNull(ctx context.Context, p *parse.AlterAction) error {
	c, err := x.column(p.Column)
	if err != nil {
		return err
	}
	set := p.Kind == parse.SetNotNull
	t := x.a.Table
	isKey := func(k catalog.Constraint) bool {
		return k.Kind == catalog.PrimaryKey && slices.Contains(k.Columns, c.ID)
	}
	if !set && slices.ContainsFunc(t.Constraints, isKey) {
		return sqlError("42P16", "column %q is in a primary key", c.Name)
	}
	if set && !c.NotNull {
		i := slices.IndexFunc(x.was.Columns, func(w catalog.Column) bool { return w.ID == c.ID })
		switch {
		case i >= 0:
			err = x.noRows(ctx, c.Name, x.was.Columns[i].Name)
		case c.Missing == "":
			err = x.noRows(ctx, c.Name, "")
		}
	}
	x.a.Update(c.ID, func(c *catalog.Column) { c.NotNull = set })
	return err
}
