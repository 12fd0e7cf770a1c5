package parse

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// foreign looks at a text that the grammar refused: statements that DuckDB has and
// PostgreSQL hasn't are refused by their name, so that it is plain that they are
// known and closed. Everything else keeps the grammar's error.
func (s source) foreign(err error) error {
	var syntax *Error
	if !errors.As(err, &syntax) || syntax.Code != CodeSyntax {
		return err
	}
	lex := lexer{text: s.text}
	first, second := s.wordAt(lex.next()), s.wordAt(lex.next())
	switch first {
	case "ATTACH", "DETACH", "INSTALL", "LOAD", "PRAGMA", "EXPORT", "IMPORT", "FORCE", "USE", "CALL":
		return s.atStart(forbid(first))
	case "COPY":
		if second == "FROM" {
			return s.atStart(forbid("COPY FROM DATABASE"))
		}
	case "SET", "RESET":
		if second == "VARIABLE" || second == "GLOBAL" || second == "PERSISTENT" {
			return s.atStart(forbid(first + " " + second))
		}
	case "CREATE", "DROP":
		if name := commandName(s.text); strings.HasSuffix(name, " SECRET") || strings.HasSuffix(name, " MACRO") {
			return s.atStart(forbid(name))
		}
	case "DESCRIBE", "DESC", "SUMMARIZE", "PIVOT", "UNPIVOT":
		return s.atStart(refuse(first))
	case "FROM":
		return s.atStart(refuse("FROM before SELECT"))
	}
	if s.fileAt(syntax.Position) {
		return &Error{
			Code: CodeForbidden, Message: "permission denied: a query names tables, not files", Position: syntax.Position,
			Hint: "Names of tables are written without quotes, or in double quotes.",
		}
	}
	return err
}

// wordAt is a word in capitals, "" if the token is none.
func (s source) wordAt(t token) string {
	if t.kind != tokenWord {
		return ""
	}
	return strings.ToUpper(s.text[t.begin:t.end])
}

// fileAt tells whether a string stands at a position where a table is named.
func (s source) fileAt(position int) bool {
	offset := byteOffset(s.text, position-1-s.chars)
	lex := lexer{text: s.text}
	for before := ""; ; {
		t := lex.next()
		if t.kind == tokenEnd || t.begin > offset || !utf8.ValidString(s.text[t.begin:t.end]) {
			return false
		}
		if t.begin == offset && t.kind == tokenString {
			return before == "FROM" || before == "JOIN" || before == "INTO" || before == "TABLE"
		}
		before = s.wordAt(t)
	}
}
