package sqlgw

import (
	"errors"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/formats"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// tableFormat takes the options that say how rows stand in journals out of those of CREATE TABLE, and returns the others.
func tableFormat(list []parse.Option, columns []catalog.Column) (formats.Spec, []parse.Option, error) {
	values := map[string]string{}
	positions := map[string]int{}
	var rest []parse.Option
	for _, o := range list {
		if !formats.IsOption(o.Name) {
			rest = append(rest, o)
			continue
		}
		values[o.Name], positions[o.Name] = o.Value, o.Position
	}
	spec, err := formats.Parse(values)
	if err == nil {
		err = spec.Check(catalog.Table{Columns: columns}.RowSchema().Columns)
	}
	return spec, rest, formatError(err, positions)
}

// formatError tells a client why a format can't be.
func formatError(err error, positions map[string]int) error {
	var out *pgwire.Error
	switch e, ok := errors.AsType[*formats.ColumnError](err); {
	case err == nil:
		return nil
	case ok && e.Missing:
		out = sqlError("42703", "column %q: %s", e.Column, e.Reason)
		out.Column = e.Column
	case ok && e.Column == "":
		out = sqlError("42P16", "%s", e.Reason)
	case ok:
		out = hinted(sqlError("42P16", "column %q: %s", e.Column, e.Reason), e.Hint)
		out.Column = e.Column
	default:
		o, ok := errors.AsType[*formats.OptionError](err)
		if !ok {
			return err
		}
		out = hinted(sqlError("22023", "option %q is not valid: %s", o.Option, o.Reason), o.Hint)
		out.Position = positions[o.Option]
	}
	return out
}

// formatWritten tells whether statements write rows of a table's format.
func formatWritten(t catalog.Table) error {
	schema := t.RowSchema()
	if schema.Format == nil {
		return nil
	}
	_, err := schema.Format.NewEncoder(schema.Columns)
	if e, ok := errors.AsType[*columnar.InputError](err); ok {
		return hinted(sqlError(e.Code, "table %q: %s", t.Name, e.Message), "Append frames to its journals, by the protocol or over HTTP.")
	}
	return err
}
