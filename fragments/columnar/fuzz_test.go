package columnar

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzScanner reads any bytes, cut into reads in two ways: every whole line is a row, a
// reject or blank, at its offset; what is a row is JSON, and what isn't JSON is a reject.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(`{"c1":1,"c5":1.5,"c12":"x","must":1}`+"\n\n{}\nx"), 3)
	f.Add([]byte(`{"c24":{"a":[1,2,{}]},"c25":{"b":1e3,"a":"\u0041"},"must":0}`+"\n"), 7)
	f.Add([]byte(`{"c18":"2024-02-29","c19":"12:34","c21":"2024-02-29T12:34:56Z","c22":"1 day","must":-0}`+"\r\n"), 1)
	f.Add([]byte("{\"c12\":\"\xff\\ud800\"}\n"+`{"c17":"\\x00","c23":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}`), 100)
	schema := everySchema()
	f.Fuzz(func(t *testing.T, content []byte, chunk int) {
		o := ScanOptions{Begin: 100, End: 100 + int64(len(content)), Schema: schema}
		want := scan(bytes.NewReader(content), o)
		o.BatchRows = 2
		got := scan(&slowReader{content: content, sizes: []int{max(1, chunk&0xff)}}, o)
		want.batches, got.batches = 0, 0
		require.Equal(t, want, got)
		require.Equal(t, io.EOF, got.err)

		s := NewScanner(bytes.NewReader(content), o)
		verdict := map[int64]string{}
		for {
			batch, rejects, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			for _, at := range batch.Offsets {
				verdict[at-100] = "row"
			}
			for _, r := range rejects {
				require.NotContains(t, verdict, r.Offset-100)
				verdict[r.Offset-100] = r.Reason
			}
		}
		at := int64(0)
		for line := range bytes.Lines(content) {
			if line[len(line)-1] == '\n' {
				checkVerdict(t, line[:len(line)-1], verdict[at])
				delete(verdict, at)
				at += int64(len(line))
			}
		}
		require.Empty(t, verdict, "a row or reject that is no line")
		require.Equal(t, 100+at, got.offset)
	})
}

// checkVerdict compares with encoding/json, which is less strict than we are: it takes
// halves of surrogate pairs, and makes invalid UTF-8 valid.
func checkVerdict(t *testing.T, line []byte, verdict string) {
	t.Helper()
	isJSON := json.Valid(line)
	switch {
	case verdict == "":
		require.Empty(t, bytes.Trim(line, " \t\r"), "a line that is neither a row nor a reject")
	case verdict == "row":
		require.True(t, isJSON && utf8.Valid(line), "%q", line)
	case strings.HasPrefix(verdict, "not valid JSON"):
		lax := !utf8.Valid(line) || strings.HasSuffix(verdict, "surrogate pair in a string") || strings.HasSuffix(verdict, "nested too deeply")
		require.True(t, !isJSON || lax, "%q: %s", line, verdict)
	}
}

// FuzzParseText reads any text as any type: what is read survives its text, its binary
// form and its row, and what isn't read leaves nothing behind.
func FuzzParseText(f *testing.F) {
	types := allTypes()
	for i := range types {
		for _, s := range []string{"1", "-1.5e3", "2024-02-29 12:34:56.789+02:30", "1 day -04:05:06", `{"a": [1, "\u0041"]}`, `\x00ff`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "infinity", "P1Y2M3DT4H5M6S"} {
			f.Add(uint8(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, s string) {
		typ := types[int(i)%len(types)]
		b := NewVectorBuilder(typ)
		err := ParseText(typ, s, b)
		require.Equal(t, err, ParseText(typ, s, nil), "with or without a builder")
		if err != nil {
			_, ok := errors.AsType[*InputError](err)
			require.True(t, ok, "%v", err)
			require.Zero(t, b.Len())
			return
		}
		v := b.Vector()
		want := string(AppendText(nil, &v, 0))
		require.True(t, utf8.ValidString(want))
		require.NoError(t, ParseText(typ, want, b), want)
		require.NoError(t, ParseBinary(typ, AppendBinary(nil, &v, 0), b))
		all := b.Vector()
		require.Equal(t, []string{want, want, want}, values(&all))
		if want == "null" {
			return
		}
		schema := Schema{Columns: []Column{{Name: "c", Type: typ}}}
		row, err := NewRowWriter(schema, nil).AppendRow(nil, &Batch{Len: 1, Cols: []Vector{v}}, 0)
		require.NoError(t, err)
		require.Equal(t, want, values(&readBack(t, schema, row).Cols[0])[0])
	})
}

// FuzzParseBinary gives any bytes to the receive functions.
func FuzzParseBinary(f *testing.F) {
	types := allTypes()
	for i := range types {
		f.Add(uint8(i), []byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 5})
		f.Add(uint8(i), bytes.Repeat([]byte{0xff}, 16))
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		typ := types[int(i)%len(types)]
		b := NewVectorBuilder(typ)
		if err := ParseBinary(typ, data, b); err != nil {
			_, ok := errors.AsType[*InputError](err)
			require.True(t, ok, "%v", err)
			require.Zero(t, b.Len())
			return
		}
		v := b.Vector()
		want := string(AppendText(nil, &v, 0))
		require.NoError(t, ParseBinary(typ, AppendBinary(nil, &v, 0), b))
		require.NoError(t, ParseText(typ, want, b))
		all := b.Vector()
		require.Equal(t, []string{want, want, want}, values(&all))
	})
}
