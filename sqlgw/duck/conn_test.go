package duck_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// TestOneStatement finds that nothing of a text with several statements runs.
func TestOneStatement(t *testing.T) {
	c := connect(t, open(t, duck.Config{}))
	for _, sql := range []string{
		"CREATE TABLE side (a INT); SELECT 1", "CREATE TABLE side (a INT); CREATE TABLE side2 (a INT)",
		"", " ", ";", "-- no", "SELECT 1;;SELECT 2", "CREATE TABLE side (a INT)\x00; SELECT 1", "SELECT 1 \x00",
	} {
		var failed *duck.Error
		_, err := c.Prepare(t.Context(), sql)
		require.ErrorAs(t, err, &failed, "%q", sql)
		require.Equal(t, duck.ClassParser, failed.Class, "%q", sql)
		require.ErrorAs(t, c.Exec(t.Context(), sql), &failed, "%q", sql)
	}
	require.EqualValues(t, 0, one(t, c, "SELECT count(*) FROM duckdb_tables()"))
	for _, sql := range []string{"SELECT 1;", ";SELECT 1::BIGINT;;", "/* a; b */ SELECT ';'"} {
		require.NoError(t, c.Exec(t.Context(), sql))
	}
}

func TestBusy(t *testing.T) {
	db := open(t, duck.Config{})
	register(t, db, "numbers", numbers(2048, 500))
	c := connect(t, db)
	s, err := c.Prepare(t.Context(), "SELECT n FROM numbers('t')")
	require.NoError(t, err)
	other, err := c.Prepare(t.Context(), "SELECT 1")
	require.NoError(t, err)
	rows, err := s.Query(t.Context(), nil)
	require.NoError(t, err)
	_, err = c.Prepare(t.Context(), "SELECT 1")
	require.ErrorIs(t, err, duck.ErrBusy)
	_, err = s.Query(t.Context(), nil)
	require.ErrorIs(t, err, duck.ErrBusy)
	require.ErrorIs(t, c.Exec(t.Context(), "SELECT 1"), duck.ErrBusy)
	require.ErrorIs(t, s.Close(), duck.ErrBusy)
	require.NoError(t, other.Close())
	for err = nil; err == nil; {
		_, err = rows.Next(t.Context())
	}
	require.ErrorIs(t, err, io.EOF)
	// Free at the end of the rows, closed or not.
	again, err := s.Query(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	_, err = again.Next(t.Context())
	require.NoError(t, err, "closing the old rows doesn't touch the new ones")
	require.NoError(t, again.Close())
	require.NoError(t, again.Close())
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Query(t.Context(), nil)
	require.ErrorIs(t, err, duck.ErrClosed)
}

// TestColumnsOfRows has a parameter whose type only its value gives.
func TestColumnsOfRows(t *testing.T) {
	c := connect(t, open(t, duck.Config{}))
	s, err := c.Prepare(t.Context(), "SELECT $1 AS v")
	require.NoError(t, err)
	require.Nil(t, s.Columns())
	for _, v := range []columnar.Vector{int64s(3, 1), texts("x")} {
		rows, err := s.Query(t.Context(), &columnar.Batch{Len: 1, Cols: []columnar.Vector{v}})
		require.NoError(t, err)
		require.Equal(t, []columnar.Column{{Name: "v", Type: v.Type}}, rows.Columns())
		require.NoError(t, rows.Close())
	}
	// A list of lists hides behind a parameter too.
	s, err = c.Prepare(t.Context(), "SELECT [[$1]] AS v")
	require.NoError(t, err)
	rows, err := s.Query(t.Context(), &columnar.Batch{Len: 1, Cols: []columnar.Vector{int64s(3, 1)}})
	require.NoError(t, err)
	_, err = rows.Next(t.Context())
	var failed *duck.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, duck.ClassUnsupported, failed.Class)
	require.ErrorContains(t, err, `"v"`)
	require.EqualValues(t, 1, one(t, c, "SELECT 1::BIGINT"), "the connection is free")
}

