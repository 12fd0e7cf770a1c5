package sqlgw

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments"
)

// TestPlan runs testdata/plan: fragments as "begin-end flags", where the flag c is clean
// and t is known to end in a newline; the answer is the pieces.
func TestPlan(t *testing.T) {
	datadriven.RunTest(t, "testdata/plan", func(t *testing.T, d *datadriven.TestData) string {
		require.Equal(t, "plan", d.Cmd)
		var begin, head int64
		d.ScanArgs(t, "begin", &begin)
		d.ScanArgs(t, "head", &head)
		var out strings.Builder
		for _, p := range planJournal(begin, head, parseStored(t, d.Input), d.HasArg("decode-all")) {
			how := "decode"
			if p.InPlace != nil {
				how = "in place"
			}
			fmt.Fprintf(&out, "[%d, %d) %s\n", p.Begin, p.End, how)
		}
		if out.Len() == 0 {
			return "nothing\n"
		}
		return out.String()
	})
}

func parseStored(t *testing.T, input string) []storedFragment {
	t.Helper()
	var out []storedFragment
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		b, e, ok := strings.Cut(words[0], "-")
		require.True(t, ok, line)
		begin, err := strconv.ParseInt(b, 10, 64)
		require.NoError(t, err)
		end, err := strconv.ParseInt(e, 10, 64)
		require.NoError(t, err)
		flags := ""
		if len(words) > 1 {
			flags = words[1]
		}
		out = append(out, storedFragment{
			Fragment: fragments.Fragment{Begin: begin, End: end},
			Clean:    strings.Contains(flags, "c"), Terminated: strings.ContainsAny(flags, "ct"),
		})
	}
	sortStored(out)
	return out
}

func sortStored(s []storedFragment) {
	slices.SortFunc(s, func(a, b storedFragment) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End))
	})
}

// TestPlanCoversExactly: for any fragments, the pieces tile the range; one that is read in
// place is a clean fragment, and begins where a line does.
func TestPlanCoversExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// A stream of lines, and fragments that cut it anywhere.
		newline := rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(t, "newline")
		n := int64(len(newline))
		lineStart := func(at int64) bool { return at == 0 || newline[at-1] }
		var stored []storedFragment
		for range rapid.IntRange(0, 12).Draw(t, "fragments") {
			b := rapid.Int64Range(0, n-1).Draw(t, "begin")
			e := rapid.Int64Range(b+1, n).Draw(t, "end")
			terminated := newline[e-1] && rapid.Bool().Draw(t, "terminated")
			stored = append(stored, storedFragment{
				Fragment: fragments.Fragment{Begin: b, End: e}, Terminated: terminated,
				// What was proven clean was proven as if it began a line.
				Clean: terminated && rapid.Bool().Draw(t, "clean"),
			})
		}
		sortStored(stored)
		head := rapid.Int64Range(0, n).Draw(t, "head")
		at, decoded := int64(0), false
		for _, p := range planJournal(0, head, stored, false) {
			require.Equal(t, at, p.Begin)
			require.Greater(t, p.End, p.Begin)
			if p.InPlace != nil {
				require.True(t, lineStart(p.Begin), "in place at %d", p.Begin)
				require.Equal(t, [2]int64{p.Begin, p.End}, [2]int64{p.InPlace.Begin, p.InPlace.End})
			} else {
				require.False(t, decoded, "neighbours that are decoded are one piece")
			}
			at, decoded = p.End, p.InPlace == nil
		}
		require.Equal(t, head, at)
	})
}
