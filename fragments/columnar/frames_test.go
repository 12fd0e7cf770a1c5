package columnar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
)

// echoFormat: a frame's message is a row of one text. One that begins with '!' is no message, one that begins with '?' a reject.
type echoFormat struct{}

func (echoFormat) Frames() bool                               { return true }
func (echoFormat) AppendIdentity(b []byte) []byte             { return append(b, "echo"...) }
func (echoFormat) NewDecoder([]Column) (RecordDecoder, error) { return echoFormat{}, nil }
func (echoFormat) NewEncoder([]Column) (RecordEncoder, error) { return echoFormat{}, nil }

func (echoFormat) Decode(record []byte, out []*VectorBuilder) Verdict {
	if out[0] != nil {
		out[0].AppendBytes(record)
	}
	switch {
	case bytes.HasPrefix(record, []byte("!")):
		return Verdict{Reason: "no message", Misframed: true}
	case bytes.HasPrefix(record, []byte("?")):
		return Verdict{Reason: "no row"}
	}
	return Verdict{}
}

func (echoFormat) AppendRecord(dst []byte, values [][]byte) ([]byte, error) {
	return AppendFrame(dst, values[0])
}

func echoSchema() Schema {
	return Schema{Columns: []Column{{Name: "m", Type: Type{Kind: Text}}}, Format: echoFormat{}}
}

func frame(content string) string {
	b, err := AppendFrame(nil, []byte(content))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// lengthOnly is a frame's header alone.
func lengthOnly(size uint32) string {
	return string(binary.LittleEndian.AppendUint32(bytes.Clone(frameMagic[:]), size))
}

func TestFrames(t *testing.T) {
	want, err := message.Fixed.AppendFrame(nil, []byte("abc"))
	require.NoError(t, err)
	require.Equal(t, string(want), frame("abc"), "the framing is that of package message")

	for name, c := range map[string]struct {
		content       string
		rows, rejects []string
		offset        int
	}{
		"rows":        {content: frame("a") + frame("") + frame("?x") + frame("b"), rows: []string{"@0 | a", "@9 | ", "@27 | b"}, rejects: []string{"@17+10 no row"}, offset: 36},
		"garbage":     {content: "xyz" + frame("a") + "f3\x93" + frame("b") + "f3", rows: []string{"@3 | a", "@15 | b"}, rejects: []string{"@0+3 no frame begins here", "@12+3 no frame begins here"}, offset: 24},
		"at end":      {content: frame("a") + "garbage", rows: []string{"@0 | a"}, rejects: []string{"@9+7 no frame begins here"}, offset: 16},
		"torn":        {content: frame("a") + frame("bcd")[:10], rows: []string{"@0 | a"}, offset: 9},
		"torn header": {content: frame("a") + frame("bcd")[:6], rows: []string{"@0 | a"}, offset: 9},
		"a gigabyte": {
			content: lengthOnly(1<<30) + "some" + frame("a"), rows: []string{"@12 | a"}, offset: 21,
			rejects: []string{"@0+12 the frame's message would have 1073741824 bytes, at most 16777216 work"},
		},
		"misframed": {
			content: lengthOnly(40) + "!eats" + frame("a") + frame("b") + strings.Repeat("z", 17) + frame("c"), rows: []string{"@13 | a", "@22 | b", "@48 | c"}, offset: 57,
			rejects: []string{"@0+13 no message", "@31+17 no frame begins here"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, chunk := range []int{1, 3, 1000} {
				got := scan(&slowReader{content: []byte(c.content), sizes: []int{chunk}}, ScanOptions{End: int64(len(c.content)), Schema: echoSchema()})
				require.Equal(t, io.EOF, got.err)
				require.Equal(t, c.rows, got.rows)
				require.Len(t, got.rejects, len(c.rejects))
				for i, want := range c.rejects {
					place, reason, _ := strings.Cut(want, " ")
					require.True(t, strings.HasPrefix(got.rejects[i], place+" ") && strings.HasSuffix(got.rejects[i], " "+reason), got.rejects[i])
				}
				require.EqualValues(t, c.offset, got.offset)
			}
		})
	}
}

// TestFramesAreReadBack: rows that are written, with anything between them that is no frame, are read back, however the bytes are read.
func TestFramesAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var content []byte
		var want []string
		w := NewRowWriter(echoSchema(), nil)
		for range rapid.IntRange(0, 6).Draw(t, "rows") {
			content = append(content, rapid.SampledFrom([]string{"", "", "f", "f3\x93", "junk", "f3\x93f3\x93"}).Draw(t, "junk")...)
			into := NewVectorBuilder(Type{Kind: Text})
			into.AppendString(rapid.StringMatching(`[a-z]{0,12}`).Draw(t, "message"))
			v := into.Vector()
			want = append(want, fmt.Sprintf("@%d | %s", len(content), v.Str.Value(0)))
			var err error
			content, err = w.AppendRow(content, &Batch{Len: 1, Cols: []Vector{v}}, 0)
			require.NoError(t, err)
		}
		o := ScanOptions{End: int64(len(content)), Schema: echoSchema(), BatchRows: rapid.IntRange(1, 4).Draw(t, "batch")}
		sizes := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 5).Draw(t, "sizes")
		sizes[0]++
		got := scan(&slowReader{content: content, sizes: sizes}, o)
		require.Equal(t, io.EOF, got.err)
		require.Equal(t, want, got.rows)

		// What is read in two parts is what is read in one.
		cut := rapid.IntRange(0, len(content)).Draw(t, "cut")
		o.End = int64(cut)
		first := scan(bytes.NewReader(content), o)
		o.Begin, o.End = first.offset, int64(len(content))
		rest := scan(bytes.NewReader(content[first.offset:]), o)
		require.Equal(t, want, append(first.rows, rest.rows...))
	})
}

