package fragments_test

import (
	"crypto/sha1" //nolint:gosec // fragments are named by it
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

// formatDoc is the page that tells users what these tests hold.
const formatDoc = "../docs/format/fragment-names.md"

// docTable returns the cells of the rows of the table whose header begins with first.
func docTable(t *testing.T, first string) [][]string {
	t.Helper()
	page, err := os.ReadFile(formatDoc)
	require.NoError(t, err)
	var rows [][]string
	in := false
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		switch {
		case len(cells) < 3:
			in = false
		case strings.TrimSpace(cells[1]) == first:
			in = true
		case in && !strings.Contains(cells[1], "---"):
			row := make([]string, 0, len(cells))
			for _, cell := range cells[1 : len(cells)-1] {
				row = append(row, strings.Trim(strings.TrimSpace(cell), "`"))
			}
			rows = append(rows, row)
		}
	}
	require.NotEmpty(t, rows, "no table of %q", first)
	return rows
}

// TestDocExamples parses the examples of the page, and formats those that we write.
func TestDocExamples(t *testing.T) {
	written := 0
	for _, row := range docTable(t, "path, below the store") {
		rel, readOnly := row[0], row[6] == "read only"
		want := fragments.Fragment{
			Journal:     row[1],
			PathPostfix: row[2],
			Begin:       parseInt(t, row[3]),
			End:         parseInt(t, row[4]),
			Sum:         sha1.Sum([]byte("hello, fragments\n")), //nolint:gosec // see the import
			Codec:       protocol.CompressionCodec(protocol.CompressionCodec_value[row[5]]),
		}
		got, err := fragments.ParseContentPath(want.Journal, rel)
		require.NoError(t, err)
		require.Equal(t, rel, got.ContentPath(), "it must be found again")
		require.Equal(t, readOnly, got.Name != "", "%s", rel)
		got.Name = ""
		require.Equal(t, want, got)
		if !readOnly {
			require.Equal(t, rel, want.ContentPath())
			written++
		}
	}
	require.Equal(t, 5, written, "one example for each codec")
}

// TestDocCodecs holds the page's table of codecs.
func TestDocCodecs(t *testing.T) {
	rows := docTable(t, "codec")
	require.Len(t, rows, len(protocol.CompressionCodec_value)-1)
	for _, row := range rows {
		c := protocol.CompressionCodec(protocol.CompressionCodec_value[row[0]])
		require.NoError(t, c.Validate())
		require.Equal(t, strings.ReplaceAll(row[1], "nothing", ""), codec.Extension(c))
		for ext := range strings.SplitSeq(row[2], ",") {
			got, err := codec.FromExtension(strings.ReplaceAll(strings.Trim(strings.TrimSpace(ext), "`"), "nothing", ""))
			require.NoError(t, err)
			require.Equal(t, c, got)
		}
	}
}

// TestDocColumns holds the page's ruler: at which character each part begins.
func TestDocColumns(t *testing.T) {
	page, err := os.ReadFile(formatDoc)
	require.NoError(t, err)
	lines := strings.Split(string(page), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "0123456789") {
			continue
		}
		name, labels := lines[i+1], lines[i+2]
		require.Len(t, name, len(line))
		f, err := fragments.ParseContentPath("any/journal", "any/journal/"+name)
		require.NoError(t, err)
		require.Empty(t, f.Name)
		sum := hex.EncodeToString(f.Sum[:])
		require.Zero(t, strings.Index(labels, "begin"))
		require.Equal(t, strings.Index(name, "-")+1, strings.Index(labels, "end"))
		require.Equal(t, strings.Index(name, sum), strings.Index(labels, "sum"))
		require.Equal(t, strings.Index(name, "."), strings.Index(labels, "extension"))
		return
	}
	require.Fail(t, "the page has no ruler")
}

// TestNames parses the paths of testdata/names.
func TestNames(t *testing.T) {
	datadriven.RunTest(t, "testdata/names", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			rel := strings.TrimSuffix(line, "\n")
			f, err := fragments.ParseContentPath(d.CmdArgs[0].Key, strings.ReplaceAll(rel, "SUM", strings.Repeat("ab", 20)))
			if err != nil {
				var name *fragments.NameError
				require.ErrorAs(t, err, &name)
				out.WriteString("error: " + name.Reason + "\n")
				continue
			}
			out.WriteString(formatEntry(fragments.Entry{Fragment: f}) + " " + f.Codec.String())
			if f.PathPostfix != "" {
				out.WriteString(" in " + f.PathPostfix)
			}
			if f.Name != "" {
				out.WriteString(", spelt otherwise")
			}
			out.WriteString("\n")
		}
		return out.String()
	})
}

