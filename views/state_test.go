package views

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// examples of a page, between its fences.
func examples(t *testing.T, fence string) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/format/views.md")
	require.NoError(t, err)
	var out []string
	for i, part := range strings.Split(string(page), "```") {
		if text, ok := strings.CutPrefix(part, fence+"\n"); ok && i%2 == 1 {
			out = append(out, strings.TrimSpace(text))
		}
	}
	return out
}

// TestFormatDocument holds that keys and values are as docs/format/views.md says.
func TestFormatDocument(t *testing.T) {
	s := shapeOf(&Definition{Plan: Plan{Kind: Groups, Keys: 1}}, []columnar.Column{
		{Name: "k0", Type: columnar.Type{Kind: columnar.Int64}}, {Name: "a0", Type: columnar.Type{Kind: columnar.Decimal, Precision: 38}},
	}, []string{"BIGINT", "HUGEINT"})
	require.Equal(t, []string{string(s.encode())}, examples(t, "json"))
	require.NoError(t, s.check(s.encode()))
	other := s
	other.Keys = 2
	require.ErrorIs(t, other.check(s.encode()), errShape)

	bytesOf := func(text string) []byte {
		b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
		require.NoError(t, err)
		return b
	}
	texts := examples(t, "")
	require.Len(t, texts, 2)
	e, err := decodeEpoch(bytesOf(texts[0]))
	require.NoError(t, err)
	require.Equal(t, epoch{number: 258, rows: 5, floor: 200}, e)
	require.Equal(t, bytesOf(texts[0]), e.encode())

	changes := appendChange(nil, swap{removed: []byte{0, 2}})
	changes = appendChange(changes, swap{[]byte{0, 4}, []byte{0, 6}})
	require.Equal(t, bytesOf(texts[1]), changes)
	x, rest, err := nextChange(changes)
	require.NoError(t, err)
	require.Equal(t, swap{removed: []byte{0, 2}}, x)
	x, rest, err = nextChange(rest)
	require.NoError(t, err)
	require.Equal(t, swap{[]byte{0, 4}, []byte{0, 6}}, x)
	require.Empty(t, rest)

	require.Equal(t, "0400000000000001020000000a", hex.EncodeToString(numbered(keyDelta, 258, 10)))
	require.Equal(t, "030105", hex.EncodeToString(groupKey(nil, "\x01\x05")))
	h, err := decodeDeltaHead([]byte{2, 0xac, 2})
	require.NoError(t, err)
	require.Equal(t, deltaHead{micros: 1, bytes: 300}, h)
}

// FuzzState: what a store may have is read, and written alike, or refused.
func FuzzState(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 2, 0, 5, 0xc8, 1})
	f.Add([]byte{1, 2, 0, 2, 3, 2, 0, 4, 2, 0, 6})
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeEpoch(b); err == nil {
			require.Equal(t, b, e.encode())
			require.LessOrEqual(t, e.floor, e.number)
		}
		if h, err := decodeDeltaHead(b); err == nil {
			require.Equal(t, b, h.encode())
		}
		if n, ok := epochOf(b); ok {
			require.Len(t, b, numberedSize)
			require.Equal(t, b[1:9], numbered(0, n, 0)[1:9])
		}
		for rest := b; len(rest) > 0; {
			x, left, err := nextChange(rest)
			if err != nil {
				break
			}
			require.Less(t, len(left), len(rest))
			again, none, err := nextChange(appendChange(nil, x))
			require.NoError(t, err)
			require.Empty(t, none)
			require.Equal(t, x, again)
			rest = left
		}
		_ = shape{}.check(b)
	})
}

// TestCache holds that a cache has what was used lately, and no more than it may.
func TestCache(t *testing.T) {
	c := newCache(4 * (entrySize + 2))
	for i := range 100 {
		key := string(rune('a' + i%26))
		c.put(key, []byte{byte(i)})
		row, ok := c.get([]byte(key))
		require.True(t, ok)
		require.Equal(t, []byte{byte(i)}, row)
		require.LessOrEqual(t, len(c.young)+len(c.old), 6)
	}
	_, ok := c.get([]byte("nothing"))
	require.False(t, ok)
	c.put("z", []byte{1})
	for i := range 20 { // it is used, and so it stays
		c.put(string(rune('a'+i)), nil)
		_, ok := c.get([]byte("z"))
		require.True(t, ok)
	}
	c.resize(100 * (entrySize + 2))
	for i := range 26 {
		c.put(string(rune('a'+i)), []byte{2})
	}
	require.GreaterOrEqual(t, len(c.young), 26)
	c.resize(4 * (entrySize + 2))
	require.Empty(t, c.young)
	require.Empty(t, c.old, "nothing that is older is left behind")
	c.put("a", []byte{3})
	row, ok := c.get([]byte("a"))
	require.True(t, ok)
	require.Equal(t, []byte{3}, row)
}

// TestNarrow finds the one row that fails, wherever it is.
func TestNarrow(t *testing.T) {
	var rows []*columnar.Batch
	n := int64(0)
	for _, size := range []int{1, 4, 2, 7} {
		b := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Int64})
		for range size {
			b.AppendInt64(n)
			n++
		}
		v := b.Vector()
		rows = append(rows, &columnar.Batch{Len: size, Cols: []columnar.Vector{v}, Offsets: v.I64})
	}
	failure := &duck.Error{Class: duck.ClassConversion}
	for bad := range n + 1 {
		found, cause, err := narrow(rows, func(of []*columnar.Batch) error {
			for _, b := range of {
				if slices.Contains(b.Cols[0].I64, bad) {
					return failure
				}
			}
			return nil
		})
		require.NoError(t, err)
		if bad == n {
			require.Nil(t, found)
			continue
		}
		require.Equal(t, failure, cause)
		require.Equal(t, []int64{bad}, found[0].Offsets)
	}
	_, _, err := narrow(rows, func([]*columnar.Batch) error { return &duck.Error{Class: duck.ClassOutOfMemory} })
	require.Error(t, err)
}

// TestFirstAfter finds the first row with which there are too many, wherever batches end.
func TestFirstAfter(t *testing.T) {
	var rows []*columnar.Batch
	n := int64(0)
	for _, size := range []int{1, 4, 2, 7} {
		b := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Int64})
		for range size {
			b.AppendInt64(n)
			n++
		}
		v := b.Vector()
		rows = append(rows, &columnar.Batch{Len: size, Cols: []columnar.Vector{v}, Offsets: v.I64})
	}
	failure := &duck.Error{Class: duck.ClassConversion}
	for most := range n + 1 {
		found, cause, err := firstAfter(rows, func(of []*columnar.Batch) error {
			if int64(count(of)) > most {
				return failure
			}
			return nil
		})
		require.NoError(t, err)
		if most == n {
			require.Nil(t, found)
			continue
		}
		require.Equal(t, failure, cause)
		require.Equal(t, 1, count(found))
		require.Equal(t, []int64{most}, found[0].Offsets)
	}
	found, _, err := firstAfter(nil, func([]*columnar.Batch) error { return failure })
	require.NoError(t, err)
	require.Nil(t, found)
	_, _, err = firstAfter(rows, func([]*columnar.Batch) error { return &duck.Error{Class: duck.ClassOutOfMemory} })
	require.Error(t, err)
}
