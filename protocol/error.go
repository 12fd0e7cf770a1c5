package protocol

import (
	"errors"
	"fmt"
	"strings"
)

// ValidationError tells what is wrong with a message, and where within it.
type ValidationError struct {
	// Path to the field, from the message that was validated: "Labels[0].Name".
	// Empty if the message itself is at fault.
	Path string
	// Reason why it isn't valid.
	Reason string
}

// Error is the path, a colon, and the reason.
func (e *ValidationError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// invalid returns a ValidationError of the value being validated.
func invalid(format string, args ...any) error {
	return &ValidationError{Reason: fmt.Sprintf(format, args...)}
}

// invalidField returns a ValidationError of a field of the value being validated.
func invalidField(field, format string, args ...any) error {
	return &ValidationError{Path: field, Reason: fmt.Sprintf(format, args...)}
}

// within puts a field before the path of an error of that field, and keeps nil.
func within(field string, err error) error {
	if err == nil {
		return nil
	}
	var v *ValidationError
	if !errors.As(err, &v) {
		return &ValidationError{Path: field, Reason: err.Error()}
	}
	if v.Path == "" {
		return &ValidationError{Path: field, Reason: v.Reason}
	}
	return &ValidationError{Path: field + "." + v.Path, Reason: v.Reason}
}

// withinIndex is within for an element of a repeated field.
func withinIndex(field string, index int, err error) error {
	if err == nil {
		return nil
	}
	return within(fmt.Sprintf("%s[%d]", field, index), err)
}

// StatusError is an RPC that ended with a status other than OK. Two of them are
// the same to errors.Is if their statuses are.
type StatusError struct {
	// Status of the response.
	Status Status
	// Journal of the request; empty if it had none.
	Journal string
	// Detail of the broker or client, for people; often empty.
	Detail string
}

// Error names the status, the journal and the detail.
func (e *StatusError) Error() string {
	var b strings.Builder
	if e.Journal != "" {
		b.WriteString(e.Journal)
		b.WriteString(": ")
	}
	b.WriteString(e.Status.String())
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

// Is reports whether target is a StatusError of the same status.
func (e *StatusError) Is(target error) bool {
	t, ok := target.(*StatusError)
	return ok && t.Status == e.Status
}

// Err returns the status as an error, for comparing with errors.Is; nil for OK.
func (x Status) Err() error {
	if x == Status_OK {
		return nil
	}
	return &StatusError{Status: x}
}
