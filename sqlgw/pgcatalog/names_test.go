package pgcatalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// TestNamesReadBack: a name that is printed names the same thing.
func TestNamesReadBack(t *testing.T) {
	c := &Catalog{keywords: quotedKeywords()}
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.OneOf(rapid.StringN(1, 8, -1), rapid.SampledFrom([]string{"select", "Name", `a"b`, "a.b", "ä", "x1"}))
		parts := rapid.SliceOfN(part, 1, 3).Draw(t, "parts")
		printed := make([]string, len(parts))
		for i, p := range parts {
			printed[i] = c.quoteIdent(p)
		}
		got, err := splitName(" " + strings.Join(printed, " . ") + "\t")
		require.NoError(t, err)
		require.Equal(t, parts, got)
	})
}

// TestEveryColumnTypeIsListed: pg_type has the type of each column that a table may have.
func TestEveryColumnTypeIsListed(t *testing.T) {
	all, err := readTypes()
	require.NoError(t, err)
	for k := columnar.Bool; k.Valid(); k++ {
		typ := columnar.Type{Kind: k}
		if k == columnar.Array {
			continue // those of every other kind are
		}
		listed := all.byOID[int64(typ.OID())]
		require.NotNil(t, listed, k)
		require.Equal(t, int64(typ.TypeSize()), listed.length, k)
		require.NotNil(t, all.byOID[listed.array], k)
	}
}

// FuzzSplitName: any text is read or refused.
func FuzzSplitName(f *testing.F) {
	for _, seed := range []string{`a.b`, `"a""b".c`, `"`, `a..b`, `a"b"`, ` x `, `"" . x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := splitName(text)
		if err != nil {
			return
		}
		for _, p := range parts {
			require.NotEmpty(t, p)
		}
	})
}
