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
	// smallObject is the size of the smallest objects of the heap that are allocated one by one, in bytes; smallHeap bounds how much of the
	// heap is filled with them, and pagedHeap how much with spans of one page.
	smallObject = 16
	smallHeap   = 32 << 20
	pagedHeap   = 256 << 20
	// spanPage is the size of the smallest span, in bytes.
	spanPage = 8 << 10
	// mostThreads bounds what is made before there is any use of it.
	mostThreads = 512
)

// reserve takes what the Go runtime may need later, and can't do without: where it gets no memory, or no thread, the process
// ends. The C++ beside it is told of the same, and goes on. So the heap's share is mapped once (the runtime never unmaps what
// it has mapped) and there is a thread for each session (the runtime never ends one). It returns the bytes of the stacks. There is no
// profile of the heap from here on: it has a record of its own for each place that allocates, whenever it is found to.
func reserve(ctx context.Context, heap int64, sessions int) (int64, error) {
	runtime.MemProfileRate = 0
	reserveHeap(heap)
	threads := min(sessions+moreThreads, mostThreads)
	if err := startThreads(ctx, threads); err != nil {
		return 0, fmt.Errorf("start %d threads: %w", threads, err)
	}
	return int64(threads) * threadStack, nil
}

// reserveHeap maps a heap of so many bytes, and what the runtime has beside it, which it maps as it needs it and keeps for good: a
// description of each span, of which there are most where each has one page; bits for each object of a span, of which there are two
// sets and most where objects are small; and lists of spans, of which each class of objects has its own. It takes about a tenth of a second.
func reserveHeap(heap int64) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // or spans are used again
	small, pages := min(heap, smallHeap), min(heap, pagedHeap)
	escape := new(any) // what is put there is allocated
	for range small / smallObject {
		*escape = new([smallObject]byte)
	}
	for range (pages - small) / spanPage {
		*escape = new([spanPage]byte)
	}
	*escape = make([]byte, heap-pages)
	*escape = nil
	runtime.GC()
	kept := spansOfAllClasses()
	runtime.GC() // The sets of bits change places, and full spans those of their lists.
	runtime.KeepAlive(kept)
	debug.FreeOSMemory()
}

// spansOfAllClasses are some spans of each class of objects, with pointers and without: full ones, and some that aren't once the objects are
// collected which aren't returned.
func spansOfAllClasses() []any {
	const largest = 32 << 10
	var kept []any
	for size := 8; size <= largest; size += max(8, size/8) {
		each := max(8, spanPage/size)
		for i := range 3 * each {
			var bytes, pointers any = make([]byte, size), make([]*byte, size/8)
			if i < each || i%8 == 0 {
				kept = append(kept, bytes, pointers)
			}
		}
	}
	return kept
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
