package chaos

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// TestLogIsCounted, however what was written comes in pieces.
func TestLogIsCounted(t *testing.T) {
	text := []byte(strings.Repeat(`level=INFO msg="epoch began"`+"\npanic: oh\nfatal error: all goroutines are asleep\n", 3))
	for size := range len(text) {
		var b logBuffer
		for piece := range slices.Chunk(text, size+1) {
			n, err := b.Write(piece)
			require.NoError(t, err)
			require.Equal(t, len(piece), n)
		}
		epochs, crashes := b.counts()
		require.Equal(t, []int{3, 6}, []int{epochs, crashes}, "in pieces of %d", size+1)
	}
}

// TestEndsThatNobodyAskedFor are told; those by kill and terminate aren't, and only who ran was killed.
func TestEndsThatNobodyAskedFor(t *testing.T) {
	sh := testenv.Program(t, "sh")
	script := func(s string) *process {
		p := &process{name: "script", path: sh, args: []string{"-c", s}, log: new(logBuffer)}
		require.NoError(t, p.start())
		return p
	}
	const forever = "while :; do sleep 0.01; done"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	p := script(forever)
	require.True(t, p.kill())
	require.False(t, p.kill())
	require.Empty(t, checkProcess(p))

	p = script("trap 'exit 0' TERM; echo ready >&2; " + forever)
	require.Eventually(t, func() bool {
		p.log.mu.Lock()
		defer p.log.mu.Unlock()
		return len(p.log.text) > 0
	}, time.Minute, time.Millisecond)
	require.NoError(t, p.terminate(ctx))
	require.Empty(t, checkProcess(p))

	p = script("exit 3")
	<-p.exited
	require.False(t, p.kill())
	require.NoError(t, p.start())
	<-p.exited
	require.Equal(t, slices.Repeat([]string{"script ended, which nobody asked for: exit status 3"}, 2), checkProcess(p))

	p = script(forever)
	require.NoError(t, p.signal(syscall.SIGKILL)) // as the kernel does when memory is out
	<-p.exited
	require.Equal(t, []string{"script ended, which nobody asked for: signal: killed"}, checkProcess(p))

	p = script("echo 'fatal error: oh' >&2; exit 2")
	<-p.exited
	p.ask(syscall.SIGKILL) // too late
	require.Equal(t, []string{"script panicked, or ended by a fatal error, 1 times", "script ended, which nobody asked for: exit status 2"}, checkProcess(p))

	p = script(forever) // It ends by itself while it is about to be killed.
	p.ask(syscall.SIGKILL)
	require.NoError(t, p.signal(syscall.SIGABRT))
	<-p.exited
	require.Len(t, checkProcess(p), 1)
}
