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

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
	"broadsheet.dev/broadsheet/protocol"
)

// pieces reads in pieces of some size.
type pieces struct {
	r    io.Reader
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.size)]) }

// TestLines: whatever comes at once, and whatever is to be skipped, messages are whole lines, one with a UUID and one that is skipped by itself,
// and together all that there is.
func TestLines(t *testing.T) {
	pointer, err := committed.ParsePointer("/u")
	require.NoError(t, err)
	producer := message.Producer{1, 2, 3, 4, 5, 6}
	rapid.Check(t, func(t *rapid.T) {
		var content []byte
		var begins []int64
		uuids := map[int64]message.UUID{}
		n := rapid.IntRange(0, 30).Draw(t, "lines")
		for i := range n {
			begins = append(begins, int64(len(content)))
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
		const from = 1000
		skip := rapid.SliceOfN(rapid.Int64Range(from-2, from+int64(len(content))), 0, 3).Draw(t, "skip")
		if len(begins) > 0 {
			skip = append(skip, from+rapid.SampledFrom(begins).Draw(t, "line"))
		}
		slices.Sort(skip)
		find := committed.Finder(nil)
		if rapid.Bool().Draw(t, "messages") {
			find = pointer.UUID
		}
		c := newLineCodec(find, skip, from)
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
			single := bytes.Count(m.text, []byte{'\n'}) == 1
			for offset := at; offset < at+int64(len(m.text)); offset++ {
				u, has := uuids[offset]
				if find == nil {
					has, u = false, message.UUID{}
				}
				if has || slices.Contains(skip, from+offset) && slices.Contains(begins, offset) {
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
		c := newLineCodec(nil, nil, 0)
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
	require.EqualValues(t, len(longest)+1, c.at)
	_, err = c.AppendFrame(nil, nil)
	require.ErrorIs(t, err, errReadOnly)
	_, err = c.Marshal(nil, nil)
	require.ErrorIs(t, err, errReadOnly)
}

// TestSkipped: offsets are those of the journal, ascending.
func TestSkipped(t *testing.T) {
	labels := protocol.MustLabelSet(consumer.LabelSkip, "a%3Bb=7", consumer.LabelSkip, "a%3Bb=30", consumer.LabelSkip, "a%3Bb=5", consumer.LabelSkip, "c=1", consumer.LabelSkip, "a%3Bb=x")
	require.Equal(t, []int64{5, 7, 30}, skippedOf(labels, "a;b"))
	require.Equal(t, []int64{1}, skippedOf(labels, "c"))
	require.Empty(t, skippedOf(nil, "c"))
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
	b.reset()
	require.Zero(t, b.bytes)
	rows, err = b.held(columnar.Schema{})
	require.NoError(t, err)
	require.Empty(t, rows)
}
