package system_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// TestDemo: the demonstration shows an answer and new rows, prints how to go on, ends on Ctrl-C
// with everything it started, and finds its data at the next run.
func TestDemo(t *testing.T) {
	t.Parallel()
	server, err := system.Binary()
	require.NoError(t, err)
	nexmark := filepath.Join(t.TempDir(), "nexmark")
	build := exec.Command("go", "build", "-o", nexmark, "./examples/nexmark")
	build.Dir = system.Root()
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	data := filepath.Join(t.TempDir(), "data")
	args := []string{"demo", "--server", server, "--data-dir", data, "--listen", "127.0.0.1:0", "--sql-listen", "127.0.0.1:0", "--watch", "1s"}

	out, err = exec.Command(nexmark, append(args, "--once")...).CombinedOutput()
	text := string(out)
	require.NoError(t, err, text)
	require.Contains(t, text, "SELECT channel, count(*) AS bids")
	require.Regexp(t, `Google +[0-9]+ +[0-9]+`, text)
	require.Regexp(t, `and [1-9][0-9]* new ones`, text)
	require.Regexp(t, `psql -h 127.0.0.1 -p [0-9]+ -U postgres postgres`, text)
	require.Regexp(t, `http://127.0.0.1:[0-9]+/public/bid\.[0-9]+/part-000`, text)
	require.NotContains(t, text, "Found")

	again := exec.Command(nexmark, args...)
	var buf lockedText
	again.Stdout, again.Stderr = &buf, &buf
	require.NoError(t, again.Start())
	require.Eventually(t, func() bool { return strings.Contains(buf.String(), "Ctrl-C stops everything") }, time.Minute, 20*time.Millisecond, buf.String())
	require.Regexp(t, `Found [1-9][0-9]* events of an earlier run`, buf.String())
	pids := childrenOf(t, again.Process.Pid)
	require.NotEmpty(t, pids)
	require.NoError(t, again.Process.Signal(syscall.SIGINT))
	require.NoError(t, again.Wait(), buf.String())
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !alive(pid) }, time.Minute, 5*time.Millisecond)
	}
}

// childrenOf lists the processes below one.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var all []int
	for _, child := range system.Children(pid) {
		all = append(all, child)
		all = append(all, childrenOf(t, child)...)
	}
	return all
}

// lockedText is text that a process writes while a test reads.
type lockedText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedText) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedText) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
