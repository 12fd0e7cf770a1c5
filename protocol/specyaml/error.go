package specyaml

import (
	"fmt"
	"strings"
)

// Error is what is wrong with a text, and where.
type Error struct {
	// Line of the text; 0 if there is none.
	Line int
	// Name of the spec; empty if it has none yet.
	Name string
	// Reason, as a clause.
	Reason string
}

// Error has the line, the name and the reason.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line != 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Name != "" {
		b.WriteString(e.Name + ": ")
	}
	b.WriteString(e.Reason)
	return b.String()
}