// TestLargeFrames: neither what a header promises nor what stands for a frame is held.
func TestLargeFrames(t *testing.T) {
	for name, head := range map[string]string{"garbage": "x", "a length over the limit": lengthOnly(1 << 31)} {
		const length = 64 << 20
		var got scanned
		used := allocated(func() {
			got = scan(io.MultiReader(strings.NewReader(head), &repeated{content: []byte("0123456789abcdef"), left: length}, strings.NewReader(frame("a"))),
				ScanOptions{End: -1, Schema: echoSchema()})
		})
		require.Len(t, got.rows, 1, name)
		require.Len(t, got.rejects, 1, name)
		require.Less(t, used, uint64(4<<20), name)
	}
	require.Less(t, allocated(func() {
		got := scan(strings.NewReader(lengthOnly(MaxLine)+"only that"), ScanOptions{End: -1, Schema: echoSchema()})
		require.Empty(t, got.rejects)
		require.Zero(t, got.offset)
	}), uint64(1<<20), "a length is believed only as far as bytes follow")
	_, err := AppendFrame(nil, make([]byte, MaxLine+1))
	require.ErrorContains(t, err, "row is too big")
}

func TestFrameErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, content := range []string{"junk", frame("a")[:7], frame("a")[:8]} {
		s := NewScanner(io.MultiReader(strings.NewReader(frame("a")+content), errReader{broken}), ScanOptions{End: -1, Schema: echoSchema()})
		batch, _, err := s.Next()
		require.NoError(t, err)
		require.Equal(t, 1, batch.Len)
		_, _, err = s.Next()
		require.ErrorIs(t, err, broken)
		require.EqualValues(t, 9, s.Offset())
	}
	_, err := NewProver(echoSchema()).Prove(strings.NewReader(""))
	require.ErrorIs(t, err, errNoProof)
	require.NotEqual(t, echoSchema().Fingerprint(), Schema{Columns: echoSchema().Columns}.Fingerprint())
	require.False(t, echoSchema().CleanReadable())

	require.True(t, FrameIsPending(nil))
	require.True(t, FrameIsPending([]byte("f3")))
	require.True(t, FrameIsPending([]byte(frame("abc")[:10])))
	require.False(t, FrameIsPending([]byte(frame("abc"))))
	require.False(t, FrameIsPending([]byte("xf3")))
	require.False(t, FrameIsPending([]byte(lengthOnly(MaxLine+1))))
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// FuzzFrames: any bytes are read alike in any pieces, and all of them are accounted for.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("junk"+frame("a")+lengthOnly(40)+"!eats"+frame("b")), 3)
	f.Add([]byte(lengthOnly(1<<30)+frame("?")+"f3\x93"), 1)
	f.Fuzz(func(t *testing.T, content []byte, chunk int) {
		o := ScanOptions{End: int64(len(content)), Schema: echoSchema()}
		want := scan(bytes.NewReader(content), o)
		o.BatchRows = 2
		got := scan(&slowReader{content: content, sizes: []int{max(1, chunk&0xff)}}, o)
		want.batches, got.batches = 0, 0
		require.Equal(t, want, got)
		require.Equal(t, io.EOF, got.err)
		if rest := content[got.offset:]; len(rest) > 0 {
			require.True(t, FrameIsPending(rest))
		}
	})
}
