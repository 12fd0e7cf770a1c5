package pgcatalog

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// reg is a type whose values are OIDs that print as names.
type reg struct {
	find func(*snapshot, string) (int64, error)
	// text of the template that gives the name of an OID.
	text string
	// number of the template that gives the OID of what has a name, or is one.
	number string
}

// regTemplate gives the name that a lookup has for an OID; 0 is "-", and what isn't there is its
// number.
func regTemplate(lookup, name string) string {
	return "(SELECT coalesce(" + name + ", CASE bs_asked WHEN 0 THEN '-' ELSE CAST(bs_asked AS VARCHAR) END)" +
		" FROM (SELECT CAST($1 AS BIGINT)) AS bs_call (bs_asked) LEFT JOIN {" + lookup + "} ON bs_oid = bs_asked)"
}

// numberTemplate gives the OID of what a text names, by one of the names or by its digits.
func numberTemplate(what, lookup, names string) string {
	return "(SELECT CASE WHEN bs_oid IS NULL AND bs_asked IS NOT NULL" +
		" THEN CAST(error('" + what + " \"' || bs_asked || '\" does not exist') AS BIGINT) ELSE bs_oid END" +
		" FROM (SELECT CAST($1 AS VARCHAR)) AS bs_call (bs_asked) LEFT JOIN {" + lookup + "}" +
		" ON bs_asked IN (" + names + ", CAST(bs_oid AS VARCHAR)))"
}

func regTypes() map[string]reg {
	const typeName = "bs_type || bs_rest"
	return map[string]reg{
		"regclass": {
			(*snapshot).namedClass, regTemplate("classes", "bs_class"),
			numberTemplate("relation", "classes", "bs_class, bs_qualified"),
		},
		"regtype": {
			(*snapshot).namedType, regTemplate("types", typeName),
			numberTemplate("type", "types", "bs_name, "+typeName),
		},
		"regnamespace": {
			(*snapshot).namedSchema, regTemplate("schemas", "bs_schema"),
			numberTemplate("schema", "schemas", "bs_schema"),
		},
		"regrole": {
			(*snapshot).namedRole, regTemplate("roles", "bs_role"),
			numberTemplate("role", "roles", "bs_role"),
		},
	}
}

// Cast answers for the types that DuckDB lacks.
func (d *dialect) Cast(c parse.Cast) (*parse.Template, error) {
	if c.Schema != "" {
		return nil, nil
	}
	if r, ok := d.catalog.regs[c.Name]; ok {
		if c.Array {
			return nil, nil
		}
		return d.regCast(c, r)
	}
	switch c.Name {
	case "oid", "xid", "cid":
		return oidCast(c)
	case "char":
		return charCast(c)
	case "int2vector":
		return vectorCast(c, "SMALLINT[]")
	case "oidvector":
		return vectorCast(c, "BIGINT[]")
	case "regproc":
		if c.Value.Kind == parse.String {
			return nil, &parse.Error{Code: parse.CodeUndefinedFunction, Message: fmt.Sprintf("function %q does not exist", c.Value.Text)}
		}
		return castTo(c, "VARCHAR")
	case "name":
		if c.Array {
			return castTo(c, "VARCHAR")
		}
		return d.template("left(CAST($1 AS VARCHAR), 63)")
	}
	return nil, nil
}

// regCast: what a text names is looked up now, and what a parameter names when it runs.
func (d *dialect) regCast(c parse.Cast, r reg) (*parse.Template, error) {
	switch c.Value.Kind {
	case parse.Null:
		return d.template(noOID)
	case parse.String:
		oid, err := r.find(d.snapshot(), c.Value.Text)
		if err != nil {
			return nil, err
		}
		return oidTemplate(oid)
	case parse.Param:
		return d.template(r.number)
	default:
		return d.template(r.text)
	}
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
		return nil, &parse.Error{Code: parse.CodeInvalidText, Message: fmt.Sprintf("invalid input syntax for type %s: %q", c.Name, c.Value.Text)}
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
