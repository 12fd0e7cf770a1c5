package fragments_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments"
)

// The scenarios write an entry as "begin end key=value...", and its journal's name
// tells entries of the same span apart.
func parseEntry(tb testing.TB, line string) fragments.Entry {
	tb.Helper()
	fields := strings.Fields(line)
	require.GreaterOrEqual(tb, len(fields), 2, "entry %q", line)
	var e fragments.Entry
	e.Begin, e.End = parseInt(tb, fields[0]), parseInt(tb, fields[1])
	for _, field := range fields[2:] {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "name":
			e.Journal = value
		case "age":
			e.Store, e.ModTime = "file:///", now.Unix()-3600*parseInt(tb, value)
		case "sum":
			e.Sum[0] = byte(parseInt(tb, value))
		default:
			require.Fail(tb, "unknown key", "%q", key)
		}
	}
	return e
}

func parseInt(tb testing.TB, s string) int64 {
	tb.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	require.NoError(tb, err)
	return n
}

func formatEntry(e fragments.Entry) string {
	s := fmt.Sprintf("[%d, %d)", e.Begin, e.End)
	if e.Journal != "" {
		s += " " + e.Journal
	}
	if e.Stored() {
		s += fmt.Sprintf(" stored %dh ago", (now.Unix()-e.ModTime)/3600)
	}
	if e.Local != nil {
		s += " local"
	}
	return s
}

func formatEntries(entries []fragments.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(formatEntry(e) + "\n")
	}
	if b.Len() == 0 {
		return "none\n"
	}
	return b.String()
}

// TestCoverSet runs the scenarios of testdata/cover. Each builds its set one entry
// after the other, then at once, and demands the same.
func TestCoverSet(t *testing.T) {
	datadriven.Walk(t, "testdata/cover", func(t *testing.T, path string) {
		t.Helper()
		var set fragments.CoverSet
		var all []fragments.Entry
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			var out strings.Builder
			switch d.Cmd {
			case "new":
				set, all = nil, nil
			case "add":
				for line := range strings.Lines(d.Input) {
					e := parseEntry(t, line)
					before, in := formatEntries(set), false
					old := set
					set, in = set.Add(e)
					require.Equal(t, before, formatEntries(old), "Add changed the set it was called on")
					all = append(all, e)
					if !in {
						fmt.Fprintf(&out, "dropped %s\n", formatEntry(e))
					}
				}
				require.Equal(t, formatEntries(set), formatEntries(fragments.NewCoverSet(all)))
				out.WriteString(formatEntries(set))
			case "longest":
				for _, arg := range d.CmdArgs {
					i, ok := set.Longest(parseInt(t, arg.Key))
					switch {
					case ok:
						fmt.Fprintf(&out, "%s: %s\n", arg.Key, formatEntry(set[i]))
					case i < len(set):
						fmt.Fprintf(&out, "%s: hole below %s\n", arg.Key, formatEntry(set[i]))
					default:
						fmt.Fprintf(&out, "%s: nothing above\n", arg.Key)
					}
				}
			default:
				d.Fatalf(t, "unknown command")
			}
			return out.String()
		})
	})
}

// drawEntries makes entries of a small journal, with many of equal begins, ends and spans.
func drawEntries(t *rapid.T, label string) []fragments.Entry {
	n := rapid.IntRange(0, 12).Draw(t, label)
	entries := make([]fragments.Entry, n)
	for i := range entries {
		begin := rapid.Int64Range(0, 24).Draw(t, "begin")
		entries[i].Begin = begin
		entries[i].End = begin + rapid.Int64Range(0, 9).Draw(t, "length")
		entries[i].Journal = label + strconv.Itoa(i)
	}
	return entries
}

// TestCoverSetModel holds the set against a byte-wise model: which entry serves a
// byte is decided by looking at all entries that were ever added.
func TestCoverSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawEntries(t, "e")
		var set fragments.CoverSet
		for _, e := range all {
			set, _ = set.Add(e)
			requireInvariant(t, set)
		}
		require.Equal(t, formatEntries(set), formatEntries(fragments.NewCoverSet(all)))
		for at := int64(-1); at < 40; at++ {
			want, found := modelLongest(all, at)
			i, ok := set.Longest(at)
			require.Equal(t, found, ok, "byte %d", at)
			if ok {
				require.Equal(t, want, set[i], "byte %d", at)
				continue
			}
			require.True(t, i == 0 || set[i-1].End <= at, "what is below ends below")
			require.True(t, i == len(set) || set[i].Begin > at, "what is above begins above")
		}
	})
}

func requireInvariant(t require.TestingT, set fragments.CoverSet) {
	for i, e := range set {
		require.Less(t, e.Begin, e.End)
		if i > 0 {
			require.Less(t, set[i-1].Begin, e.Begin)
			require.Less(t, set[i-1].End, e.End)
		}
	}
}

// modelLongest is the entry that ends last of those that hold byte at; of them the
// one that begins first; of them the one added last.
func modelLongest(all []fragments.Entry, at int64) (fragments.Entry, bool) {
	var best fragments.Entry
	found := false
	for _, e := range all {
		if e.Begin > at || at >= e.End {
			continue
		}
		if !found || e.End > best.End || e.End == best.End && e.Begin <= best.Begin {
			best, found = e, true
		}
	}
	return best, found
}
