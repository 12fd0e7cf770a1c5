package columnar

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzProof: any bytes are a proof that is written as it was read, or none.
func FuzzProof(f *testing.F) {
	for _, p := range []Proof{{}, {Schema: 1, Length: 10, Rows: 2, Clean: true, EndsInNewline: true}, {Schema: 1 << 63, Length: 1 << 40, Rows: 1, Rejects: 5}} {
		b, err := p.MarshalBinary()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Proof
		if err := p.UnmarshalBinary(b); err != nil {
			require.Zero(t, p)
			return
		}
		require.True(t, p.Rows <= p.Length && p.Rejects <= p.Length && p.Rows >= 0 && p.Rejects >= 0)
		require.False(t, p.Clean && (p.Rejects > 0 || !p.EndsInNewline))
		text, err := p.MarshalBinary()
		require.NoError(t, err)
		var again Proof
		require.NoError(t, again.UnmarshalBinary(text))
		require.Equal(t, p, again)
	})
}

// FuzzSplitArray: the elements of an array's text are the same when they are written again, each in quotes.
func FuzzSplitArray(f *testing.F) {
	for _, s := range []string{"{}", "{1,2}", `{"a,b",NULL,"NULL",null}`, `{a\,b}`, `{"a\"b\\"}`, " { x , y } ", "{,}", `{"a"b}`, "{{1}}"} {
		f.Add(s)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, s string) {
		elements, ok := SplitArray(s)
		if !ok {
			require.Empty(t, elements)
			return
		}
		require.LessOrEqual(t, len(elements), len(s))
		parts := make([]string, len(elements))
		for i, e := range elements {
			if parts[i] = "NULL"; e != nil {
				parts[i] = `"` + quote.Replace(*e) + `"`
			}
		}
		again, ok := SplitArray("{" + strings.Join(parts, ",") + "}")
		require.True(t, ok)
		require.Equal(t, elements, again)
	})
}
