package columnar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func prove(t require.TestingT, schema Schema, content string) Proof {
	p, err := NewProver(schema).Prove(strings.NewReader(content))
	require.NoError(t, err)
	return p
}

func TestProof(t *testing.T) {
	s := textSchema()
	fp := s.Fingerprint()
	for _, c := range []struct {
		content string
		want    Proof
	}{
		{"", Proof{EndsInNewline: true, Clean: true}},
		{"\n", Proof{EndsInNewline: true, Clean: true}},
		{`{"a":1}` + "\n", Proof{Rows: 1, EndsInNewline: true, Clean: true}},
		{`{"a":1}` + "\n \n" + `{}` + "\n", Proof{Rows: 2, EndsInNewline: true, Clean: true}},
		{`{"a":1}` + "\n" + `{}`, Proof{Rows: 1}},
		{`{"a":1}` + "\n ", Proof{Rows: 1}},
		{`{}`, Proof{}},
		{`{"a":1}` + "\nx\n", Proof{Rows: 1, Rejects: 1, EndsInNewline: true}},
		{`{"a":"+1"}` + "\n", Proof{Rows: 1, EndsInNewline: true}},
		{"null\n", Proof{Rejects: 1, EndsInNewline: true}},
	} {
		c.want.Schema, c.want.Length = fp, int64(len(c.content))
		require.Equal(t, c.want, prove(t, s, c.content), "%q", c.content)
	}

	// Schemas that DuckDB can't read have no clean content, and are counted all the same.
	s.Columns[1].Name = "A"
	require.Equal(t, Proof{Schema: s.Fingerprint(), Length: 8, Rows: 1, EndsInNewline: true}, prove(t, s, `{"a":1}`+"\n"))

	broken := errors.New("broken")
	_, err := NewProver(s).Prove(io.MultiReader(strings.NewReader("{}\n"), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
}

// TestProverIsReusable proves many contents with one prover, and gets what a new one says.
func TestProverIsReusable(t *testing.T) {
	schema := everySchema()
	p := NewProver(schema)
	rapid.Check(t, func(t *rapid.T) {
		content := genContent(t, schema)
		got, err := p.Prove(iotest.OneByteReader(bytes.NewReader(content)))
		require.NoError(t, err)
		require.Equal(t, prove(t, schema, string(content)), got)
	})
}

// TestProofForm pins the serialised form, which is on disks.
func TestProofForm(t *testing.T) {
	p := Proof{Schema: 0x0123456789abcdef, Length: 300, Rows: 5, Clean: true, EndsInNewline: true}
	b, err := p.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, "01 03 01 23 45 67 89 ab cd ef ac 02 05 00", fmt.Sprintf("% x", b))
	var q Proof
	require.NoError(t, q.UnmarshalBinary(b))
	require.Equal(t, p, q)

	rapid.Check(t, func(t *rapid.T) {
		p := Proof{Schema: rapid.Uint64().Draw(t, "schema"), Length: rapid.Int64Min(0).Draw(t, "length"), EndsInNewline: rapid.Bool().Draw(t, "ends")}
		p.Rows = rapid.Int64Range(0, p.Length).Draw(t, "rows")
		p.Rejects = rapid.Int64Range(0, p.Length).Draw(t, "rejects")
		p.Clean = p.EndsInNewline && p.Rejects == 0 && rapid.Bool().Draw(t, "clean")
		b, err := p.AppendBinary([]byte("x"))
		require.NoError(t, err)
		var q Proof
		require.NoError(t, q.UnmarshalBinary(b[1:]))
		require.Equal(t, p, q)
	})

	change := func(at int, to byte) []byte {
		c := bytes.Clone(b)
		c[at] = to
		return c
	}
	require.ErrorIs(t, q.UnmarshalBinary(change(0, proofVersion+1)), ErrProofVersion)
	for _, bad := range [][]byte{
		nil, b[:1], b[:len(b)-1], append(bytes.Clone(b), 0),
		change(1, 4), change(1, 1), change(len(b)-1, 1), change(10, 0), bytes.Repeat([]byte{0xff}, 40),
	} {
		before := q
		require.Error(t, q.UnmarshalBinary(bad), "% x", bad)
		require.Equal(t, before, q)
	}
}
