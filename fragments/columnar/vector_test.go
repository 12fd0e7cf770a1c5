package columnar

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// values is the text of all values of a vector.
func values(v *Vector) []string {
	out := make([]string, 0, v.Len())
	for i := range v.Len() {
		if v.IsNull(i) {
			out = append(out, "NULL")
			continue
		}
		out = append(out, string(AppendText(nil, v, i)))
	}
	return out
}

// genRows appends n values or NULLs.
func genRows(t *rapid.T, b *VectorBuilder, n int) {
	for range n {
		if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			b.AppendNull()
			continue
		}
		genValue(t, b.Type(), b)
	}
}

// TestBuilderNeverChangesWhatItHandedOut takes a vector, appends more, takes back what
// the vector doesn't have, appends again, and finds the vector as it was.
func TestBuilderNeverChangesWhatItHandedOut(t *testing.T) {
	for _, typ := range allTypes() {
		t.Run(typ.SQL(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := NewVectorBuilder(typ)
				genRows(t, b, rapid.IntRange(0, 5).Draw(t, "first"))
				v := b.Vector()
				before := values(&v)
				require.Len(t, before, b.Len())

				genRows(t, b, rapid.IntRange(0, 10).Draw(t, "more"))
				b.truncate(v.Len())
				genRows(t, b, rapid.IntRange(0, 10).Draw(t, "again"))
				require.Equal(t, before, values(&v))
				all := b.Vector()
				require.Equal(t, before, values(&all)[:v.Len()])
				require.GreaterOrEqual(t, b.Bytes(), int64(all.Len()))

				from := rapid.IntRange(0, all.Len()).Draw(t, "from")
				to := rapid.IntRange(from, all.Len()).Draw(t, "to")
				part := all.Slice(from, to)
				require.Equal(t, values(&all)[from:to], values(&part))

				copied := NewVectorBuilder(typ)
				for i := range part.Len() {
					copied.AppendFrom(&part, i)
				}
				c := copied.Vector()
				require.Equal(t, values(&part), values(&c))
			})
		})
	}
}

func TestVectorOfAnotherKind(t *testing.T) {
	b := NewVectorBuilder(Type{Kind: Int32})
	b.AppendInt64(1)
	require.PanicsWithValue(t, "columnar: a vector of integer was given values of another kind", func() { b.Vector() })
}

func TestBatch(t *testing.T) {
	b := NewBatchBuilder([]Type{{Kind: Int32}, {Kind: Text}, {Kind: Bool}})
	add := func(i int) {
		b.Col(0).AppendInt32(int32(i))
		b.Col(1).AppendString(fmt.Sprint("row ", i))
		b.Col(2).AppendBool(i%2 == 0)
	}
	for i := range 10 {
		add(i)
	}
	b.Col(0).AppendInt32(10)
	require.Equal(t, 10, b.Len(), "the last row isn't whole")
	require.Panics(t, func() { b.Batch() })
	b.Undo(10)
	batch := b.Batch()
	add(11)
	require.Equal(t, 10, batch.Len)
	require.Equal(t, 11, b.Len())
	batch.Journal, batch.Offsets = "j", []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}

	s := batch.Slice(3, 5)
	require.Equal(t, 2, s.Len)
	require.Equal(t, []int64{3, 4}, s.Offsets)
	require.Equal(t, "j", s.Journal)
	require.Equal(t, []string{"3", "4"}, values(&s.Cols[0]))
	require.Equal(t, []string{"row 3", "row 4"}, values(&s.Cols[1]))
	require.Equal(t, []string{"f", "t"}, values(&s.Cols[2]))

	p := s.Project([]int{1, 0, 1})
	require.Len(t, p.Cols, 3)
	require.Equal(t, []string{"row 3", "row 4"}, values(&p.Cols[0]))
	require.Equal(t, []string{"3", "4"}, values(&p.Cols[1]))
	require.Equal(t, "j", p.Journal)
	require.Equal(t, s.Offsets, p.Offsets)

	require.Positive(t, b.Bytes())
	require.Greater(t, batch.Bytes(), int64(10*(4+5+1+8)))
	require.Zero(t, NewBatchBuilder(nil).Batch().Len)
}
