package protocol_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

// TestSelectors runs:
//
//	parse                  selectors, one a line -> their canonical text, or an error
//	match set=(k=v,...)    selectors, one a line -> whether each matches the set
//	journal name=<name> set=(...)    as match, on a journal's spec and its meta-labels
func TestSelectors(t *testing.T) {
	datadriven.Walk(t, "testdata/selector", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			var out strings.Builder
			for line := range strings.SplitSeq(d.Input, "\n") {
				// A selector stands between bars, so that spaces show.
				sel, err := protocol.ParseLabelSelector(strings.Trim(line, "|"))
				switch {
				case err != nil:
					fmt.Fprintf(&out, "error: %s\n", err)
				case d.Cmd == "parse":
					fmt.Fprintf(&out, "|%s|\n", protocol.FormatLabelSelector(sel))
				case d.Cmd == "match":
					fmt.Fprintf(&out, "%t\n", sel.Matches(setArg(d)))
				case d.Cmd == "journal":
					var name string
					d.ScanArgs(t, "name", &name)
					spec := &protocol.JournalSpec{Name: name, Labels: setArg(d)}
					fmt.Fprintf(&out, "%t\n", sel.ResolveMeta().Matches(spec.SelectableLabels()))
				default:
					d.Fatalf(t, "unknown command %q", d.Cmd)
				}
			}
			return out.String()
		})
	})
}

// setArg returns the labels of the argument "set", or none.
func setArg(d *datadriven.TestData) *protocol.LabelSet {
	set := new(protocol.LabelSet)
	for _, a := range d.CmdArgs {
		if a.Key != "set" {
			continue
		}
		for _, kv := range a.Vals {
			k, v, _ := strings.Cut(kv, "=")
			set.AddValue(k, v)
		}
	}
	return set
}

func TestAbsentSelectorMatchesAll(t *testing.T) {
	var absent *protocol.LabelSelector
	require.True(t, absent.Matches(nil))
	require.True(t, absent.Matches(protocol.MustLabelSet("a.name", "b")))
	require.NoError(t, absent.Validate())
	require.Empty(t, protocol.FormatLabelSelector(absent))
	require.True(t, absent.ResolveMeta().Matches(nil))
}

// FuzzSelector checks that what parses is valid, and that its canonical text
// parses to the same selector and is its own canonical text.
func FuzzSelector(f *testing.F) {
	for _, s := range []string{
		"", "foo", "!foo", "foo = bar, baz==bing", "foo===x", "foo!==x", "in in (a, b)", "not notin (a,b)", "foo:prefix in (a/,b/)",
		"foo=a,foo:prefix=a", "foo:prefix != x", "a.b/c not in (x,y,)", " foo , bar ", "foo in ()", "é\u0301x=%",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sel, err := protocol.ParseLabelSelector(text)
		if err != nil {
			return
		}
		require.NoError(t, sel.Validate())
		canonical := protocol.FormatLabelSelector(sel)
		again, err := protocol.ParseLabelSelector(canonical)
		require.NoError(t, err, "canonical text %q", canonical)
		require.True(t, proto.Equal(sel, again), "%q and %q", text, canonical)
		require.Equal(t, canonical, protocol.FormatLabelSelector(again))
	})
}