func drawFragment(t *rapid.T) fragments.Fragment {
	path := rapid.StringMatching(`[a-zäß0-9_+.=%-]{4,9}(/[a-z0-9_+=%-]{1,9}){0,3}`).
		Filter(func(s string) bool { return protocol.ValidateJournalName(s) == nil })
	f := fragments.Fragment{
		Journal: path.Draw(t, "journal"),
		Begin:   rapid.Int64Min(0).Draw(t, "begin"),
		Codec:   protocol.CompressionCodec(rapid.Int32Range(1, 5).Draw(t, "codec")),
		ModTime: rapid.Int64Min(0).Draw(t, "mod time"),
		Store:   rapid.SampledFrom([]string{"", "file:///", "s3://bucket/"}).Draw(t, "store"),
	}
	f.End = rapid.Int64Min(f.Begin).Draw(t, "end")
	copy(f.Sum[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "sum"))
	if rapid.Bool().Draw(t, "has a postfix") {
		f.PathPostfix = path.Draw(t, "postfix")
	}
	return f
}

// TestRoundTrips sends fragments through their names and through messages.
func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFragment(t)
		require.Equal(t, f, fragments.FragmentFromProto(f.Proto()))
		got, err := fragments.ParseContentPath(f.Journal, f.ContentPath())
		require.NoError(t, err)
		got.Store, got.ModTime = f.Store, f.ModTime
		require.Equal(t, f, got)
		require.Equal(t, f.End-f.Begin, got.Length())
	})
	require.Equal(t, fragments.Fragment{}, fragments.FragmentFromProto(nil))
}

// TestNestedJournal tells the objects of a journal below from those of a postfix.
func TestNestedJournal(t *testing.T) {
	journals := map[string]bool{"acme/clicks": true, "acme/clicks/eu": true, "acme/clicks/eu/west": true, "acme": true}
	exists := func(journal string) bool { return journals[journal] }
	for postfix, want := range map[string]string{
		"":             "",
		"us":           "",
		"europe":       "",
		"eu":           "acme/clicks/eu",
		"eu/east":      "acme/clicks/eu",
		"eu/west":      "acme/clicks/eu/west",
		"eu/west/hour": "acme/clicks/eu/west",
	} {
		f := fragments.Fragment{Journal: "acme/clicks", PathPostfix: postfix}
		got, nested := f.NestedJournal(exists)
		require.Equal(t, want, got, "%q", postfix)
		require.Equal(t, want != "", nested, "%q", postfix)
	}
}

// FuzzParseContentPath demands of every path that parses that it is found again
// under the path that is formatted, and that it makes a valid message.
func FuzzParseContentPath(f *testing.F) {
	sum := strings.Repeat("ab", 20)
	for _, rel := range []string{
		"0000000000000000-0000000000000400-" + sum + ".gz", "date=1/0-1-" + sum, "0-1-" + sum + ".GZOD",
		"../0-1-" + sum, "a//0-1-" + sum + ".raw", "0-0-0", "--", "ffffffffffffffff-0-" + sum, "0-1-" + sum + ".raw.gz",
	} {
		f.Add("a/journal", "a/journal/"+rel)
	}
	f.Fuzz(func(t *testing.T, journal, rel string) {
		got, err := fragments.ParseContentPath(journal, rel)
		if err != nil {
			return
		}
		if got.ContentPath() != rel {
			t.Fatalf("parsed %q, formatted %q", rel, got.ContentPath())
		}
		if err := got.Proto().Validate(); err != nil {
			t.Fatalf("%q: %v", rel, err)
		}
		canonical := got
		canonical.Name = ""
		again, err := fragments.ParseContentPath(journal, canonical.ContentPath())
		if err != nil || again != canonical {
			t.Fatalf("%q: %+v, then %+v, %v", rel, canonical, again, err)
		}
	})
}
