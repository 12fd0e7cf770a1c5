package views

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// pieces reads in pieces of some size.
type pieces struct {
	r    io.Reader
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.size)]) }

// TestLines: whatever comes at once, messages are whole lines, one with a UUID by itself, and together all that there is.
func TestLines(t *testing.T) {
	pointer, err := committed.ParsePointer("/u")
	require.NoError(t, err)
	producer := message.Producer{1, 2, 3, 4, 5, 6}
	rapid.Check(t, func(t *rapid.T) {
		var content []byte
		uuids := map[int64]message.UUID{}
		n := rapid.IntRange(0, 30).Draw(t, "lines")
		for i := range n {
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				u := message.NewUUID(producer, message.Clock(i+1)<<4, message.ContinueTxn)
				uuids[int64(len(content))] = u
				content = fmt.Appendf(content, "{\"u\":%q}\n", u)
			case 1:
				content = append(content, '\n')
			case 2:
				content = append(content, strings.Repeat("x", rapid.IntRange(0, 200).Draw(t, "long"))+"\n"...)
			default:
				content = append(content, "{\"a\":1}\n"...)
			}
		}
		find := committed.Finder(nil)
		if rapid.Bool().Draw(t, "messages") {
			find = pointer.UUID
		}
		c := &lineCodec{find: find, most: rapid.IntRange(0, 100).Draw(t, "most")}
		r := bufio.NewReaderSize(pieces{bytes.NewReader(content), rapid.IntRange(1, 300).Draw(t, "size")}, 64)
		at := int64(0)
		for {
			var m lines
			if _, err := r.Peek(1); err != nil {
				break
			}
			frame, err := c.ReadFrame(r, 0)
			require.NoError(t, err)
			require.NoError(t, c.Unmarshal(c.Message(frame), &m))
			require.Equal(t, content[at:at+int64(len(m.text))], m.text)
			require.True(t, bytes.HasSuffix(m.text, []byte{'\n'}))
			require.True(t, c.most == 0 || len(m.text) <= c.most || bytes.Count(m.text, []byte{'\n'}) == 1, "no more than is wanted")
			single := bytes.Count(m.text, []byte{'\n'}) == 1
			for offset := at; offset < at+int64(len(m.text)); offset++ {
				u, has := uuids[offset]
				if find == nil {
					has, u = false, message.UUID{}
				}
				if has {
					require.True(t, single, "a line by itself")
				}
				if has || offset == at {
					require.Equal(t, u, m.GetUUID())
				}
			}
			at += int64(len(m.text))
		}
		require.EqualValues(t, len(content), at)
	})
}

// TestEndOfLines: a line that ends without its newline, and one that is too long.
func TestEndOfLines(t *testing.T) {
	read := func(text string) (*lineCodec, []byte, error) {
		c := new(lineCodec)
		r := bufio.NewReaderSize(strings.NewReader(text), 64)
		frame, err := c.ReadFrame(r, 0)
		return c, frame, err
	}
	for _, text := range []string{"abc", strings.Repeat("x", 100)} {
		_, _, err := read(text)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	_, _, err := read("")
	require.ErrorIs(t, err, io.EOF)
	longest := strings.Repeat("x", columnar.MaxLine) + "\n"
	c, frame, err := read(longest)
	require.NoError(t, err)
	require.Len(t, frame, len(longest))
	require.False(t, c.long)
	c, frame, err = read("x" + longest)
	require.NoError(t, err)
	require.Empty(t, frame)
	require.True(t, c.long)
	_, err = c.AppendFrame(nil, nil)
	require.ErrorIs(t, err, errReadOnly)
	_, err = c.Marshal(nil, nil)
	require.ErrorIs(t, err, errReadOnly)
}

// TestBatch: what stands together in a journal does so in a batch, and places in it are offsets.
func TestBatch(t *testing.T) {
	b := &batch{most: 20}
	require.True(t, b.room(make([]byte, 100)), "the first one")
	b.add("a", 10, []byte("{}\n{}\n"))
	b.add("b", 0, []byte("{}\n"))
	b.add("a", 16, []byte("{}\n"))
	b.add("a", 100, []byte("no row\n{}\n"))
	require.False(t, b.room([]byte("x")))
	require.Len(t, b.contents[0].spans, 2)
	rows, err := b.held(columnar.Schema{Columns: []columnar.Column{{Name: "c", Type: columnar.Type{Kind: columnar.Int64}}}})
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []int64{10, 13, 16, 107}, rows[0].Offsets)
	require.Equal(t, []int64{0}, rows[1].Offsets)
	_, _, alone := b.single()
	require.False(t, alone)
	b.reset()
	require.Zero(t, b.bytes)
	b.add("b", 7, []byte("{}\n"))
	journal, offset, alone := b.single()
	require.True(t, alone && journal == "b" && offset == 7)
	b.most = 1 << 30
	b.add("a", 0, bytes.Repeat([]byte{'\n'}, maxLines-2))
	require.True(t, b.room([]byte("\n")))
	b.add("a", maxLines-2, []byte("\n"))
	require.False(t, b.room([]byte("\n")), "there are as many lines as there may be")
	b.reset()
	rows, err = b.held(columnar.Schema{})
	require.NoError(t, err)
	require.Empty(t, rows)
}

// TestBatchWithout: lines that begin at an offset are left out of a batch, whatever stands with them; all else is in it, where it stands.
func TestBatchWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const from = 100
		var text []byte
		var begins []int64
		for range rapid.IntRange(1, 8).Draw(t, "lines") {
			begins = append(begins, int64(from+len(text)))
			text = append(text, strings.Repeat("x", rapid.IntRange(0, 5).Draw(t, "length"))+"\n"...)
		}
		skip := rapid.SliceOfDistinct(rapid.Int64Range(from-3, from+int64(len(text))+3), rapid.ID).Draw(t, "skip")
		slices.Sort(skip)
		b := &batch{most: 1000}
		left := b.addWithout(skip, "j", from, text)
		have, skipped := map[int64]string{}, 0
		for _, c := range b.contents {
			at := int64(0)
			for line := range bytes.Lines(c.text) {
				have[c.offset(at)] = string(line)
				at += int64(len(line))
			}
		}
		for i, begin := range begins {
			end := int64(from + len(text))
			if i+1 < len(begins) {
				end = begins[i+1]
			}
			if slices.Contains(skip, begin) {
				skipped++
				continue
			}
			require.Equal(t, string(text[begin-from:end-from]), have[begin])
		}
		require.Len(t, have, len(begins)-skipped)
		require.Equal(t, skipped, left)
	})
}
