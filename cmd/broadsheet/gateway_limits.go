//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

const engineThreads = 2

// openQueries is how many queries may read tables with half of the engine's memory: as many work
// at a time, and as many wait for their clients. It is eight, if they are sure to find theirs.
func openQueries(memory int64) int {
	const each = engineThreads * 2 * columnar.MaxLine // to read files in place
	return int(min(8, memory/2/each))
}

// reserved is how much address space may be taken beyond the ceiling: by code, and by what is
// reserved and never used.
const reserved = 4 << 30

// limitMemory makes the kernel refuse this process more writable memory than the ceiling,
// which DuckDB reports as being out of memory, and bounds its address space. Go collects
// garbage harder as it gets near its share, which it has from the start. The stacks of threads are beyond the ceiling, and all there from
// the start, too. It returns how much writable memory there is with them.
func limitMemory(ctx context.Context, ceiling int64, sessions int) (int64, error) {
	stacks, err := reserve(ctx, ceiling/4, sessions)
	if err != nil {
		return 0, fmt.Errorf("memory ceiling: %w", err)
	}
	most := uint64(ceiling + stacks)
	limits := map[int]uint64{unix.RLIMIT_DATA: most, unix.RLIMIT_AS: most + reserved}
	for resource, most := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return 0, fmt.Errorf("memory ceiling: %w", err)
		}
		most = min(most, now.Max)
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return 0, fmt.Errorf("memory ceiling: %w", err)
		}
	}
	debug.SetMemoryLimit(ceiling / 4)
	return ceiling + stacks, nil
}

// listenSQL listens on an address, or takes a listener over that the parent opened.
func listenSQL(address string) (net.Listener, error) {
	text, handed := strings.CutPrefix(address, "fd:")
	if !handed {
		return net.Listen("tcp", address)
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("--sql-listen: %q isn't a descriptor", address)
	}
	file := os.NewFile(uintptr(fd), "sql-listen")
	ln, err := net.FileListener(file)
	return ln, errors.Join(err, file.Close())
}
