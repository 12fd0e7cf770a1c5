package parse

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Columns are the names of Partial's results.
func (i *Incremental) Columns() []string {
	out := slices.Clone(i.keys)
	for n := range i.parts {
		out = append(out, partName(n))
	}
	return out
}

// Merge is the query that makes one row of each group, with columns as Partial's, of rows as Partial gives them: it reads Groups.
// Types are DuckDB's names of the types of Partial's results. There is none of rows.
func (i *Incremental) Merge(types []string) (*Select, error) {
	if i.Kind == KeptRows {
		return nil, errorf("XX000", "rows aren't merged")
	}
	if want := len(i.Columns()); len(types) != want {
		return nil, errorf("XX000", "%d types of %d columns", len(types), want)
	}
	var targets []*pg.Node
	for _, k := range i.keys {
		targets = append(targets, target(columnRef(relationKept, k), k))
	}
	for n, part := range i.parts {
		made := callNode(part.merge, columnRef(relationKept, partName(n)))
		if part.merge == "sum" && types[i.Keys+n] == "BIGINT" { // whose sum has 128 bits in DuckDB
			made = castTo(made, "int8")
		}
		targets = append(targets, target(made, partName(n)))
	}
	stmt := overKept(targets)
	stmt.GroupClause = positions(i.Keys)
	return newSelect(source{}, selectNode(stmt))
}

// Groups is what Merge reads. Scan, in DuckDB's words, is what FROM has of rows as Partial gives them, by its names; partial is Partial as it was
// printed, and types are DuckDB's names of the types of its results: what holds rows may have others for their values.
func (i *Incremental) Groups(scan string, partial Printed, types []string) Target {
	t := Target{Columns: i.Columns()}
	list := make([]string, len(t.Columns))
	for n, name := range t.Columns {
		list[n] = kept(name, types, n) + " AS " + name
		t.Types = append(t.Types, partial.typeOf(n, types))
	}
	t.SQL = "(SELECT " + strings.Join(list, ", ") + " FROM " + scan + ")"
	return t
}

// Shown is what Final reads: the values of the query's aggregates, made of what is kept, as scan has it. The one row of aggregates without
// GROUP BY is there also if nothing is kept yet. Arguments are those of Groups.
func (i *Incremental) Shown(scan string, partial Printed, types []string) Target {
	t := Target{Columns: slices.Clone(i.keys)}
	var list []string
	for n, name := range i.keys {
		list = append(list, kept(name, types, n)+" AS "+name)
		t.Types = append(t.Types, partial.typeOf(n, types))
	}
	for n, v := range i.values {
		t.Columns = append(t.Columns, valueName(n))
		told, sql := partial.typeOf(i.Keys+v.part, types), i.shownPart(v.part, types)
		if v.by >= 0 {
			told, sql = "", average(sql, i.shownPart(v.by, types), typeAt(types, i.Keys+v.part))
		}
		t.Types = append(t.Types, told)
		list = append(list, sql+" AS "+valueName(n))
	}
	if len(list) == 0 { // nothing but constants
		t.Columns, list = []string{valueName(0)}, []string{i.shownPart(0, types) + " AS " + valueName(0)}
		t.Types = []string{""}
	}
	t.SQL = "(SELECT " + strings.Join(list, ", ") + " FROM " + scan + ")"
	return t
}

// average is what DuckDB makes of a sum of a type and a count: a double; what has no rows has none. Of decimals it divides the whole number
// that the digits are, once: so 2.5 is that, and not 2.4999999999999996. Numbers of more digits than a double has are divided as they are.
func average(sum, count, typ string) string {
	x := "CAST(" + sum + " AS DOUBLE)"
	digits, decimal := strings.CutPrefix(typ, "DECIMAL(")
	_, scale, _ := strings.Cut(strings.TrimSuffix(digits, ")"), ",")
	if !decimal || scale == "" || scale == "0" {
		return x + " / " + count
	}
	unit := "1e" + scale
	return "CASE WHEN abs(" + x + ") * " + unit + " < 1e15 THEN round(" + x + " * " + unit + ") / (" + count + " * " + unit + ") ELSE " + x + " / " + count + " END"
}

// shownPart is a part in DuckDB's words.
func (i *Incremental) shownPart(n int, types []string) string {
	sql := kept(partName(n), types, i.Keys+n)
	if i.Kind != KeptSingle {
		return sql
	}
	sql = "any_value(" + sql + ")" // of the one row, or none
	if i.parts[n].counts {
		sql = "coalesce(" + sql + ", 0)"
	}
	return sql
}

// kept is a column of what is kept, with the type that it was made with.
func kept(name string, types []string, n int) string {
	switch t := typeAt(types, n); t {
	case "":
		return name
	case "NULL": // of what is always NULL; alone it is no name of a type
		return "CAST(" + name + ` AS "NULL")`
	default:
		return "CAST(" + name + " AS " + t + ")"
	}
}

// typeOf is the type of a result, as an expression that names it has to know it.
func (p *Printed) typeOf(n int, types []string) string {
	told := typeAt(p.Types, n)
	if told != "" || n >= len(p.floats) || !p.floats[n] {
		return told
	}
	switch typeAt(types, n) {
	case "FLOAT":
		return "float4"
	case "DOUBLE":
		return "float8"
	}
	return ""
}
