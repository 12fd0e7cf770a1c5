package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/internal/embedetcd"
)

// process is a child that has said where it is reached. It ends with its standard input, or by a signal.
type process struct {
	said map[string]string
	cmd  *exec.Cmd
	in   io.Closer
	done chan struct{} // closed when it has ended
}

// launch a program, and return once it is ready.
func launch(program string, args ...string) (*process, error) {
	p := &process{said: map[string]string{}, cmd: exec.Command(program, args...), done: make(chan struct{})}
	var log strings.Builder
	p.cmd.Stderr = &log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.in = in
	lines, ready := bufio.NewScanner(out), false
	for !ready && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		p.said[name] = value
		ready = name == "ready"
	}
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait() // How it ends is judged by what is measured.
		close(p.done)
	}()
	if !ready {
		<-p.done
		return nil, fmt.Errorf("%s %s: it ended before it was ready:\n%s", program, args[0], log.String())
	}
	return p, nil
}

// kill the process, if it runs, and wait until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.in.Close()
}

// cpuOf is the processor time that a process has used, of all its threads.
func cpuOf(pid int) time.Duration {
	const ofProcess = 2 // the clock of a whole process, of user and system: see clock_getcpuclockid
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|ofProcess), &t) != nil { //nolint:gosec // it fits
		return 0
	}
	return time.Duration(t.Nano())
}

// roleEtcd is the argument that makes this program an etcd.
const roleEtcd = "etcd"

// serveEtcd in a directory, until standard input ends.
func serveEtcd(dir string) error {
	etcd, err := embedetcd.Start(context.Background(), embedetcd.Config{
		Dir: filepath.Join(dir, "etcd"), RunDir: filepath.Join(dir, "run"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Println("etcd", etcd.Endpoint()+"\nready")
	_, waited := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, waited, etcd.Close())
}
