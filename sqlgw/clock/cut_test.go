package clock_test

import (
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/sqlgw/clock"
)

func drawCut(t *rapid.T) clock.Cut {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}/t\.[0-9]{1,2}/part-00[0-9]`), 0, 20, rapid.ID).Draw(t, "names")
	var places []clock.Place
	for _, n := range names {
		places = append(places, clock.Place{
			Journal: n, Revision: rapid.Int64Range(1, 1<<40).Draw(t, "revision"), Offset: rapid.Int64Range(0, 1<<50).Draw(t, "offset"),
		})
	}
	return clock.NewCut(rapid.Int64Range(0, 1<<40).Draw(t, "revision"), places)
}

// TestCutRoundTrip: a cut's text is read back as it; each of its places is found, and no other.
func TestCutRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCut(t)
		got, err := clock.ParseCut(c.String())
		require.NoError(t, err)
		require.Equal(t, c.Revision, got.Revision)
		require.Len(t, got.Places, len(c.Places))
		for _, p := range c.Places {
			found, ok := got.Place(p.Journal)
			require.True(t, ok)
			require.Equal(t, p, found)
		}
		_, ok := got.Place("zzzz/none")
		require.False(t, ok)
	})
}

// TestCutDamaged: a text with one character changed, cut off, or added to is refused.
func TestCutDamaged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawCut(t).String()
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		other := rapid.SampledFrom([]byte("abcxyz234567:AZ=\x00")).Draw(t, "other")
		if text[at] != other {
			_, err := clock.ParseCut(text[:at] + string(other) + text[at+1:])
			require.Error(t, err)
		}
		_, err := clock.ParseCut(text[:at])
		require.Error(t, err)
		_, err = clock.ParseCut(text + "a")
		require.Error(t, err)
	})
}

// forge a text of any content with the right sum.
func forge(content []byte) string {
	content = binary.BigEndian.AppendUint32(content, crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	return "cut:1:" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(content))
}

// TestCutRefused: what isn't a cut is told by its fault.
func TestCutRefused(t *testing.T) {
	place := func(shared byte, name string, numbers ...byte) []byte {
		return append(append([]byte{shared, byte(len(name))}, name...), numbers...)
	}
	for text, want := range map[string]string{
		"":                           `a cut begins with "cut:1:"`,
		"now":                        `a cut begins with "cut:1:"`,
		"cut:2:aaaa":                 `cut of version "2": this is version 1`,
		"cut:1:":                     "damaged",
		"cut:1:AAAAAAAA":             "damaged",
		strings.Repeat("x", 1<<20+1): "at most 1048576 bytes",
		forge([]byte{5, 1, 0}):       "shares more",
		forge([]byte{5, 0, 9, 'a'}):  "ends too early",
		forge(append([]byte{5}, place(0, "a/b/c", 1)...)):                                        "ends too early",
		forge(append([]byte{5}, place(0, "a b c", 1, 1)...)):                                     `the name "a b c"`,
		forge(append([]byte{5}, place(0, "a/b/c", 0, 1)...)):                                     "at revision 0",
		forge(append(append([]byte{5}, place(0, "b/b/c", 1, 1)...), place(0, "a/b/c", 1, 1)...)): "journal a/b/c after b/b/c",
		forge([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}):                   "too large",
	} {
		_, err := clock.ParseCut(text)
		require.ErrorContains(t, err, want, "%.60q", text)
	}
	_, err := clock.ParseCut(forge(append([]byte{5}, place(0, "a/b/c", 1, 1)...)))
	require.NoError(t, err)
}

// TestCutNamesBounded: a short text can't stand for names that fill the memory.
func TestCutNamesBounded(t *testing.T) {
	content := []byte{5}
	long := strings.Repeat("a", 500)
	content = append(append(append(content, 0, 0xf4, 3), long...), 1, 1)
	for i := range 26 * 26 * 26 {
		suffix := []byte{byte('a' + i/676), byte('a' + i/26%26), byte('a' + i%26)}
		content = append(append(append(content, 0xf4, 3, 3), suffix...), 1, 1)
	}
	_, err := clock.ParseCut(forge(content))
	require.ErrorContains(t, err, "names of more than 8388608 bytes")
}

// TestCutFormat pins the text that docs/format/cut.md shows.
func TestCutFormat(t *testing.T) {
	c := clock.NewCut(4711, []clock.Place{
		{Journal: "public/rides.7/part-000", Revision: 230, Offset: 1 << 20},
		{Journal: "public/rides.7/part-001", Revision: 230, Offset: 0},
	})
	page, err := os.ReadFile("../../docs/format/cut.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "\n"+c.String()+"\n")
}

func FuzzParseCut(f *testing.F) {
	f.Add("cut:1:")
	f.Add(clock.NewCut(1, []clock.Place{{Journal: "a/b/c", Revision: 1, Offset: 1}}).String())
	f.Fuzz(func(t *testing.T, text string) {
		c, err := clock.ParseCut(text)
		if err == nil && c.String() != text {
			t.Fatalf("%q is read as what is written %q", text, c.String())
		}
		if content, err := base32.StdEncoding.DecodeString(text); err == nil {
			if c, err := clock.ParseCut(forge(content)); err == nil {
				again, err := clock.ParseCut(c.String())
				require.NoError(t, err)
				require.Equal(t, c, again)
			}
		}
	})
}
