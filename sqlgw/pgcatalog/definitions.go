package pgcatalog

import (
	"fmt"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
)

// Definitions of what was declared, in the words in which PostgreSQL tells them.

// columnList are names of columns with commas between them, quoted where they have to be.
func (s *snapshot) columnList(t *catalog.Table, ids []int64) string {
	var names []string
	for _, id := range ids {
		if c := columnByID(t, id); c != nil {
			names = append(names, s.catalog.quoteIdent(c.Name))
		}
	}
	return strings.Join(names, ", ")
}

// constraintDefinition is what pg_get_constraintdef says.
func (s *snapshot) constraintDefinition(t *catalog.Table, x *catalog.Constraint) string {
	var b strings.Builder
	switch x.Kind {
	case catalog.PrimaryKey:
		fmt.Fprintf(&b, "PRIMARY KEY (%s)", s.columnList(t, x.Columns))
	case catalog.Unique:
		fmt.Fprintf(&b, "UNIQUE (%s)", s.columnList(t, x.Columns))
	case catalog.Check:
		fmt.Fprintf(&b, "CHECK ((%s))", x.Check)
	case catalog.ForeignKey:
		fmt.Fprintf(&b, "FOREIGN KEY (%s) REFERENCES ", s.columnList(t, x.Columns))
		if to := s.classByOID(x.References); to != nil && to.table != nil {
			fmt.Fprintf(&b, "%s(%s)", s.printed(to), s.columnList(to.table, x.RefColumns))
		}
		if x.MatchFull {
			b.WriteString(" MATCH FULL")
		}
		b.WriteString(action(" ON UPDATE ", x.OnUpdate) + action(" ON DELETE ", x.OnDelete))
	}
	if x.Deferrable {
		b.WriteString(" DEFERRABLE")
	}
	if x.Deferred {
		b.WriteString(" INITIALLY DEFERRED")
	}
	return b.String()
}

// action of a foreign key; that of none is nothing.
func action(event, code string) string {
	if name := actionName(code); name != noAction {
		return event + name
	}
	return ""
}

const noAction = "NO ACTION"

// actionName is the name of an action that pg_constraint has a letter for.
func actionName(code string) string {
	switch code {
	case "r":
		return "RESTRICT"
	case "c":
		return "CASCADE"
	case "n":
		return "SET NULL"
	case "d":
		return "SET DEFAULT"
	}
	return noAction
}

// indexColumn is a column of an index with its order, as its definition has it.
func (s *snapshot) indexColumn(t *catalog.Table, x *catalog.Index, i int) string {
	const descending, nullsFirst = 1, 2
	out := s.columnList(t, x.Columns[i:i+1])
	switch option := optionOf(x, i); {
	case option&descending != 0 && option&nullsFirst == 0:
		out += " DESC NULLS LAST"
	case option&descending != 0:
		out += " DESC"
	case option&nullsFirst != 0:
		out += " NULLS FIRST"
	}
	return out
}

// indexDefinition is what pg_get_indexdef says.
func (s *snapshot) indexDefinition(t *catalog.Table, x *catalog.Index, pretty bool) string {
	columns := make([]string, len(x.Columns))
	for i := range columns {
		columns[i] = s.indexColumn(t, x, i)
	}
	unique := ""
	if x.Unique {
		unique = "UNIQUE "
	}
	out := fmt.Sprintf("CREATE %sINDEX %s ON %s.%s USING %s (%s)", unique, s.catalog.quoteIdent(x.Name),
		s.catalog.quoteIdent(t.Schema), s.catalog.quoteIdent(t.Name), x.Method, strings.Join(columns, ", "))
	switch {
	case x.Where == "":
	case pretty:
		out += " WHERE " + x.Where
	default:
		out += " WHERE (" + x.Where + ")"
	}
	return out
}

// typeText is the SQL name of a type of pg_type.
func (s *snapshot) typeText(name string) string {
	if t := s.catalog.types.byName[name]; t != nil {
		return t.full
	}
	return name
}

// functionArguments are those of a declared function, as pg_get_function_arguments says.
func (s *snapshot) functionArguments(f *catalog.Function) string {
	out := make([]string, len(f.Arguments))
	for i, a := range f.Arguments {
		out[i] = s.typeText(a.Type)
		if a.Name != "" {
			out[i] = s.catalog.quoteIdent(a.Name) + " " + out[i]
		}
	}
	return strings.Join(out, ", ")
}

// functionResult is what pg_get_function_result says.
func (s *snapshot) functionResult(f *catalog.Function) string {
	if f.Set {
		return "SETOF " + s.typeText(f.Returns)
	}
	return s.typeText(f.Returns)
}

// functionDefinition is what pg_get_functiondef says.
func (s *snapshot) functionDefinition(o *catalog.Object) string {
	f := o.Function
	var b strings.Builder
	kind := "FUNCTION"
	if f.Procedure {
		kind = "PROCEDURE"
	}
	fmt.Fprintf(&b, "CREATE OR REPLACE %s %s.%s(%s)\n", kind, s.catalog.quoteIdent(o.Schema), s.catalog.quoteIdent(o.Name), s.functionArguments(f))
	if !f.Procedure {
		fmt.Fprintf(&b, " RETURNS %s\n", s.functionResult(f))
	}
	fmt.Fprintf(&b, " LANGUAGE %s\n", f.Language)
	words := map[string]string{"i": " IMMUTABLE", "s": " STABLE"}[f.Volatility]
	if f.Strict {
		words += " STRICT"
	}
	if words != "" {
		b.WriteString(words + "\n")
	}
	tag := "$function$"
	if f.Procedure {
		tag = "$procedure$"
	}
	fmt.Fprintf(&b, "AS %s%s%s\n", tag, f.Body, tag)
	return b.String()
}
