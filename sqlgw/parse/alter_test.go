package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// showActions prints those of ALTER TABLE, each with the fields that it has.
func showActions(list []AlterAction) string {
	var out strings.Builder
	for _, a := range list {
		fmt.Fprintf(&out, "\n  %s", a.Kind)
		for _, text := range []string{a.Column, a.Constraint, a.Name, a.Owner.Name} {
			if text != "" {
				fmt.Fprintf(&out, " %q", text)
			}
		}
		if a.Kind == AddColumn {
			fmt.Fprintf(&out, " %s notNull=%v default=%s", a.Def.Type.SQL(), a.Def.NotNull, a.Def.Default)
		}
		if a.Expression != nil {
			text, err := a.Expression.Text(ColumnDef{})
			fmt.Fprintf(&out, " %s %v", text, err)
		}
		for _, o := range a.Options {
			fmt.Fprintf(&out, " %s=%s", o.Name, o.Value)
		}
		fmt.Fprintf(&out, " ifExists=%v ifNotExists=%v cascade=%v", a.IfExists, a.IfNotExists, a.Cascade)
		out.WriteString(strings.ReplaceAll(showConstraints(a.Constraints), "\n", "\n  "))
	}
	return out.String()
}

func TestExpressionsOfAlteredTables(t *testing.T) {
	for text, want := range map[string]string{
		"a > 1 AND t.a < b":                    "z > 1 AND t.z < b",
		"other.a = 'a' OR \"A\" = a":           "other.a = 'a' OR \"A\" = z",
		"length(a) = CASE a WHEN 1 THEN 2 END": "length(z) = CASE z WHEN 1 THEN 2 END",
	} {
		got, err := RenameIn(text, "t", "a", "z")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := RenameIn("a >", "t", "a", "z")
	require.Error(t, err)
	for text, want := range map[string]bool{
		"1": false, "now()": false, "'random()'": false, "random()": true, "1 + abs(pg_catalog.random())": true, "gen_random_uuid()": true,
		"(": true, "1), (2": true,
	} {
		require.Equal(t, want, IsVolatile(text), text)
	}
}