func TestErrorIsForClients(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "secret journal", "0-1.raw")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("{\"a\":[]}\n"), 0o600))
	c := connect(t, open(t, duck.Config{FragmentRoot: root}))
	sql, err := duck.ReadJSON([]string{file}, columnar.Schema{Columns: []columnar.Column{column("a", columnar.Int64)}})
	require.NoError(t, err)
	_, err = query(t.Context(), c, "SELECT * FROM ("+sql+")", nil)
	var failed *duck.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "XX001", failed.SQLSTATE)
	require.NotContains(t, failed.Message, "secret")
	require.Contains(t, failed.Raw, file)

	_, err = c.Prepare(t.Context(), "SELECT 1 +\n nope FROM range(3)")
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 12, failed.Position)
	require.NotContains(t, failed.Message, "LINE")
	_, err = c.Prepare(t.Context(), "SELECT * FROM duckdb_tabless()")
	require.ErrorAs(t, err, &failed)
	require.NotContains(t, failed.Message, "duckdb_tables()")
}

func TestConfig(t *testing.T) {
	for _, config := range []duck.Config{
		{MemoryLimit: 1},
		{MemoryLimit: -1},
		{Threads: -1},
		{MaxTempSize: -1},
		{MaxTempSize: 1},
		{TempDir: "relative"},
		{FragmentRoot: "relative"},
		{FragmentRoot: "/"},
		{TempDir: "/../"},
		{FragmentRoot: "/a[b]"},
		{FragmentRoot: "/a*"},
		{FragmentRoot: "/a?/b"},
		{FragmentRoot: "/a", Threads: 4, MemoryLimit: 128 << 20},
	} {
		_, err := duck.Open(t.Context(), config)
		require.Error(t, err, "%+v", config)
	}
	db, err := duck.Open(t.Context(), duck.Config{})
	require.NoError(t, err, "the zero value is useful")
	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	c := connect(t, open(t, duck.Config{Threads: 3, MemoryLimit: 123 << 20}))
	require.Equal(t, "\"3\" | \"123.0 MiB\" | \"false\" | \"true\"\n", lines(t.Context(), c, `SELECT current_setting('threads')::VARCHAR,
		current_setting('memory_limit'), current_setting('enable_external_access')::VARCHAR, current_setting('lock_configuration')::VARCHAR`))
}

func TestTempDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by open")
	config := duck.Config{TempDir: dir, MemoryLimit: 64 << 20, Threads: 2}
	db, err := duck.Open(t.Context(), config)
	require.NoError(t, err)
	_, err = duck.Open(t.Context(), config)
	require.ErrorContains(t, err, "in use")

	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	const sorted = "SELECT h FROM (SELECT hash(i)::VARCHAR || 'some more bytes' h FROM range(3000000) t(i)) ORDER BY h"
	s, err := c.Prepare(t.Context(), sorted)
	require.NoError(t, err)
	rows, err := s.Query(t.Context(), nil)
	require.NoError(t, err)
	_, err = rows.Next(t.Context())
	require.NoError(t, err)
	used, err := db.MemoryUsage(t.Context())
	require.NoError(t, err)
	require.Positive(t, used.Temporary)
	spilled, err := os.ReadDir(filepath.Join(dir, "spill"))
	require.NoError(t, err)
	require.NotEmpty(t, spilled)
	require.NoError(t, db.Close())
	require.NoDirExists(t, filepath.Join(dir, "spill"))

	// What a killed instance leaves is gone when the next one opens.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "spill", "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "spill", "sub", "old"), nil, 0o600))
	config.MaxTempSize = 10 << 20
	db = open(t, config)
	left, err := os.ReadDir(filepath.Join(dir, "spill"))
	require.NoError(t, err)
	require.Empty(t, left)

	// Bounded, and without a directory nothing is spilled; the instance goes on.
	for want, db := range map[string]*duck.DB{"53100": db, "53200": open(t, duck.Config{MemoryLimit: 64 << 20})} {
		c := connect(t, db)
		_, err = query(t.Context(), c, sorted, nil)
		var failed *duck.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, want, failed.SQLSTATE, failed.Raw)
		require.Equal(t, duck.ClassOutOfMemory, failed.Class)
		require.EqualValues(t, 1, one(t, c, "SELECT 1::BIGINT"))
	}
}

// TestSelfTestFailsClosed lets the fragment root hold this program, which the self-test
// expects to be refused.
func TestSelfTestFailsClosed(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	_, err = duck.Open(t.Context(), duck.Config{FragmentRoot: filepath.Dir(program)})
	require.ErrorContains(t, err, "self-test")
	require.NotErrorIs(t, err, duck.ErrClosed)
}
