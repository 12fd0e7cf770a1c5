package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// process is a program that is started again and again, with the same arguments.
type process struct {
	name string
	path string
	args []string
	env  []string
	log  *logBuffer

	cmd    *exec.Cmd
	exited chan struct{} // closed when the present run has ended; nil before the first

	mu    sync.Mutex
	asked syscall.Signal // that the present run is to end by; 0 if it is to go on
	gone  []string       // how runs ended that nobody asked to, or by something else than that
}

// start begins a run.
func (p *process) start() error {
	p.cmd = exec.Command(p.path, p.args...) //nolint:noctx // it is ended by signals
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, p.log
	p.cmd.Env = append(os.Environ(), p.env...)
	// Should this process be killed, so are those that it started.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	p.ask(0)
	go func() { // ends with the process
		_ = cmd.Wait() // how it ended is asked of its state
		p.ended(cmd.ProcessState)
		close(exited)
	}()
	return nil
}

// ask the present run to end by a signal, which is then sent.
func (p *process) ask(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = s
}

// ended notes how a run did, if that isn't what was asked. One that was told by SIGTERM may
// take its time, and then is killed; how well it does is up to who told it.
func (p *process) ended(state *os.ProcessState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	status, _ := state.Sys().(syscall.WaitStatus)
	if p.asked == 0 || (p.asked == syscall.SIGKILL && status.Signal() != syscall.SIGKILL) {
		p.gone = append(p.gone, state.String())
	}
}

// unasked are the ends of runs that nobody asked for.
func (p *process) unasked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.gone)
}

// running tells whether the process runs, or is stopped by SIGSTOP.
func (p *process) running() bool {
	if p.exited == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal the process, if it runs.
func (p *process) signal(s os.Signal) error {
	if !p.running() {
		return fmt.Errorf("%s doesn't run: %w", p.name, os.ErrProcessDone)
	}
	return p.cmd.Process.Signal(s)
}

// kill ends the process by SIGKILL, and waits until it is gone. It tells whether the process ran.
func (p *process) kill() bool {
	if !p.running() {
		return false
	}
	p.ask(syscall.SIGKILL)
	_ = p.signal(syscall.SIGKILL) // It may just have ended.
	<-p.exited
	return true
}

// terminate ends the process by SIGTERM. It fails if the process ends badly, or not in time.
func (p *process) terminate(ctx context.Context) error {
	p.ask(syscall.SIGTERM)
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("%s didn't end by SIGTERM: %w", p.name, context.Cause(ctx))
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended by SIGTERM with code %d", p.name, code)
	}
	return nil
}

// logBuffer keeps the last of what a process wrote, and counts what is looked for. The zero value is ready.
type logBuffer struct {
	mu      sync.Mutex
	text    []byte
	epochs  tally
	crashes [2]tally
}

// What a log is looked through for: the runtime begins with either when it ends a process.
const epochBegan, panicked, fatal = `msg="epoch began"`, "panic:", "fatal error: "

// tally counts a text in a stream that comes in pieces.
type tally struct {
	n    int
	rest []byte // of the pieces before: less than the text
}

func (t *tally) add(text string, p []byte) {
	b := slices.Concat(t.rest, p)
	t.n += bytes.Count(b, []byte(text))
	t.rest = bytes.Clone(b[max(0, len(b)-len(text)+1):])
}

// keptLog bounds how much of a log is kept.
const keptLog = 1 << 20

// Write as of io.Writer. What was written at once may come in pieces, as a pipe was read.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epochs.add(epochBegan, p)
	b.crashes[0].add(panicked, p)
	b.crashes[1].add(fatal, p)
	b.text = append(b.text, p...)
	if over := len(b.text) - keptLog; over > keptLog/2 {
		b.text = append([]byte(nil), b.text[over:]...)
	}
	return len(p), nil
}

func (b *logBuffer) counts() (epochs, crashes int) { //nolint:nonamedreturns // which is which
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epochs.n, b.crashes[0].n + b.crashes[1].n
}

// save the log as a file.
func (b *logBuffer) save(path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return os.WriteFile(path, b.text, 0o600)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func mkdirs(dirs ...string) error {
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Clean(d), 0o750); err != nil {
			return err
		}
	}
	return nil
}
