// Package speech is how the program says what went wrong: one line, "broadsheet: what,
// where", and where something can be done about it a second, "hint: what to do".
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

// Say prints an error and its hint.
func Say(w io.Writer, err error) {
	_, _ = fmt.Fprintf(w, "broadsheet: %v\n", err)
	if h, ok := errors.AsType[*hintError](err); ok {
		_, _ = fmt.Fprintf(w, "hint: %s\n", h.hint)
	}
}
