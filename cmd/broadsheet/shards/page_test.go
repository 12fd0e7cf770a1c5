package shards_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// block of a page: its language, the name of the file that it is, if it is one, and its text.
var block = regexp.MustCompile("(?ms)^```(\\w+)(?: (\\S+))?\n(.*?)^```$")

// TestConsumersPage: what docs/consumers.md shows is what happens. Its fenced blocks are files, whose names follow the language, and
// console sessions. What lists shards is done again until it shows what the page has: shards are assigned soon, not at once.
func TestConsumersPage(t *testing.T) {
	for _, program := range []string{"curl", "jq", "sed"} {
		testenv.Program(t, program)
	}
	page, err := os.ReadFile("../../../docs/consumers.md")
	require.NoError(t, err)
	w, dir := newWorld(t), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run := func(command string) string {
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "BROKER_ADDRESS="+w.broker.Endpoint(), "CONSUMER_ADDRESS="+w.host.URL())
		out, _ := cmd.CombinedOutput() // An error is shown as it is.
		return strings.TrimSpace(string(out))
	}
	commands := 0
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		if m[2] != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, m[2]), []byte(m[3]), 0o600))
			continue
		}
		require.Equal(t, "console", m[1])
		for session := range strings.SplitSeq("\n"+m[3], "\n$ ") {
			command, want, _ := strings.Cut(session, "\n")
			if command == "" {
				continue
			}
			commands++
			requireShown(ctx, t, strings.TrimSpace(want), command, run)
		}
	}
	require.Greater(t, commands, 12)
}

// requireShown runs a command, whose output is as the page has it; ... is anything within a line.
func requireShown(ctx context.Context, t *testing.T, want, command string, run func(string) string) {
	t.Helper()
	pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), `\.\.\.`, ".*") + "$")
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		got := run(command)
		if pattern.MatchString(got) {
			return
		}
		if strings.HasPrefix(command, "broadsheet shards list") && ctx.Err() == nil {
			<-pause.C
			continue
		}
		require.Fail(t, fmt.Sprintf("$ %s\ngot:\n%s\nthe page has:\n%s", command, got, want))
	}
}
