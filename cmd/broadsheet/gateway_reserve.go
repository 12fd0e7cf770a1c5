//go:build cgo

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/internal/task"
)

const (
	// threadStack is what the C library reserves of a process's data for the stack of a thread: RLIMIT_STACK's default, which
	// is used only as far as a thread goes deep.
	threadStack = 8 << 20
	// moreThreads are those that don't run a session's call: the Go scheduler's, and those of calls that were left behind.
	moreThreads = 24
	// mostThreads bounds what is made before there is any use of it.
	mostThreads = 512
)

// reserve takes what the Go runtime may need later, and can't do without: where it gets no memory, or no thread, the process
// ends. The C++ beside it is told of the same, and goes on. So the heap's share is mapped once (the runtime never unmaps what
// it has mapped) and there is a thread for each session (the runtime never ends one). It returns the bytes of the stacks.
func reserve(ctx context.Context, heap int64, sessions int) (int64, error) {
	ballast := make([]byte, heap)
	runtime.KeepAlive(ballast)
	ballast = nil //nolint:wastedassign,ineffassign // it isn't used from here on
	debug.FreeOSMemory()
	threads := min(sessions+moreThreads, mostThreads)
	if err := startThreads(ctx, threads); err != nil {
		return 0, fmt.Errorf("start %d threads: %w", threads, err)
	}
	return int64(threads) * threadStack, nil
}

// startThreads blocks as many threads in the kernel as there are to be, and lets them go then.
func startThreads(ctx context.Context, n int) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	g := task.New(ctx, "gateway")
	fd := int(r.Fd()) // which makes reads of it block
	for range n {
		g.Go("thread", func(context.Context) error {
			var one [1]byte
			for {
				if _, err := unix.Read(fd, one[:]); err != unix.EINTR {
					return err
				}
			}
		})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for pprof.Lookup("threadcreate").Count() < n && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	_ = w.Close() // all reads end
	return g.Wait()
}
