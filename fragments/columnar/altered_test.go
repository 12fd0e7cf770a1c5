package columnar

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// altered is a schema of a table whose columns were renamed and added since its first lines.
func altered() Schema {
	return Schema{Columns: []Column{
		{Name: "b", Key: "a", Type: Type{Kind: Int64}},
		{Name: "a", Key: "a.2", Type: Type{Kind: Text}, Missing: `"old"`},
		{Name: "c", Type: Type{Kind: JSONB}, NotNull: true, Missing: `{"k": [1, 2]}`},
	}}
}

func scanText(t *testing.T, schema Schema, content string) ([]string, []Reject) {
	t.Helper()
	b, rejects, err := NewScanner(strings.NewReader(content), ScanOptions{End: -1, Schema: schema}).Next()
	require.NoError(t, err)
	var rows []string
	for row := range b.Len {
		var fields []string
		for i := range b.Cols {
			if b.Cols[i].IsNull(row) {
				fields = append(fields, "NULL")
				continue
			}
			fields = append(fields, string(AppendText(nil, &b.Cols[i], row)))
		}
		rows = append(rows, strings.Join(fields, "|"))
	}
	return rows, rejects
}

func TestLinesAreReadByTheirKeys(t *testing.T) {
	rows, rejects := scanText(t, altered(), strings.Join([]string{
		`{"a":1}`, `{"a":2,"a.2":"new","c":3}`, `{"a":3,"a.2":null,"c":"x"}`, `{"a":4,"b":99}`, `{"a.2":"x","a.2":"y"}`, `{"c":null}`, ``,
	}, "\n"))
	require.Equal(t, []string{`1|old|{"k": [1, 2]}`, `2|new|3`, `3|NULL|"x"`, `4|old|{"k": [1, 2]}`}, rows)
	require.Len(t, rejects, 2)
	require.Equal(t, `column "a" appears twice`, rejects[0].Reason)
	require.Equal(t, `column "c" is NULL but NOT NULL`, rejects[1].Reason)
}

// TestLinesWithoutAColumnAreNotReadInPlace holds that DuckDB, to which a missing key is NULL, reads no such line.
func TestLinesWithoutAColumnAreNotReadInPlace(t *testing.T) {
	p := NewProver(altered())
	for content, clean := range map[string]bool{
		`{"a":1,"a.2":"new","c":3}` + "\n":  true,
		`{"a":1,"a.2":null,"c":3}` + "\n":   true,
		`{"a.2":"x","c":3}` + "\n":          true, // a is NULL then
		`{"a":1,"c":3}` + "\n":              false,
		`{"a":1,"a.2":"new"}` + "\n":        false,
		`{"a":1}` + "\n" + `{"a":2}` + "\n": false,
	} {
		proof, err := p.Prove(strings.NewReader(content))
		require.NoError(t, err)
		require.Zero(t, proof.Rejects)
		require.Equal(t, clean, proof.Clean, content)
	}
}

func TestRowsAreWrittenUnderTheirKeys(t *testing.T) {
	v := NewVectorBuilder(Type{Kind: Int64})
	v.AppendInt64(7)
	line, err := NewRowWriter(Schema{Columns: altered().Columns[:2]}, []int{0}).AppendRow(nil, &Batch{Len: 1, Cols: []Vector{v.Vector()}}, 0)
	require.NoError(t, err)
	require.Equal(t, `{"a":7,"a.2":null}`+"\n", string(line), "what the statement leaves out is NULL, not what old lines have")
	rows, _ := scanText(t, Schema{Columns: altered().Columns[:2]}, string(line))
	require.Equal(t, []string{"7|NULL"}, rows)
}

func TestSchemasOfOldLinesAreChecked(t *testing.T) {
	for _, c := range []struct {
		change func(*Schema)
		want   string
	}{
		{func(s *Schema) { s.Columns[1].Key = "a" }, `another of the key "a"`},
		{func(s *Schema) { s.Columns[0].Key = "c" }, `another of the key "c"`},
		{func(s *Schema) { s.Columns[0].Missing = "x" }, "where it is missing"},
		{func(s *Schema) { s.Columns[0].Missing = "null" }, "where it is missing"},
		{func(s *Schema) { s.Columns[0].Missing = `1,"d":2` }, "where it is missing"},
		{func(s *Schema) { s.Columns[0].Missing = `1.5` }, "where it is missing"},
	} {
		s := altered()
		c.change(&s)
		require.ErrorContains(t, s.Validate(), c.want)
	}
	renamed := altered()
	renamed.Columns[0].Name = "z"
	require.Equal(t, altered().Fingerprint(), renamed.Fingerprint(), "what lines say stays")
	for _, change := range []func(*Column){func(c *Column) { c.Missing = "" }, func(c *Column) { c.Missing = `"older"` }, func(c *Column) { c.Key = "x" }} {
		other := altered()
		change(&other.Columns[1])
		require.NotEqual(t, altered().Fingerprint(), other.Fingerprint())
	}
	folded := altered()
	folded.Columns[1].Key = "A"
	require.NoError(t, folded.Validate())
	require.False(t, folded.CleanReadable())
}
