package duck_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/columnar/columnartest"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// reader reads contents on the two paths: DuckDB's on a file, and columnar's scanner.
type reader struct {
	c    *duck.Conn
	path string
}

func newReader(tb testing.TB) *reader {
	tb.Helper()
	root := tb.TempDir()
	return &reader{c: connect(tb, open(tb, duck.Config{FragmentRoot: root})), path: filepath.Join(root, "content.raw")}
}

// inPlace is what DuckDB reads, a column's cells after the other's.
func (r *reader) inPlace(ctx context.Context, content []byte, schema columnar.Schema) ([][]string, error) {
	if err := os.WriteFile(r.path, content, 0o600); err != nil {
		return nil, err
	}
	sql, err := duck.ReadJSON([]string{r.path}, schema)
	if err != nil {
		return nil, err
	}
	batches, err := query(ctx, r.c, sql, nil)
	return allCells(batches, len(schema.Columns)), err
}

// scanned is what the scanner reads.
func (r *reader) scanned(content []byte, schema columnar.Schema) ([][]string, []columnar.Reject, error) {
	s := columnar.NewScanner(bytes.NewReader(content), columnar.ScanOptions{Schema: schema, End: -1})
	var batches []*columnar.Batch
	var rejects []columnar.Reject
	for {
		b, more, err := s.Next()
		rejects = append(rejects, more...)
		if b != nil {
			batches = append(batches, b)
		}
		if errors.Is(err, io.EOF) {
			return allCells(batches, len(schema.Columns)), rejects, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

func allCells(batches []*columnar.Batch, columns int) [][]string {
	out := make([][]string, columns)
	for i := range out {
		out[i] = cells(batches, i)
	}
	return out
}

// TestPathsAgreeOnTheTable holds the table of forms against DuckDB: a clean form is read
// alike on both paths, a blank one by neither.
func TestPathsAgreeOnTheTable(t *testing.T) {
	r := newReader(t)
	values, err := columnartest.Values()
	require.NoError(t, err)
	whole, err := columnartest.Lines()
	require.NoError(t, err)
	clean := 0
	for _, c := range append(values, whole...) {
		if c.Verdict != columnartest.Clean && c.Verdict != columnartest.Blank {
			continue
		}
		clean++
		content := []byte(c.Line + "\n")
		want, rejects, err := r.scanned(content, c.Schema())
		require.NoError(t, err, c.Where)
		require.Empty(t, rejects, c.Where)
		got, err := r.inPlace(t.Context(), content, c.Schema())
		require.NoError(t, err, "%s: %s", c.Where, c.Line)
		require.Equal(t, want, got, "%s: %s", c.Where, c.Line)
	}
	require.Greater(t, clean, 200)
}

// TestPathsAgree draws lines, keeps those that are proven clean, and reads them on both
// paths.
func TestPathsAgree(t *testing.T) {
	r := newReader(t)
	ctx := t.Context()
	cleanLines, allLines := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		schema := drawSchema(t)
		prover := columnar.NewProver(schema)
		var content []byte
		for range rapid.IntRange(1, 60).Draw(t, "lines") {
			line := []byte(strings.ReplaceAll(columnartest.Line(t, schema), "\n", " ") + "\n")
			proof, err := prover.Prove(bytes.NewReader(line))
			require.NoError(t, err)
			allLines++
			if proof.Clean {
				cleanLines++
				content = append(content, line...)
			}
		}
		proof, err := prover.Prove(bytes.NewReader(content))
		require.NoError(t, err)
		require.True(t, proof.Clean, "clean lines are a clean content")
		want, rejects, err := r.scanned(content, schema)
		require.NoError(t, err)
		require.Empty(t, rejects)
		got, err := r.inPlace(ctx, content, schema)
		require.NoError(t, err, "%s", content)
		require.Equal(t, want, got, "%s", content)
	})
	t.Logf("%d of %d lines were clean", cleanLines, allLines)
	require.Greater(t, cleanLines, allLines/20)
}

// TestWrittenRowsAgree writes rows as INSERT does: what is written is read in place as
// the very rows, wherever it is proven clean, and by the scanner always.
func TestWrittenRowsAgree(t *testing.T) {
	r := newReader(t)
	ctx := t.Context()
	proven, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		schema := drawSchema(t)
		n := rapid.IntRange(1, 40).Draw(t, "rows")
		b := &columnar.Batch{Len: n}
		for _, c := range schema.Columns {
			b.Cols = append(b.Cols, vector(t, c.Type, n))
		}
		writer, prover := columnar.NewRowWriter(schema, indexes(len(schema.Columns))), columnar.NewProver(schema)
		var content []byte
		for row := range n {
			line, err := writer.AppendRow(nil, b, row)
			if err != nil {
				continue // not every value that DuckDB holds is one of PostgreSQL's
			}
			proof, err := prover.Prove(bytes.NewReader(line))
			require.NoError(t, err)
			require.Zero(t, proof.Rejects, "%s", line)
			all++
			if proof.Clean {
				proven++
				content = append(content, line...)
			}
		}
		want, rejects, err := r.scanned(content, schema)
		require.NoError(t, err)
		require.Empty(t, rejects)
		got, err := r.inPlace(ctx, content, schema)
		require.NoError(t, err, "%s", content)
		require.Equal(t, want, got, "%s", content)
	})
	t.Logf("%d of %d written rows were clean", proven, all)
	require.Greater(t, proven, all/2)
}

func drawSchema(t *rapid.T) columnar.Schema {
	var schema columnar.Schema
	for i, typ := range rapid.SliceOfN(columnType(), 1, 4).Draw(t, "types") {
		schema.Columns = append(schema.Columns, columnar.Column{Name: fmt.Sprint("c", i), Type: typ})
	}
	return schema
}

// FuzzPaths reads any content that is proven clean on both paths.
func FuzzPaths(f *testing.F) {
	values, err := columnartest.Values()
	require.NoError(f, err)
	for i, c := range values {
		if i%5 == 0 {
			f.Add([]byte(c.Line+"\n"), byte(c.Type.Kind))
		}
	}
	r := newReader(f)
	f.Fuzz(func(t *testing.T, content []byte, kind byte) {
		typ := columnar.Type{Kind: columnar.Bool + columnar.Kind(kind)%columnar.JSONB}
		switch typ.Kind {
		case columnar.Decimal:
			typ.Precision, typ.Scale = 18, 4
		case columnar.Varchar, columnar.Char:
			typ.Length = 5
		default:
		}
		schema := columnar.Schema{Columns: []columnar.Column{{Name: "c", Type: typ}}}
		proof, err := columnar.NewProver(schema).Prove(bytes.NewReader(content))
		require.NoError(t, err)
		if !proof.Clean {
			return
		}
		want, rejects, err := r.scanned(content, schema)
		require.NoError(t, err)
		require.Empty(t, rejects)
		got, err := r.inPlace(t.Context(), content, schema)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
