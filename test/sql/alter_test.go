package sql_test

import (
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
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

// TestNotNullFindsAllRows: those too that the session's settings would let a query overlook.
func TestNotNullFindsAllRows(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(a bigint, b text)")
	exec(t, conn, "SET broadsheet.freshness = 'sealed'")
	exec(t, conn, "INSERT INTO "+name+" VALUES (1, NULL)")
	require.Equal(t, "23502", code(t, conn, "ALTER TABLE "+name+" ALTER b SET NOT NULL"))
	require.Equal(t, "23502", code(t, conn, "ALTER TABLE "+name+" ADD c int NOT NULL"))
	require.Equal(t, []string{"sealed"}, rows(t, conn, "SHOW broadsheet.freshness"))
	exec(t, conn, "RESET broadsheet.freshness")
	require.Equal(t, []string{"1|NULL"}, rows(t, conn, "SELECT a, b FROM "+name))
}

// TestNotNullMeetsOpenWrites: what was made before and is appended later is refused if it could be NULL, and goes on otherwise.
func TestNotNullMeetsOpenWrites(t *testing.T) {
	writer, other := connect(t), connect(t)
	name := table(t, other, "(a bigint, b text, c text)")
	exec(t, writer, "BEGIN")
	exec(t, writer, "INSERT INTO "+name+" VALUES (1, NULL, NULL)")
	exec(t, other, "ALTER TABLE "+name+" ALTER b SET NOT NULL")
	require.Empty(t, rows(t, other, "SELECT * FROM "+name))
	require.Equal(t, "40001", code(t, writer, "COMMIT"))

	exec(t, writer, "BEGIN")
	exec(t, writer, "SAVEPOINT s")
	exec(t, writer, "INSERT INTO "+name+" VALUES (2, 'kept', NULL)")
	exec(t, other, "ALTER TABLE "+name+" DROP c, ADD d int NOT NULL DEFAULT 7")
	require.Empty(t, rows(t, other, "SELECT * FROM "+name))
	exec(t, writer, "COMMIT")
	require.Equal(t, []string{"2|kept|7"}, rows(t, other, "SELECT * FROM "+name))

	f := writer.PgConn().Frontend()
	await := func(until any) []string {
		var codes []string
		for {
			m, err := f.Receive()
			require.NoError(t, err)
			if e, ok := m.(*pgproto3.ErrorResponse); ok {
				codes = append(codes, e.Code)
			}
			if reflect.TypeOf(m) == reflect.TypeOf(until) {
				return codes
			}
		}
	}
	copies := func(meanwhile string) []string {
		f.Send(&pgproto3.Query{String: "COPY " + name + " (b) FROM STDIN"})
		require.NoError(t, f.Flush())
		require.Empty(t, await(&pgproto3.CopyInResponse{}))
		exec(t, other, "ALTER TABLE "+name+" "+meanwhile)
		require.Equal(t, []string{"1"}, rows(t, other, "SELECT count(*) FROM "+name))
		f.Send(&pgproto3.CopyData{Data: []byte("copied\n")})
		f.Send(&pgproto3.CopyDone{})
		require.NoError(t, f.Flush())
		return await(&pgproto3.ReadyForQuery{})
	}
	require.Equal(t, []string{"40001"}, copies("ALTER a SET NOT NULL"))
	exec(t, other, "ALTER TABLE "+name+" ALTER a DROP NOT NULL, ALTER d SET DEFAULT 8")
	require.Empty(t, copies("DROP d"))
	require.Equal(t, []string{"2|kept", "NULL|copied"}, rows(t, other, "SELECT * FROM "+name+" ORDER BY b DESC"))
}
