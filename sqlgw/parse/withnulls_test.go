package parse_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// TestWithNulls: parameters are where they are no part of a text, a name or a comment.
func TestWithNulls(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"SELECT 1":                      "SELECT 1",
		"SELECT CAST($1 AS INT[]), $12": "SELECT CAST(NULL AS INT[]), NULL",
		`SELECT '$1', E'\'$1', "$1", $$ $1 $$, a$1 /* $1 */`: `SELECT '$1', E'\'$1', "$1", $$ $1 $$, a$1 /* $1 */`,
	} {
		require.Equal(t, want, parse.WithNulls(in))
	}
}
