package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child that plays a role: it says where it is reached, answers what it is
// asked on its standard input, and ends with that.
type process struct {
	address string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// start this program in a role.
func start(role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startProgram(self, append([]string{role}, args...)...)
}

// startProgram starts a child and reads its address.
func startProgram(path string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if p.address, err = p.line(); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s %s: it ended before it was ready: %w", path, args[0], err)
	}
	return p, nil
}

func (p *process) line() (string, error) {
	s, err := p.out.ReadString('\n')
	return strings.TrimSpace(s), err
}

// ask the child something, and return its answer.
func (p *process) ask(question string) (string, error) {
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		return "", err
	}
	return p.line()
}

// stop the child in order.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait() // What it had to say it wrote to our standard error.
}

// cpu is the processor time that the child has used, of all its threads.
func (p *process) cpu() time.Duration {
	const ofProcess = 2 // the clock of a whole process, of user and system: see clock_getcpuclockid
	var t unix.Timespec
	if unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|ofProcess), &t) != nil { //nolint:gosec // it fits
		return 0
	}
	return time.Duration(t.Nano())
}

// memory that the child has in use after a collection, in bytes.
func (p *process) memory() (float64, error) {
	s, err := p.ask("memory")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(s, 64)
}
