package parse

import "strings"

// WithNulls is the text of a statement with NULL in the place of each parameter. Of what Print made with all types of parameters it has the
// same types of results: each is in a cast.
func WithNulls(sql string) string {
	var out strings.Builder
	from := 0
	lex := lexer{text: sql}
	for t := lex.next(); t.kind != tokenEnd; t = lex.next() {
		if t.kind == tokenParam {
			out.WriteString(sql[from:t.begin])
			out.WriteString("NULL")
			from = t.end
		}
	}
	out.WriteString(sql[from:])
	return out.String()
}
