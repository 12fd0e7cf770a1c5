package atomic

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCommitScenarios walks the states of a commit.
func TestCommitScenarios(t *testing.T) {
	outcomes := map[string]Outcome{"applied": Applied, "refused": Refused, "lost": Lost}
	datadriven.RunTest(t, "testdata/commit", func(t *testing.T, d *datadriven.TestData) string {
		var journals []string
		for _, arg := range d.CmdArgs {
			journals = append(journals, arg.Vals...)
		}
		c := NewCommit(journals)
		var out strings.Builder
		for said := range strings.FieldsSeq(d.Input) {
			act, journal := c.Next()
			o, ok := outcomes[said]
			if !ok || act == Rest {
				d.Fatalf(t, "%s of %s", said, act)
			}
			c.Report(o)
			fmt.Fprintf(&out, "%s: %s, %s\n", strings.TrimSpace(act.String()+" "+journal), said, c.Fate())
		}
		act, _ := c.Next()
		fmt.Fprintf(&out, "%s: %s", act, c.Fate())
		if c.Finished() {
			out.WriteString(", finished")
		}
		if c.Reusable() {
			out.WriteString(", producer is used again")
		}
		return out.String() + "\n"
	})
}

// TestFormatDocument reads the examples of docs/format/transactions.md, and writes them again.
func TestFormatDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/format/transactions.md")
	require.NoError(t, err)
	var lines []string
	for i, block := range strings.Split(string(page), "```") {
		if i%2 == 1 {
			lines = append(lines, strings.Split(strings.TrimSpace(block), "\n")...)
		}
	}
	require.Len(t, lines, 3)
	for _, line := range lines[:2] {
		r, err := ParseRecord([]byte(line))
		require.NoError(t, err)
		again, err := r.AppendLine(nil)
		require.NoError(t, err)
		require.Equal(t, line+"\n", string(again))
	}
	r, err := ParseRecord([]byte(lines[0]))
	require.NoError(t, err)
	require.Equal(t, lines[2]+"\n", string(r.Frame()))
	c, err := ParseRecord([]byte(lines[1]))
	require.NoError(t, err)
	require.EqualValues(t, len(lines[0])+1, c.Checkpoint)
	for text, want := range map[string]string{
		"x": "invalid character", "{}": "it has no format", `{"v":2}`: "unknown format 2, this program has 1",
		`{"v":1}`: "it has journals", `{"v":1,"ack":"3b4a5968-1d2c-11ee-8c02-230000000001"}`: "it has journals",
		`{"v":1,"ack":"3b4a5968-1d2c-11ee-8c01-230000000001","journals":["a"]}`: "the UUID of an acknowledgement",
		`{"v":1,"settled":1,"journals":["a"]}`:                                  "a checkpoint has an offset", `{"v":1,"settled":-1}`: "a checkpoint has an offset",
	} {
		_, err := ParseRecord([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}
