package main

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// openFiles is how many files and connections this process may have open. The runtime of Go has raised that to as
// many as its owner may choose, the hard limit, before main began.
func openFiles() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return int(min(limit.Cur, math.MaxInt32)), nil //nolint:gosec // it is small
}
