package pgwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var errInterrupted = errors.New("interrupted")

// brokenSource gives a stream in pieces, and fails between them now and then, as a connection
// does when a call is cancelled.
type brokenSource struct {
	t      *rapid.T
	stream []byte
	sizes  *rapid.Generator[int]
	fails  bool
}

func (s *brokenSource) Read(p []byte) (int, error) {
	if len(s.stream) == 0 {
		return 0, io.EOF
	}
	if s.fails && rapid.IntRange(0, 3).Draw(s.t, "fails") == 0 {
		n := copy(p, s.stream[:rapid.IntRange(0, min(3, len(s.stream))).Draw(s.t, "rest")])
		s.stream = s.stream[n:]
		return n, errInterrupted
	}
	n := copy(p[:min(len(p), s.sizes.Draw(s.t, "size"))], s.stream)
	s.stream = s.stream[n:]
	return n, nil
}

// again calls fn until it isn't interrupted.
func again[T any](fn func() (T, error)) (T, error) {
	for {
		if v, err := fn(); !errors.Is(err, errInterrupted) {
			return v, err
		}
	}
}

// TestMessagesSurviveAnySplit: however the bytes arrive, whatever the sizes of the buffer, and
// wherever waiting is interrupted, the same messages come out, whole, in parts, or passed over.
func TestMessagesSurviveAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 700), 0, 12).Draw(t, "bodies")
		var stream []byte
		for _, b := range bodies {
			stream = append(binary.BigEndian.AppendUint32(append(stream, 'd'), uint32(len(b)+4)), b...)
		}
		src := &brokenSource{t: t, stream: stream, sizes: rapid.IntRange(1, 300)}
		in := newInbound(src, rapid.IntRange(8, 200).Draw(t, "buffer"))
		for i, want := range bodies {
			src.fails = true
			kind, err := again(in.header)
			require.NoError(t, err)
			require.Equal(t, byte('d'), kind)
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0: // passed over
			case 1:
				src.fails = false // take is not called again
				got, err := in.body(1000)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "message %d", i)
			case 2:
				var got []byte
				for len(got) < len(want) {
					part, err := again(in.chunk)
					require.NoError(t, err)
					require.NotEmpty(t, part)
					got = append(got, part...)
				}
				require.True(t, bytes.Equal(want, got), "message %d", i)
				part, err := in.chunk()
				require.NoError(t, err)
				require.Empty(t, part)
			case 3: // some, and the rest is passed over
				_, err := again(in.chunk)
				require.NoError(t, err)
				in.resize(rapid.IntRange(8, 300).Draw(t, "another buffer"))
			}
		}
		_, err := again(in.header)
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestTags(t *testing.T) {
	for tag, want := range map[string]string{
		"SELECT 3": "SELECT 0", "INSERT 0 12": "INSERT 0 0", "SHOW": "SHOW", "CREATE TABLE": "CREATE TABLE", "FETCH 0": "FETCH 0",
	} {
		require.Equal(t, want, withoutRows(tag))
	}
}

func TestCharactersAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"\xff": "0xff", "a\x00b": "0x00", "\xe2\x28\xa1": "0xe2 0x28 0xa1", "ok \xc3": "0xc3", "\xf0\x9f\x98": "0xf0 0x9f 0x98",
		"\xed\xa0\x80": "0xed 0xa0 0x80", "é\xc0\xaf": "0xc0 0xaf",
	} {
		require.EqualError(t, checkText([]byte(text)), `invalid byte sequence for encoding "UTF8": `+want+" (SQLSTATE 22021)")
	}
	for _, text := range []string{"", "a", "é", "😀", "\uFFFD"} {
		require.NoError(t, checkText([]byte(text)))
	}
}

// TestLongSettingsAreCut, because libpq would close the connection.
func TestLongSettingsAreCut(t *testing.T) {
	var p parameters
	w := writer{pool: newPool()}
	p.SetParameter("long", string(bytes.Repeat([]byte("é"), 100_000)))
	p.report(&w)
	require.Less(t, len(w.buf), 30_000)
	require.NotContains(t, describeMessage('S', w.buf[5:]), `\ufffd`)
}
