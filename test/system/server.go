// Package system runs the real program for whole-system tests: it builds the binary,
// starts `broadsheet serve` on ports of its own, kills it and starts it again.
package system

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// Root is the root of the source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Binary builds the program, once in this process, and returns its path. Of the test processes that want it at
// the same time one builds it, and the others find it up to date: none replaces a program that another is about to
// start.
var Binary = sync.OnceValues(func() (string, error) { return build("broadsheet-test") })

// Static is the program without the gateway, which is built in a moment: for who needs brokers and hosts of shards only.
var Static = sync.OnceValues(func() (string, error) { return build("broadsheet-static-test", "CGO_ENABLED=0") })

func build(name string, env ...string) (string, error) {
	testenv.Uncached()
	path := filepath.Join(Root(), "bin", name)
	unlock, err := lock(path + ".lock")
	if err != nil {
		return "", fmt.Errorf("building the program: %w", err)
	}
	defer unlock()
	cmd := exec.Command("go", "build", "-o", path, "./cmd/broadsheet")
	cmd.Dir, cmd.Env = Root(), append(cmd.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
}

// lock a file, which is made, until what is returned is called or this process ends.
func lock(path string) (func(), error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, f.Close())
		}
	}
}

// readyWithin bounds how long a server that was started may take until it is ready.
const readyWithin = 3 * time.Minute

// Server is a running `broadsheet serve`. Start makes it.
type Server struct {
	// Dir is its data directory.
	Dir string
	// Broker is the host and port of gRPC and HTTP, SQL that of Postgres. They stay the
	// same over restarts.
	Broker, SQL string
	// Args are further arguments of serve.
	Args []string

	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan struct{}
}

// Start runs a server on a data directory, and returns once it is ready.
func Start(ctx context.Context, dir string, args ...string) (*Server, error) {
	s := &Server{Dir: dir, Args: args, Broker: "127.0.0.1:0", SQL: "127.0.0.1:0", log: &lockedBuffer{}}
	return s, s.Restart(ctx)
}

// Restart starts the server again after Kill or Stop, on the same ports. A deadline of ctx doesn't count: it may be
// over by the time that the program is built.
func (s *Server) Restart(ctx context.Context) error {
	binary, err := Binary()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	args := append([]string{"serve", "--data-dir", s.Dir, "--listen", s.Broker, "--sql-listen", s.SQL}, s.Args...)
	s.cmd = exec.Command(binary, args...)
	s.cmd.Stderr = s.log
	s.cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	ready := make(chan error, 1)
	cmd, exited := s.cmd, s.exited
	go func() { // ends with the process
		err := s.readAddresses(bufio.NewScanner(out))
		ready <- err
		_ = cmd.Wait()
		close(exited)
	}()
	select {
	case err := <-ready:
		if err != nil {
			s.Kill()
			return fmt.Errorf("%w\n%s", err, s.Log())
		}
		return nil
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("the server isn't ready: %w\n%s", context.Cause(ctx), s.Log())
	}
}

// readAddresses reads what serve prints: its addresses, then that it is ready.
func (s *Server) readAddresses(lines *bufio.Scanner) error {
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "broker":
			s.Broker = value
		case "sql":
			s.SQL = value
		case "ready":
			return nil
		}
	}
	return errors.New("the server ended before it was ready")
}

// PID of the server.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// GatewayPID is the process id of the gateway: the server's one child.
func (s *Server) GatewayPID() (int, error) {
	for _, pid := range Children(s.PID()) {
		return pid, nil
	}
	return 0, errors.New("the server has no child")
}

// Children of a process that run, of any of its threads.
func Children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var out []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for word := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// Kill ends the server by SIGKILL and waits until it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// Stop ends the server by SIGTERM, and fails if it doesn't end well within the context.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("the server didn't end: %w\n%s", context.Cause(ctx), s.Log())
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server ended with code %d\n%s", code, s.Log())
	}
	return nil
}

// Log is what the server wrote to standard error.
func (s *Server) Log() string { return s.log.String() }

// Connect opens a Postgres connection, and tries again while the gateway is away.
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) {
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// URL of the Postgres port.
func (s *Server) URL() string { return "postgres://postgres@" + s.SQL + "/postgres?sslmode=disable" }

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
