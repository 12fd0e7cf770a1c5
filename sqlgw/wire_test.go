package sqlgw

import (
	"errors"
	"fmt"
	"strings"

	"broadsheet.dev/broadsheet/pgwire"
)

// errorText is all that a client is told of an error.
func errorText(err error) string {
	e, ok := errors.AsType[*pgwire.Error](err)
	if !ok {
		return "error without a code: " + err.Error() + "\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s\n", e.Code, e.Message)
	for _, f := range []struct{ name, text string }{
		{"detail", e.Detail}, {"hint", e.Hint}, {"where", e.Where}, {"schema", e.Schema}, {"table", e.Table}, {"column", e.Column},
	} {
		if f.text != "" {
			fmt.Fprintf(&out, "  %s: %s\n", f.name, strings.ReplaceAll(f.text, "\n", " "))
		}
	}
	if e.Position > 0 {
		fmt.Fprintf(&out, "  position: %d\n", e.Position)
	}
	return out.String()
}
