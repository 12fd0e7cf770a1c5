package pgcatalog

import (
	"fmt"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// format puts arguments into a constant text: %s as they are, %I as names, %L as literals, each perhaps with the number of the
// argument before it (%2$s).
func (c *Catalog) format(d *dialect, call parse.Call) (*parse.Template, error) {
	if call.InFrom {
		return nil, nil
	}
	if call.Args[0].Kind != parse.String {
		return nil, notConstant("function format")
	}
	var parts []string
	rest, next := call.Args[0].Text, 2
	for {
		before, after, found := strings.Cut(rest, "%")
		parts = append(parts, literal(before))
		if !found {
			return d.template("(" + strings.Join(parts, " || ") + ")")
		}
		if strings.HasPrefix(after, "%") {
			parts, rest = append(parts, "'%'"), after[1:]
			continue
		}
		n, after, err := argumentNumber(after, next)
		if err != nil {
			return nil, err
		}
		if n > len(call.Args) {
			return nil, &parse.Error{Code: parse.CodeInvalidParameter, Message: "too few arguments for format()"}
		}
		part, err := c.formatted(after[0], n)
		if err != nil {
			return nil, err
		}
		parts, rest, next = append(parts, part), after[1:], n+1
	}
}

// argumentNumber is which argument a specifier is about, and the rest of the text, which isn't empty.
func argumentNumber(text string, next int) (int, string, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits > 0 && strings.HasPrefix(text[digits:], "$") {
		n, err := strconv.Atoi(text[:digits])
		if err != nil || n == 0 {
			return 0, "", &parse.Error{Code: parse.CodeInvalidParameter, Message: "format specifies argument 0, but arguments are numbered from 1"}
		}
		next, text = n+1, text[digits+1:]
	}
	if text == "" {
		return 0, "", &parse.Error{
			Code: parse.CodeInvalidParameter, Message: "unterminated format() type specifier", Hint: `For a single "%" use "%%".`,
		}
	}
	return next, text, nil
}

// formatted is an argument as a specifier has it.
func (c *Catalog) formatted(specifier byte, n int) (string, error) {
	argument := fmt.Sprintf("$%d", n)
	switch specifier {
	case 's':
		return "COALESCE(CAST(" + argument + " AS VARCHAR), '')", nil
	case 'I':
		return strings.ReplaceAll(c.quotedIdent(), "$1", argument), nil
	case 'L':
		return "COALESCE(" + strings.ReplaceAll(quotedLiteral, "$1", argument) + ", 'NULL')", nil
	case '-', '*', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return "", &parse.Error{Code: parse.CodeNotSupported, Message: "widths in format() are not supported"}
	}
	return "", &parse.Error{
		Code: parse.CodeInvalidParameter, Message: `unrecognized format() type specifier "` + string(rune(specifier)) + `"`, Hint: `For a single "%" use "%%".`,
	}
}

// textFunctions write names and values as SQL does.
func (c *Catalog) textFunctions() map[string]function {
	return map[string]function{
		"quote_ident":    {min: 1, max: 1, text: c.quotedIdent()},
		"quote_literal":  {min: 1, max: 1, text: quotedLiteral},
		"quote_nullable": {min: 1, max: 1, text: "COALESCE(" + quotedLiteral + ", 'NULL')"},
		"format":         {min: 1, max: 100, answer: c.format},
		"parse_ident":    {min: 1, max: 2, answer: parseIdent},
	}
}

// parseIdent takes the name that a constant is apart.
func parseIdent(_ *dialect, c parse.Call) (*parse.Template, error) {
	if c.Args[0].Kind != parse.String || len(c.Args) > 1 {
		return nil, notConstant("function parse_ident")
	}
	parts, err := splitName(c.Args[0].Text)
	if err != nil {
		return nil, &parse.Error{
			Code: parse.CodeInvalidParameter, Message: fmt.Sprintf("string is not a valid identifier: %q", c.Args[0].Text), Position: c.Args[0].Position,
		}
	}
	for i := range parts {
		parts[i] = literal(parts[i])
	}
	return parse.NewTemplate("CAST(ARRAY[" + strings.Join(parts, ", ") + "] AS VARCHAR[])")
}

// quotedIdent is a text as a name, in quotes where it needs them.
func (c *Catalog) quotedIdent() string {
	words := strings.Fields(quotedKeywordList)
	return `(SELECT CASE
		WHEN regexp_full_match(bs_name, '[a-z_][a-z0-9_]*') AND bs_name NOT IN ('` + strings.Join(words, "', '") + `') THEN bs_name
		ELSE '"' || replace(bs_name, '"', '""') || '"' END
		FROM (SELECT CAST($1 AS VARCHAR)) AS bs_call (bs_name))`
}

// quotedLiteral is a text as a literal.
const quotedLiteral = `(SELECT CASE WHEN contains(bs_text, '\') THEN 'E' ELSE '' END ||
	'''' || replace(replace(bs_text, '''', ''''''), '\', '\\') || ''''
	FROM (SELECT CAST($1 AS VARCHAR)) AS bs_call (bs_text))`
