package exampletest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/task"
)

// Patience bounds each wait of a test.
const Patience = 3 * time.Minute

// Process is a program that is run.
type Process struct {
	t       *testing.T
	command func() *exec.Cmd
	out     string // the file that it writes to

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of its end
}

// Start a program, which gets the environment of the test and env. It is killed when the test ends, and its output is told if the
// test fails.
func Start(t *testing.T, env []string, name string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, out: filepath.Join(t.TempDir(), "out")}
	p.command = func() *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Env = append(cmd.Environ(), env...)
		return cmd
	}
	p.start()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s:\n%s", filepath.Base(name), strings.Join(args, " "), p.Output())
		}
	})
	return p
}

func (p *Process) start() {
	p.t.Helper()
	out, err := os.OpenFile(p.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, out.Close()) }()
	cmd, done := p.command(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(p.t, cmd.Start())
	p.cmd, p.done = cmd, done
	task.New(context.Background(), "exampletest").Go("process", func(context.Context) error { // ends with the process
		p.err = cmd.Wait()
		close(done)
		return nil
	})
}

// Kill it by SIGKILL, and return once it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // It may have ended.
	<-p.done
}

// Again kills it, and starts it once more.
func (p *Process) Again() {
	p.t.Helper()
	p.Kill()
	p.start()
}

// Stop it by an interrupt; it has to end well.
func (p *Process) Stop() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(os.Interrupt))
	p.Await()
}

// Await its end, which has to be a good one.
func (p *Process) Await() {
	p.t.Helper()
	Until(p.t, "it ends", p.ended)
	require.NoError(p.t, p.err)
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output of it, since it was started first.
func (p *Process) Output() string {
	text, err := os.ReadFile(p.out)
	require.NoError(p.t, err)
	return string(text)
}

// Until waits for a condition.
func Until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late, again := time.NewTimer(Patience), time.NewTicker(20*time.Millisecond)
	defer late.Stop()
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-late.C:
			require.Fail(t, "waited in vain", what)
		}
	}
}
