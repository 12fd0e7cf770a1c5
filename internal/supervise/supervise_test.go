package supervise_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/internal/supervise"
)

// TestMain lets the test binary be the child, or a parent that can be killed.
func TestMain(m *testing.M) {
	switch os.Getenv("SUPERVISE_TEST_ROLE") {
	case "child":
		child()
	case "parent":
		c := newChild(nil)
		c.OnReady = func(pid int) { fmt.Println(pid) }
		_ = c.Run(context.Background())
	default:
		goleak.VerifyTestMain(m)
	}
}

// child says that it is ready and then answers connections with its process id.
func child() {
	if err := supervise.Lifeline(func() { os.Exit(7) }); err != nil {
		panic(err)
	}
	if os.Getenv("SUPERVISE_TEST_LISTEN") == "" {
		_ = supervise.Ready()
		select {}
	}
	ln, err := net.FileListener(os.NewFile(supervise.FirstFile, "listener"))
	if err != nil {
		panic(err)
	}
	_ = supervise.Ready()
	for {
		conn, err := ln.Accept()
		if err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintln(conn, os.Getpid())
		_ = conn.Close()
	}
}

func newChild(files []*os.File) *supervise.Child {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("SUPERVISE_TEST_ROLE", "child")
	return &supervise.Child{Name: "child", Path: self, Files: files, Logger: slog.New(slog.DiscardHandler), Stderr: os.Stderr}
}

func ask(t *testing.T, addr string) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	var pid int
	_, err = fmt.Fscanln(conn, &pid)
	require.NoError(t, err)
	return pid
}

func TestKilledChildIsBackAndItsListenerNeverCloses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	require.NoError(t, err)
	defer file.Close()
	t.Setenv("SUPERVISE_TEST_ROLE", "child")
	t.Setenv("SUPERVISE_TEST_LISTEN", "1")
	c := newChild([]*os.File{file})
	var starts atomic.Int64
	c.OnStart = func(int) { starts.Add(1) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()

	first := ask(t, ln.Addr().String())
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	second := ask(t, ln.Addr().String()) // waits in the listener's queue meanwhile
	for second == first {                // accepted by the first just before it died
		second = ask(t, ln.Addr().String())
	}
	cancel()
	require.NoError(t, <-ended)
	require.GreaterOrEqual(t, starts.Load(), int64(2))
	require.ErrorIs(t, syscall.Kill(second, 0), syscall.ESRCH)
}

func TestKilledParentLeavesNoChild(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), "SUPERVISE_TEST_ROLE=parent", "SUPERVISE_TEST_LISTEN=")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	buf := make([]byte, 32)
	n, err := out.Read(buf)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0))
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	require.Eventually(t, func() bool { return gone(pid) }, time.Minute, 5*time.Millisecond)
}

// gone tells that a process has ended; one that nobody awaited is a zombie.
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}
