package duck_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func zstandard(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	require.NoError(t, err)
	_, err = w.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// TestReadJSONFiles has files of every readable extension, with names that mean
// something to DuckDB, next to rows of a scan.
func TestReadJSONFiles(t *testing.T) {
	root := filepath.Join(t.TempDir(), "it's {a} root")
	db := open(t, duck.Config{FragmentRoot: root})
	register(t, db, "numbers", numbers(10, 1))
	c := connect(t, db)
	var files []string
	for i, name := range []string{
		"a.raw", "k=v/b.raw", "[d]*/x.raw", "%41.raw", "[ab].raw", "*.raw", "?.raw", "{a,b}.raw", `back\slash.raw`, "é ö.raw", "quo'te\".raw",
		"c.gz", "d.GZIP", "e.zst", "f.zstandard",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		content := fmt.Sprintf("{\"n\":%d}\n", i)
		switch strings.ToLower(filepath.Ext(name)) {
		case ".gz", ".gzip":
			content = gzipped(t, content) + gzipped(t, "{\"n\":0}\n")
		case ".zst", ".zstandard":
			content = zstandard(t, content) + zstandard(t, "{\"n\":0}\n")
		}
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		files = append(files, path)
	}
	schema := columnar.Schema{Columns: numbers(0, 0).columns}
	sql, err := duck.ReadJSON(files, schema)
	require.NoError(t, err)
	sum := len(files) * (len(files) - 1) / 2
	require.Equal(t, fmt.Sprintf("%d | %d\n", len(files)+4, sum),
		lines(t.Context(), c, "SELECT count(*), sum(n)::BIGINT FROM ("+sql+")"))
	require.Equal(t, fmt.Sprintf("%d | %d\n", len(files)+4+10, sum+45),
		lines(t.Context(), c, "SELECT count(*), sum(n)::BIGINT FROM ("+sql+" UNION ALL SELECT n FROM numbers('t'))"))
	twice, err := duck.ReadJSON([]string{files[4], files[4]}, schema)
	require.NoError(t, err)
	require.Equal(t, "4\n4\n", lines(t.Context(), c, twice))
	for _, name := range []string{"a.sz", "a", "a.gzod", "a.parquet", "gz"} {
		_, err := duck.ReadJSON([]string{filepath.Join(root, name)}, schema)
		require.ErrorContains(t, err, "can't be read in place", name)
	}
}

func TestReadJSONSchemas(t *testing.T) {
	root := t.TempDir()
	c := connect(t, open(t, duck.Config{FragmentRoot: root}))
	columns := []columnar.Column{
		column("b", columnar.Bool), column("select", columnar.Int16), column("with space", columnar.Int32), column("quo'te\"s", columnar.Int64),
		column("$x", columnar.Float32), column("é", columnar.Float64),
		{Name: "n", Type: columnar.Type{Kind: columnar.Decimal, Precision: 10, Scale: 2}},
		column("t", columnar.Text),
		{Name: "v", Type: columnar.Type{Kind: columnar.Varchar, Length: 3}},
		{Name: "c", Type: columnar.Type{Kind: columnar.Char, Length: 3}},
		column("x", columnar.Bytea), column("d", columnar.Date),
		column("ti", columnar.Time), column("ts", columnar.Timestamp), column("tz", columnar.TimestampTZ), column("iv", columnar.Interval),
		column("u", columnar.UUID), column("j", columnar.JSON), column("jb", columnar.JSONB), column("filename", columnar.Text),
	}
	file := filepath.Join(root, "all.raw")
	require.NoError(t, os.WriteFile(file, []byte(`{"b":true,"select":1,"with space":2,"quo'te\"s":3,"$x":1.5,"é":2.5,"n":1.25,"t":"text","v":"abc","c":"a","x":"\\x00ff",`+
		`"d":"1970-01-02","ti":"00:00:01","ts":"1970-01-01T00:00:01","tz":"1970-01-01T01:00:01+01:00","iv":"1 mon 2 days 00:00:01",`+
		`"u":"00000000-0000-0001-0000-000000000002","j":{"k":1},"jb":[1],"filename":"mine"}`+"\n{}\n"), 0o600))
	sql, err := duck.ReadJSON([]string{file}, columnar.Schema{Columns: columns})
	require.NoError(t, err)
	nulls := strings.Repeat("NULL | ", len(columns)-1) + "NULL\n"
	require.Equal(t, `true | 1 | 2 | 3 | 1.5 | 2.5 | 0:125 | "text" | "abc" | "a  " | "\x00\xff" | 1 | 1000000 | 1000000 | 1000000 | {1 2 1000000} | 1:2 | `+
		`"{\"k\":1}" | "[1]" | "mine"`+"\n"+nulls, lines(t.Context(), c, sql))
	require.Equal(t, "true\n", lines(t.Context(), c, `SELECT (j->'k')::INT = 1 AND "quo'te""s" = 3 FROM (`+sql+`) WHERE "é" > 2`))

	none, err := duck.ReadJSON(nil, columnar.Schema{Columns: columns})
	require.NoError(t, err)
	s, err := c.Prepare(t.Context(), none)
	require.NoError(t, err)
	full, err := c.Prepare(t.Context(), sql)
	require.NoError(t, err)
	require.Equal(t, full.Columns(), s.Columns(), "no files have the same columns")
	require.Equal(t, "no rows\n", lines(t.Context(), c, none))

	for _, bad := range [][]columnar.Column{
		nil,
		{column("", columnar.Int64)},
		{column("a", columnar.Int64), column("A", columnar.Int64)},
		{column("a", 0)},
		{column("a", columnar.Decimal)},
	} {
		_, err := duck.ReadJSON([]string{file}, columnar.Schema{Columns: bad})
		require.Error(t, err)
		_, err = duck.ReadJSON(nil, columnar.Schema{Columns: bad})
		require.Error(t, err)
	}
}

// TestReadJSONLongLine reads a line of the greatest length that a row may have.
func TestReadJSONLongLine(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "long.raw")
	line := `{"t":"` + strings.Repeat("x", columnar.MaxLine-8) + `"}`
	require.Len(t, line, columnar.MaxLine)
	require.NoError(t, os.WriteFile(file, []byte("{\"t\":\"a\"}\n"+line+"\n{\"t\":\"b\"}\n"), 0o600))
	c := connect(t, open(t, duck.Config{FragmentRoot: root}))
	sql, err := duck.ReadJSON([]string{file}, columnar.Schema{Columns: []columnar.Column{column("t", columnar.Text)}})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("3 | %d\n", columnar.MaxLine-8), lines(t.Context(), c, "SELECT count(*), max(length(t)) FROM ("+sql+")"))
}

