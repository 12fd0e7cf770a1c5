package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// localContent is content whose bytes nobody looks at.
type localContent struct{}

func (localContent) ReadAt([]byte, int64) (int, error) { panic("not read") }

// TestReadScenarios plays testdata/read: what a reader does at each answer of an index.
//
//	index     input: the fragments, one a line: stored BEGIN-END age=DURATION | local BEGIN-END
//	read offset=N [block] [since=DURATION] [end=N] [metadata] [no-proxy]
//	   prints each step until one sends something, waits, or ends the read
func TestReadScenarios(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	datadriven.Walk(t, "testdata/read", func(t *testing.T, path string) {
		t.Helper()
		var index *fragments.Index
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			if d.Cmd == "index" {
				index = indexOf(t, now, d.Input)
				return ""
			}
			return readSteps(t, now, index, d)
		})
	})
}

func indexOf(t *testing.T, now time.Time, text string) *fragments.Index {
	t.Helper()
	index := fragments.NewIndex()
	var stored []fragments.Fragment
	var local []fragments.Entry
	for line := range strings.Lines(text) {
		a := scenarioArgs{t, line, line}
		kind, rest, _ := strings.Cut(line, " ")
		f := fragments.Fragment{Journal: "a/journal", Codec: protocol.CompressionCodec_NONE}
		_, err := fmt.Sscanf(rest, "%d-%d", &f.Begin, &f.End)
		require.NoError(t, err, line)
		if kind == "local" {
			local = append(local, fragments.Entry{Fragment: f, Local: localContent{}})
			continue
		}
		f.Store, f.ModTime = "file:///", now.Add(-a.duration("age")).Unix()
		stored = append(stored, f)
	}
	index.SetStored(stored)
	index.SetLocal(local)
	return index
}

func (a scenarioArgs) duration(key string) time.Duration {
	text, ok := a.find(key)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	require.NoError(a.t, err, a.pos)
	return d
}

func readSteps(t *testing.T, now time.Time, index *fragments.Index, d *datadriven.TestData) string {
	t.Helper()
	words := make([]string, 0, len(d.CmdArgs))
	for _, arg := range d.CmdArgs {
		words = append(words, strings.TrimSuffix(arg.Key+"="+strings.Join(arg.Vals, ","), "="))
	}
	a := scenarioArgs{t, d.Pos, strings.Join(words, " ")}
	req := &protocol.ReadRequest{
		Offset: a.number("offset"), EndOffset: a.number("end"),
		Block: d.HasArg("block"), MetadataOnly: d.HasArg("metadata"), DoNotProxy: d.HasArg("no-proxy"),
	}
	if since := a.duration("since"); since != 0 {
		req.BeginModTime = now.Add(-since).Unix()
	}
	require.NoError(t, (&protocol.ReadRequest{Journal: "a/journal", Offset: req.GetOffset(), EndOffset: req.GetEndOffset()}).Validate())
	var out strings.Builder
	offset := req.GetOffset()
	for {
		hit, err := index.Query(offset)
		require.NoError(t, err)
		var action readAction
		action, offset = planRead(req, hit, now)
		fmt.Fprintf(&out, "%s at %d", action, offset)
		if action == readServe {
			fmt.Fprintf(&out, " of [%d,%d)", hit.Entry.Begin, hit.Entry.End)
			if stopsAtMetadata(req, hit.Entry, offset) {
				out.WriteString(" metadata alone")
			} else {
				fmt.Fprintf(&out, " up to %d", readLimit(req, hit.Entry))
			}
		}
		out.WriteString("\n")
		if action != readSeek {
			return out.String()
		}
	}
}
