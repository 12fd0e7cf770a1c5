package columnar

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docBlock is the lines of a fenced block of docs/format/rows.md, cut where two blanks
// or more stand.
func docBlock(t *testing.T, name string) [][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/format/rows.md")
	require.NoError(t, err)
	_, block, found := strings.Cut(string(page), "\n```"+name+"\n")
	require.True(t, found)
	block, _, found = strings.Cut(block, "\n```\n")
	require.True(t, found)
	var out [][]string
	columns := regexp.MustCompile(` {2,}`)
	for l := range strings.SplitSeq(block, "\n") {
		f := columns.Split(l, 3)
		require.Len(t, f, 3, l)
		out = append(out, f)
	}
	return out
}

// TestDocExamples writes the values of the page's examples anew.
func TestDocExamples(t *testing.T) {
	for _, f := range docBlock(t, "rows") {
		typ, err := TypeFromSQL(f[0], nil)
		require.NoError(t, err)
		into := NewVectorBuilder(typ)
		require.NoError(t, ParseText(typ, f[1], into))
		v := into.Vector()
		schema := Schema{Columns: []Column{{Name: "c", Type: typ}}}
		row, err := NewRowWriter(schema, nil).AppendRow(nil, &Batch{Len: 1, Cols: []Vector{v}}, 0)
		require.NoError(t, err)
		require.Equal(t, `{"c":`+f[2]+"}\n", string(row), f[0])
		back := readBack(t, schema, row)
		require.Equal(t, values(&v), values(&back.Cols[0]), f[0])
	}
}

// TestDocReasons reads the page's rejects.
func TestDocReasons(t *testing.T) {
	for _, f := range docBlock(t, "reasons") {
		typ, err := TypeFromSQL(f[0], nil)
		require.NoError(t, err)
		schema := Schema{Columns: []Column{{Name: "c", Type: typ}}}
		_, rejects, err := NewScanner(bytes.NewReader([]byte(`{"c":`+f[1]+"}\n")), ScanOptions{End: -1, Schema: schema}).Next()
		require.NoError(t, err)
		require.Len(t, rejects, 1, f[1])
		require.Equal(t, f[2], rejects[0].Reason)
	}
}
