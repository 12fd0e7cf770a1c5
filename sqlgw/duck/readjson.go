package duck

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// ReadJSON returns the SELECT that reads rows of schema in place out of files of lines of
// JSON: a trusted text, for the FROM clause of a statement that the program writes. Columns
// come in the schema's order under their names, whatever lines call them. It fails on a schema whose column names
// DuckDB can't tell apart (it ignores their case), on an empty name, and on a file whose
// extension isn't one of .raw, .gz, .gzip, .zst and .zstandard. Files of no bytes must be
// left out: DuckDB refuses them when compressed.
//
// One line that doesn't fit fails the whole statement, and DuckDB is laxer than PostgreSQL
// about what fits, so the files must be proven clean for the schema first. What DuckDB does
// with each form of each type is pinned by testdata/json_forms; it differs from a strict
// reader in this:
//
//   - A line null is a row of NULLs. Trailing commas and the words NaN and Infinity
//     are taken as JSON, also in keys that aren't columns. \v and \f are blanks around a line.
//     A last line without newline is a row. A byte order mark at the beginning of a file is an
//     error or not by the number of threads.
//   - A key is a column's only if it has its case; a key that occurs twice fails if it is a
//     column's. \u0000 is a zero byte in text.
//   - boolean: numbers, and the strings "true", "t", "yes" and so on, are taken.
//   - Integers: fractions are rounded half to even, exponents and true are taken, and strings of
//     decimal, hexadecimal (0x) and binary (0b) digits.
//   - Floats: numbers that are too large become infinite and those that are too small 0, without
//     error; -0 loses its sign (-0.0 doesn't); real is rounded twice, by way of double precision;
//     strings are read as numbers, and inf, nan and infinity in any case.
//   - numeric: a number with a fraction or exponent goes through double precision, which is exact as long
//     as it has no more fraction digits than the scale, the scale is at most 22, and the value
//     times 10^scale has at most 15 digits. Integers of any length and strings are exact; more
//     fraction digits than the scale are rounded. Strings may have blanks, signs, underscores, exponents.
//   - Text: numbers, booleans, objects and arrays are taken and written anew (1.50 is 1.5).
//   - bytea: the text of the string would be taken as it is, so it is read as text here and
//     the hex digits behind \x are decoded; what stands before them isn't looked at, and an odd
//     digit is taken.
//   - char(n): read as text and padded here; longer values would be cut.
//   - Dates and times: fields of one digit, slashes, blanks around, years before 1 are taken;
//     a time behind a date is dropped, zones are dropped where the type has none, fractions
//     of a second are cut after six digits; BC is dropped from a date without error.
//   - interval: the units' abbreviations and fractions are taken, signs + and ISO 8601 aren't.
//   - uuid: dashes may stand anywhere or be missing, and braces around.
//   - json: the value is written anew: blanks, the spelling of numbers and escapes are lost. null is NULL.
//
// The casts of DuckDB read the ISO forms of dates and times; a dateformat or
// timestampformat was slower and takes less, so none is set.
func ReadJSON(files []string, schema columnar.Schema) (string, error) {
	columns, err := readAs(schema)
	if err != nil {
		return "", err
	}
	groups := map[string][]string{}
	for _, file := range files {
		compression, err := compressionOf(file)
		if err != nil {
			return "", err
		}
		groups[compression] = append(groups[compression], quoteLiteral(literalPath(file)))
	}
	if len(files) == 0 {
		return noRows(schema), nil
	}
	var parts []string
	for _, compression := range []string{"uncompressed", "gzip", "zstd"} {
		if len(groups[compression]) == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf(
			"SELECT %s FROM read_json([%s], format = 'newline_delimited', records = true, compression = '%s', "+
				"hive_partitioning = false, maximum_object_size = %d, columns = {%s})",
			strings.Join(columns.selected, ", "), strings.Join(groups[compression], ", "), compression, columnar.MaxLine,
			strings.Join(columns.read, ", ")))
	}
	return strings.Join(parts, " UNION ALL "), nil
}

// jsonColumns is what read_json is told of the columns, and what is selected of it.
type jsonColumns struct{ read, selected []string }

// readAs chooses as what each column is read.
func readAs(schema columnar.Schema) (jsonColumns, error) {
	var out jsonColumns
	if len(schema.Columns) == 0 {
		return out, errors.New("duck: read_json: a schema without columns")
	}
	seen, keys := map[string]bool{}, map[string]bool{}
	for _, c := range schema.Columns {
		folded, foldedKey := strings.ToLower(c.Name), strings.ToLower(c.LineKey())
		if folded == "" || seen[folded] || keys[foldedKey] {
			return out, fmt.Errorf("duck: read_json: column name %q is empty or differs from another's in case only", c.Name)
		}
		seen[folded], keys[foldedKey] = true, true
		name, err := typeSQL(c.Type)
		if err != nil {
			return out, fmt.Errorf("duck: read_json: column %q: %w", c.Name, err)
		}
		column, as := quoteIdent(c.LineKey()), quoteIdent(c.Name)
		selected := column
		if column != as {
			selected += " AS " + as
		}
		switch {
		case c.Type.Kind == columnar.Bytea:
			name = "VARCHAR"
			selected = fmt.Sprintf("unhex(substr(%s, 3)) AS %s", column, as)
		case c.Type.Kind == columnar.Char && c.Type.Length > 0:
			selected = fmt.Sprintf("rpad(%s, %d, ' ') AS %s", column, c.Type.Length, as)
		}
		out.read = append(out.read, quoteLiteral(c.LineKey())+": "+quoteLiteral(name))
		out.selected = append(out.selected, selected)
	}
	return out, nil
}

// noRows selects the schema's columns from nothing.
func noRows(schema columnar.Schema) string {
	columns := make([]string, len(schema.Columns))
	for i, c := range schema.Columns {
		name, _ := typeSQL(c.Type) // was seen to be good
		columns[i] = fmt.Sprintf("CAST(NULL AS %s) AS %s", name, quoteIdent(c.Name))
	}
	return "SELECT " + strings.Join(columns, ", ") + " WHERE false"
}

// compressionOf is DuckDB's name for how a file is compressed, by its name's extension.
func compressionOf(file string) (string, error) {
	ext := strings.ToLower(filepath.Ext(file))
	switch {
	case ext == ".raw":
		return "uncompressed", nil
	case slices.Contains([]string{".gz", ".gzip"}, ext):
		return "gzip", nil
	case slices.Contains([]string{".zst", ".zstandard"}, ext):
		return "zstd", nil
	default:
		return "", fmt.Errorf("duck: read_json: files with the extension %q can't be read in place", ext)
	}
}

// literalPath escapes what DuckDB would take for a pattern.
func literalPath(path string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(path)
}
