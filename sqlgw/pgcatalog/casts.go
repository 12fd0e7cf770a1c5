package pgcatalog

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// reg is a type whose values are OIDs that print as names.
type reg struct {
	find func(*snapshot, string) (int64, error)
	// text of the template that gives the name of what has an OID or name, and oid of the one that gives its OID; "" if
	// names aren't looked up.
	text, oid string
}

func regTypes() map[string]reg {
	named := func(find func(*snapshot, string) (int64, error), m missing, lookup, name string) reg {
		return reg{find: find, text: regTemplate(m, lookup, name), oid: regOID(m, lookup)}
	}
	return map[string]reg{
		"regclass":     named((*snapshot).namedClass, missing{parse.CodeUndefinedTable, "relation"}, "classes", "bs_class"),
		"regtype":      named((*snapshot).namedType, missing{parse.CodeUndefinedObject, "type"}, "types", "bs_type || bs_rest"),
		"regnamespace": named((*snapshot).namedSchema, missing{"3F000", "schema"}, "schemas", "bs_schema"),
		"regrole":      named((*snapshot).namedRole, missing{parse.CodeUndefinedObject, "role"}, "roles", "bs_role"),
		"regproc":      {find: (*snapshot).namedProc, text: regTemplate(missing{parse.CodeUndefinedFunction, "function"}, "procs", "bs_proc")},
		"regprocedure": {find: (*snapshot).namedProcedure, text: regTemplate(missing{parse.CodeUndefinedFunction, "function"}, "procs", "bs_signature")},
		"regoper":      {find: (*snapshot).namedOper, text: regTemplate(missing{parse.CodeUndefinedFunction, "operator"}, "operators", "bs_operator")},
		"regoperator":  {find: (*snapshot).namedOperator, text: regTemplate(missing{parse.CodeUndefinedFunction, "operator"}, "operators", "bs_signature")},
	}
}

// missing is the SQLSTATE of a thing that there isn't, and what it is.
type missing struct{ code, what string }

// regTemplate gives the name that a lookup has; 0 is "-", and an OID that nothing has is its
// digits.
func regTemplate(m missing, lookup, name string) string {
	return "(SELECT CASE WHEN bs_key IS NOT NULL THEN " + name + " WHEN bs_asked = '0' THEN '-'" +
		" WHEN bs_asked IS NULL OR regexp_full_match(bs_asked, '[0-9]+') THEN bs_asked" +
		" ELSE CAST(error('" + parse.RaisedMessage(m.code, m.what) + " \"' || bs_asked || '\" does not exist') AS VARCHAR) END" +
		" FROM (SELECT CAST($1 AS VARCHAR)) AS bs_call (bs_asked) LEFT JOIN {" + lookup + "} ON bs_key = bs_asked)"
}

// regOID gives the OID of what a lookup knows by a name or by that OID; "-" is 0, and digits are an OID whatever has it.
func regOID(m missing, lookup string) string {
	return "(SELECT CASE WHEN bs_key IS NOT NULL THEN bs_oid WHEN bs_asked = '-' THEN 0" +
		" WHEN bs_asked IS NULL OR regexp_full_match(bs_asked, '[0-9]+') THEN CAST(bs_asked AS BIGINT)" +
		" ELSE CAST(error('" + parse.RaisedMessage(m.code, m.what) + " \"' || bs_asked || '\" does not exist') AS BIGINT) END" +
		" FROM (SELECT CAST($1 AS VARCHAR)) AS bs_call (bs_asked) LEFT JOIN {" + lookup + "} ON bs_key = bs_asked)"
}