// TestReadJSONAcrossBuffers reads a file of several of DuckDB's buffers, of twice the
// longest line each, with lines of all lengths, blank ones and both line ends across
// their borders; plain with several threads, and compressed.
func TestReadJSONAcrossBuffers(t *testing.T) {
	root := t.TempDir()
	c := connect(t, open(t, duck.Config{FragmentRoot: root, Threads: 4}))
	var content strings.Builder
	rows, sum := 0, 0
	filler := strings.Repeat("é", 4000)
	for content.Len() < 5*columnar.MaxLine {
		n := (rows * 7919) % 4000
		fmt.Fprintf(&content, `{"n":%d,"t":%q}`, rows, filler[:2*n])
		content.WriteString([]string{"\n", "\r\n", "\n\n", " \n \n"}[rows%4])
		sum += rows
		rows++
	}
	plain, packed := filepath.Join(root, "a.raw"), filepath.Join(root, "a.zst")
	require.NoError(t, os.WriteFile(plain, []byte(content.String()), 0o600))
	require.NoError(t, os.WriteFile(packed, []byte(zstandard(t, content.String())), 0o600))
	schema := columnar.Schema{Columns: []columnar.Column{column("n", columnar.Int64), column("t", columnar.Text)}}
	for _, file := range []string{plain, packed} {
		sql, err := duck.ReadJSON([]string{file}, schema)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%d | %d | %d\n", rows, sum, rows), lines(t.Context(), c,
			"SELECT count(*), sum(n)::BIGINT, count(DISTINCT n) FROM ("+sql+") WHERE length(t) = (n * 7919) % 4000"), file)
	}
}
