package catalog

import "strings"

// Code is what kind of failure an Error is. errors.Is finds it in an Error.
type Code string

// The codes, with the SQLSTATE that they would be in PostgreSQL.
const (
	// ErrExists says that the name is taken (42P07 for tables, 42P06 schemas, 42701 columns).
	ErrExists Code = "already exists"
	// ErrNotFound says that there is nothing of that name (42P01 tables, 3F000 schemas,
	// 42703 columns, 3D000 databases).
	ErrNotFound Code = "does not exist"
	// ErrNotEmpty says that other objects depend on it (2BP01).
	ErrNotEmpty Code = "is not empty"
	// ErrUnsupported says that something isn't supported yet (0A000).
	ErrUnsupported Code = "is not supported"
	// ErrInvalid says that a definition makes no sense (42602 names, 22023 options, 42P16).
	ErrInvalid Code = "is not valid"
	// ErrReserved says that the name is kept for the system (42939).
	ErrReserved Code = "is reserved"
	// ErrNoJournals says that a table was to be laid over journals that don't exist (42704).
	ErrNoJournals Code = "matches no journals"
	// ErrUnreadable says that an entry was written by a newer program, or is damaged (XX001).
	ErrUnreadable Code = "can't be read"
	// ErrUnknownOutcome says that the change may or may not have been made (40003).
	ErrUnknownOutcome Code = "has an unknown outcome"
)

// Error is the code as a phrase.
func (c Code) Error() string { return string(c) }

// Error is a failure that a caller decides on.
type Error struct {
	Code Code
	Kind string // "table", "schema", "database", "column", "option", "prefix" or "journals"
	Name string
	// Detail and Hint are sentences for the user; often empty.
	Detail, Hint string
	// Err is what happened below; often nil.
	Err error
}

// Error is one line: kind, name, what is wrong with it, and the detail.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("catalog: " + e.Kind + " \"" + e.Name + "\" " + string(e.Code))
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the code and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}