// Cast answers for the types that DuckDB lacks.
func (d *dialect) Cast(c parse.Cast) (*parse.Template, error) {
	if c.Schema != "" {
		return nil, nil
	}
	if r, ok := d.catalog.regs[c.Name]; ok {
		if c.Array {
			return castTo(c, "BIGINT")
		}
		return d.regCast(c, r)
	}
	switch c.Name {
	case "oid", "xid", "cid":
		if r := d.catalog.regs[c.Through]; r.oid != "" && !c.Array {
			return d.template(r.oid)
		}
		return oidCast(c)
	case "char":
		return charCast(c)
	case "int2vector":
		return vectorCast(c, "SMALLINT[]")
	case "oidvector":
		return vectorCast(c, "BIGINT[]")
	case "name":
		if c.Array {
			return castTo(c, "VARCHAR")
		}
		return d.template("left(CAST($1 AS VARCHAR), 63)")
	}
	return nil, nil
}

// regCast: what a quoted constant names is looked up now.
func (d *dialect) regCast(c parse.Cast, r reg) (*parse.Template, error) {
	switch c.Value.Kind {
	case parse.Null:
		return d.template(noOID)
	case parse.String:
		oid, err := r.find(d.snapshot(), c.Value.Text)
		if err != nil {
			return nil, at(err, c.Value.Position)
		}
		return oidTemplate(oid)
	case parse.Param: // whose value is looked up when it is bound
		return parse.NewTemplate("CAST($1 AS BIGINT)")
	default:
		return d.template(r.text)
	}
}

// at gives an error the place of the constant that it is about.
func at(err error, position int) error {
	if e, ok := errors.AsType[*parse.Error](err); ok && e.Position == 0 {
		e.Position = position
	}
	return err
}

// castTo is a cast to a type of DuckDB's; an array written as text is left to parse.
func castTo(c parse.Cast, duckDB string) (*parse.Template, error) {
	if c.Array && c.Value.Kind == parse.String {
		return nil, nil
	}
	if c.Array {
		duckDB += "[]"
	}
	return parse.NewTemplate("CAST($1 AS " + duckDB + ")")
}

// oidCast: an OID is a number of 32 bits without a sign.
func oidCast(c parse.Cast) (*parse.Template, error) {
	if c.Value.Kind != parse.String {
		return castTo(c, "BIGINT")
	}
	if c.Array {
		return listTemplate(strings.Split(strings.Trim(c.Value.Text, "{} "), ","), "BIGINT[]")
	}
	n, ok := number(c.Value.Text)
	if !ok {
		return nil, &parse.Error{
			Code: parse.CodeInvalidText, Message: fmt.Sprintf("invalid input syntax for type %s: %q", c.Name, c.Value.Text), Position: c.Value.Position,
		}
	}
	return oidTemplate(n)
}

// listTemplate is a list of numbers.
func listTemplate(words []string, duckDB string) (*parse.Template, error) {
	var numbers []string
	for _, word := range words {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		n, ok := number(word)
		if !ok {
			return nil, &parse.Error{Code: parse.CodeInvalidText, Message: fmt.Sprintf("invalid input syntax for type oid: %q", word)}
		}
		numbers = append(numbers, itoa(n))
	}
	return parse.NewTemplate("CAST(ARRAY[" + strings.Join(numbers, ", ") + "] AS " + duckDB + ")")
}

// vectorCast: a vector is written as numbers with blanks between them.
func vectorCast(c parse.Cast, duckDB string) (*parse.Template, error) {
	switch {
	case c.Array:
		return nil, nil
	case c.Value.Kind == parse.String:
		return listTemplate(strings.Fields(c.Value.Text), duckDB)
	}
	return parse.NewTemplate("CAST($1 AS " + duckDB + ")")
}

// charCast is to "char", which is the first character here; PostgreSQL's is a byte.
func charCast(c parse.Cast) (*parse.Template, error) {
	switch {
	case c.Array:
		return castTo(c, "VARCHAR")
	case c.Value.Kind == parse.String:
		_, size := utf8.DecodeRuneInString(c.Value.Text)
		return parse.NewTemplate("CAST(" + literal(c.Value.Text[:size]) + " AS VARCHAR)")
	}
	return parse.NewTemplate("left(CAST($1 AS VARCHAR), 1)")
}
