package parse

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pganalyze/pg_query_go/v6/parser"
)

// The SQLSTATEs of this package's errors.
const (
	CodeSyntax            = "42601" // syntax_error
	CodeNotSupported      = "0A000" // feature_not_supported: refused by its name
	CodeForbidden         = "42501" // insufficient_privilege: would reach files, settings, the network or DuckDB itself
	CodeUndefinedFunction = "42883" // undefined_function
	CodeUndefinedObject   = "42704" // undefined_object: a type
	CodeUndefinedColumn   = "42703" // undefined_column
	CodeUndefinedTable    = "42P01" // undefined_table
	CodeUndefinedParam    = "42P02" // undefined_parameter
	CodeDuplicateColumn   = "42701" // duplicate_column
	CodeDuplicateAlias    = "42712" // duplicate_alias
	CodeInvalidReference  = "42P10" // invalid_column_reference
	CodeInvalidParameter  = "22023" // invalid_parameter_value
	// CodeInvalidTableDefinition is invalid_table_definition.
	CodeInvalidTableDefinition = "42P16"
	CodeInvalidText            = "22P02" // invalid_text_representation
	CodeBadEncoding            = "22021" // character_not_in_repertoire
	CodeLimit                  = "54000" // program_limit_exceeded
	CodeTooComplex             = "54001" // statement_too_complex
	CodeOutOfMemory            = "53200" // out_of_memory
)

// Error is why a statement isn't run, as PostgreSQL words and codes it where
// PostgreSQL has such an error.
type Error struct {
	Code    string // SQLSTATE
	Message string
	Detail  string
	Hint    string
	// Position counts characters from 1 in the text given to Split; 0 is none.
	Position int
}

func (e *Error) Error() string { return e.Message + " (SQLSTATE " + e.Code + ")" }

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// refuse names a thing that is not supported.
func refuse(name string) *Error {
	return &Error{Code: CodeNotSupported, Message: name + " is not supported"}
}

// refuseAll is refuse for names in the plural.
func refuseAll(names string) *Error {
	return &Error{Code: CodeNotSupported, Message: names + " are not supported"}
}

// forbid names a thing that no user may do.
func forbid(name string) *Error {
	return &Error{Code: CodeForbidden, Message: "permission denied for " + name}
}

// notPrinted says why the grammar couldn't write a tree. It is given the tree as bytes that were made just before; that it can't
// read those is how it says that it has no memory for them.
func notPrinted(what string, err error) *Error {
	if strings.Contains(err.Error(), "could not unpack protobuf parse tree") {
		return errorf(CodeOutOfMemory, "out of memory: the %s can't be printed", what)
	}
	return errorf(CodeTooComplex, "%s can't be printed: %v", what, err)
}

func (e *Error) hinted(hint string) *Error {
	e.Hint = hint
	return e
}

// source maps byte offsets of a statement to character positions of the text that
// it was cut from.
type source struct {
	text    string
	chars   int      // characters before the statement
	travels *travels // the AS OF clauses, nil if there are none
	keep    any      // see Piece.Keep
}

// at sets the position from a byte offset as the grammar gives it: -1 is unknown,
// and 0 is also what a location that was never set looks like. A position that was
// set stays.
func (s source) at(e *Error, location int32) *Error {
	if e.Position == 0 && location > 0 && int(location) <= len(s.text) {
		e.Position = s.chars + utf8.RuneCountInString(s.text[:location]) + 1
	}
	return e
}

// atStart is at for offset 0.
func (s source) atStart(e *Error) *Error {
	if e.Position == 0 {
		e.Position = s.chars + 1
	}
	return e
}

// grammarError turns an error of the grammar into ours. Masked is the text that the
// grammar saw, as long in bytes as the statement.
func (s source) grammarError(err error, masked string) error {
	var syntax *parser.Error
	if !errors.As(err, &syntax) {
		// What remains are limits of the tree's encoding: its depth, and its strings' UTF-8.
		return s.atStart(errorf(CodeTooComplex, "statement is too complex: %v", err))
	}
	e := &Error{Code: grammarCode(syntax.Message), Message: syntax.Message}
	if e.Code == CodeTooComplex {
		e.Message = "stack depth limit exceeded"
		e.Hint = "The statement is nested too deeply."
		return e
	}
	if syntax.Cursorpos > 0 {
		at := min(byteOffset(masked, syntax.Cursorpos-1), len(s.text))
		e.Position = s.chars + utf8.RuneCountInString(s.text[:at]) + 1
	}
	return e
}

// grammarCode is the SQLSTATE of a message of the grammar, which gives the text only.
func grammarCode(message string) string {
	switch {
	case strings.HasPrefix(message, "memory exhausted"):
		return CodeTooComplex
	case strings.HasPrefix(message, "invalid byte sequence"):
		return CodeBadEncoding
	case strings.Contains(message, "not implemented"), strings.Contains(message, "not supported"),
		strings.Contains(message, "cannot be changed"):
		return CodeNotSupported
	}
	return CodeSyntax
}

// byteOffset of character n of s, or its length if it has fewer.
func byteOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
