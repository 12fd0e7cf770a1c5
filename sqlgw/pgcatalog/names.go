package pgcatalog

import (
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// quotedKeywordList are the words of PostgreSQL 15's grammar that quote_ident quotes.
const quotedKeywordList = `all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
boolean both case cast char character check coalesce collate collation column concurrently constraint create cross
current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal default
deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest
group grouping having ilike in initially inner inout int integer intersect interval into is isnull join lateral leading
least left like limit localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric
offset on only or order out outer overlaps overlay placing position precision primary real references returning right
row select session_user setof similar smallint some substring symmetric table tablesample then time timestamp to
trailing treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes
xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`

func quotedKeywords() map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(quotedKeywordList) {
		words[word] = true
	}
	return words
}

// quoteIdent writes a name as SQL does: in quotes only if it needs them.
func (c *Catalog) quoteIdent(name string) string {
	if name == "" || c.keywords[name] || name[0] >= '0' && name[0] <= '9' {
		return quoted(name)
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return quoted(name)
	}
	return name
}

// splitName takes a name as SQL writes it, its parts with or without quotes, apart.
func splitName(text string) ([]string, error) {
	invalid := &parse.Error{Code: "42602", Message: "invalid name syntax"}
	var parts []string
	for rest := text; ; {
		part, after := cutIdentifier(strings.TrimLeft(rest, nameBlanks))
		if part == "" {
			return nil, invalid
		}
		parts = append(parts, part)
		after = strings.TrimLeft(after, nameBlanks)
		if after == "" {
			return parts, nil
		}
		if after[0] != '.' {
			return nil, invalid
		}
		rest = after[1:]
	}
}

const nameBlanks = " \t\n\r\f"

// cutIdentifier returns the identifier that a text begins with, "" if it begins with none, and the
// rest of the text.
func cutIdentifier(text string) (string, string) {
	inner, isQuoted := strings.CutPrefix(text, `"`)
	if !isQuoted {
		end := strings.IndexAny(text, `."`+nameBlanks)
		if end < 0 {
			end = len(text)
		}
		return asciiLower(text[:end]), text[end:]
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(inner, `"`)
		if !found {
			return "", ""
		}
		b.WriteString(before)
		if inner, isQuoted = strings.CutPrefix(after, `"`); !isQuoted {
			return b.String(), after
		}
		b.WriteByte('"')
	}
}

// asciiLower makes what isn't quoted lower case as PostgreSQL does: letters of ASCII only.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// namedClass finds the relation that a constant names: a number is its OID.
func (s *snapshot) namedClass(text string) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	parts, err := splitName(text)
	if err != nil {
		return 0, err
	}
	name := strings.Join(parts, ".")
	slices.Reverse(parts)
	if len(parts) > 3 {
		return 0, &parse.Error{Code: parse.CodeSyntax, Message: "improper relation name (too many dotted names): " + name}
	}
	if len(parts) == 3 && parts[2] != s.catalog.cfg.Database {
		return 0, &parse.Error{Code: parse.CodeNotSupported, Message: `cross-database references are not implemented: "` + name + `"`}
	}
	schema := ""
	if len(parts) > 1 {
		schema = parts[1]
	}
	if c := s.class(schema, parts[0]); c != nil {
		return c.oid, nil
	}
	if schema != "" && s.schemaOID(schema) == 0 {
		return 0, &parse.Error{Code: "3F000", Message: `schema "` + schema + `" does not exist`}
	}
	return 0, &parse.Error{Code: parse.CodeUndefinedTable, Message: `relation "` + name + `" does not exist`}
}

// namedSchema finds the schema that a constant names.
func (s *snapshot) namedSchema(text string) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	parts, err := splitName(text)
	if err != nil {
		return 0, err
	}
	if oid := s.schemaOID(parts[0]); oid != 0 && len(parts) == 1 {
		return oid, nil
	}
	return 0, &parse.Error{Code: "3F000", Message: `schema "` + strings.Join(parts, ".") + `" does not exist`}
}

// namedProc finds the function that a constant names: one of PostgreSQL's, or one that was declared.
func (s *snapshot) namedProc(text string) (int64, error) {
	if text == "-" {
		return 0, nil
	}
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	parts, err := splitName(text)
	if err != nil {
		return 0, err
	}
	name, schema := parts[len(parts)-1], ""
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	var found []int64
	if schema == "" || schema == catalogSchema {
		if oid, ok := s.catalog.procs[name]; ok {
			found = append(found, oid)
		}
	}
	for _, f := range s.functions() {
		if f.Name == name && (f.Schema == schema || schema == "" && slices.Contains(s.searched(), f.Schema)) {
			found = append(found, f.ID)
		}
	}
	switch {
	case len(found) == 1 && found[0] > 0:
		return found[0], nil
	case len(found) > 0:
		return 0, &parse.Error{Code: "42725", Message: `more than one function named "` + text + `"`}
	}
	return 0, &parse.Error{Code: parse.CodeUndefinedFunction, Message: `function "` + text + `" does not exist`}
}

// namedRole finds the role that a constant names.
func (s *snapshot) namedRole(text string) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	parts, err := splitName(text)
	if err != nil {
		return 0, err
	}
	if len(parts) == 1 {
		if oid := s.roleID(parts[0]); oid != 0 {
			return oid, nil
		}
	}
	return 0, &parse.Error{Code: parse.CodeUndefinedObject, Message: `role "` + strings.Join(parts, ".") + `" does not exist`}
}

// oidConstant reads an OID; "-" is none.
func oidConstant(text string) (int64, bool) {
	if text == "-" {
		return 0, true
	}
	return number(text)
}

// number reads decimal digits that fit an OID.
func number(text string) (int64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	return int64(n), err == nil
}

// namedType finds the type that a constant names, as SQL or pg_type does.
func (s *snapshot) namedType(text string) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	t := s.catalog.types
	name, isArray := strings.CutSuffix(strings.Join(strings.Fields(text), " "), "[]")
	name = strings.TrimSuffix(name, " ")
	found := t.named(name)
	if row := s.namedRow(name, isArray); found == nil && row != 0 {
		return row, nil
	}
	switch {
	case found == nil:
		return 0, &parse.Error{Code: parse.CodeUndefinedObject, Message: `type "` + text + `" does not exist`}
	case isArray && found.array == 0:
		return 0, &parse.Error{Code: parse.CodeUndefinedObject, Message: `type "` + text + `" does not exist`}
	case isArray:
		return found.array, nil
	}
	return found.oid, nil
}

// named finds a type by a name that isn't that of an array in SQL; nil is none.
func (t *types) named(name string) *typ {
	if inner, ok := strings.CutPrefix(name, `"`); ok {
		return t.byName[strings.TrimSuffix(inner, `"`)]
	}
	name = strings.TrimPrefix(strings.ToLower(name), catalogSchema+".")
	if x := t.byName[name]; x != nil && name != "char" {
		return x
	}
	for _, x := range t.all {
		if x.full == name {
			return x
		}
	}
	base, _, _ := strings.Cut(name, "(")
	if base == "decimal" || base == "dec" || base == "numeric" {
		return t.byName["numeric"]
	}
	if typ, err := columnar.TypeFromSQL(name, nil); err == nil {
		return t.byOID[int64(typ.OID())]
	}
	return nil
}
