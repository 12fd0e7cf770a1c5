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
	go func() { // ends with the process
		_ = cmd.Wait() // how it ended is asked of its state
		close(exited)
	}()
	return nil
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

// kill ends the process by SIGKILL, and waits until it is gone.
func (p *process) kill() {
	if p.running() {
		_ = p.signal(syscall.SIGKILL) // It may just have ended.
		<-p.exited
	}
}

// terminate ends the process by SIGTERM. It fails if the process ends badly, or not in time.
func (p *process) terminate(ctx context.Context) error {
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

// logBuffer keeps the last of what a process wrote, and counts what is looked for.
type logBuffer struct {
	mu     sync.Mutex
	text   []byte
	epochs int
	panics int
}

// keptLog bounds how much of a log is kept.
const keptLog = 1 << 20

// Write as of io.Writer. A line is written at once by those who log.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epochs += bytes.Count(p, []byte(`msg="epoch began"`))
	b.panics += bytes.Count(p, []byte("panic:"))
	b.text = append(b.text, p...)
	if over := len(b.text) - keptLog; over > keptLog/2 {
		b.text = append([]byte(nil), b.text[over:]...)
	}
	return len(p), nil
}

func (b *logBuffer) counts() (epochs, panics int) { //nolint:nonamedreturns // which is which
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epochs, b.panics
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
