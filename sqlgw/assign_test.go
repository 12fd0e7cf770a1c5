package sqlgw

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// TestAssign runs testdata/assign. "literal TYPE" has constants as an INSERT has them, one a
// line; "cast FROM TO" has texts of values of a type, which are assigned to a column of
// another. The answer is what the column holds, as PostgreSQL prints it.
func TestAssign(t *testing.T) {
	datadriven.RunTest(t, "testdata/assign", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		types := make([]columnar.Type, len(d.CmdArgs))
		for i, a := range d.CmdArgs {
			types[i] = typeOf(t, a.String())
		}
		for line := range strings.Lines(d.Input) {
			line = strings.TrimSuffix(line, "\n")
			var b *columnar.Batch
			var err error
			if d.Cmd == "literal" {
				b, err = literalOf(t, types[0], line)
			} else {
				b, err = castOf(t, types[0], types[1], line)
			}
			if err != nil {
				fmt.Fprintf(&out, "%s\n  %s", line, strings.ReplaceAll(strings.TrimSuffix(errorText(err), "\n"), "\n", "\n  ")+"\n")
				continue
			}
			text := "NULL"
			if !b.Cols[0].IsNull(0) {
				text = fmt.Sprintf("[%s]", columnar.AppendText(nil, &b.Cols[0], 0))
			}
			fmt.Fprintf(&out, "%s = %s\n", line, text)
		}
		return out.String()
	})
}

// typeOf reads a type's name, in which "_" stands for a blank.
func typeOf(t *testing.T, name string) columnar.Type {
	t.Helper()
	name, mods, _ := strings.Cut(strings.ReplaceAll(name, "_", " "), "(")
	var modifiers []int32
	for m := range strings.SplitSeq(strings.TrimSuffix(mods, ")"), "|") {
		var n int32
		if _, err := fmt.Sscan(m, &n); err == nil {
			modifiers = append(modifiers, n)
		}
	}
	ty, err := columnar.TypeFromSQL(name, modifiers)
	require.NoError(t, err)
	return ty
}

func oneColumn(ty columnar.Type) catalog.Table {
	return catalog.Table{Schema: "public", Name: "t", Columns: []catalog.Column{{ID: 1, Name: "c", Type: ty}}}
}

func literalOf(t *testing.T, ty columnar.Type, text string) (*columnar.Batch, error) {
	t.Helper()
	pieces, err := parse.Split("INSERT INTO t VALUES (" + text + ")")
	require.NoError(t, err)
	st, err := parse.Parse(pieces[0])
	require.NoError(t, err)
	rows, ok := st.(*parse.Insert).Source.Literals()
	require.True(t, ok, "%s is an expression", text)
	return literalBatch(oneColumn(ty), []int{0}, rows, &columnar.Batch{}, nil)
}

func castOf(t *testing.T, from, to columnar.Type, text string) (*columnar.Batch, error) {
	t.Helper()
	v := columnar.NewVectorBuilder(from)
	if text == "NULL" {
		v.AppendNull()
	} else {
		require.NoError(t, columnar.ParseText(from, text, v))
	}
	return castBatch(&columnar.Batch{Len: 1, Cols: []columnar.Vector{v.Vector()}}, oneColumn(to), []int{0}, nil)
}

// TestParametersAreAssigned: a parameter that was declared with another type than its column
// goes the way of a cast.
func TestParametersAreAssigned(t *testing.T) {
	arg := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Float64})
	arg.AppendFloat64(2.5)
	rows := [][]parse.Literal{{{Kind: parse.Param, Param: 1}}, {{Kind: parse.Null}}, {{Kind: parse.Number, Text: "2.5"}}}
	b, err := literalBatch(oneColumn(columnar.Type{Kind: columnar.Int64}), []int{0}, rows, &columnar.Batch{Len: 1, Cols: []columnar.Vector{arg.Vector()}}, nil)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 0, 3}, b.Cols[0].I64)
	require.True(t, b.Cols[0].IsNull(1))
}

// TestInsertColumns: how many values a target list takes.
func TestInsertColumns(t *testing.T) {
	table := catalog.Table{Name: "t", Columns: []catalog.Column{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	for _, c := range []struct {
		names []string
		n     int
		want  []int
		code  string
	}{
		{nil, 3, []int{0, 1, 2}, ""},
		{nil, 2, []int{0, 1}, ""},
		{nil, 4, nil, "42601"},
		{[]string{"c", "a"}, 2, []int{2, 0}, ""},
		{[]string{"c", "a"}, 1, nil, "42601"},
		{[]string{"c", "a"}, 3, nil, "42601"},
		{[]string{"c", "c"}, 2, nil, "42701"},
		{[]string{"d"}, 1, nil, "42703"},
	} {
		got, err := insertColumns(table, c.names, c.n)
		if c.code != "" {
			require.Contains(t, errorText(err), c.code)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
}
