package sql_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocumentedAlterTable runs the example of docs/sql.md: the rows of a query are what stands behind it.
func TestDocumentedAlterTable(t *testing.T) {
	root := connect(t)
	documented(t, root, "### Changing a table", 2)
	exec(t, root, "DROP TABLE stock")
}

// TestAlterTableIsRefused holds what can't be, each by its name.
func TestAlterTableIsRefused(t *testing.T) {
	root := connect(t)
	exec(t, root, "CREATE TABLE ar (a bigint, b text) WITH (partition_by = 'b')")
	for sql, want := range map[string]string{
		"ALTER TABLE ar ALTER a TYPE text":                       "0A000",
		"ALTER TABLE ar ADD c float DEFAULT random()":            "0A000",
		"ALTER TABLE ar ADD _offset bigint":                      "42701",
		"ALTER TABLE ar ADD \"A\" text":                          "0A000",
		"ALTER TABLE ar DROP _offset":                            "0A000",
		"ALTER TABLE ar DROP b":                                  "42P16",
		"ALTER TABLE ar DROP a, ADD c int, DROP b":               "0A000",
		"ALTER TABLE ar SET (journals = 3)":                      "0A000",
		"ALTER TABLE ar SET (codec = brotli)":                    "22023",
		"ALTER TABLE ar SET (nothing = 1)":                       "22023",
		"ALTER TABLE ar RESET (partition_by)":                    "0A000",
		"ALTER TABLE ar SET (stores = 'nowhere')":                "22023",
		"ALTER TABLE ar SET SCHEMA pg_catalog":                   "42501",
		"ALTER TABLE pg_catalog.pg_class ADD a int":              "42501",
		"SELECT 1; ALTER TABLE ar ADD c int":                     "25001",
		"ALTER TABLE ar ADD c text DEFAULT repeat('x', 1000000)": "54000",
	} {
		require.Equal(t, want, code(t, root, sql), sql)
	}
	require.Equal(t, []string{"a", "b"}, rows(t, root, "SELECT column_name FROM information_schema.columns WHERE table_name = 'ar' ORDER BY 1"))
	exec(t, root, "DROP TABLE ar")
}
