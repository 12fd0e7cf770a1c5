package journals_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
)

const commandsPage = "../../../docs/commands.md"

// TestDocExamples: what docs/commands.md shows is what happens. Its fenced blocks are files, whose
// names follow the language, and console sessions.
func TestDocExamples(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	require.NoError(t, err)
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	var script, files strings.Builder
	commands := 0
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)(?: (\\S+))?\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if m[2] != "" {
			fmt.Fprintf(&script, "cp later/%s %s\n", m[2], m[2])
			fmt.Fprintf(&files, "-- later/%s --\n%s", m[2], m[3])
			continue
		}
		require.Equal(t, "console", m[1])
		for session := range strings.SplitSeq("\n"+m[3], "\n$ ") {
			command, want, _ := strings.Cut(session, "\n")
			if command == "" {
				continue
			}
			commands++
			fmt.Fprintf(&script, "exec sh want%d.sh\nshows want%d\n", commands, commands)
			fmt.Fprintf(&files, "-- want%d.sh --\nexec 2>&1\n%s || true\n-- want%d --\n%s\n", commands, command, commands, strings.TrimSuffix(want, "\n"))
		}
	}
	require.Greater(t, commands, 15)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "page.txtar"), []byte(script.String()+files.String()), 0o600))
	runScripts(t, dir, func(env *testscript.Env) error {
		env.Setenv("BROKER_ADDRESS", b.Endpoint())
		return nil
	})
}

// shows <file>: the last output is the file's, in which ... is anything within a line.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shows file")
	}
	want := strings.TrimSpace(ts.ReadFile(args[0]))
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), `\.\.\.`, ".*") + "$"
	if got := strings.TrimSpace(ts.ReadFile("stdout")); !regexp.MustCompile(pattern).MatchString(got) {
		ts.Fatalf("got:\n%s\nthe page has:\n%s", got, want)
	}
}

// TestEveryFlagIsDocumented, below the heading of its command.
func TestEveryFlagIsDocumented(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	require.NoError(t, err)
	visit(root(), func(cmd *cobra.Command, long, short string) {
		name := strings.TrimPrefix(cmd.CommandPath(), "broadsheet ")
		heading := regexp.MustCompile(`(?m)^#+ ` + regexp.QuoteMeta(name) + `$`).FindIndex(page)
		require.NotNil(t, heading, name)
		section := string(page[heading[1]:])
		if next := regexp.MustCompile(`(?m)^#`).FindStringIndex(section); next != nil {
			section = section[:next[0]]
		}
		require.Contains(t, section, "`--"+long+"`", name)
		if short != "" {
			require.Contains(t, section, "`-"+short+"`", name)
		}
	})
}
