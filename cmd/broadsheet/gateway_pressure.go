//go:build cgo

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// pressureTick is how often it is looked at how much of the ceiling is left.
const pressureTick = 50 * time.Millisecond

// relieve has the allocators give back what nothing uses, whenever less than an eighth of the ceiling is left: what they hold counts for the
// process, and a query is refused for it that would find its memory.
func (r *gatewayRole) relieve(ctx context.Context) error {
	tick := time.NewTicker(pressureTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		used, err := writableMemory()
		if errors.Is(err, os.ErrNotExist) {
			return nil // It isn't Linux, which has no such limit either.
		}
		if err != nil {
			return err
		}
		if used > r.writable-r.ceiling/8 {
			duck.GiveBack()
		}
	}
}

// writableMemory is how many bytes of memory this process may write to: what the kernel compares with the limit of its data.
func writableMemory() (int64, error) {
	const name, data = "/proc/self/statm", 5 // the column of data and stack, in pages
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("memory ceiling: %w", err)
	}
	columns := bytes.Fields(text)
	if len(columns) <= data {
		return 0, fmt.Errorf("memory ceiling: %s has %d columns", name, len(columns))
	}
	pages, err := strconv.ParseInt(string(columns[data]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("memory ceiling: %s: %w", name, err)
	}
	return pages * int64(os.Getpagesize()), nil
}
