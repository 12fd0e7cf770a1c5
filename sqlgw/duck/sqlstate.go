package duck

import (
	"slices"
	"strings"
)

// rule gives the SQLSTATE of messages of a class that contain a text.
type rule struct{ contains, state string }

// classStates is the SQLSTATE of a class where no rule of messageStates says more.
func classStates() map[Class]string {
	return map[Class]string{
		"Parser": "42601", "Syntax": "42601", "Binder": "42000", "Planner": "42000", "Catalog": "42704",
		"Conversion": "22P02", "Decimal": "22003", "Out of Range": "22003", "Object Size": "54000", "Divide by Zero": "22012",
		"Mismatch Type": "42804", "Unknown Type": "42704", "Invalid type": "42704", "Expression": "42804",
		"Out of Memory": "53200", "INTERRUPT": "57014", "Permission": "42501", "IO": "58030",
		"Constraint": "23000", "TransactionContext": "25000", "Not implemented": "0A000",
		"Invalid Input": "22023", "Dependency": "2BP01", "Invalid Configuration": "55P02", "Settings": "55P02",
		"Missing Extension": "0A000", "Extension Autoloading": "0A000", "Network": "58030", "HTTP": "58030",
		"Parameter Not Resolved": "42P18", "Parameter Not Allowed": "42601", "Sequence": "55000",
	}
}

// messageStates refines a class by what its messages say; the first that fits counts.
func messageStates() map[Class][]rule {
	return map[Class][]rule{
		"Binder": {
			{"not found in FROM clause", "42703"},
			{"does not have a column named", "42703"},
			{"Referenced column", "42703"},
			{"Referenced table", "42P01"},
			{"Ambiguous reference to table", "42712"},
			{"Ambiguous reference", "42702"},
			{"No function matches", "42883"},
			{"Could not choose a best candidate", "42725"},
			{"must appear in the GROUP BY", "42803"},
			{"calls cannot be nested", "42803"},
			{"ORDER term out of range", "42P10"},
			{"LIMIT/OFFSET cannot be negative", "2201W"},
			{"Subquery returns", "42601"},
			{"same number of result columns", "42601"},
			{"interval cannot be 0", "22023"},
			{"cannot contain aggregates", "42803"},
			{"cannot contain window functions", "42P20"},
			{"Cannot compare values of type", "42804"},
			{"Cannot mix values of type", "42804"},
			{"explicit cast is required", "42804"},
			{"already exists", "42710"},
			{"could not determine type of parameter", "42P18"},
			{"values were supplied", "42601"},
		},
		"Catalog": {
			{"Table with name", "42P01"},
			{"Function with name", "42883"},
			{"Macro", "42883"},
			{"Schema with name", "3F000"},
		},
		"Conversion": {
			{"Unimplemented type for cast", "42846"},
			{"field value out of range", "22008"},
			{"Time out of range", "22008"},
			{"extract specifier", "22023"},
			{"not in timestamp range", "22008"},
			{"Date out of range", "22008"},
			{"field format", "22007"},
			{"timestamp that is not UTC", "22007"},
			{"out of range", "22003"},
			{"Could not cast value", "22003"},
			{"Overflow", "22003"},
		},
		"Out of Range": {
			{"square root", "2201F"},
			{"logarithm", "2201E"},
		},
		"Out of Memory": {
			{"max_temp_directory_size", "53100"},
		},
		"Constraint": {
			{"uplicate key", "23505"},
			{"NOT NULL", "23502"},
			{"CHECK", "23514"},
			{"foreign key", "23503"},
		},
		"TransactionContext": {
			{"is aborted", "25P02"},
			{"no transaction is active", "25P01"},
			{"cannot start a transaction", "25001"},
			{"onflict", "40001"},
		},
		"Not implemented": {
			{"Unknown TimeZone", "22023"},
		},
		"Invalid Input": {
			{"Invalid UTF8 Codepoint -", "22023"},
			{"Invalid UTF8 Codepoint", "54000"},
			{"More than one row returned by a subquery", "21000"},
			{"in file", "XX001"}, // a fragment that was proven clean isn't read the same by DuckDB
			{"Malformed JSON", "22P02"},
			{"configuration has been locked", "55P02"},
			{"Current transaction is aborted", "25P02"},
		},
	}
}

// subtypeStates is the SQLSTATE of DuckDB's own refinement of a class.
func subtypeStates() map[string]string {
	return map[string]string{
		"COLUMN_NOT_FOUND": "42703", "NO_MATCHING_FUNCTION": "42883", "SYNTAX_ERROR": "42601",
	}
}

// entryStates are the SQLSTATEs of catalog entries by kind: missing, and there already.
func entryStates() map[string][2]string {
	return map[string][2]string{
		"Table": {"42P01", "42P07"}, "View": {"42P01", "42P07"}, "Schema": {"3F000", "42P06"},
		"Scalar Function": {"42883", "42723"}, "Table Function": {"42883", "42723"},
		"Aggregate Function": {"42883", "42723"}, "Macro Function": {"42883", "42723"},
		"Table Macro Function": {"42883", "42723"},
	}
}

// badPatterns begin what the library of regular expressions says of one that isn't.
func badPatterns() []string {
	return []string{
		"missing ): ", "unexpected ): ", "missing ]: ", "missing argument to repetition operator: ", "bad repetition operator: ",
		"invalid escape sequence: ", "invalid character class range: ", "invalid perl operator: ", "invalid repetition size: ",
		"invalid named capture group: ", "trailing \\ at end of regexp", "invalid UTF-8: ",
	}
}

// sqlState chooses PostgreSQL's code for a report.
func sqlState(r report) string {
	if r.Subtype == "MISSING_ENTRY" || r.Subtype == "ENTRY_ALREADY_EXISTS" {
		states, known := entryStates()[r.Object]
		switch {
		case !known && r.Subtype == "MISSING_ENTRY":
			return "42704"
		case !known:
			return "42710"
		case r.Subtype == "MISSING_ENTRY":
			return states[0]
		}
		return states[1]
	}
	if state, ok := subtypeStates()[r.Subtype]; ok {
		return state
	}
	for _, rule := range messageStates()[r.Type] {
		if strings.Contains(r.Message, rule.contains) {
			return rule.state
		}
	}
	isPrefix := func(p string) bool { return strings.HasPrefix(r.Message, p) }
	if r.Type == "Invalid Input" && slices.ContainsFunc(badPatterns(), isPrefix) {
		return "2201B"
	}
	if isTooLong(r.Message) {
		return "22003"
	}
	if state, ok := classStates()[r.Type]; ok {
		return state
	}
	return "XX000"
}

// isTooLong tells an integer that has too many digits from what isn't an integer.
func isTooLong(message string) bool {
	text, ok := strings.CutPrefix(message, "Could not convert string '")
	text, target, found := strings.Cut(text, "' to ")
	digits := strings.TrimPrefix(text, "-")
	return ok && found && strings.HasPrefix(target, "INT") && digits != "" && strings.Trim(digits, "0123456789") == ""
}
