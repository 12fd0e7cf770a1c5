// Package supervise keeps a child process alive, and lets it live no longer than its
// parent.
//
// # What
//
// Child runs a command again whenever it ends, with back-off when it ends at once.
// It hands the child open files (a listener that outlives it, so that connections made
// meanwhile wait instead of being refused) and a lifeline: a pipe whose end tells the
// child that its parent is gone, however it went.
//
// # Invariants
//
//   - At most one child runs at a time.
//   - When Run returns, the child has ended.
//   - A child that calls Lifeline ends when its parent does, also by SIGKILL.
//
// # Goroutines
//
// One in the child, by Lifeline, for the life of the process. In the parent Run waits in
// the caller's task, with one goroutine per child that it awaits.
//
// # Testing
//
// supervise_test.go runs itself as the child.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// EnvLifeline names the variable with the number of the lifeline's descriptor.
const EnvLifeline = "BROADSHEET_LIFELINE_FD"

// EnvReady names the variable with the number of the descriptor that the child
// writes a line to when it is ready.
const EnvReady = "BROADSHEET_READY_FD"

// FirstFile is the descriptor of Files[0] in the child.
const FirstFile = 5

// Child describes a child process. Name and Path are needed.
type Child struct {
	Name string
	Path string
	Args []string
	// Files are handed down as descriptors FirstFile and up.
	Files []*os.File
	// OnStart is told the process id of each child; OnReady that it said it is ready,
	// OnExit that it ended.
	OnStart, OnReady, OnExit func(pid int)
	// Grace is how long a child may take to end after SIGTERM; zero is 10 s.
	Grace time.Duration
	// MaxBackOff bounds the wait before a child that keeps ending at once is started
	// again; zero is 5 s. A child that lived for longer than this is restarted at once.
	MaxBackOff time.Duration
	// Env is added to this process's environment.
	Env    []string
	Stdout io.Writer
	Stderr io.Writer
	Logger *slog.Logger
}

// Run starts the child, and starts it again when it ends, until ctx is done. It then
// asks the child to end, kills it after Grace, and returns nil.
func (c *Child) Run(ctx context.Context) error {
	grace, maxBackOff := c.Grace, c.MaxBackOff
	if grace == 0 {
		grace = 10 * time.Second
	}
	if maxBackOff == 0 {
		maxBackOff = 5 * time.Second
	}
	backOff := time.Duration(0)
	for {
		began := time.Now()
		err := c.once(ctx, grace)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to end: how it ended doesn't matter
		}
		if time.Since(began) > maxBackOff {
			backOff = 0
		}
		c.Logger.LogAttrs(ctx, slog.LevelWarn, "child process ended and is started again",
			slog.String("child", c.Name), slog.Any("error", err), slog.Duration("after", backOff))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backOff):
		}
		backOff = min(max(2*backOff, 50*time.Millisecond), maxBackOff)
	}
}

// once runs the child to its end.
func (c *Child) once(ctx context.Context, grace time.Duration) error {
	lifeR, lifeW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("%s: lifeline: %w", c.Name, err)
	}
	defer func() { _ = lifeW.Close() }() // the child reads its end
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("%s: ready pipe: %w", c.Name, err), lifeR.Close())
	}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	cmd.ExtraFiles = append([]*os.File{lifeR, readyW}, c.Files...)
	cmd.Env = append(append(os.Environ(), c.Env...), EnvLifeline+"=3", EnvReady+"=4")
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	// A group of its own: a Ctrl-C on the terminal goes to the parent, which ends it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	if err = errors.Join(err, lifeR.Close(), readyW.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", c.Name, err), readyR.Close())
	}
	pid := cmd.Process.Pid
	call(c.OnStart, pid)
	watched := make(chan struct{})
	go func() { // ends with the child, whose end of the pipe it reads
		defer close(watched)
		if n, _ := readyR.Read(make([]byte, 16)); n > 0 {
			call(c.OnReady, pid)
		}
	}()
	err = cmd.Wait()
	_ = readyR.SetReadDeadline(time.Now()) // grandchildren may hold the other end
	<-watched
	_ = readyR.Close()
	call(c.OnExit, pid)
	return err
}

func call(fn func(int), pid int) {
	if fn != nil {
		fn(pid)
	}
}

// Lifeline makes this process end, by calling exit, when the parent that supervises it
// is gone. It does nothing in a process that no Child started.
func Lifeline(exit func()) error {
	f, err := inherited(EnvLifeline)
	if f == nil || err != nil {
		return err
	}
	go func() { // for the life of the process
		_, _ = f.Read(make([]byte, 1))
		exit()
	}()
	return nil
}

// Ready tells the parent that this process serves. It does nothing in a process that no
// Child started.
func Ready() error {
	f, err := inherited(EnvReady)
	if f == nil || err != nil {
		return err
	}
	_, err = f.WriteString("ready\n")
	return errors.Join(err, f.Close())
}

func inherited(env string) (*os.File, error) {
	v := os.Getenv(env)
	if v == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(v)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q isn't a descriptor", env, v)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("%s=%q: %w", env, v, err)
	}
	return os.NewFile(uintptr(fd), env), nil
}
