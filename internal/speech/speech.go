// Package speech is how a program says what went wrong: one line, "program: what,
// where", and where something can be done about it a second, "hint: what to do".
//
// # What
//
// WithHint joins advice to an error, which stays what it is for errors.Is and As. Say prints both.
//
// # Invariants
//
//   - The innermost error of a chain is the same with advice and without.
//
// # Goroutines
//
// None.
//
// # Testing
//
// The scripts of cmd/broadsheet's commands, which quote errors with their hints.
package speech

import (
	"errors"
	"fmt"
	"io"
)

// hintError is an error with advice.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// WithHint gives advice with an error.
func WithHint(err error, hint string) error { return &hintError{err: err, hint: hint} }

// Hinted tells whether an error has advice with it.
func Hinted(err error) bool {
	_, ok := errors.AsType[*hintError](err)
	return ok
}

// Say prints an error of the program, and its hint.
func Say(w io.Writer, program string, err error) {
	_, _ = fmt.Fprintf(w, "%s: %v\n", program, err)
	if h, ok := errors.AsType[*hintError](err); ok {
		_, _ = fmt.Fprintf(w, "hint: %s\n", h.hint)
	}
}
